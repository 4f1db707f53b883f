import { h } from "preact";
import type { TickedBody } from "../protocol/messages.ts";
import { Beats } from "../views/training/history.ts";
import { PulseCell } from "../views/training/SparklineCell.tsx";

/** What one view hears and draws of a training. */
export default function pulse() {
  const beats = new Beats();
  return {
    hear: (body: TickedBody): void => beats.hear(body),
    Cell: ({ path }: { readonly path: string }) => h(PulseCell, { beats, path }),
  };
}
