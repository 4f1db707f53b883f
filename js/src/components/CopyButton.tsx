import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { t, word } from "../i18n/translate.ts";
import { copyText } from "../lib/clipboard.ts";
import { Icon } from "./Icon.tsx";

interface CopyButtonProps {
  /** Or what gets it. */
  readonly text: string | (() => string | Promise<string>);
  /** What is copied: "Copy the code". */
  readonly label: string;
  /** Words beside the icon; without them the button is the icon alone. */
  readonly words?: ComponentChildren;
  readonly disabled?: boolean;
}

const DONE_MS = 1600;

/** Copies `text`, and says so in its own place. */
export function CopyButton({ text, label, words, disabled = false }: CopyButtonProps) {
  const [outcome, setOutcome] = useState<"" | "Copied" | "Can’t copy here">("");
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async (event: MouseEvent): Promise<void> => {
    const button = event.currentTarget as HTMLElement;
    let copied = false;
    try {
      copied = await copyText(typeof text === "string" ? text : await text(), button);
    } catch {
      // Without a kernel there is nothing to copy, and the button says so.
    }
    setOutcome(copied ? word("Copied") : word("Can’t copy here"));
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setOutcome(""), DONE_MS);
  };
  return (
    <button
      type="button"
      class={words === undefined ? "nnw-icon-button" : "nnw-button nnw-button-quiet"}
      aria-label={typeof words === "string" ? undefined : label}
      disabled={disabled}
      title={t(outcome) || label}
      onClick={copy}
    >
      <Icon name={outcome === "Copied" ? "check" : "copy"} />
      {words}
      <span class="nnw-hidden" aria-live="polite">
        {t(outcome)}
      </span>
    </button>
  );
}
