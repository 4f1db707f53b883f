import type { RefObject } from "preact";
import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useScrolled } from "./useScrolled.ts";

export const ROW_HEIGHT = 24;
const OVERSCAN_ROWS = 8;
/** Rows in the page at most, however high the frame. */
const MOST_ROWS = 160;

export interface Viewport {
  /** First and last row in sight, both included. */
  readonly first: number;
  readonly last: number;
  /** First row drawn, and one past the last. */
  readonly start: number;
  readonly stop: number;
}

/** All rows are equally high, so which are in sight is arithmetic; nothing needs measuring. */
export function viewportAt(scrollTop: number, height: number, total: number): Viewport {
  const first = Math.min(Math.max(0, Math.floor(scrollTop / ROW_HEIGHT)), Math.max(0, total - 1));
  const inSight = Math.min(Math.ceil(height / ROW_HEIGHT) + 1, MOST_ROWS - 2 * OVERSCAN_ROWS);
  const last = Math.max(first, Math.min(total - 1, first + inSight));
  return {
    first,
    last,
    start: Math.max(0, first - OVERSCAN_ROWS),
    stop: Math.min(total, last + 1 + OVERSCAN_ROWS),
  };
}

/** Which rows of `total` the scrolled frame shows. */
export function useViewport(frame: RefObject<HTMLElement | null>, headerHeight: number, total: number): Viewport {
  const [box, setBox] = useState({ row: 0, height: 480 });
  const scrolled = useRef(0);
  const isAway = useRef(false);
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
    const next = { row: Math.floor(element.scrollTop / ROW_HEIGHT), height: element.clientHeight - headerHeight };
    setBox((before) => (before.row === next.row && before.height === next.height ? before : next));
  }, [frame, headerHeight]);
  useScrolled(frame, read);
  // Fewer rows than before can leave the frame scrolled past their end.
  useLayoutEffect(read, [total, read]);
  return viewportAt(box.row * ROW_HEIGHT, box.height, total);
}

/** Scrolls a row into sight, by as little as it takes. */
export function scrollToRow(frame: HTMLElement, headerHeight: number, index: number, isCentred = false): void {
  const top = index * ROW_HEIGHT;
  const height = frame.clientHeight - headerHeight;
  const isAbove = top < frame.scrollTop;
  const isBelow = top + ROW_HEIGHT > frame.scrollTop + height;
  if (isCentred && (isAbove || isBelow)) {
    frame.scrollTop = Math.max(0, top - Math.floor(height / 2));
  } else if (isAbove) {
    frame.scrollTop = top;
  } else if (isBelow) {
    frame.scrollTop = top + ROW_HEIGHT - height;
  }
}
