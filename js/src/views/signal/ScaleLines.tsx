import { type LogScale, powerText } from "../../lib/logScale.ts";

/** Where numbers begin, left of what is drawn. */
export const LEFT = 34;

/** The lines of a logarithmic scale across a chart, each with its power of ten. */
export function ScaleLines({ scale, width }: { readonly scale: LogScale; readonly width: number }) {
  return (
    <>
      {scale.ticks.map(({ exponent, y }) => (
        <g key={exponent}>
          <path class="nnw-signal-grid" d={`M${LEFT} ${y}H${width}`} />
          <text class="nnw-signal-tick" x={LEFT - 5} y={y + 4}>
            {powerText(exponent)}
          </text>
        </g>
      ))}
    </>
  );
}
