import { PathLink } from "../../components/PathText.tsx";
import { TieBadge, tieColor } from "../../components/TieBadge.tsx";
import { t, word } from "../../i18n/translate.ts";
import { bytesText, exactBytes } from "../../lib/format.ts";
import type { TieBody, TieMember } from "../../protocol/messages.ts";

const KINDS: Readonly<Record<string, string>> = {
  object: word("One tensor under several names."),
  storage: word("Several tensors over the same bytes."),
  view: word("The same bytes, seen through another shape, stride or type."),
  overlap: word("Some bytes are shared, not all."),
};

interface TiesProps {
  readonly ties: readonly TieBody[];
  /** The inspected tensor's own path, or null for a module. */
  readonly own: string | null;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
  readonly onHover: (paths: readonly string[] | null) => void;
}

/** Which names share memory, and how each lies to the one inspected. */
export function Ties({ ties, own, alive, onNavigate, onHover }: TiesProps) {
  return (
    <>
      {ties.map((tie) => (
        <section key={tie.id} class="nnw-section" aria-label={t("Tie group {0}", tie.id)}>
          <div class="nnw-section-line">
            <TieBadge letter={tie.id} />
            <h3>{t("Group {0}", tie.id)}</h3>
            <span class="nnw-caption" title={exactBytes(tie.shared_bytes)}>
              {t("{0} shared", bytesText(tie.shared_bytes))}
            </span>
          </div>
          <p class="nnw-quiet nnw-tie-kind">{t(KINDS[tie.kind] ?? tie.kind)}</p>
          <ul
            class="nnw-members"
            style={{ "--nnw-tie": tieColor(tie.id) }}
            onMouseEnter={() => onHover(tie.members.map((member) => member.path))}
            onMouseLeave={() => onHover(null)}
            onFocusIn={() => onHover(tie.members.map((member) => member.path))}
            onFocusOut={() => onHover(null)}
          >
            {tie.members.map((member) => (
              <li key={member.path} class={member.path === own ? "nnw-here" : undefined}>
                {member.path === own ? (
                  <span class="nnw-mono nnw-member" title={member.path}>
                    <bdi>{member.path}</bdi>
                  </span>
                ) : (
                  <PathLink path={member.path} onNavigate={onNavigate} alive={alive} />
                )}
                <span class="nnw-dim">{member.shape}</span>
                <span class="nnw-dim nnw-how">{howText(member, own)}</span>
              </li>
            ))}
          </ul>
        </section>
      ))}
      <p class="nnw-dim nnw-quiet">{t("What is written to one is written to all, as far as they share bytes.")}</p>
    </>
  );
}

/** A member seen from the inspected tensor; seen from a module, the first is what the others are compared with. */
function howText(member: TieMember, own: string | null): string {
  if (member.path === own) {
    return t("this one");
  }
  return own === null && member.how === "this one" ? t("the first") : t(member.how);
}
