/**
 * Numbers as the page writes them, and as it copies them.
 *
 * On the page: narrow no-break spaces between thousands, a real minus, short forms whose exact form is a hover away.
 * On the clipboard: plain ASCII that Python reads.
 */

import { t } from "../i18n/translate.ts";

/** A number as it travels: integers beyond 2^53 are decimal strings, NaN and infinities are words. */
export type Numeric = number | string;

/** A short form in its two slots, so that a column of them lines up. */
export interface Short {
  readonly value: string;
  readonly unit: string;
}

export const THIN = "\u202f";
export const NBSP = "\u00a0";
export const MINUS = "−";

const COUNT_UNITS = ["", "K", "M", "B", "T", "Q"] as const;
const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;
const BINARY_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
const FLOP_UNITS = ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"] as const;
const INTEGER = /^-?\d+$/;

/** The nearest double of a number as it travels. */
export function toNumber(value: Numeric): number {
  return typeof value === "number" ? value : Number(value);
}

/** Scales by thousands: two decimals under 100, one from 100, and never "1000.0". */
function scale(value: number, base: number, units: readonly string[]): Short {
  let scaled = value;
  let step = 0;
  while (step < units.length - 1 && Math.abs(scaled) >= (step === 0 ? base : base - 0.05)) {
    scaled /= base;
    step += 1;
  }
  const decimals = step === 0 ? 0 : Math.abs(scaled) >= 99.995 ? 1 : 2;
  return { value: withMinusSign(scaled.toFixed(decimals)), unit: units[step] ?? "" };
}

function withMinusSign(text: string): string {
  return text.replaceAll("-", MINUS).replace("e+", "e");
}

function groupDigits(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, THIN);
}

/** 1536 → "1 536", "9007199254740993" → the same with spaces, 0.5 → "0.5". */
export function exactCount(count: Numeric): string {
  const text = typeof count === "string" ? count : String(count);
  return INTEGER.test(text) ? withMinusSign(groupDigits(text)) : exactFloat(toNumber(count));
}

/** Under 10 000 exact; above, "1.23" and "M". */
export function shortCount(count: Numeric): Short {
  const value = toNumber(count);
  if (!Number.isFinite(value)) {
    return { value: exactFloat(value), unit: "" };
  }
  return Math.abs(value) < 1e4 ? { value: exactCount(value), unit: "" } : scale(value, 1000, COUNT_UNITS);
}

function joinUnit({ value, unit }: Short): string {
  return unit === "" ? value : `${value}${NBSP}${unit}`;
}

/** "1 536", "38.60 M". */
export function countText(count: Numeric): string {
  return joinUnit(shortCount(count));
}

/** SI: "80 B", "9.44 MB", "497.8 MB". */
export function bytesText(bytes: Numeric): string {
  return joinUnit(scale(toNumber(bytes), 1000, BYTE_UNITS));
}

/** A size that somebody set, in the units it was set in: "2 GiB", "500.0 MB". */
export function budgetText(bytes: Numeric): string {
  const value = toNumber(bytes);
  const power = [...BINARY_UNITS.keys()].findLast((each) => each > 1 && value > 0 && value % 1024 ** each === 0);
  return power === undefined ? bytesText(bytes) : `${value / 1024 ** power}${NBSP}${BINARY_UNITS[power]}`;
}

/** For hovering: "9 437 184 bytes · 9.00 MiB". */
export function exactBytes(bytes: Numeric): string {
  const value = toNumber(bytes);
  const exact = `${exactCount(bytes)}${NBSP}${t(value === 1 ? "byte" : "bytes")}`;
  return Math.abs(value) < 1024 ? exact : `${exact} · ${joinUnit(scale(value, 1024, BINARY_UNITS))}`;
}

/** "256 × 20", "()" for a scalar, "?" where the shape isn't known. */
export function shapeText(shape: readonly number[] | null): string {
  if (shape === null) {
    return "?";
  }
  return shape.length === 0 ? "()" : shape.join(" × ");
}

/** Rounds to `digits` significant digits, and keeps trailing zeros only where they were measured: 0.5, but 0.1300. */
export function floatText(value: Numeric, digits = 4): string {
  const number = toNumber(value);
  if (!Number.isFinite(number) || number === 0) {
    return exactFloat(number);
  }
  const rounded = Number(number.toPrecision(digits));
  const magnitude = Math.abs(rounded);
  const isExact = rounded === number;
  if (magnitude < 1e-3 || magnitude >= 1e6) {
    const [mantissa = "", exponent = ""] = number.toExponential(digits - 1).split("e");
    return withMinusSign(`${isExact ? trimZeros(mantissa) : mantissa}e${exponent}`);
  }
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(magnitude)));
  const fixed = number.toFixed(decimals);
  const [whole = "", fraction] = (isExact ? trimZeros(fixed) : fixed).split(".");
  const integer = magnitude >= 1e4 ? groupDigits(whole) : whole;
  return withMinusSign(fraction === undefined ? integer : `${integer}.${fraction}`);
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/**
 * A mean with no more digits than its spread makes meaningful: −0.0004 beside std 0.1294. One that vanishes at that
 * resolution is written by its magnitude: −2e−5.
 */
export function meanText(mean: Numeric, std: Numeric): string {
  const value = toNumber(mean);
  const spread = toNumber(std);
  if (!Number.isFinite(value) || value === 0 || !Number.isFinite(spread) || spread <= 0) {
    return floatText(value);
  }
  const decimals = 3 - Math.floor(Math.log10(spread));
  if (decimals > 7 || decimals < 0) {
    return floatText(value);
  }
  const fixed = value.toFixed(decimals);
  if (Math.abs(Number(fixed)) < 1e-4) {
    return floatText(value, 1);
  }
  return withMinusSign(Number(fixed) === value ? trimZeros(fixed) : fixed);
}

/** Every digit: the shortest text that reads back to the same double, with a real minus. */
export function exactFloat(value: Numeric): string {
  const number = toNumber(value);
  if (Number.isNaN(number)) {
    return "NaN";
  }
  if (!Number.isFinite(number)) {
    return number > 0 ? "inf" : `${MINUS}inf`;
  }
  return Object.is(number, -0) ? "0" : withMinusSign(String(number));
}

/** A cell of the zoomed heat map: at most `width` characters, no leading zero: ".053", "−.260", "1.2e−5". */
export function cellText(value: number, width = 6): string {
  if (!Number.isFinite(value) || value === 0) {
    return exactFloat(value);
  }
  const magnitude = Math.abs(value);
  if (magnitude < 1e5 && (magnitude >= 1e-3 || Number.isInteger(value))) {
    for (let decimals = Number.isInteger(value) ? 0 : 3; decimals >= 0; decimals -= 1) {
      const text = withMinusSign(value.toFixed(decimals)).replace(/^(−?)0\./, "$1.");
      if (text.length <= width) {
        return text;
      }
    }
  }
  const short = withMinusSign(value.toExponential(1));
  return short.length <= width ? short : withMinusSign(value.toExponential(0));
}

/** "340 µs", "1.25 ms", "2.13 s". */
export function secondsText(seconds: number): string {
  if (seconds >= 0.9995) {
    return `${floatText(seconds, 3)}${NBSP}s`;
  }
  return seconds >= 0.9995e-3 ? `${floatText(seconds * 1e3, 3)}${NBSP}ms` : `${(seconds * 1e6).toFixed(0)}${NBSP}µs`;
}

/** Floating-point operations: "640 FLOP", "1.23 GFLOP". */
export function flopsText(flops: Numeric): string {
  return joinUnit(scale(toNumber(flops), 1000, FLOP_UNITS));
}

/** 0.002 → "0.2 %". */
export function percentText(fraction: number): string {
  const percent = fraction * 100;
  if (percent > 0 && percent < 0.01) {
    return `<${NBSP}0.01${NBSP}%`;
  }
  return `${floatText(percent, 2)}${NBSP}%`;
}

/** What the clipboard gets for text of the page: no thin spaces, ASCII minus and signs. */
export function plainText(text: string): string {
  return text.replaceAll(THIN, "").replaceAll(NBSP, " ").replaceAll(MINUS, "-").replaceAll("×", "x");
}

/** A shape as Python writes a tuple: "(256, 20)", "(5,)", "()". */
export function plainShape(shape: readonly number[]): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}
