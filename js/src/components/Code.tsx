import { useMemo } from "preact/hooks";
import { t } from "../i18n/translate.ts";
import { tokenize } from "../lib/pythonTokens.ts";
import type { CodeLine } from "../protocol/messages.ts";
import { CopyButton } from "./CopyButton.tsx";

interface CodeProps {
  readonly code: string;
  readonly label: string;
  /** Long code is not shown whole: keys must reach it. */
  readonly scrolls?: boolean;
}

/** Python with a quiet tint, as text nodes, and a copy button. */
export function Code({ code, label, scrolls = false }: CodeProps) {
  const tokens = useMemo(() => tokenize(code), [code]);
  return (
    <div class="nnw-code">
      <pre tabIndex={scrolls ? 0 : undefined}>
        {tokens.map(({ kind, text }, i) =>
          kind === "plain" ? (
            text
          ) : (
            <span key={i} class={`nnw-${kind}`}>
              {text}
            </span>
          ),
        )}
      </pre>
      <CopyButton text={code} label={label} />
    </div>
  );
}

/** Working Python for the thing inspected, each piece with what it is for. */
export function CodePanel({ lines }: { readonly lines: readonly CodeLine[] }) {
  if (lines.length === 0) {
    return <p class="nnw-dim nnw-quiet">{t("No code leads here.")}</p>;
  }
  return (
    <>
      {lines.map(({ label, code }) => (
        <section key={label} class="nnw-section" aria-label={t(label)}>
          <div class="nnw-section-line">
            <h3>{t(label)}</h3>
          </div>
          <Code code={code} label={t("Copy: {0}", t(label))} />
        </section>
      ))}
    </>
  );
}
