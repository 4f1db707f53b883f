import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { ErrorNote, Note } from "../../../components/Note.tsx";
import { Search } from "../../../components/Search.tsx";
import { VirtualList, WaitingRow } from "../../../components/VirtualList.tsx";
import { t, told } from "../../../i18n/translate.ts";
import { type PageError, toPageError } from "../../../lib/errors.ts";
import { exactCount } from "../../../lib/format.ts";
import type { PlanReply } from "../../../protocol/messages.ts";
import {
  acceptRename,
  hasRenames,
  NO_RENAMES,
  refuseRename,
  replaceRename,
} from "../../../state/checkpoints/renames.ts";
import type { CheckpointsStore } from "../../../state/checkpoints/store.ts";
import { Bar, Chips } from "../Chips.tsx";
import { STATUSES, statusLabel } from "../statusLabels.tsx";
import { PlanRowView, type RowActions, rowHeight } from "./PlanRowView.tsx";

const NARROW_PX = 560;

interface PlanProps {
  readonly store: CheckpointsStore;
  readonly name: string;
  /** Whether ranks load it together. */
  readonly isOverRanks: boolean;
  readonly alive: boolean;
}

/** What a load would do, tensor by tensor, problems first; and the load itself. */
export function Plan({ store, name, isOverRanks, alive }: PlanProps) {
  const { plan, asked } = store;
  const { reply } = plan;
  const frame = useRef<HTMLDivElement>(null);
  const isNarrow = useIsNarrow(frame);
  const [renameError, setRenameError] = useState<PageError | null>(null);
  const rename = async (change: Promise<void>): Promise<PageError | null> => {
    setRenameError(null);
    try {
      await change;
      return null;
    } catch (problem) {
      return toPageError(problem);
    }
  };
  const canEdit = alive && store.work === null;
  const actions: RowActions = {
    canEdit,
    accept: async (source, path) =>
      setRenameError(await rename(store.rename(acceptRename(asked.renames, source, path)))),
    refuse: async (source) => setRenameError(await rename(store.rename(refuseRename(asked.renames, source)))),
    replace: (before, source, path) => rename(store.rename(replaceRename(asked.renames, before, source, path))),
  };
  return (
    <div ref={frame} class="nnw-plan">
      {plan.error !== null && !plan.isCurrent ? (
        <ErrorNote
          error={toPageError(plan.error)}
          path={asked.path ?? ""}
          what={t("No plan can be made.")}
          alive={alive}
          onRetry={() => plan.restart()}
        />
      ) : null}
      {renameError === null ? null : (
        <Note kind="error" role="alert">
          <b>{renameError.message}</b> {renameError.hint}
        </Note>
      )}
      {reply === null ? (
        plan.error === null ? (
          <p class="nnw-empty">{t("Planning…")}</p>
        ) : null
      ) : (
        <>
          <div class="nnw-plan-head">
            <Bar kinds={STATUSES} counts={reply.counts} lookOf={statusLabel} />
            <Chips
              label={t("Keep only")}
              kinds={STATUSES}
              counts={reply.counts}
              kept={asked.statuses}
              lookOf={statusLabel}
              alive={alive}
              onToggle={(status) => store.toggleStatus(status)}
            />
            <div class="nnw-strip">
              <Search
                text={asked.text}
                label={t("Find in the plan")}
                alive={alive}
                onText={(text) => store.search(text)}
              />
              <span class="nnw-space" />
              <Suggestions
                reply={reply}
                canReset={hasRenames(asked.renames)}
                canEdit={canEdit}
                onAccept={async () => setRenameError(await rename(store.acceptAll()))}
                onReset={async () => setRenameError(await rename(store.rename(NO_RENAMES)))}
              />
            </div>
            {reply.warnings.map((warning) => (
              <Note key={warning} kind="warning">
                {told(warning)}
              </Note>
            ))}
          </div>
          {reply.total === 0 && plan.isCurrent ? (
            <p class="nnw-empty">{t("Nothing of the plan is left by these chips and this text.")}</p>
          ) : (
            <VirtualList
              class="nnw-plan-rows"
              label={t("Load plan, problems first")}
              of={`${asked.path} ${asked.text} ${asked.statuses.join()}`}
              blocks={reply.runs.map(({ status, count }) => ({ count, height: rowHeight(status, isNarrow) }))}
              onLook={(first, last) => plan.look(first, last)}
            >
              {(index, top) => {
                const row = plan.row(index);
                return row === undefined ? (
                  <WaitingRow key={index} top={top} />
                ) : (
                  <PlanRowView
                    key={`${row.path} ${row.source}`}
                    {...{ row, top, actions, isNarrow }}
                    position={index + 1}
                    total={reply.total}
                    name={name}
                  />
                );
              }}
            </VirtualList>
          )}
          <LoadBar {...{ store, reply, isOverRanks }} canLoad={canEdit && plan.isCurrent} />
        </>
      )}
    </div>
  );
}

interface SuggestionsProps {
  readonly reply: PlanReply;
  readonly canReset: boolean;
  readonly canEdit: boolean;
  readonly onAccept: () => void;
  readonly onReset: () => void;
}

function Suggestions({ reply, canReset, canEdit, onAccept, onReset }: SuggestionsProps) {
  const n = reply.n_suggested;
  return (
    <>
      {n === 0 ? null : (
        <button type="button" class="nnw-button" disabled={!canEdit} onClick={onAccept}>
          {t(n === 1 ? "Accept the suggested rename" : "Accept all {0} suggested renames", exactCount(n))}
        </button>
      )}
      {canReset ? (
        <button type="button" class="nnw-button" disabled={!canEdit} onClick={onReset}>
          {t("Take back {0} {0|rename|renames}", exactCount(reply.n_renames))}
        </button>
      ) : null}
    </>
  );
}

interface LoadBarProps {
  readonly store: CheckpointsStore;
  readonly reply: PlanReply;
  readonly isOverRanks: boolean;
  readonly canLoad: boolean;
}

function LoadBar({ store, reply, isOverRanks, canLoad }: LoadBarProps) {
  const { isStrict, withOptimizer } = store.asked;
  const isRefused = isStrict && !reply.is_complete;
  const n = reply.n_loads;
  const what = t(n === reply.n_model ? "Load all {0}" : "Load {0} of {1}", exactCount(n), exactCount(reply.n_model));
  return (
    <div class="nnw-act">
      <button
        type="button"
        // What has just been loaded needs no second load.
        class={store.outcome?.what === "load" ? "nnw-button" : "nnw-button nnw-primary"}
        disabled={!canLoad || isRefused || n === 0}
        onClick={() => store.load()}
      >
        {what}
      </button>
      <label class="nnw-check">
        <input type="checkbox" checked={isStrict} onChange={(event) => store.setStrict(event.currentTarget.checked)} />
        {t("strict")}
      </label>
      {reply.has_optimizer && !isOverRanks ? (
        <label class="nnw-check">
          <input
            type="checkbox"
            checked={withOptimizer}
            onChange={(event) => store.setOptimizer(event.currentTarget.checked)}
          />
          {t("optimizer too")}
        </label>
      ) : null}
      <span class="nnw-space" />
      <span class="nnw-dim nnw-small" role="status">
        {isRefused
          ? t("strict asks that each side has all of the other: rename, or untick it to load what matches")
          : n === 0
            ? t("nothing in the file fits the model")
            : t("all or nothing · compared with the file after · undoable")}
      </span>
    </div>
  );
}

function useIsNarrow(frame: { readonly current: HTMLElement | null }): boolean {
  const [isNarrow, setNarrow] = useState(false);
  useLayoutEffect(() => {
    const element = frame.current;
    if (element === null) {
      return;
    }
    const read = (): void => setNarrow(element.clientWidth > 0 && element.clientWidth < NARROW_PX);
    read();
    const size = new ResizeObserver(read);
    size.observe(element);
    return () => size.disconnect();
  }, [frame]);
  return isNarrow;
}
