import { useEffect, useState } from "preact/hooks";
import { t, word } from "../../i18n/translate.ts";
import { floatText } from "../../lib/format.ts";
import { type Course, SERIES, type Since, type TrainingHistory } from "./history.ts";

const WIDTH = 36;
const HEIGHT = 16;
const WORDS = {
  norm: word("norm"),
  gradient: word("gradient’s norm"),
  update: word("last step over norm"),
} as const;

interface SparklineCellProps {
  readonly history: TrainingHistory;
  readonly path: string;
}

/** The course of a row's norm, gradient and steps, each as a line of its own scale, and of its signal as a band. */
export function SparklineCell({ history, path }: SparklineCellProps) {
  const [, redraw] = useState(0);
  useEffect(() => history.subscribe(() => redraw((count) => count + 1)), [history]);
  const courses = history.of(path) ?? [];
  const signal = history.signalOf(path);
  if (courses.length === 0 && signal === null) {
    return <Moved by={history.moved.get(path)} />;
  }
  const words = courses.map((course, at) => courseText(course, SERIES[at] ?? "norm", history.brokenSince(path, at)));
  const [means = [], stds = [], gradients = []] = signal ?? [];
  const told = signal === null ? [] : signalText(means, stds, gradients);
  return (
    <div class="nnw-pulse" role="gridcell" aria-label={[...words, ...told].join(", ")}>
      {courses.map((course, at) => (
        <span key={SERIES[at]} class={`nnw-pulse-${SERIES[at]}`} title={words[at]}>
          <Line course={course} />
        </span>
      ))}
      {signal !== null && (
        <>
          <span class="nnw-pulse-signal" title={told[0]}>
            <Band means={means} stds={stds} />
          </span>
          <span class="nnw-pulse-arrived" title={told[1]}>
            <Line course={gradients} />
          </span>
        </>
      )}
    </div>
  );
}

/** How far a row has moved since a mark, where no training is drawn; nothing where it has not. */
function Moved({ by }: { readonly by: number | null | undefined }) {
  if (by === undefined) {
    return <div class="nnw-pulse" role="gridcell" />;
  }
  const words =
    by === null ? t("moved") : t("moved {0}", Number.isFinite(by) ? `${floatText(100 * by, 3)}\u00a0%` : floatText(by));
  return (
    <div class="nnw-pulse" role="gridcell" title={t("Since the mark: the norm of the change over the norm then")}>
      <b class="nnw-pulse-moved">{words}</b>
    </div>
  );
}

/** What a module gave over the steps: its mean as a line, in a band of a standard deviation to each side. */
function Band({ means, stds }: { readonly means: Course; readonly stds: Course }) {
  const last = (means.at(-1) ?? 0) + (stds.at(-1) ?? 0);
  if (!Number.isFinite(last)) {
    return <b class="nnw-pulse-broken">{Number.isNaN(last) ? "NaN" : "inf"}</b>;
  }
  const { band, line } = bandOf(means, stds);
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} aria-hidden="true">
      <path class="nnw-pulse-band" d={band} />
      <path d={line} />
    </svg>
  );
}

/** A band around the finite means and the line through them, on one scale that holds them all. */
export function bandOf(means: Course, stds: Course): { readonly band: string; readonly line: string } {
  const points = means.flatMap((mean, at) => {
    const std = stds[at] ?? null;
    const isKnown = mean !== null && std !== null && Number.isFinite(mean) && Number.isFinite(std);
    return isKnown ? [{ at, mean, low: mean - std, high: mean + std }] : [];
  });
  const [least, most] = [Math.min(...points.map(({ low }) => low)), Math.max(...points.map(({ high }) => high))];
  const step = (WIDTH - 2) / Math.max(1, means.length - 1);
  const place = (at: number, value: number) => {
    const share = most > least ? (value - least) / (most - least) : 0.5;
    return `${(1 + at * step).toFixed(1)} ${(HEIGHT - 1 - share * (HEIGHT - 2)).toFixed(1)}`;
  };
  const upper = points.map(({ at, high }) => place(at, high));
  const lower = points.map(({ at, low }) => place(at, low)).reverse();
  const middle = points.map(({ at, mean }) => place(at, mean));
  const isOne = points.length === 1;
  return {
    band: points.length === 0 ? "" : `M${[...upper, ...lower].join("L")}${isOne ? "h1V1h-1" : ""}Z`,
    line: points.length === 0 ? "" : `M${middle.join("L")}${isOne ? "h1" : ""}`,
  };
}

function signalText(means: Course, stds: Course, gradients: Course): string[] {
  const [mean, std, gradient] = [means, stds, gradients].map((course) => course.at(-1) ?? null);
  return [
    t("output {0} ± {1}", floatText(mean ?? Number.NaN, 3), floatText(std ?? Number.NaN, 3)),
    gradient == null ? t("no gradient arrives") : t("gradient that arrives ± {0}", floatText(gradient, 3)),
  ];
}

function Line({ course }: { readonly course: Course }) {
  const last = course.at(-1) ?? null;
  if (last === null) {
    return null;
  }
  if (!Number.isFinite(last)) {
    return <b class="nnw-pulse-broken">{Number.isNaN(last) ? "NaN" : "inf"}</b>;
  }
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} aria-hidden="true">
      <path d={lineOf(course)} />
    </svg>
  );
}

/** A line through the finite values on a logarithmic scale from the least to the greatest of them. */
export function lineOf(course: Course): string {
  const points = course.map((value) =>
    value !== null && Number.isFinite(value) ? Math.log(Math.max(value, 1e-30)) : null,
  );
  const known = points.filter((point) => point !== null);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const step = (WIDTH - 2) / Math.max(1, course.length - 1);
  let isDrawing = false;
  return points
    .map((point, at) => {
      if (point === null) {
        isDrawing = false;
        return "";
      }
      const share = most > least ? (point - least) / (most - least) : 0.5;
      const command = isDrawing ? "L" : "M";
      isDrawing = true;
      return `${command}${(1 + at * step).toFixed(1)} ${(HEIGHT - 2 - share * (HEIGHT - 4)).toFixed(1)}${points.length === 1 ? "h1" : ""}`;
    })
    .join("");
}

function courseText(course: Course, series: keyof typeof WORDS, since: Since | undefined): string {
  const last = course.at(-1) ?? null;
  const what = `${t(WORDS[series])} ${last === null ? t("none") : floatText(last, 3)}`;
  if (since === undefined) {
    return what;
  }
  return since.lastClean === null
    ? t("{0} first seen at step {1}", what, since.step)
    : t("{0} first seen at step {1}, step {2} was clean", what, since.step, since.lastClean);
}
