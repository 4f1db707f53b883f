// @vitest-environment happy-dom
import { describe, expect, test } from "vitest";
import { rowAt, rowsInSight, scrollToRow, topOf } from "../../src/hooks/useVirtualRows.ts";

describe("rows in sight", () => {
  const blocks = (count: number) => [{ count, height: 24 }];
  test("are drawn with some above and below", () => {
    expect(rowsInSight(blocks(1000), 2400, 480)).toEqual({
      first: 100,
      last: 121,
      start: 92,
      stop: 130,
      height: 24_000,
    });
  });

  test("end with the rows there are", () => {
    expect(rowsInSight(blocks(3), 0, 480)).toEqual({ first: 0, last: 2, start: 0, stop: 3, height: 72 });
    expect(rowsInSight(blocks(0), 0, 480).stop).toBe(0);
    expect(rowsInSight(blocks(10), 24 * 5000, 480).stop).toBe(10);
  });

  test("are never more than 200 in the page, however high the frame", () => {
    for (const height of [0, 100, 480, 2000, 50_000]) {
      const { start, stop } = rowsInSight(blocks(100_000), 24 * 50_000, height);
      expect(stop - start).toBeLessThan(200);
    }
  });

  test("are scrolled by as little as it takes", () => {
    const frame = { scrollTop: 240, clientHeight: 264 } as HTMLElement;
    scrollToRow(frame, blocks(100), 12, 24);
    expect(frame.scrollTop).toBe(240);
    scrollToRow(frame, blocks(100), 5, 24);
    expect(frame.scrollTop).toBe(120);
    scrollToRow(frame, blocks(100), 20, 24);
    expect(frame.scrollTop).toBe(21 * 24 - 240);
  });

  test("one to be shown comes to the middle", () => {
    const frame = { scrollTop: 0, clientHeight: 264 } as HTMLElement;
    scrollToRow(frame, blocks(2000), 1000, 24, true);
    expect(frame.scrollTop).toBe(1000 * 24 - 120);
  });
});

describe("rows of several heights", () => {
  const blocks = [
    { count: 2, height: 48 },
    { count: 50_000, height: 26 },
  ];
  test("where a row begins and which row is at a height agree", () => {
    for (const index of [0, 1, 2, 3, 25_000, 50_001]) {
      expect(rowAt(blocks, topOf(blocks, index))).toBe(index);
    }
    expect(rowAt(blocks, 1e9)).toBe(50_001);
  });

  test("few rows are drawn, wherever the list is scrolled to and however high it is", () => {
    for (const top of [0, 1000, 1_300_000]) {
      const { start, stop } = rowsInSight(blocks, top, 5000);
      expect(stop - start).toBeLessThanOrEqual(185);
    }
    expect(rowsInSight([], 0, 400)).toMatchObject({ start: 0, stop: 0, height: 0 });
  });
});
