import type { Overlay } from "../protocol/messages.ts";

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
