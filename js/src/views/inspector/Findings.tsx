import type { FindingBody } from "../../protocol/messages.ts";
import { Code } from "./Code.tsx";
import { Note } from "./Note.tsx";
import { PathLink } from "./PathText.tsx";

const WORDS = { error: "Error", warning: "Warning", note: "Note" } as const;

interface FindingsProps {
  readonly findings: readonly FindingBody[];
  /** The path in view: findings elsewhere say where, and lead there. */
  readonly at: string;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

/** What the checks found: the word and the icon for how bad, the message, the fix with its lines to paste. */
export function Findings({ findings, at, alive, onNavigate }: FindingsProps) {
  if (findings.length === 0) {
    return null;
  }
  return (
    <ul class="nnw-findings" aria-label="Findings">
      {findings.map((finding) => (
        <li key={`${finding.code} ${finding.path}`}>
          <Note kind={finding.severity}>
            <p>
              <b>{WORDS[finding.severity]}</b> <span class="nnw-mono">{finding.code}</span>
              {finding.path !== at ? (
                <>
                  {" at "}
                  <PathLink path={finding.path} onNavigate={onNavigate} alive={alive} />
                </>
              ) : null}
            </p>
            <p>{finding.message}</p>
            {finding.fix === null ? null : <Code code={finding.fix} label="Copy the fix" />}
          </Note>
        </li>
      ))}
    </ul>
  );
}
