import type { ComponentChildren } from "preact";
import { t } from "../i18n/translate.ts";
import { type Fault, faultDetails } from "../lib/errors.ts";
import { CopyButton } from "./CopyButton.tsx";
import { Glyph, type GlyphName } from "./Icon.tsx";

export type NoteKind = "error" | "warning" | "note";

const ICONS: Readonly<Record<NoteKind, GlyphName>> = { error: "warning", warning: "warning", note: "info" };

interface NoteProps {
  readonly kind: NoteKind;
  readonly role?: "alert" | "status";
  readonly children: ComponentChildren;
}

/** A tinted paragraph with an icon. Its words must say the kind too: colour is never the only sign. */
export function Note({ kind, role, children }: NoteProps) {
  return (
    <div class={`nnw-note nnw-note-${kind}`} role={role}>
      <Glyph name={ICONS[kind]} />
      <div class="nnw-note-body">{children}</div>
    </div>
  );
}

interface FaultNoteProps {
  readonly fault: Fault;
  readonly path: string;
  /** What didn't work, one sentence. */
  readonly what: string;
  readonly alive: boolean;
  readonly onRetry: () => void;
}

/** An error in the place where it happened, with what to do. */
export function FaultNote({ fault, path, what, alive, onRetry }: FaultNoteProps) {
  return (
    <div class="nnw-fault">
      <Note kind="error" role="alert">
        <b>{what}</b>
        <p>{fault.message}</p>
        {fault.hint !== "" && !fault.message.includes(fault.hint) ? <p>{fault.hint}</p> : null}
      </Note>
      <div class="nnw-actions">
        <button type="button" class="nnw-button" disabled={!alive} onClick={onRetry}>
          {t("Try again")}
        </button>
        <CopyButton
          text={faultDetails(fault, path)}
          label={t("Copy the details of this error")}
          words={t("Copy the details")}
        />
      </div>
    </div>
  );
}
