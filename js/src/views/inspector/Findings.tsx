import { Code } from "../../components/Code.tsx";
import { Note } from "../../components/Note.tsx";
import { PathLink } from "../../components/PathText.tsx";
import { t, told, tx, word } from "../../i18n/translate.ts";
import type { FindingBody } from "../../protocol/messages.ts";

const WORDS = { error: word("Error"), warning: word("Warning"), note: word("Note") } as const;

interface FindingsProps {
  readonly findings: readonly FindingBody[];
  /** The path in view: findings elsewhere say where, and lead there. */
  readonly at: string;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
  /** Where much else is in view, a fix opens by a click. */
  readonly isShort?: boolean;
}

/** What the checks found: the word and the icon for how bad, the message, the fix with its lines to paste. */
export function Findings({ findings, at, alive, onNavigate, isShort = false }: FindingsProps) {
  if (findings.length === 0) {
    return null;
  }
  return (
    <ul class="nnw-findings" aria-label={t("Findings")}>
      {findings.map((finding) => (
        <li key={`${finding.code} ${finding.path}`}>
          <Note kind={finding.severity}>
            <p>
              <b>{t(WORDS[finding.severity])}</b> <span class="nnw-mono">{t(finding.code)}</span>
              {finding.path !== at
                ? tx(" at {0}", <PathLink path={finding.path} onNavigate={onNavigate} alive={alive} />)
                : null}
            </p>
            <p>{told(finding.message)}</p>
            {finding.fix === null ? null : isShort ? (
              <details>
                <summary>{t("What to do")}</summary>
                <Code code={finding.fix} label={t("Copy the fix")} />
              </details>
            ) : (
              <Code code={finding.fix} label={t("Copy the fix")} />
            )}
          </Note>
        </li>
      ))}
    </ul>
  );
}
