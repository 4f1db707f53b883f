import type { Overlay } from "../protocol/messages.ts";

/**
 * Histogram geometry: which bins to show, how they become bars, where the axis has its ticks.
 *
 * Drawn as an SVG path rather than by uPlot: one chart of at most 80 bars needs 52 kB of it (minified, of a bundle
 * that should stay under 130 kB), and on a canvas the bars would follow neither the theme's tokens nor forced colours.
 */

/** Bins of unequal importance: `counts[i]` values lie in `edges[i]` to `edges[i + 1]`. */
export interface Bins {
  readonly counts: readonly number[];
  readonly edges: readonly number[];
}

/** Part of a histogram, and the share of all values that lies outside it. */
export interface Cropped extends Bins {
  readonly outside: number;
}

export interface Tick {
  readonly value: number;
  /** 0 at the left end, 1 at the right. */
  readonly at: number;
}

/** About two pixels each in half of the inspector. */
const MOST_BARS = 80;
const FEWEST_BARS = 12;
/** Tails worth less than this share of the values are cut when they take most of the width. */
const TAIL = 0.0025;

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Cuts thin tails that would squeeze the bulk of the values into a few bars; the full range where there are none. */
export function crop({ counts, edges }: Bins): Cropped {
  const all = total(counts);
  const uncut = { counts, edges, outside: 0 };
  if (all === 0 || counts.length < 8) {
    return uncut;
  }
  let first = 0;
  let last = counts.length - 1;
  let below = 0;
  let above = 0;
  const allowed = all * TAIL;
  while (first < last && below + (counts[first] ?? 0) <= allowed) {
    below += counts[first] ?? 0;
    first += 1;
  }
  while (last > first && above + (counts[last] ?? 0) <= allowed) {
    above += counts[last] ?? 0;
    last -= 1;
  }
  const low = edges[first] ?? 0;
  const high = edges[last + 1] ?? 0;
  const width = (edges.at(-1) ?? 0) - (edges[0] ?? 0);
  if (below + above === 0 || high - low > 0.6 * width) {
    return uncut;
  }
  const margin = (high - low) * 0.15;
  while (first > 0 && (edges[first] ?? 0) > low - margin) {
    first -= 1;
  }
  while (last < counts.length - 1 && (edges[last + 1] ?? 0) < high + margin) {
    last += 1;
  }
  const kept = counts.slice(first, last + 1);
  return { counts: kept, edges: edges.slice(first, last + 2), outside: 1 - total(kept) / all };
}

/** How many bars `n` values are worth: a few values in many bars are a comb. */
export function barsFor(n: number): number {
  return Math.max(FEWEST_BARS, Math.min(MOST_BARS, Math.ceil(2 * Math.sqrt(n))));
}

/** Joins neighbouring bins until there are at most `most`. */
export function regroup({ counts, edges }: Bins, most: number): Bins {
  const size = Math.ceil(counts.length / most);
  if (size <= 1) {
    return { counts, edges };
  }
  const joined: number[] = [];
  const kept: number[] = [];
  for (let i = 0; i < counts.length; i += size) {
    joined.push(total(counts.slice(i, i + size)));
    kept.push(edges[i] ?? 0);
  }
  kept.push(edges.at(-1) ?? 0);
  return { counts: joined, edges: kept };
}

/** Bar heights between 0 and 1, by density: a narrower last bar isn't lower. What holds anything stays visible. */
export function heights({ counts, edges }: Bins, isLog: boolean): number[] {
  const widths = counts.map((_count, i) => (edges[i + 1] ?? 0) - (edges[i] ?? 0));
  const widest = Math.max(0, ...widths);
  const scaled = counts.map((count, i) => {
    const full = count * (widest / (widths[i] || widest || 1));
    return isLog ? Math.log10(full + 1) : full;
  });
  const most = Math.max(0, ...scaled);
  return scaled.map((height) => (height === 0 || most === 0 ? 0 : Math.max(0.012, height / most)));
}

/** All bars as one path in a box of `width` × `height`. Bars lie at their edges' positions, with a hair between. */
export function barsPath(bins: Bins, isLog: boolean, width: number, height: number): string {
  const low = bins.edges[0] ?? 0;
  const span = (bins.edges.at(-1) ?? 0) - low || 1;
  const gap = Math.min(0.5, (0.18 * width) / Math.max(1, bins.counts.length));
  return heights(bins, isLog)
    .map((share, i) => {
      if (share === 0) {
        return "";
      }
      const left = (((bins.edges[i] ?? 0) - low) / span) * width + gap / 2;
      const right = (((bins.edges[i + 1] ?? 0) - low) / span) * width - gap / 2;
      const top = height - share * height;
      return `M${round(left)} ${height}V${round(top)}H${round(right)}V${height}Z`;
    })
    .join("");
}

/** Bars of what will be, and the outline of what is, on one scale in a box of `width` × `height`. */
export function overlayPaths(
  { edges, before, after }: Overlay,
  width: number,
  height: number,
): { readonly bars: string; readonly outline: string } {
  const low = Number(edges[0]);
  const span = Number(edges.at(-1)) - low || 1;
  const most = Math.max(...before, ...after) || 1;
  const x = (i: number): number => round(((Number(edges[i]) - low) / span) * width);
  const y = (share: number): number => round(height - (share === 0 ? 0 : Math.max(0.012, share / most)) * (height - 1));
  const bars = after.map((share, i) => (share === 0 ? "" : `M${x(i)} ${height}V${y(share)}H${x(i + 1)}V${height}Z`));
  const steps = before.map((share, i) => `V${y(share)}H${x(i + 1)}`);
  return { bars: bars.join(""), outline: `M0 ${height}${steps.join("")}V${height}` };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Zero if it is in sight, and round numbers near both ends. */
export function ticks({ edges }: Bins): Tick[] {
  const low = edges[0] ?? 0;
  const high = edges.at(-1) ?? 0;
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) {
    return [{ value: low, at: 0.5 }];
  }
  const at = (value: number): number => (value - low) / span;
  const values = low < 0 && high > 0 ? [roundTowardsZero(low), 0, roundTowardsZero(high)] : ends(low, high);
  const shown = values.filter((value) => value >= low && value <= high).map((value) => ({ value, at: at(value) }));
  const zero = shown.find((tick) => tick.value === 0);
  const apart = (one: Tick, other: Tick): boolean => Math.abs(one.at - other.at) > 0.16;
  return shown.filter(
    (tick, i) =>
      tick === zero || ((i === 0 || apart(tick, shown[i - 1] ?? tick)) && (zero === undefined || apart(tick, zero))),
  );
}

/** The largest number of one or two digits that is not beyond `value`. */
function roundTowardsZero(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.abs(value)));
  const digits = Math.abs(value) / unit;
  const step = digits >= 4 ? 1 : digits >= 2 ? 0.5 : 0.2;
  const kept = Math.floor(digits / step + 1e-9) * step * unit;
  return Math.sign(value) * Number(kept.toPrecision(2));
}

function ends(low: number, high: number): number[] {
  const unit = 10 ** Math.floor(Math.log10((high - low) / 2));
  const step = [5, 2, 1].map((factor) => factor * unit).find((size) => (high - low) / size >= 2) ?? unit;
  const first = Math.ceil(low / step - 1e-9) * step;
  const last = Math.floor(high / step + 1e-9) * step;
  return [Number(first.toPrecision(12)), Number(last.toPrecision(12))];
}

/** The bin at a position between 0 (left) and 1 (right). */
export function binAt({ edges, counts }: Bins, at: number): number {
  const low = edges[0] ?? 0;
  const value = low + at * ((edges.at(-1) ?? 0) - low);
  const above = edges.findIndex((edge) => edge > value);
  return Math.max(0, Math.min(counts.length - 1, (above === -1 ? edges.length : above) - 1));
}

/** Where zero lies, between 0 and 1, or null where it is out of sight. */
export function zeroAt({ edges }: Bins): number | null {
  const low = edges[0] ?? 0;
  const high = edges.at(-1) ?? 0;
  return low <= 0 && high >= 0 && high > low ? -low / (high - low) : null;
}
