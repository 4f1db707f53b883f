import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { CopyAs } from "../../components/CopyAs.tsx";
import { Icon } from "../../components/Icon.tsx";
import { ErrorNote } from "../../components/Note.tsx";
import { Search } from "../../components/Search.tsx";
import { t, told } from "../../i18n/translate.ts";
import { exactCount } from "../../lib/format.ts";
import type { Client } from "../../protocol/client.ts";
import { type Kept, TableStore } from "../../state/tableStore.ts";
import { TableRows } from "./TableRows.tsx";

export interface TablePanelProps {
  readonly client: Client;
  /** What the tree keeps. */
  readonly kept: Kept;
  readonly alive: boolean;
  readonly onFilter: (text: string) => void;
  readonly onSelect: (path: string) => void;
  readonly onClose: () => void;
}

/** Statistics of all tensors, a row each: sorted by a click on a head, filtered as the tree is, to be copied. */
export function TablePanel({ client, kept, alive, onFilter, onSelect, onClose }: TablePanelProps) {
  const [, redraw] = useState(0);
  const store = useMemo(() => new TableStore(client, kept, () => redraw((count) => count + 1)), [client]);
  useEffect(() => {
    store.measure();
    return () => store.dispose();
  }, [store]);
  useEffect(() => client.onEvent((event) => event.event === "changed" && store.measure()), [client, store]);
  const back = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => back.current?.focus(), []);
  const { reply, total } = store.rows;
  const mark = reply?.mark ?? null;
  const isOff = !alive || store.isMarking;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape goes back to the model.
    <div
      class="nnw-table"
      onKeyDown={(event) => {
        if (event.key === "Escape" && !event.defaultPrevented) {
          event.preventDefault();
          onClose();
        }
      }}
    >
      <div class="nnw-toolbar" role="group" aria-label={t("Table of all tensors")}>
        <button ref={back} type="button" class="nnw-button nnw-button-quiet" onClick={onClose}>
          <Icon name="back" /> {t("Model")}
        </button>
        <Search
          text={kept.filter}
          label={t("Filter by path, glob or class")}
          placeholder={t("Path, glob or class")}
          alive={alive}
          isForOthers
          onText={(filter) => {
            onFilter(filter);
            store.keep({ filter, chips: kept.chips });
          }}
        />
        {kept.chips.map((chip) => (
          <span key={chip} class="nnw-dim">
            {t(chip)}
          </span>
        ))}
        {reply === null ? null : (
          <span class="nnw-dim" role="status">
            {total === reply.n_tensors
              ? t("{0} {0|tensor|tensors}", exactCount(total))
              : t("{0} of {1} {1|tensor|tensors}", exactCount(total), exactCount(reply.n_tensors))}
          </span>
        )}
        <span class="nnw-space" />
        <button
          type="button"
          class="nnw-button nnw-button-quiet"
          aria-pressed={mark !== null}
          title={
            mark === null
              ? t("Keep what the tensors are now; the column Moved then tells how far they move")
              : t("Moved since {0}; let go of this mark", mark)
          }
          disabled={isOff}
          onClick={() => void store.mark(mark === null)}
        >
          <Icon name={mark === null ? "plus" : "close"} /> {t("Mark")}
        </button>
        <CopyAs text={(kind) => store.text(kind)} disabled={isOff} />
      </div>
      {store.rows.isBusy && store.progress !== null ? (
        <div class="nnw-table-progress" role="progressbar" aria-label={t("Measuring all tensors")}>
          <i style={{ width: `${100 * store.progress}%` }} />
        </div>
      ) : null}
      {store.error === null ? null : (
        <ErrorNote
          error={store.error}
          path=""
          what={t("The tensors could not be measured.")}
          alive={alive}
          onRetry={() => store.measure()}
        />
      )}
      {(reply?.problem ?? null) === null ? null : (
        <div class="nnw-problem" role="alert">
          <Icon name="warning" class="nnw-warn" /> {told(reply?.problem ?? "")}
        </div>
      )}
      {reply === null ? (
        <p class="nnw-table-empty">{store.error === null ? t("Measuring all tensors…") : ""}</p>
      ) : (
        <TableRows store={store} reply={reply} alive={alive} onSelect={onSelect} />
      )}
    </div>
  );
}
