import type { RefObject } from "preact";
import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useScrolled } from "./useScrolled.ts";

/** So many rows of one height, one after the other. Heights are known, so nothing needs measuring. */
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
  /** Of all rows, in pixels. */
  readonly height: number;
}

const OVERSCAN_ROWS = 8;
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

/** Which rows are in sight of a frame scrolled to within one row, and those around them that are drawn as well. */
export function rowsInSight(blocks: readonly Block[], scrollTop: number, frameHeight: number): RowsInSight {
  const total = blocks.reduce((sum, { count }) => sum + count, 0);
  const first = rowAt(blocks, scrollTop);
  const most = first + MOST_ROWS - 2 * OVERSCAN_ROWS;
  const last = Math.min(rowAt(blocks, scrollTop + frameHeight) + 1, most, total - 1);
  return {
    start: Math.max(0, first - OVERSCAN_ROWS),
    stop: Math.min(total, last + 1 + OVERSCAN_ROWS),
    first,
    last,
    height: topOf(blocks, total),
  };
}

/** The rows in sight of a frame on the page, kept up as it is scrolled and sized; its header covers some of it. */
export function useVirtualRows(
  frame: RefObject<HTMLElement | null>,
  blocks: readonly Block[],
  headerHeight = 0,
): RowsInSight {
  const [box, setBox] = useState({ top: 0, height: 480 });
  const scrolled = useRef(0);
  const isAway = useRef(false);
  const current = useRef(blocks);
  current.current = blocks;
  const read = useCallback(() => {
    const element = frame.current;
    if (element === null) {
      return;
    }
    if (element.clientHeight === 0) {
      isAway.current = true;
      return;
    }
    if (isAway.current) {
      // A notebook that takes cells out of sight off the page forgets how far they were scrolled.
      isAway.current = false;
      element.scrollTop = scrolled.current;
    }
    scrolled.current = element.scrollTop;
    // To the row, not the pixel: nothing is drawn anew while the same rows are in sight.
    const top = topOf(current.current, rowAt(current.current, element.scrollTop));
    const height = element.clientHeight - headerHeight;
    setBox((before) => (before.top === top && before.height === height ? before : { top, height }));
  }, [frame, headerHeight]);
  const sight = rowsInSight(blocks, box.top, box.height);
  useScrolled(frame, read);
  // Fewer rows than before can leave the frame scrolled past their end.
  useLayoutEffect(read, [sight.height, read]);
  return sight;
}

/** The rows drawn, and the one the keyboard is on: it keeps its place in the page, wherever the frame is scrolled to. */
export function drawnRows({ start, stop }: RowsInSight, active?: number): number[] {
  const drawn = Array.from({ length: Math.max(0, stop - start) }, (_, index) => start + index);
  return active === undefined || (active >= start && active < stop) ? drawn : [...drawn, active];
}

/** Scrolls a row into sight, by as little as it takes, or to the middle. */
export function scrollToRow(
  frame: HTMLElement,
  blocks: readonly Block[],
  index: number,
  headerHeight = 0,
  isCentred = false,
): void {
  const top = topOf(blocks, index);
  const bottom = topOf(blocks, index + 1);
  const height = frame.clientHeight - headerHeight;
  const isAbove = top < frame.scrollTop;
  const isBelow = bottom > frame.scrollTop + height;
  if (isCentred && (isAbove || isBelow)) {
    frame.scrollTop = Math.max(0, top - Math.floor(height / 2));
  } else if (isAbove) {
    frame.scrollTop = top;
  } else if (isBelow) {
    frame.scrollTop = bottom - height;
  }
}
