import { t } from "../../i18n/translate.ts";
import { countText, floatText, percentText, toNumber } from "../../lib/format.ts";
import type { SignalPoint, SignalReply } from "../../protocol/messages.ts";

/** What was called: a module's path, and which of its calls. */
export function pointName({ path, call_index }: SignalPoint): string {
  const name = path === "" ? t("the model") : path;
  return call_index === 0 ? name : t("{0}, call {1}", name, call_index + 1);
}

/** All that a point says, in words: for who doesn't see it, and for who points at it. */
export function pointWords(point: SignalPoint): string {
  const { std, gradient, range, saturated, silent, n_silent, n_units, zeros, n_calls } = point;
  const between = (ends: readonly (number | string)[] | undefined, value: number | string): string =>
    ends === undefined
      ? floatText(value, 3)
      : t("{0} to {1}", floatText(ends[0] ?? value, 3), floatText(ends[1] ?? value, 3));
  return [
    n_calls === undefined ? point.class_name : t("{0}, one of {1} in a row", point.class_name, n_calls),
    t("std {0}", between(range, std)),
    gradient === null ? "" : t("gradient’s std {0}", between(point.gradient_range, gradient)),
    saturated ? t("saturated {0}", percentText(saturated)) : "",
    silent === 0 ? "" : t("dead units {0} of {1}", n_silent, n_units),
    zeros > 0 && silent === 0 ? t("zeros {0}", percentText(zeros)) : "",
    badWords(point),
  ]
    .filter(Boolean)
    .join(", ");
}

/** NaN and infinities, where there are some. */
export function badWords({ n_bad, n_bad_gradients }: SignalPoint): string {
  return [
    toNumber(n_bad) > 0 ? t("{0} NaN or infinite", countText(n_bad)) : "",
    toNumber(n_bad_gradients) > 0 ? t("{0} NaN or infinite in the gradient", countText(n_bad_gradients)) : "",
  ]
    .filter(Boolean)
    .join(", ");
}

interface Place {
  readonly value: number;
  readonly point: SignalPoint;
}

/** The curves in words: how each begins and ends, its extremes, what isn't finite. */
export function describe({ points, findings }: SignalReply): string {
  const bad = points.filter(({ n_bad, n_bad_gradients }) => toNumber(n_bad) + toNumber(n_bad_gradients) > 0);
  return [
    courseWords(t("Output"), placesOf(points, "std")),
    courseWords(t("Gradient"), placesOf(points, "gradient")),
    bad[0] === undefined
      ? ""
      : t("NaN or infinite values at {0} {0|point|points}, the first at {1}.", bad.length, pointName(bad[0])),
    findings.length === 0 ? "" : t("{0} {0|finding|findings}.", findings.length),
  ]
    .filter(Boolean)
    .join(" ");
}

/** What a curve goes through. */
export function placesOf(points: readonly SignalPoint[], of: "std" | "gradient"): Place[] {
  return points.flatMap((point) => {
    const value = point[of];
    return value === null || !Number.isFinite(toNumber(value)) ? [] : [{ value: toNumber(value), point }];
  });
}

const TWICE = 2;

function courseWords(what: string, places: readonly Place[]): string {
  const first = places[0];
  const last = places.at(-1);
  if (first === undefined || last === undefined) {
    return "";
  }
  const at = ({ value, point }: Place): readonly [string, string] => [floatText(value, 2), pointName(point)];
  if (places.length === 1) {
    return t("{0}: std {1} at {2}.", what, ...at(first));
  }
  const [least, most] = [Math.min, Math.max].map((choose) => {
    const end = choose(...places.map(({ value }) => value));
    return places.find(({ value }) => value === end) ?? first;
  }) as [Place, Place];
  const ratio = last.value / first.value;
  const course =
    ratio < 1 / TWICE
      ? t("{0}: std {1} at {2}, falls to {3} at {4}.", what, ...at(first), ...at(last))
      : ratio > TWICE
        ? t("{0}: std {1} at {2}, grows to {3} at {4}.", what, ...at(first), ...at(last))
        : t("{0}: std {1} at {2}, still {3} at {4}.", what, ...at(first), ...at(last));
  return `${course} ${t("Least {0} at {1}, greatest {2} at {3}.", ...at(least), ...at(most))}`;
}
