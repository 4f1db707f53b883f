import { useEffect, useState } from "preact/hooks";
import { Icon } from "../../components/Icon.tsx";
import { Search } from "../../components/Search.tsx";
import { TieBadge } from "../../components/TieBadge.tsx";
import { PickList } from "../../components/VirtualList.tsx";
import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { t } from "../../i18n/translate.ts";
import { bytesText, exactBytes, exactCount, shapeText } from "../../lib/format.ts";
import type { StoredRow } from "../../protocol/messages.ts";
import type { CheckpointsStore } from "../../state/checkpoints/store.ts";
import { shortDtype } from "./statusLabels.tsx";

const ROW_HEIGHT = 24;

interface ContentsProps {
  readonly store: CheckpointsStore;
  readonly alive: boolean;
}

/** The tensors of the file as a tree of their names. */
export function Contents({ store, alive }: ContentsProps) {
  const id = useUniqueId();
  const [active, setActive] = useState(0);
  const list = store.contents;
  const { text, path } = store.asked;
  useEffect(() => setActive(0), [text, path]);
  const total = list.total;
  const turn = (index: number, isOpen: boolean): void => {
    const row = list.row(index);
    if (row?.kind === "group" && row.expanded !== isOpen && alive) {
      store.setOpen(row.id, isOpen);
    } else if (row !== undefined && !isOpen) {
      let above = index;
      while (above > 0 && (list.row(above)?.level ?? 0) >= row.level) {
        above -= 1;
      }
      setActive(above);
    }
  };
  return (
    <>
      <div class="nnw-strip">
        <Search text={text} label={t("Find tensors in the file")} alive={alive} onText={(next) => store.search(next)} />
        <span class="nnw-dim nnw-small" role="status">
          {text.trim() === "" ? "" : t("{0} found", exactCount(total))}
        </span>
      </div>
      {total === 0 && list.isCurrent ? (
        <p class="nnw-empty">{text.trim() === "" ? t("The file holds no tensor.") : t("No name holds that.")}</p>
      ) : (
        <PickList
          class="nnw-names"
          role="tree"
          label={t("Tensors in the file")}
          of={`${path} ${text}`}
          id={id}
          active={Math.min(active, Math.max(0, total - 1))}
          total={total}
          blocks={[{ count: total, height: ROW_HEIGHT }]}
          onLook={(first, last) => list.look(first, last)}
          onActive={setActive}
          onPick={(index) => turn(index, list.row(index)?.expanded === false)}
          onTurn={turn}
        >
          {(index, top) => {
            const row = list.row(index);
            return row === undefined ? (
              <div key={index} class="nnw-name-row" role="presentation" style={{ top: `${top}px` }}>
                <span class="nnw-bone" />
              </div>
            ) : (
              <NameRow
                key={row.id}
                id={`${id}-${index}`}
                row={row}
                top={top}
                isActive={index === active}
                onClick={() => {
                  setActive(index);
                  turn(index, !row.expanded);
                }}
              />
            );
          }}
        </PickList>
      )}
    </>
  );
}

interface NameRowProps {
  readonly id: string;
  readonly row: StoredRow;
  readonly top: number;
  readonly isActive: boolean;
  readonly onClick: () => void;
}

function NameRow({ id, row, top, isActive, onClick }: NameRowProps) {
  const isGroup = row.kind === "group";
  const n = row.n_tensors;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree itself has the focus and the keys.
    <div
      id={id}
      class={`nnw-name-row${isActive ? " nnw-active" : ""}`}
      role="treeitem"
      aria-level={row.level}
      aria-expanded={isGroup ? row.expanded : undefined}
      aria-selected={isActive}
      title={row.path}
      style={{ top: `${top}px`, "--nnw-level": row.level - 1 }}
      onClick={onClick}
    >
      <span class="nnw-name-text">
        {isGroup ? (
          <span class={row.expanded ? "nnw-turned" : "nnw-unturned"}>
            <Icon name="chevron" />
          </span>
        ) : (
          <i class="nnw-square" />
        )}
        <bdi class={isGroup ? undefined : "nnw-mono"}>{row.name}</bdi>
        {row.tie === null ? null : <TieBadge letter={row.tie} />}
        {row.note === "" ? null : <bdi class="nnw-dim nnw-small">{row.note}</bdi>}
      </span>
      <span class={isGroup ? "nnw-dim" : "nnw-mono"}>
        {isGroup ? t("{0} {0|tensor|tensors}", exactCount(n)) : shapeText(row.shape)}
      </span>
      <span class="nnw-dim nnw-wide-only" title={row.dtype}>
        {shortDtype(row.dtype)}
      </span>
      <span class="nnw-dim" title={exactBytes(row.size_bytes)}>
        {bytesText(row.size_bytes)}
      </span>
    </div>
  );
}
