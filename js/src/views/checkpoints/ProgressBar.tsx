import { CopyButton } from "../../components/CopyButton.tsx";
import { Icon } from "../../components/Icon.tsx";
import { Note } from "../../components/Note.tsx";
import { t, told, tx, word } from "../../i18n/translate.ts";
import { bytesText, countText, exactCount } from "../../lib/format.ts";
import type { ChangesStore } from "../../state/changesStore.ts";
import { remainingText } from "../../state/checkpoints/progressRate.ts";
import type { CheckpointsStore, Outcome, Work } from "../../state/checkpoints/store.ts";
import { StatusMark } from "./StatusMark.tsx";

interface WorkingProps {
  readonly store: CheckpointsStore;
  readonly changes: ChangesStore;
  /** Whether the last change is a load. */
  readonly canUndo: boolean;
  readonly alive: boolean;
}

/** What is under way, how fast, how long yet; and how the last piece of work ended. */
export function ProgressBar({ store, changes, canUndo, alive }: WorkingProps) {
  const { work, outcome } = store;
  if (work !== null) {
    return <Progress work={work} onCancel={() => store.cancel()} />;
  }
  return outcome === null ? null : (
    <OutcomeNote
      outcome={outcome}
      {...{ canUndo, alive }}
      onUndo={() => undo(store, changes)}
      onClose={() => store.dismiss()}
    />
  );
}

async function undo(store: CheckpointsStore, changes: ChangesStore): Promise<void> {
  store.dismiss();
  await changes.turn("undo");
}

const VERBS: Readonly<Record<Work["what"], string>> = {
  load: word("Loading"),
  save: word("Saving"),
  diff: word("Comparing"),
};

function Progress({ work, onCancel }: { readonly work: Work; readonly onCancel: () => void }) {
  const { done, total, rate, remaining } = work.progress;
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const figures = [
    total > 0 ? t("{0} of {1}", bytesText(done), bytesText(total)) : "",
    rate === null ? "" : t("{0}/s", bytesText(rate)),
    remainingText(remaining),
  ].filter(Boolean);
  const verb = t(work.isCancelling ? "Cancelling" : VERBS[work.what]);
  return (
    <div class="nnw-work">
      <b>{verb}…</b>
      <div
        class="nnw-progress"
        role="progressbar"
        aria-label={verb}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(share * 100)}
        aria-valuetext={figures.join(", ") || undefined}
      >
        <i style={{ width: `${share * 100}%` }} />
      </div>
      <span class="nnw-small nnw-figures">{figures.join(" · ")}</span>
      <button type="button" class="nnw-button" disabled={work.isCancelling} onClick={onCancel}>
        {t("Cancel")}
      </button>
    </div>
  );
}

interface EndedProps {
  readonly outcome: Outcome;
  readonly canUndo: boolean;
  readonly alive: boolean;
  readonly onUndo: () => void;
  readonly onClose: () => void;
}

function OutcomeNote({ outcome, canUndo, alive, onUndo, onClose }: EndedProps) {
  const close = (
    <button
      type="button"
      class="nnw-icon-button"
      aria-label={t("Close this message")}
      title={t("Close")}
      onClick={onClose}
    >
      <Icon name="close" />
    </button>
  );
  if (outcome.what === "failed") {
    const { error, of } = outcome;
    const what = {
      load: word("Nothing was loaded."),
      save: word("Nothing was saved."),
      diff: word("They can’t be compared."),
    }[of];
    return (
      <div class="nnw-ended">
        <Note kind="error" role="alert">
          <b>{t(what)}</b> {error.message} {error.message.includes(error.hint) ? "" : error.hint}
        </Note>
        {close}
      </div>
    );
  }
  if (outcome.what === "cancelled") {
    const what = {
      load: word("The load was cancelled: the model is as it was."),
      save: word("The save was cancelled: what was there is as it was."),
      diff: word("The comparison was cancelled."),
    }[outcome.of];
    return (
      <div class="nnw-ended">
        <Note kind="note" role="status">
          {t(what)}
        </Note>
        {close}
      </div>
    );
  }
  const { warnings, verified } = outcome.reply;
  return (
    <div class="nnw-ended">
      <div class="nnw-good" role="status">
        <Icon name="check" class="nnw-ok" />
        <span>
          {outcome.what === "load"
            ? tx(
                "Loaded {0} {0|tensor|tensors}, {1} {1|element|elements}, from {2}",
                exactCount(outcome.reply.n_loaded),
                countText(outcome.reply.n_elements),
                <bdi class="nnw-mono">{outcome.path}</bdi>,
              )
            : tx(
                "Saved {0} {0|tensor|tensors}, {1}, as {2}",
                exactCount(outcome.reply.n_tensors),
                bytesText(outcome.reply.size_bytes),
                <bdi class="nnw-mono">{outcome.path}</bdi>,
              )}
        </span>
        {verified ? (
          <span
            class="nnw-tag nnw-ok"
            title={t(outcome.what === "load" ? "Compared with the file afterwards" : "Read back and compared")}
          >
            <StatusMark name="shield" /> {t("verified")}
          </span>
        ) : null}
        <span class="nnw-space" />
        {outcome.what === "load" && canUndo ? (
          <button type="button" class="nnw-button" disabled={!alive} onClick={onUndo}>
            {t("Undo")}
          </button>
        ) : null}
        {outcome.what === "save" && outcome.reply.code !== "" ? (
          <CopyButton
            text={outcome.reply.code}
            label={t("Copy the code that saves the same")}
            words={t("Copy the code")}
          />
        ) : null}
        {close}
      </div>
      {warnings.map((warning) => (
        <Note key={warning} kind="warning">
          {told(warning)}
        </Note>
      ))}
    </div>
  );
}
