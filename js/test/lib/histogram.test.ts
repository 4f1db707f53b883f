import { describe, expect, test } from "vitest";
import {
  barsFor,
  barsPath,
  binAt,
  crop,
  heights,
  overlayPaths,
  regroup,
  ticks,
  zeroAt,
} from "../../src/lib/histogram.ts";

const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

/** A bell in the middle tenth of the range, with single values at both ends. */
function tailed(): { counts: number[]; edges: number[] } {
  const counts: number[] = Array.from({ length: 200 }, (_, i) => (i >= 90 && i < 110 ? 1000 : 0));
  counts[0] = 1;
  counts[199] = 1;
  return { counts, edges: Array.from({ length: 201 }, (_, i) => (i - 100) / 10) };
}

describe("which bins show", () => {
  test("thin tails are cut, and their share is told", () => {
    const bins = tailed();
    const { counts, edges, outside } = crop(bins);
    expect(edges[0]).toBeGreaterThan(-3);
    expect(edges.at(-1)).toBeLessThan(3);
    expect(edges).toHaveLength(counts.length + 1);
    expect(outside).toBeCloseTo(2 / total(bins.counts), 10);
  });

  test("what isn't thin stays", () => {
    const flat = { counts: Array(64).fill(10), edges: Array.from({ length: 65 }, (_, i) => i) };
    expect(crop(flat)).toEqual({ ...flat, outside: 0 });
    const twoLumps = tailed();
    twoLumps.counts[0] = 5000;
    expect(crop(twoLumps).edges[0]).toBe(-10);
  });

  test("joining neighbours loses no value", () => {
    const bins = tailed();
    const joined = regroup(bins, 30);
    expect(joined.counts.length).toBeLessThanOrEqual(30);
    expect(joined.edges).toHaveLength(joined.counts.length + 1);
    expect(total(joined.counts)).toBe(total(bins.counts));
    expect(joined.edges[0]).toBe(bins.edges[0]);
    expect(joined.edges.at(-1)).toBe(bins.edges.at(-1));
  });

  test("few values get few bars", () => {
    expect(barsFor(20)).toBe(12);
    expect(barsFor(1e6)).toBe(80);
  });
});

describe("bars", () => {
  test("the highest is full, an empty one absent, a single value still seen", () => {
    const edges = [0, 1, 2, 3];
    expect(heights({ counts: [0, 1, 1e6], edges }, false)).toEqual([0, 0.012, 1]);
    expect(heights({ counts: [0, 9, 99], edges }, true)).toEqual([0, 0.5, 1]);
    expect(heights({ counts: [0, 0], edges }, false)).toEqual([0, 0]);
  });

  test("even values stand even, though the last bar is narrower", () => {
    expect(heights({ counts: [10, 10, 5], edges: [0, 2, 4, 5] }, false)).toEqual([1, 1, 1]);
  });

  test("lie at their edges, unequal ones too", () => {
    const path = barsPath({ counts: [1, 6], edges: [0, 1, 4] }, false, 100, 50);
    const bars = [...path.matchAll(/M([\d.]+) 50V([\d.]+)H([\d.]+)V50Z/g)].map((bar) => bar.slice(1).map(Number));
    expect(bars).toHaveLength(2);
    expect(bars[0]?.[0]).toBeCloseTo(0.25);
    expect(bars[0]?.[1]).toBe(25);
    expect(bars[0]?.[2]).toBeCloseTo(24.75);
    expect(bars[1]?.[1]).toBe(0);
    expect(bars[1]?.[2]).toBeCloseTo(99.75);
  });

  test("the bar under the pointer is the one whose range holds it", () => {
    const bins = { counts: [1, 1, 1], edges: [-1, 0, 1, 3] };
    expect(binAt(bins, 0)).toBe(0);
    expect(binAt(bins, 0.26)).toBe(1);
    expect(binAt(bins, 0.99)).toBe(2);
    expect(binAt(bins, 1)).toBe(2);
  });
});

describe("axis", () => {
  test("zero and round numbers near both ends", () => {
    const found = ticks({ counts: [], edges: [-0.63, 0.63] });
    expect(found.map((tick) => tick.value)).toEqual([-0.6, 0, 0.6]);
    expect(found[1]?.at).toBeCloseTo(0.5);
  });

  test("leave room for zero, which is named whatever is near it", () => {
    expect(ticks({ counts: [], edges: [-0.25, 42] }).map(({ value }) => value)).toEqual([0, 40]);
    expect(ticks({ counts: [], edges: [-42, 0.25] }).map(({ value }) => value)).toEqual([-40, 0]);
  });

  test("away from zero, round numbers inside the range", () => {
    const found = ticks({ counts: [], edges: [0.91, 1.12] });
    for (const { value, at } of found) {
      expect(value).toBeGreaterThanOrEqual(0.91);
      expect(value).toBeLessThanOrEqual(1.12);
      expect(at).toBeCloseTo((value - 0.91) / 0.21);
    }
    expect(found.length).toBeGreaterThanOrEqual(2);
  });

  test("every tick lies in the range, for ranges of every size", () => {
    for (let power = -30; power <= 30; power += 1) {
      for (const [low, high] of [
        [-1, 2],
        [-3, -1],
        [0, 7],
        [-0.001, 1],
      ] as const) {
        const edges = [low * 10 ** power, high * 10 ** power];
        const found = ticks({ counts: [], edges });
        expect(found.length).toBeGreaterThan(0);
        for (const tick of found) {
          expect(tick.at).toBeGreaterThanOrEqual(-1e-9);
          expect(tick.at).toBeLessThanOrEqual(1 + 1e-9);
        }
      }
    }
  });

  test("the line at zero is where zero is, or nowhere", () => {
    expect(zeroAt({ counts: [], edges: [-1, 3] })).toBeCloseTo(0.25);
    expect(zeroAt({ counts: [], edges: [1, 3] })).toBeNull();
  });
});

test("before and after share one scale", () => {
  const { bars, outline } = overlayPaths({ edges: [0, 1, 2], before: [1, 0], after: [0.25, 0.5] }, 20, 11);
  expect(bars).toBe("M0 11V8.5H10V11ZM10 11V6H20V11Z");
  expect(outline).toBe("M0 11V1H10V11H20V11");
});
