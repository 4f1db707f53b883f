import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { CopyButton } from "../../components/CopyButton.tsx";
import { Icon } from "../../components/Icon.tsx";
import { Note } from "../../components/Note.tsx";
import { useChanges } from "../../hooks/useChanges.ts";
import { t, tx } from "../../i18n/translate.ts";
import { budgetText, bytesText } from "../../lib/format.ts";
import type { HistoryEntry } from "../../protocol/messages.ts";
import type { ChangesStore, Turn } from "../../state/changesStore.ts";
import { labelText, timeText, whereText } from "./changeText.ts";
import { Log } from "./Log.tsx";

interface HistoryBarProps {
  readonly changes: ChangesStore;
  readonly alive: boolean;
  /** Stands at the end of the bar. */
  readonly children?: ComponentChildren;
  /** Puts the focus back into the tree, after a question was answered. */
  readonly onLeave: () => void;
}

/** What was done to the model, and the way back. */
export function HistoryBar({ changes, alive, children, onLeave }: HistoryBarProps) {
  const { history, isBusy, isLogOpen, error } = useChanges(changes);
  const entries = history?.entries ?? [];
  const last = entries.findLast(({ state }) => state !== "undone");
  const n = history?.n_changes ?? 0;
  const undone = entries.filter(({ state }) => state === "undone");
  const nUndone = undone.length;
  const words = n === 0 && nUndone > 0 ? t("{0} {0|change|changes} undone", nUndone) : t("{0} {0|change|changes}", n);
  const button = (turn: Turn, key: string, label: string | null, entry: HistoryEntry | undefined) => {
    const canTurn = alive && !isBusy && label !== null;
    const isUndo = turn === "undo";
    const name =
      label === null
        ? t(isUndo ? "Undo ({0})" : "Redo ({0})", key)
        : t(isUndo ? "Undo {0} ({1})" : "Redo {0} ({1})", entry?.label === label ? labelText(entry) : label, key);
    return (
      <button
        type="button"
        class="nnw-icon-button"
        aria-label={name}
        title={label === null ? t(isUndo ? "Nothing to undo" : "Nothing to redo") : name}
        // Not disabled: the focus would be lost with it.
        aria-disabled={!canTurn}
        onClick={() => canTurn && changes.turn(turn)}
      >
        <Icon name={turn} />
      </button>
    );
  };
  return (
    <section class="nnw-history" aria-label={t("History")}>
      <Question changes={changes} alive={alive} onLeave={onLeave} />
      {error === null ? null : (
        <div class="nnw-ask">
          <Note kind="error" role="alert">
            <b>{error.message}</b>
            <p>{error.hint}</p>
            <button type="button" class="nnw-button" onClick={() => changes.dispatch({ type: "dismissed" })}>
              {t("Close")}
            </button>
          </Note>
        </div>
      )}
      {isLogOpen && history !== null ? <Log history={history} /> : null}
      <div class="nnw-bar">
        {button("undo", "u", history?.undo ?? null, last)}
        {button("redo", "Shift+U", history?.redo ?? null, undone[0])}
        <span class="nnw-last nnw-ellipsis">
          {isLogOpen && history !== null ? (
            t("undo holds {0} of {1}", bytesText(history.kept_bytes), budgetText(history.budget_bytes))
          ) : last === undefined ? (
            <span class="nnw-dim">
              {history === null ? "" : nUndone > 0 ? t("No changes in force") : t("No changes yet")}
            </span>
          ) : (
            <Last entry={last} />
          )}
        </span>
        {entries.length === 0 ? null : (
          <>
            <button
              type="button"
              class="nnw-button nnw-button-quiet"
              aria-expanded={isLogOpen}
              onClick={() => changes.dispatch({ type: "logToggled" })}
            >
              <span class="nnw-wide-only">{t("Log · ")}</span>
              {words}
            </button>
            {n === 0 ? null : (
              <CopyButton
                text={() => changes.code()}
                label={t("Copy all as code")}
                words={<span class="nnw-wide-only">{t("Copy all as code")}</span>}
                disabled={!alive}
              />
            )}
          </>
        )}
        {children}
      </div>
    </section>
  );
}

function Last({ entry }: { readonly entry: HistoryEntry }) {
  const { seed, time } = entry;
  const label = labelText(entry);
  const where = whereText(entry);
  return (
    <span title={`${label} ${where}`}>
      <span class="nnw-dim">{t("Last: ")}</span>
      <bdi class="nnw-mono">{label}</bdi>
      {label.startsWith(entry.paths[0] ?? " ") ? null : (
        <>
          {" → "}
          <bdi class="nnw-mono">{where}</bdi>
        </>
      )}
      <span class="nnw-dim">
        {seed === null ? "" : ` · ${t("seed {0}", seed)}`} · {timeText(time)}
      </span>
    </span>
  );
}

/** Undo would overwrite what a cell has written since: which of the two stays is the user's to say. */
function Question({ changes, alive, onLeave }: HistoryBarProps) {
  const { question } = changes.state;
  const keep = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => keep.current?.focus(), [question]);
  if (question === null) {
    return null;
  }
  const { turn, path } = question;
  const answer = (isForced: boolean): void => {
    if (isForced) {
      void changes.turn(turn, true);
    } else {
      changes.dispatch({ type: "dismissed" });
    }
    onLeave();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape keeps the edit.
    <div
      class="nnw-ask"
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          event.preventDefault();
          answer(false);
        }
      }}
    >
      <Note kind="warning" role="alert">
        <p>
          {tx(
            turn === "undo"
              ? "{0} was edited in a cell after this change. Undo would lose that edit."
              : "{0} was edited in a cell after this change. Redo would lose that edit.",
            path === "" ? t("The model") : <bdi class="nnw-mono">{path}</bdi>,
          )}
        </p>
        <div class="nnw-actions">
          <button ref={keep} type="button" class="nnw-button" onClick={() => answer(false)}>
            {t("Keep my edit")}
          </button>
          <button type="button" class="nnw-button" disabled={!alive} onClick={() => answer(true)}>
            {t(turn === "undo" ? "Undo anyway" : "Redo anyway")}
          </button>
        </div>
      </Note>
    </div>
  );
}
