import type { RefObject } from "preact";
import { useCallback, useLayoutEffect, useState } from "preact/hooks";
import { useScrolled } from "./useScrolled.ts";

/** So many rows of one height, one after the other. */
export interface Block {
  readonly count: number;
  readonly height: number;
}

export interface RowsInSight {
  /** First row drawn, and one past the last. */
  readonly start: number;
  readonly stop: number;
  /** First and last row in sight. */
  readonly first: number;
  readonly last: number;
  readonly height: number;
  readonly topOf: (index: number) => number;
}

const OVERSCAN_ROWS = 12;
/** Rows in the page at most, however high the frame. */
const MOST_ROWS = 160;

/** Where a row begins, in pixels from the first. */
export function topOf(blocks: readonly Block[], index: number): number {
  let top = 0;
  let before = 0;
  for (const { count, height } of blocks) {
    const inside = Math.min(count, index - before);
    if (inside <= 0) {
      break;
    }
    top += inside * height;
    before += count;
  }
  return top;
}

/** The row at a height, in pixels from the first. */
export function rowAt(blocks: readonly Block[], pixels: number): number {
  let top = 0;
  let before = 0;
  for (const { count, height } of blocks) {
    if (pixels < top + count * height) {
      return before + Math.max(0, Math.floor((pixels - top) / height));
    }
    top += count * height;
    before += count;
  }
  return Math.max(0, before - 1);
}

/** Which rows of a scrolled frame are in sight, and those around them that are drawn as well. */
export function rowsInSight(blocks: readonly Block[], scrollTop: number, frame: number): RowsInSight {
  const total = blocks.reduce((sum, { count }) => sum + count, 0);
  const first = rowAt(blocks, scrollTop);
  const last = Math.min(rowAt(blocks, scrollTop + frame), first + MOST_ROWS - 2 * OVERSCAN_ROWS);
  return {
    start: Math.max(0, first - OVERSCAN_ROWS),
    stop: Math.min(total, last + 1 + OVERSCAN_ROWS),
    first,
    last: Math.min(last, total - 1),
    height: topOf(blocks, total),
    topOf: (index) => topOf(blocks, index),
  };
}

/** The same for a frame on the page, kept up as it is scrolled and sized. */
export function useRows(frame: RefObject<HTMLElement | null>, blocks: readonly Block[]): RowsInSight {
  const [box, setBox] = useState({ top: 0, height: 400 });
  const read = useCallback(() => {
    const element = frame.current;
    if (element !== null && element.clientHeight > 0) {
      const next = { top: element.scrollTop, height: element.clientHeight };
      setBox((before) => (before.top === next.top && before.height === next.height ? before : next));
    }
  }, [frame]);
  const sight = rowsInSight(blocks, box.top, box.height);
  useScrolled(frame, read);
  // Fewer rows than before can leave the frame scrolled past their end.
  useLayoutEffect(read, [sight.height, read]);
  return sight;
}
