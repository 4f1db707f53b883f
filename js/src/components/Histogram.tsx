import { useMemo, useState } from "preact/hooks";
import { t } from "../i18n/translate.ts";
import { countText, exactCount, floatText, percentText, toNumber } from "../lib/format.ts";
import { type Bins, barsFor, barsPath, binAt, crop, regroup, ticks, zeroAt } from "../lib/histogram.ts";
import { consumeEvent } from "../lib/keyEvents.ts";
import type { StatsReply } from "../protocol/messages.ts";

const WIDTH = 192;
const HEIGHT = 64;

interface HistogramProps {
  readonly reply: StatsReply;
  /** "Histogram of the values". */
  readonly label: string;
  readonly hue: "value" | "grad";
  readonly isLog: boolean;
}

/** Bars with axis ticks and a line at zero. Pointing at a bar, or arrows while it has focus, tells its range and count. */
export function Histogram({ reply, label, hue, isLog }: HistogramProps) {
  const [isWhole, setIsWhole] = useState(false);
  const [bin, setBin] = useState<number | null>(null);
  const { bins, outside, all } = useMemo(() => shownBins(reply, isWhole), [reply, isWhole]);
  const path = useMemo(() => barsPath(bins, isLog, WIDTH, HEIGHT), [bins, isLog]);
  const zero = zeroAt(bins);
  const at = bin === null ? null : Math.min(bin, bins.counts.length - 1);

  if (bins.counts.length === 0 || all === 0) {
    return <p class="nnw-dim nnw-quiet">{t("No finite values.")}</p>;
  }
  if (toNumber(reply.min) === toNumber(reply.max)) {
    return (
      <p class="nnw-dim nnw-quiet">
        {t(reply.is_exact ? "All values are {0}." : "All values of the sample are {0}.", floatText(reply.min))}
      </p>
    );
  }
  const onPointerMove = (event: PointerEvent): void => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    setBin(binAt(bins, (event.clientX - box.left) / box.width));
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const last = bins.counts.length - 1;
    const moves: Record<string, number> = {
      ArrowLeft: Math.max(0, (at ?? last + 1) - 1),
      ArrowRight: Math.min(last, (at ?? -1) + 1),
      Home: 0,
      End: last,
    };
    const next = moves[event.key];
    if (next !== undefined) {
      consumeEvent(event);
      setBin(next);
    }
  };
  return (
    <div class={`nnw-histogram nnw-histogram-${hue}`}>
      <div
        class="nnw-plot"
        role="img"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: arrows read the bars one by one.
        tabIndex={0}
        aria-label={`${label}: ${summary(bins, reply)}`}
        onPointerMove={onPointerMove}
        onPointerLeave={() => setBin(null)}
        onBlur={() => setBin(null)}
        onKeyDown={onKeyDown}
      >
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
          <path class="nnw-bars" d={path} />
          {at === null ? null : <path class="nnw-bar-lit" d={litPath(bins, at)} />}
        </svg>
        {zero === null ? null : <i class="nnw-zero" style={{ left: `${zero * 100}%` }} />}
        {at === null ? null : <Reading bins={bins} at={at} all={all} isSample={!reply.is_exact} />}
      </div>
      {outside > 0 || isWhole ? (
        <button
          type="button"
          class="nnw-button-tiny nnw-outside"
          aria-pressed={isWhole}
          aria-label={t("Whole range")}
          title={
            isWhole
              ? t("Leave the thin tails out")
              : t("{0} of the values lie outside; show the whole range", percentText(outside))
          }
          onClick={() => setIsWhole(!isWhole)}
        >
          {isWhole ? t("full range") : t("{0} outside", percentText(outside))}
        </button>
      ) : null}
      <Ticks bins={bins} />
    </div>
  );
}

function shownBins(reply: StatsReply, isWhole: boolean): { bins: Bins; outside: number; all: number } {
  const counts = reply.hist_counts.map(toNumber);
  const edges = reply.hist_edges.map(toNumber);
  const all = counts.reduce((sum, count) => sum + count, 0);
  const { bulk } = reply;
  const cropped = isWhole
    ? { counts, edges, outside: 0 }
    : bulk === undefined
      ? crop({ counts, edges })
      : { counts: bulk.hist_counts.map(toNumber), edges: bulk.hist_edges.map(toNumber), outside: bulk.outside };
  return { bins: regroup(cropped, barsFor(all)), outside: cropped.outside, all };
}

function litPath({ counts, edges }: Bins, at: number): string {
  const only = counts.map((_count, i) => (i === at ? 1 : 0));
  return barsPath({ counts: only, edges }, false, WIDTH, HEIGHT);
}

/** The axis below a histogram. */
export function Ticks({ bins }: { readonly bins: Bins }) {
  return (
    <div class="nnw-ticks" aria-hidden="true">
      {ticks(bins).map(({ value, at }) => (
        <span key={value} {...tickPlace(at)}>
          {floatText(value, 2)}
        </span>
      ))}
    </div>
  );
}

/** A tick's words are centred under it, but keep inside the plot at its ends. */
function tickPlace(at: number): { readonly class?: string; readonly style: { readonly left: string } } {
  if (at < 0.12) {
    return { class: "nnw-tick-start", style: { left: "0" } };
  }
  return at > 0.88 ? { class: "nnw-tick-end", style: { left: "100%" } } : { style: { left: `${at * 100}%` } };
}

function summary({ counts, edges }: Bins, reply: StatsReply): string {
  const peak = counts.indexOf(Math.max(...counts));
  const ends = [edges[0], edges.at(-1), edges[peak], edges[peak + 1]].map((edge = 0) => floatText(edge, 2));
  return t("from {0} to {1}, most between {2} to {3}, standard deviation {4}", ...ends, floatText(reply.std, 3));
}

interface ReadingProps {
  readonly bins: Bins;
  readonly at: number;
  readonly all: number;
  readonly isSample: boolean;
}

function Reading({ bins, at, all, isSample }: ReadingProps) {
  const low = bins.edges[at] ?? 0;
  const high = bins.edges[at + 1] ?? 0;
  const count = bins.counts[at] ?? 0;
  const edges = bins.edges;
  const middle = ((low + high) / 2 - (edges[0] ?? 0)) / ((edges.at(-1) ?? 0) - (edges[0] ?? 0) || 1);
  return (
    <div
      class="nnw-reading"
      role="status"
      style={middle < 0.5 ? { left: `${middle * 100}%` } : { right: `${(1 - middle) * 100}%` }}
    >
      <span>{t("{0} to {1}", floatText(low, 3), floatText(high, 3))}</span>
      <span title={exactCount(count)}>
        {t(isSample ? "{0} · {1} of the sample" : "{0} · {1}", countText(count), percentText(count / all))}
      </span>
    </div>
  );
}
