import { useEffect, useState } from "preact/hooks";
import { Icon } from "../../components/Icon.tsx";
import { ErrorNote } from "../../components/Note.tsx";
import { Search } from "../../components/Search.tsx";
import { PickList } from "../../components/VirtualList.tsx";
import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { t, told, word } from "../../i18n/translate.ts";
import { bytesText, exactBytes, exactCount } from "../../lib/format.ts";
import type { FileBody } from "../../protocol/messages.ts";
import { formatWords } from "../../state/checkpoints/fileNames.ts";
import type { CheckpointsStore } from "../../state/checkpoints/store.ts";
import { StatusMark } from "./StatusMark.tsx";
import { dateText } from "./statusLabels.tsx";

const ROW_HEIGHT = 45;

interface FilesProps {
  readonly store: CheckpointsStore;
  readonly alive: boolean;
}

/** The folder in sight: the way to it, and what is in it, the newest first. */
export function Files({ store, alive }: FilesProps) {
  const { folder, folderError } = store;
  const id = useUniqueId();
  const [active, setActive] = useState(0);
  const [text, setText] = useState("");
  useEffect(() => setActive(0), [folder?.path, text]);
  const all = folder === null ? [] : withItself(folder.path, folder.is_checkpoint, folder.entries);
  const entries = all.filter(({ name }) => name.toLowerCase().includes(text.trim().toLowerCase()));
  const go = (typed: string): void => {
    const path = typed.trim().replace(/^\.\//, "");
    if (path.includes("/")) {
      setText("");
      void (path.endsWith("/") ? store.list(path.replace(/\/+$/, "")) : store.open(path));
    }
  };
  const pick = (index: number): void => {
    const entry = entries[index];
    if (entry === undefined || entry.refused !== null || !alive) {
      return;
    }
    setActive(index);
    void (entry.kind === "folder" && entry.path !== folder?.path ? store.list(entry.path) : store.open(entry.path));
  };
  return (
    <>
      <div class="nnw-way">
        <StatusMark name="folder" />
        <nav aria-label={t("Folder")}>
          {folder?.crumbs.map(({ name, path }, at) => (
            <span key={path}>
              {at > 0 ? <span class="nnw-dim"> / </span> : null}
              <button
                type="button"
                class="nnw-crumb"
                aria-current={path === folder.path ? "location" : undefined}
                disabled={!alive}
                onClick={() => store.list(path)}
              >
                <bdi>{name}</bdi>
              </button>
            </span>
          ))}
        </nav>
        <span class="nnw-dim nnw-small">
          {folder === null ? "" : t("{0} · newest first", exactCount(folder.n_entries))}
        </span>
        <button
          type="button"
          class="nnw-icon-button"
          aria-label={t("Read the folder again")}
          title={t("Read the folder again")}
          disabled={!alive || store.isListing}
          onClick={() => store.list()}
        >
          <Icon name="cycle" />
        </button>
      </div>
      {folder === null || folder.n_entries === 0 ? null : (
        <div class="nnw-way nnw-narrowing">
          <Search
            text={text}
            label={t("Part of a name, or a path below the notebook’s folder")}
            alive={alive}
            onText={setText}
            onEnter={go}
          />
        </div>
      )}
      {folder?.path === "" ? (
        <p class="nnw-dim nnw-small nnw-cut">
          {t("Files of the notebook’s folder and below it; %nn load reads any other.")}
        </p>
      ) : null}
      {folderError === null ? null : (
        <ErrorNote
          error={folderError}
          path={store.asked.folder}
          what={t("This folder can’t be read.")}
          alive={alive}
          onRetry={() => store.list("")}
        />
      )}
      {folder !== null && folder.n_entries > folder.entries.length ? (
        <p class="nnw-dim nnw-small nnw-cut">{t("The newest {0} are listed.", exactCount(folder.entries.length))}</p>
      ) : null}
      {folder !== null && (folder.n_hidden > 0 || store.showsAll) ? (
        <label class="nnw-all-files nnw-dim nnw-small">
          <input
            type="checkbox"
            checked={store.showsAll}
            disabled={!alive}
            onChange={(event) => store.showAll(event.currentTarget.checked)}
          />
          {folder.n_hidden > 0 ? t("Show all files, {0} more", exactCount(folder.n_hidden)) : t("Show all files")}
        </label>
      ) : null}
      {folder !== null && entries.length === 0 ? (
        <p class="nnw-empty">
          {all.length > 0
            ? t("No checkpoint here has such a name.")
            : folder.n_hidden > 0
              ? t("No checkpoint is here yet. Save a model, and it shows in this list.")
              : t("Nothing here yet. Save a model, and it shows in this list.")}
        </p>
      ) : (
        <PickList
          class="nnw-files"
          role="listbox"
          label={t("Files in {0}", folder?.crumbs.at(-1)?.name ?? t("the folder"))}
          of={folder?.path ?? ""}
          id={id}
          active={Math.min(active, Math.max(0, entries.length - 1))}
          total={entries.length}
          blocks={[{ count: entries.length, height: ROW_HEIGHT }]}
          onLook={() => undefined}
          onActive={setActive}
          onPick={pick}
        >
          {(index, top) => {
            const entry = entries[index];
            return entry === undefined ? null : (
              <File
                key={entry.path}
                id={`${id}-${index}`}
                entry={entry}
                isItself={entry.path === folder?.path}
                isSelected={entry.path === store.asked.path}
                isActive={index === active}
                badge={store.badges.get(entry.path)?.word ?? null}
                refusal={refusalOf(store, entry.path)}
                hasOptimizer={store.withOptimizer.get(entry.path) === entry.modified}
                top={top}
                onPick={() => pick(index)}
              />
            );
          }}
        </PickList>
      )}
    </>
  );
}

/** A folder that is a checkpoint by itself comes before what is in it. */
function withItself(path: string, isCheckpoint: boolean, entries: readonly FileBody[]): readonly FileBody[] {
  if (!isCheckpoint) {
    return entries;
  }
  const own: FileBody = {
    name: t("this folder"),
    path,
    kind: "folder",
    size_bytes: null,
    modified: null,
    refused: null,
  };
  return [own, ...entries];
}

/** What was found when the file was looked into: that it can't be read. */
function refusalOf(store: CheckpointsStore, path: string): string | null {
  const error = store.asked.path === path ? store.contents.error : null;
  if (error === null || typeof error !== "object" || !("code" in error)) {
    return null;
  }
  return error.code === "unsafe-checkpoint" ? word("refused: needs code") : word("can’t be read");
}

interface FileProps {
  readonly id: string;
  readonly entry: FileBody;
  readonly isItself: boolean;
  readonly isSelected: boolean;
  readonly isActive: boolean;
  readonly badge: string | null;
  readonly refusal: string | null;
  readonly hasOptimizer: boolean;
  readonly top: number;
  readonly onPick: () => void;
}

function File({ id, entry, isItself, isSelected, isActive, badge, refusal, hasOptimizer, top, onPick }: FileProps) {
  const { name, kind, size_bytes, modified, refused } = entry;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the list itself has the focus and the keys.
    <div
      id={id}
      class={`nnw-file${isActive ? " nnw-active" : ""}`}
      role="option"
      aria-selected={isSelected}
      aria-disabled={refused !== null}
      style={{ top: `${top}px` }}
      title={name}
      onClick={onPick}
    >
      {isItself ? <Icon name="box" /> : <StatusMark name={kind} />}
      <bdi class="nnw-file-name nnw-ellipsis">{isItself ? t("This folder, as one checkpoint") : name}</bdi>
      <span class="nnw-dim" title={size_bytes === null ? undefined : exactBytes(size_bytes)}>
        {size_bytes === null ? "" : bytesText(size_bytes)}
      </span>
      <span class="nnw-file-note">
        <span>
          {(refused === null ? null : told(refused)) ??
            [
              modified === null ? "" : dateText(modified),
              t(formatWords(entry.format ?? "")),
              hasOptimizer ? t("model + optimizer") : "",
            ]
              .filter((each) => each !== "")
              .join(" · ")}
        </span>
        {refusal !== null ? (
          <span class="nnw-tag nnw-err">
            <Icon name="no" /> {t(refusal)}
          </span>
        ) : badge !== null ? (
          <span class="nnw-tag nnw-ok">
            <StatusMark name="shield" /> {t(badge)}
          </span>
        ) : null}
      </span>
    </div>
  );
}
