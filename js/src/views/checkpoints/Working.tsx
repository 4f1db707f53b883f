import { bytesText, countText, exactCount } from "../../lib/format.ts";
import type { ChangesStore } from "../../state/changes.ts";
import { remainingText } from "../../state/checkpoints/pace.ts";
import type { CheckpointsStore, Outcome, Work } from "../../state/checkpoints/store.ts";
import { CopyButton } from "../inspector/CopyButton.tsx";
import { Note } from "../inspector/Note.tsx";
import { Glyph } from "../tree/Glyph.tsx";
import { Mark } from "./Mark.tsx";

interface WorkingProps {
  readonly store: CheckpointsStore;
  readonly changes: ChangesStore;
  /** Whether the last change is a load. */
  readonly canUndo: boolean;
  readonly alive: boolean;
}

/** What is under way, how fast, how long yet; and how the last piece of work ended. */
export function Working({ store, changes, canUndo, alive }: WorkingProps) {
  const { work, outcome } = store;
  if (work !== null) {
    return <Progress work={work} onCancel={() => store.cancel()} />;
  }
  return outcome === null ? null : (
    <Ended
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

const VERBS: Readonly<Record<Work["what"], string>> = { load: "Loading", save: "Saving", diff: "Comparing" };

function Progress({ work, onCancel }: { readonly work: Work; readonly onCancel: () => void }) {
  const { done, total, rate, remaining } = work.pace;
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const figures = [
    total > 0 ? `${bytesText(done)} of ${bytesText(total)}` : "",
    rate === null ? "" : `${bytesText(rate)}/s`,
    remainingText(remaining),
  ].filter(Boolean);
  const verb = work.isCancelling ? "Cancelling" : VERBS[work.what];
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
        Cancel
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

function Ended({ outcome, canUndo, alive, onUndo, onClose }: EndedProps) {
  const close = (
    <button type="button" class="nnw-icon-button" aria-label="Close this message" title="Close" onClick={onClose}>
      <Glyph name="close" />
    </button>
  );
  if (outcome.what === "failed") {
    const { fault, of } = outcome;
    const what = { load: "Nothing was loaded.", save: "Nothing was saved.", diff: "They can’t be compared." }[of];
    return (
      <div class="nnw-ended">
        <Note kind="error" role="alert">
          <b>{what}</b> {fault.message} {fault.message.includes(fault.hint) ? "" : fault.hint}
        </Note>
        {close}
      </div>
    );
  }
  if (outcome.what === "cancelled") {
    const what = {
      load: "The load was cancelled: the model is as it was.",
      save: "The save was cancelled: what was there is as it was.",
      diff: "The comparison was cancelled.",
    }[outcome.of];
    return (
      <div class="nnw-ended">
        <Note kind="note" role="status">
          {what}
        </Note>
        {close}
      </div>
    );
  }
  const { warnings, verified } = outcome.reply;
  return (
    <div class="nnw-ended">
      <div class="nnw-good" role="status">
        <Glyph name="check" class="nnw-ok" />
        <span>
          {outcome.what === "load" ? (
            <>
              Loaded {exactCount(outcome.reply.n_loaded)} {outcome.reply.n_loaded === 1 ? "tensor" : "tensors"},{" "}
              {countText(outcome.reply.n_elements)} elements, from <bdi class="nnw-mono">{outcome.path}</bdi>
            </>
          ) : (
            <>
              Saved {exactCount(outcome.reply.n_tensors)} {outcome.reply.n_tensors === 1 ? "tensor" : "tensors"},{" "}
              {bytesText(outcome.reply.size_bytes)}, as <bdi class="nnw-mono">{outcome.path}</bdi>
            </>
          )}
        </span>
        {verified ? (
          <span
            class="nnw-tag nnw-ok"
            title={outcome.what === "load" ? "Compared with the file afterwards" : "Read back and compared"}
          >
            <Mark name="shield" /> verified
          </span>
        ) : null}
        <span class="nnw-space" />
        {outcome.what === "load" && canUndo ? (
          <button type="button" class="nnw-button" disabled={!alive} onClick={onUndo}>
            Undo
          </button>
        ) : null}
        {outcome.what === "save" && outcome.reply.code !== "" ? (
          <CopyButton text={outcome.reply.code} label="Copy the code that saves the same" words="Copy the code" />
        ) : null}
        {close}
      </div>
      {warnings.map((warning) => (
        <Note key={warning} kind="warning">
          {warning}
        </Note>
      ))}
    </div>
  );
}
