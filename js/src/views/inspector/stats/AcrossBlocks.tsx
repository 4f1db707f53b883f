import { useRef } from "preact/hooks";
import { ErrorNote } from "../../../components/Note.tsx";
import { Section } from "../../../components/Section.tsx";
import { useQuery } from "../../../hooks/useQuery.ts";
import { t } from "../../../i18n/translate.ts";
import { exactCount, floatText, toNumber } from "../../../lib/format.ts";
import { consumeEvent } from "../../../lib/keyEvents.ts";
import type { Client } from "../../../protocol/client.ts";
import type { DepthReply } from "../../../protocol/messages.ts";

export interface DepthProps {
  readonly client: Client;
  readonly path: string;
  readonly generation: number;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

/** Labels under more bars than this would run into one another. */
const MOST_LABELS = 14;

/** The same tensor in every block of its fold, by its standard deviation; a bar leads to its tensor. */
export function AcrossBlocks({ client, path, generation, alive, onNavigate }: DepthProps) {
  const { answer, isCurrent, error, retry } = useQuery(client, "depth", { path }, { generation, alive });
  const reply = answer?.body ?? null;
  const note = reply === null ? "" : standsFor(reply);
  if (error !== null && !isCurrent) {
    return (
      <Section title={t("Across depth")}>
        <ErrorNote
          error={error}
          path={path}
          what={t("The other blocks can’t be read now.")}
          alive={alive}
          onRetry={retry}
        />
      </Section>
    );
  }
  return (
    <Section
      title={t("Across depth")}
      caption={reply === null ? null : caption(reply)}
      isStale={reply !== null && !isCurrent}
    >
      {reply === null ? (
        <div class="nnw-skeleton nnw-skeleton-depth" aria-hidden="true" />
      ) : (
        <>
          <Bars reply={reply} alive={alive} onNavigate={onNavigate} />
          {note === "" ? null : <p class="nnw-dim nnw-how-to-edit">{note}</p>}
        </>
      )}
    </Section>
  );
}

function caption({ name, labels, is_exact }: DepthReply): string {
  const [first = "", last = ""] = [labels[0], labels.at(-1)].map((label, end) => label?.split(" … ").at(-end));
  const what = t("std of {0}, {1} to {2}", name, first, last);
  return is_exact ? what : t("{0} · sampled", what);
}

/** What a bar stands for, where it isn't one block. */
function standsFor({ per_bar, n_members, n_read }: DepthReply): string {
  return [
    ...(per_bar === 1 ? [] : [t("Each bar is {0} {0|block|blocks}, by the greatest.", per_bar)]),
    ...(n_read === n_members ? [] : [t("{0} of {1} read.", exactCount(n_read), exactCount(n_members))]),
  ].join(" ");
}

interface BarsProps {
  readonly reply: DepthReply;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

function Bars({ reply, alive, onNavigate }: BarsProps) {
  const list = useRef<HTMLDivElement | null>(null);
  const { labels, paths, index } = reply;
  const std = reply.std.map(toNumber);
  const most = Math.max(...std.filter(Number.isFinite), 0);
  const every = Math.ceil(labels.length / MOST_LABELS);
  const columns = {
    gridTemplateColumns: `repeat(${labels.length}, minmax(0, 1fr))`,
    gap: labels.length > 48 ? "0" : "3px",
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const buttons = Array.from(list.current?.querySelectorAll<HTMLElement>("button") ?? []);
    const at = buttons.indexOf(event.target as HTMLElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to !== undefined) {
      consumeEvent(event);
      buttons[to]?.focus();
    }
  };
  return (
    <>
      <div
        class="nnw-depth"
        style={columns}
        role="group"
        aria-label={t("Standard deviation of {0} in each of {1} blocks", reply.name, reply.n_members)}
        ref={list}
        onKeyDown={onKeyDown}
      >
        {std.map((value, i) => {
          const least = toNumber(reply.least[i] ?? value);
          const range = least === value || Number.isNaN(value) ? "" : `${floatText(least)} – `;
          const text = t("{0}: std {1}", labels[i] ?? "", range + floatText(value));
          return (
            <button
              key={paths[i]}
              type="button"
              title={text}
              aria-label={text}
              aria-current={i === index || undefined}
              tabIndex={i === index ? 0 : -1}
              disabled={!alive}
              onClick={() => paths[i] !== undefined && onNavigate(paths[i])}
            >
              <b style={{ height: `${Number.isFinite(value) ? Math.max(3, (value / (most || 1)) * 100) : 0}%` }} />
              {Number.isFinite(value) ? null : <span aria-hidden="true">!</span>}
            </button>
          );
        })}
      </div>
      <div class="nnw-depth-labels" style={columns} aria-hidden="true">
        {labels.map((label, i) => {
          const isShown =
            i === index || (i % every === 0 && Math.abs(i - index) >= (every === 1 ? 1 : Math.ceil(every / 2)));
          return (
            <span key={paths[i]} class={i === index ? "nnw-here" : undefined}>
              {isShown ? shortLabel(label) : ""}
            </span>
          );
        })}
      </div>
    </>
  );
}

/** The last part of "h.3", or of the first of "h.3 … h.5": under its bar there is room for a number. */
function shortLabel(label: string): string {
  const first = label.split(" … ")[0] ?? "";
  return first.slice(first.lastIndexOf(".") + 1);
}
