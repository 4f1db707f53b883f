/**
 * Heat colours: blue below zero, the background at zero, orange above, symmetric about zero. What is not a finite
 * number has a colour of its own, off the scale, and a name in the legend.
 */

export type Theme = "light" | "dark";
export type Rgb = readonly [number, number, number];

interface Scale {
  readonly negative: Rgb;
  readonly middle: Rgb;
  readonly positive: Rgb;
  readonly nan: Rgb;
  readonly infinite: Rgb;
}

const SCALES: Readonly<Record<Theme, Scale>> = {
  light: {
    negative: [0x21, 0x66, 0xac],
    middle: [0xf7, 0xf6, 0xf4],
    positive: [0xc2, 0x54, 0x1b],
    nan: [0xc4, 0x00, 0xb0],
    infinite: [0x1f, 0x84, 0x2c],
  },
  dark: {
    negative: [0x5a, 0xa9, 0xf0],
    middle: [0x1b, 0x1b, 0x1c],
    positive: [0xff, 0x93, 0x50],
    nan: [0xff, 0x5c, 0xf0],
    infinite: [0x5f, 0xd3, 0x4a],
  },
};

/** Steps on each side of zero. */
const HALF = 128;
/** Below 1, so that small values still show a tint. */
const GAMMA = 0.85;
/** For cells that each stand for the largest of many values: nearly all of them are large, and this tells them apart. */
const THINNED_GAMMA = 2;

/** The colour of `value` when `limit` is full colour. */
export function heatColor(value: number, limit: number, theme: Theme, isThinned = false): Rgb {
  const scale = SCALES[theme];
  if (Number.isNaN(value)) {
    return scale.nan;
  }
  if (!Number.isFinite(value)) {
    return scale.infinite;
  }
  if (value === 0 || !(limit > 0)) {
    return value === 0 ? scale.middle : value < 0 ? scale.negative : scale.positive;
  }
  const share = Math.min(1, Math.abs(value) / limit) ** (isThinned ? THINNED_GAMMA : GAMMA);
  const end = value < 0 ? scale.negative : scale.positive;
  return mix(scale.middle, end, share);
}

function mix(from: Rgb, to: Rgb, share: number): Rgb {
  const channel = (i: 0 | 1 | 2): number => Math.round(from[i] + (to[i] - from[i]) * share);
  return [channel(0), channel(1), channel(2)];
}

/** Colours for the marks that stand for what isn't a finite number. */
export function specialColors(theme: Theme): { readonly nan: string; readonly infinite: string } {
  const { nan, infinite } = SCALES[theme];
  return { nan: css(nan), infinite: css(infinite) };
}

/** The legend's ramp, as a CSS background. */
export function rampBackground(theme: Theme): string {
  const { negative, middle, positive } = SCALES[theme];
  return `linear-gradient(90deg, ${css(negative)}, ${css(middle)}, ${css(positive)})`;
}

/** "rgb(1, 2, 3)". */
export function css(color: Rgb): string {
  return `rgb(${color.join(", ")})`;
}

/** Black or white, whichever stands out more against `color`: at least 4.58:1 by WCAG, on any colour. */
export function textOn(color: Rgb): "#000" | "#fff" {
  const luminance = relativeLuminance(color);
  const onWhite = 1.05 / (luminance + 0.05);
  const onBlack = (luminance + 0.05) / 0.05;
  return onBlack >= onWhite ? "#000" : "#fff";
}

function relativeLuminance(color: Rgb): number {
  const [r, g, b] = color.map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

const lookups = new Map<string, Uint8ClampedArray>();

function lookup(theme: Theme, isThinned: boolean): Uint8ClampedArray {
  const key = `${theme} ${isThinned}`;
  let table = lookups.get(key);
  if (table === undefined) {
    table = new Uint8ClampedArray((2 * HALF + 1) * 3);
    for (let i = -HALF; i <= HALF; i += 1) {
      table.set(heatColor(i, HALF, theme, isThinned), (i + HALF) * 3);
    }
    lookups.set(key, table);
  }
  return table;
}

/**
 * The magnitude at full colour for cells that each stand for the largest of many values: the tensor's own scale would
 * paint nearly all of them full.
 */
export function thinnedLimit(values: Float32Array, limit: number): number {
  const magnitudes = values.filter(Number.isFinite).map(Math.abs).sort();
  const found = magnitudes[Math.ceil(0.995 * magnitudes.length) - 1] ?? 0;
  return Math.max(limit, found);
}

/** Fills `pixels` (RGBA, four bytes a value) with the colours of `values`; tells how many were NaN and infinite. */
export function paint(
  values: ArrayLike<number>,
  limit: number,
  theme: Theme,
  pixels: Uint8ClampedArray,
  isThinned = false,
): { nan: number; infinite: number } {
  const table = lookup(theme, isThinned);
  const { nan: nanColor, infinite: infiniteColor } = SCALES[theme];
  const factor = limit > 0 ? 1 / limit : 0;
  let nan = 0;
  let infinite = 0;
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i] ?? Number.NaN;
    const at = i * 4;
    if (Number.isFinite(value)) {
      const share = Math.max(-1, Math.min(1, value * factor));
      const from = (HALF + Math.round(share * HALF)) * 3;
      pixels[at] = table[from] ?? 0;
      pixels[at + 1] = table[from + 1] ?? 0;
      pixels[at + 2] = table[from + 2] ?? 0;
    } else {
      const isNan = Number.isNaN(value);
      nan += isNan ? 1 : 0;
      infinite += isNan ? 0 : 1;
      pixels.set(isNan ? nanColor : infiniteColor, at);
    }
    pixels[at + 3] = 255;
  }
  return { nan, infinite };
}
