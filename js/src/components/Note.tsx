import type { ComponentChildren } from "preact";
import { t } from "../i18n/translate.ts";
import { errorDetails, type PageError } from "../lib/errors.ts";
import { CopyButton } from "./CopyButton.tsx";
import { Icon, type IconName } from "./Icon.tsx";

export type NoteKind = "error" | "warning" | "note";

const ICONS: Readonly<Record<NoteKind, IconName>> = { error: "warning", warning: "warning", note: "info" };

interface NoteProps {
  readonly kind: NoteKind;
  readonly role?: "alert" | "status";
  readonly children: ComponentChildren;
}

/** A tinted paragraph with an icon. Its words must say the kind too: colour is never the only sign. */
export function Note({ kind, role, children }: NoteProps) {
  return (
    <div class={`nnw-note nnw-note-${kind}`} role={role}>
      <Icon name={ICONS[kind]} />
      <div class="nnw-note-body">{children}</div>
    </div>
  );
}

interface ErrorNoteProps {
  readonly error: PageError;
  readonly path: string;
  /** What didn't work, one sentence. */
  readonly what: string;
  readonly alive: boolean;
  readonly onRetry: () => void;
}

/** An error in the place where it happened, with what to do. */
export function ErrorNote({ error, path, what, alive, onRetry }: ErrorNoteProps) {
  return (
    <div class="nnw-fault">
      <Note kind="error" role="alert">
        <b>{what}</b>
        <p>{error.message}</p>
        {error.hint !== "" && !error.message.includes(error.hint) ? <p>{error.hint}</p> : null}
      </Note>
      <div class="nnw-actions">
        <button type="button" class="nnw-button" disabled={!alive} onClick={onRetry}>
          {t("Try again")}
        </button>
        <CopyButton
          text={errorDetails(error, path)}
          label={t("Copy the details of this error")}
          words={t("Copy the details")}
        />
      </div>
    </div>
  );
}
