import { useRef } from "preact/hooks";
import { ErrorNote } from "../../components/Note.tsx";
import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { t, tx, word } from "../../i18n/translate.ts";
import { toPageError } from "../../lib/errors.ts";
import { keyOf } from "../../lib/keyEvents.ts";
import type { CheckpointsStore, Tab } from "../../state/checkpoints/store.ts";
import { Contents } from "./Contents.tsx";
import { Diff } from "./Diff.tsx";
import { EntryMenu } from "./EntryMenu.tsx";
import { Plan } from "./plan/Plan.tsx";

const TABS: readonly { readonly id: Tab; readonly label: string }[] = [
  { id: "plan", label: word("Load plan") },
  { id: "contents", label: word("Contents") },
  { id: "diff", label: word("Differences") },
];

interface DetailProps {
  readonly store: CheckpointsStore;
  readonly name: string;
  readonly isOverRanks: boolean;
  readonly alive: boolean;
  /** Whether all that a plan and a load need is there. */
  readonly canWork: boolean;
}

/** The file in sight: what a load would do, what is in it, how it differs. */
export function Detail({ store, name, isOverRanks, alive, canWork }: DetailProps) {
  const id = useUniqueId();
  const list = useRef<HTMLDivElement>(null);
  const { path, tab } = store.asked;
  if (path === null) {
    return (
      <section class="nnw-detail" aria-label={t("Checkpoint")}>
        <p class="nnw-empty">
          {tx(
            "Pick a file to see what is in it, and what loading it into {0} would do. Nothing is read but its header, and nothing in it runs.",
            <bdi class="nnw-mono">{name}</bdi>,
          )}
        </p>
      </section>
    );
  }
  const { error, reply } = store.contents;
  const hasNames = reply !== null && reply.state_dict !== null;
  const file = path.split("/").at(-1) ?? path;
  return (
    <section class="nnw-detail" aria-label={t("Checkpoint {0}", file)}>
      {error !== null && reply === null ? (
        <ErrorNote
          error={toPageError(error)}
          path={path}
          what={t("This file can’t be read.")}
          alive={alive}
          onRetry={() => store.open(path)}
        />
      ) : reply === null ? (
        <p class="nnw-empty" role="status">
          {t("Reading the header…")}
        </p>
      ) : (
        <>
          <div
            ref={list}
            class="nnw-subtabs"
            role="tablist"
            aria-label={file}
            onKeyDown={(event) => {
              const key = keyOf(event);
              const by = key === "ArrowRight" ? 1 : key === "ArrowLeft" ? -1 : 0;
              if (by !== 0) {
                event.preventDefault();
                const tabs = [...(list.current?.querySelectorAll<HTMLButtonElement>("[role=tab]:enabled") ?? [])];
                const at = tabs.findIndex((each) => each.getAttribute("aria-selected") === "true");
                const next = tabs[(at + by + tabs.length) % tabs.length];
                next?.click();
                next?.focus();
              }
            }}
          >
            {TABS.map(({ id: each, label }) => (
              <button
                key={each}
                type="button"
                role="tab"
                id={`${id}-${each}`}
                aria-selected={tab === each}
                aria-controls={`${id}-panel`}
                tabIndex={tab === each ? 0 : -1}
                disabled={each !== "contents" && !hasNames}
                title={each !== "contents" && !hasNames ? t("The file holds no state dict") : undefined}
                onClick={() => tab !== each && store.show(each)}
              >
                {t(label)}
              </button>
            ))}
            <bdi class="nnw-dim nnw-file-title nnw-ellipsis" title={path}>
              {file}
            </bdi>
          </div>
          <div class="nnw-subpanel" role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${tab}`}>
            {tab === "contents" ? null : <EntryMenu store={store} alive={tab === "plan" ? canWork : alive} />}
            {tab === "plan" ? <Plan {...{ store, name, isOverRanks }} alive={canWork} /> : null}
            {tab === "contents" ? <Contents store={store} alive={alive} /> : null}
            {tab === "diff" ? <Diff store={store} name={name} alive={alive} /> : null}
          </div>
        </>
      )}
    </section>
  );
}
