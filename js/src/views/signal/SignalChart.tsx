import { useMemo, useRef } from "preact/hooks";
import { useWidth } from "../../hooks/useWidth.ts";
import { t } from "../../i18n/translate.ts";
import { toNumber } from "../../lib/format.ts";
import { consumeEvent, isModified, keyOf } from "../../lib/keyEvents.ts";
import { bandPath, type LogScale, linePath, logScale } from "../../lib/logScale.ts";
import type { SignalPoint } from "../../protocol/messages.ts";
import { pointName, pointWords } from "./pointWords.ts";
import { LEFT, ScaleLines } from "./ScaleLines.tsx";

const HEIGHT = 132;
const LANE = 14;
const FOOT = 18;
const START_WIDTH = 380;
/** More dots than this would be a line. */
const MOST_DOTS = 60;

interface SignalChartProps {
  readonly points: readonly SignalPoint[];
  /** Which the reader is at. */
  readonly current: number;
  /** Those of the row under the pointer. */
  readonly isLit: (point: SignalPoint) => boolean;
  /** In words, for who doesn't see it. */
  readonly describedBy: string;
  readonly alive: boolean;
  readonly onCurrent: (at: number) => void;
  readonly onPoint: (point: SignalPoint | null) => void;
  readonly onSelect: (point: SignalPoint) => void;
}

/** Std through the calls, forward and back, on one logarithmic axis; below, shares of dead and of saturated; NaN lit. */
export function SignalChart(props: SignalChartProps) {
  const { points, current, isLit, describedBy, alive, onCurrent, onPoint, onSelect } = props;
  const frame = useRef<HTMLDivElement | null>(null);
  const width = useWidth(frame, START_WIDTH);
  const lanes = lanesOf(points);
  const height = HEIGHT + lanes.length * LANE;
  const step = (width - LEFT) / points.length;
  const x = (at: number): number => LEFT + (at + 0.5) * step;
  const scale = useMemo(() => logScale(points.flatMap(numbersOf), HEIGHT), [points]);

  const onKeyDown = (event: KeyboardEvent): void => {
    const last = points.length - 1;
    const to = {
      ArrowRight: Math.min(last, current + 1),
      ArrowLeft: Math.max(0, current - 1),
      Home: 0,
      End: last,
    }[keyOf(event)];
    if (to !== undefined && !isModified(event)) {
      consumeEvent(event);
      onCurrent(to);
      frame.current?.querySelectorAll<HTMLElement>("button").item(to)?.focus();
    }
  };
  return (
    <div
      class="nnw-signal-plot"
      ref={frame}
      role="group"
      aria-label={t("Signal through {0} {0|point|points}", points.length)}
      aria-describedby={describedBy}
      style={{ height: `${height}px` }}
      onKeyDown={onKeyDown}
      onMouseLeave={() => onPoint(null)}
    >
      <svg viewBox={`0 0 ${width} ${height}`} width={width} height={height} aria-hidden="true" focusable="false">
        <ScaleLines {...{ scale, width }} />
        {points.map((point, at) => (
          <Bad key={point.at} {...{ point }} x={x(at)} width={barWidth(step)} />
        ))}
        <rect class="nnw-signal-current" x={x(current) - barWidth(step) / 2} width={barWidth(step)} height={height} />
        <Curve {...{ points, scale, x }} of="gradient" />
        <Curve {...{ points, scale, x }} of="std" />
        {points.map((point, at) => (
          <Dots
            key={point.at}
            {...{ point, scale }}
            x={x(at)}
            isShown={points.length <= MOST_DOTS || at === current || isLit(point)}
            isLit={at === current || isLit(point)}
          />
        ))}
        {lanes.map(({ kind, words, shares }, lane) => {
          const bottom = HEIGHT + (lane + 1) * LANE;
          return (
            <g key={kind} class={`nnw-signal-${kind}`}>
              <path class="nnw-signal-grid" d={`M${LEFT} ${bottom}H${width}`} />
              <text class="nnw-signal-tick" x={LEFT - 5} y={bottom - 3}>
                {words}
              </text>
              <path
                d={shares
                  .map((share, at) =>
                    share > 0
                      ? `M${x(at).toFixed(1)} ${bottom}V${(bottom - Math.max(1, share * (LANE - 2))).toFixed(1)}`
                      : "",
                  )
                  .join("")}
                stroke-width={Math.max(1, Math.min(14, step * 0.7))}
              />
            </g>
          );
        })}
      </svg>
      <div
        class="nnw-signal-points"
        style={{ gridTemplateColumns: `repeat(${points.length}, minmax(0, 1fr))`, insetInlineStart: `${LEFT}px` }}
      >
        {points.map((point, at) => (
          <button
            key={point.at}
            type="button"
            tabIndex={at === current ? 0 : -1}
            aria-label={`${pointName(point)}: ${pointWords(point)}`}
            disabled={!alive}
            onMouseEnter={() => {
              onCurrent(at);
              onPoint(point);
            }}
            onFocus={() => {
              onCurrent(at);
              onPoint(point);
            }}
            onBlur={() => onPoint(null)}
            onClick={() => onSelect(point)}
          />
        ))}
      </div>
    </div>
  );
}

interface BadProps {
  readonly point: SignalPoint;
  readonly x: number;
  readonly width: number;
}

/** NaN and infinities: of an output over the whole height, of a gradient alone at its foot. */
function Bad({ point, x, width }: BadProps) {
  const isOutput = toNumber(point.n_bad) > 0;
  if (!isOutput && toNumber(point.n_bad_gradients) === 0) {
    return null;
  }
  return (
    <>
      <rect
        class="nnw-signal-bad"
        x={x - width / 2}
        y={isOutput ? 0 : HEIGHT - FOOT}
        width={width}
        height={isOutput ? HEIGHT : FOOT}
      />
      <text class="nnw-signal-nan" x={x} y={isOutput ? 11 : HEIGHT - 4}>
        !
      </text>
    </>
  );
}

function barWidth(step: number): number {
  return Math.max(2, Math.min(18, step));
}

function numbersOf({ std, gradient, range = [], gradient_range = [] }: SignalPoint): number[] {
  return [std, gradient ?? Number.NaN, ...range, ...gradient_range].map(toNumber);
}

interface Lane {
  readonly kind: "dead" | "saturated";
  readonly words: string;
  readonly shares: readonly number[];
}

/** What there is none of has no lane. */
function lanesOf(points: readonly SignalPoint[]): Lane[] {
  const lanes: Lane[] = [
    { kind: "dead", words: t("dead"), shares: points.map(({ silent }) => silent) },
    { kind: "saturated", words: t("satur."), shares: points.map(({ saturated }) => saturated ?? 0) },
  ];
  return lanes.filter(({ shares }) => shares.some((share) => share > 0));
}

interface CurveProps {
  readonly points: readonly SignalPoint[];
  readonly scale: LogScale;
  readonly x: (at: number) => number;
  readonly of: "std" | "gradient";
}

function Curve({ points, scale, x, of }: CurveProps) {
  const place = (value: number | string | null | undefined): number | null =>
    value == null ? null : scale.y(toNumber(value));
  const ranges = points.map((point) => (of === "std" ? point.range : point.gradient_range));
  const [lower, upper] = [0, 1].map((end) => points.map((point, at) => place(ranges[at]?.[end] ?? point[of]))) as [
    (number | null)[],
    (number | null)[],
  ];
  return (
    <g class={`nnw-signal-${of}`}>
      {ranges.some((range) => range !== undefined) ? (
        <path class="nnw-signal-band" d={bandPath(x, upper, lower)} />
      ) : null}
      <path
        class="nnw-signal-line"
        d={linePath(
          x,
          points.map((point) => place(point[of])),
        )}
      />
    </g>
  );
}

interface DotsProps {
  readonly point: SignalPoint;
  readonly scale: LogScale;
  readonly x: number;
  readonly isShown: boolean;
  readonly isLit: boolean;
}

/** A disc on the curve of outputs, a square on that of gradients: not by colour alone. */
function Dots({ point, scale, x, isShown, isLit }: DotsProps) {
  const r = isLit ? 4.5 : 2.5;
  const std = scale.y(toNumber(point.std));
  const gradient = point.gradient === null ? null : scale.y(toNumber(point.gradient));
  if (!isShown) {
    return null;
  }
  return (
    <>
      {gradient === null ? null : (
        <rect class="nnw-signal-gradient nnw-signal-dot" x={x - r} y={gradient - r} width={2 * r} height={2 * r} />
      )}
      {std === null ? null : <circle class="nnw-signal-std nnw-signal-dot" cx={x} cy={std} r={r} />}
    </>
  );
}
