import { t } from "../i18n/translate.ts";
import { CopyButton } from "./CopyButton.tsx";

const KINDS = [
  ["markdown", "Markdown"],
  ["csv", "CSV"],
] as const;

interface CopyAsProps {
  readonly text: (kind: "markdown" | "csv") => string | Promise<string>;
  readonly disabled: boolean;
}

/** Copies a table, in either of the two forms that reports are written in. */
export function CopyAs({ text, disabled }: CopyAsProps) {
  return KINDS.map(([kind, name]) => (
    <CopyButton key={kind} text={() => text(kind)} label={t("Copy as {0}", name)} words={name} disabled={disabled} />
  ));
}
