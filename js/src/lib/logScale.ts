/** A logarithmic axis: where positive numbers lie in a height, and which powers of ten are written beside it. */
export interface LogScale {
  /** From the top; the bottom for zero, null for what is no finite number. */
  readonly y: (value: number) => number | null;
  readonly ticks: readonly { readonly exponent: number; readonly y: number }[];
}

const MOST_TICKS = 5;
const MARGIN = 6;

export function logScale(values: readonly number[], height: number): LogScale {
  const logs = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
  const low = Math.floor(logs.length === 0 ? 0 : Math.min(...logs));
  const high = Math.max(low + 1, Math.ceil(logs.length === 0 ? 1 : Math.max(...logs)));
  const at = (log: number): number => MARGIN + ((high - log) / (high - low)) * (height - 2 * MARGIN);
  const every = Math.ceil((high - low) / (MOST_TICKS - 1));
  const exponents = Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, i) => 0 + high - i * every);
  return {
    y: (value) => (value === 0 ? height : value > 0 && Number.isFinite(value) ? at(Math.log10(value)) : null),
    ticks: exponents.map((exponent) => ({ exponent, y: at(exponent) })),
  };
}

/** "0.01", "1", "1e−5": a power of ten as an axis has it. */
export function powerText(exponent: number): string {
  return exponent >= -3 && exponent <= 3
    ? String(Number((10 ** exponent).toPrecision(1)))
    : `1e${exponent < 0 ? "−" : ""}${Math.abs(exponent)}`;
}

/** A line through what has a place, broken where something has none. */
export function linePath(x: (at: number) => number, ys: readonly (number | null)[]): string {
  let isDrawing = false;
  return ys
    .map((y, at) => {
      const command = isDrawing ? "L" : "M";
      isDrawing = y !== null;
      return y === null ? "" : `${command}${x(at).toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}

/** The ground between two lines, for as far as both have a place. */
export function bandPath(
  x: (at: number) => number,
  upper: readonly (number | null)[],
  lower: readonly (number | null)[],
): string {
  const both = upper.flatMap((y, at) => {
    const below = lower[at];
    return y === null || below == null ? [] : [{ at, y, below }];
  });
  if (both.length === 0) {
    return "";
  }
  const there = both.map(({ at, y }) => `${x(at).toFixed(1)} ${y.toFixed(1)}`);
  const back = both.reverse().map(({ at, below }) => `${x(at).toFixed(1)} ${below.toFixed(1)}`);
  return `M${[...there, ...back].join("L")}Z`;
}
