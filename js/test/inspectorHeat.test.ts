import { describe, expect, test } from "vitest";
import { heatColor, paint, type Rgb, textOn, thinnedLimit } from "../src/lib/colormap.ts";
import {
  clampWindow,
  containsWindow,
  isWholeWindow,
  scrollToCell,
  snapToCells,
  tensorIndex,
  wholeWindow,
  windowAround,
  zoomWindow,
} from "../src/lib/matrixView.ts";
import { floatsOf, tileOf, valueAt } from "../src/views/inspector/heatmap/tile.ts";
import { shownText } from "../src/views/inspector/heatmap/ValueTable.tsx";

const TONES = ["light", "dark"] as const;

function luminance([r, g, b]: Rgb): number {
  const linear = (channel: number): number =>
    channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4;
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

describe.each(TONES)("heat colours, %s", (tone) => {
  test("zero is the middle, the limits are the ends, and beyond is no more than the end", () => {
    const end = heatColor(1, 1, tone);
    expect(heatColor(5, 1, tone)).toEqual(end);
    expect(heatColor(0, 1, tone)).not.toEqual(end);
    expect(heatColor(-1, 1, tone)).not.toEqual(end);
    const [r, , b] = end;
    expect(r).toBeGreaterThan(b);
    const [nr, , nb] = heatColor(-1, 1, tone);
    expect(nb).toBeGreaterThan(nr);
  });

  test("a larger magnitude is never nearer to the middle", () => {
    const middle = heatColor(0, 1, tone);
    const away = (color: Rgb): number =>
      color.reduce((sum, channel, i) => sum + Math.abs(channel - (middle[i] ?? 0)), 0);
    for (const sign of [-1, 1]) {
      let last = 0;
      for (let step = 1; step <= 20; step += 1) {
        const distance = away(heatColor((sign * step) / 20, 1, tone));
        expect(distance).toBeGreaterThanOrEqual(last);
        last = distance;
      }
    }
  });

  test("what isn't a finite number is off the scale", () => {
    const scale = Array.from({ length: 201 }, (_, i) => heatColor((i - 100) / 100, 1, tone).join());
    expect(scale).not.toContain(heatColor(Number.NaN, 1, tone).join());
    expect(scale).not.toContain(heatColor(Number.POSITIVE_INFINITY, 1, tone).join());
    expect(heatColor(Number.NaN, 1, tone)).not.toEqual(heatColor(Number.POSITIVE_INFINITY, 1, tone));
  });

  test("text on every colour has a contrast of 4.5 or more", () => {
    const values = [Number.NaN, Number.POSITIVE_INFINITY, ...Array.from({ length: 401 }, (_, i) => (i - 200) / 200)];
    for (const value of values) {
      const color = heatColor(value, 1, tone);
      const text = textOn(color) === "#fff" ? 1 : 0;
      const [low, high] = [luminance(color), text].sort((a, b) => a - b) as [number, number];
      expect((high + 0.05) / (low + 0.05)).toBeGreaterThanOrEqual(4.5);
    }
  });

  test("painting counts what isn't finite and fills every pixel", () => {
    const pixels = new Uint8ClampedArray(6 * 4);
    const counts = paint([0, 1, -1, Number.NaN, Infinity, -Infinity], 1, tone, pixels);
    expect(counts).toEqual({ nan: 1, infinite: 2 });
    expect([...pixels.subarray(0, 3)]).toEqual([...heatColor(0, 1, tone)]);
    expect([...pixels.subarray(4, 7)]).toEqual([...heatColor(1, 1, tone)]);
    expect([...pixels.subarray(12, 15)]).toEqual([...heatColor(Number.NaN, 1, tone)]);
    expect(pixels.filter((_, i) => i % 4 === 3).every((alpha) => alpha === 255)).toBe(true);
  });

  test("a tensor of zeros is painted as zeros, whatever its limit", () => {
    const pixels = new Uint8ClampedArray(4);
    paint([0], 0, tone, pixels);
    expect([...pixels.subarray(0, 3)]).toEqual([...heatColor(0, 0, tone)]);
  });
});

describe("windows on a matrix", () => {
  const size = { rows: 768, columns: 3072 };

  test("zooming keeps the point under the pointer", () => {
    const before = { row: 100, column: 200, rows: 400, columns: 1600 };
    const after = zoomWindow(before, size, 2, 0.25, 0.75);
    expect(after.column + 0.25 * after.columns).toBeCloseTo(before.column + 0.25 * before.columns);
    expect(after.row + 0.75 * after.rows).toBeCloseTo(before.row + 0.75 * before.rows);
  });

  test("zooming out ends at the whole, zooming in at a few cells", () => {
    let view = wholeWindow(size);
    for (let i = 0; i < 40; i += 1) {
      view = zoomWindow(view, size, 2, 0.9, 0.1);
    }
    expect(view.rows).toBe(8);
    expect(containsWindow(wholeWindow(size), view)).toBe(true);
    for (let i = 0; i < 40; i += 1) {
      view = zoomWindow(view, size, 0.5, 0.3, 0.3);
    }
    expect(view).toEqual(wholeWindow(size));
    expect(isWholeWindow(view, size)).toBe(true);
  });

  test("a snapped window holds the asked one in whole cells", () => {
    const view = { row: 10.4, column: 20.9, rows: 5.2, columns: 7.3 };
    const cells = snapToCells(view, size);
    expect(containsWindow(cells, view)).toBe(true);
    expect(Object.values(cells).every(Number.isInteger)).toBe(true);
  });

  test("the table's window stays inside, with the cell in it", () => {
    for (const cell of [
      { row: 0, column: 0 },
      { row: 767, column: 3071 },
      { row: 343, column: 1219 },
    ]) {
      const table = windowAround(cell, 4, 7, size);
      expect(containsWindow(table, { ...cell, rows: 1, columns: 1 })).toBe(true);
      expect(containsWindow(wholeWindow(size), table)).toBe(true);
    }
    expect(windowAround({ row: 343, column: 1219 }, 4, 7, size)).toEqual({
      row: 342,
      column: 1216,
      rows: 4,
      columns: 7,
    });
  });

  test("a view follows the cell no further than needed", () => {
    const view = clampWindow({ row: 10, column: 10, rows: 20, columns: 20 }, size);
    expect(scrollToCell(view, { row: 15, column: 15 }, size)).toBe(view);
    expect(scrollToCell(view, { row: 35, column: 15 }, size)).toMatchObject({ row: 16, column: 10 });
    expect(scrollToCell(view, { row: 15, column: 2 }, size)).toMatchObject({ row: 10, column: 2 });
  });

  test("a cell names its element in a tensor of more dimensions", () => {
    expect(tensorIndex({ row: 5, column: 11 }, [64, 3, 2, 4], [0], [1, 2, 3])).toEqual([5, 1, 0, 3]);
    expect(tensorIndex({ row: 0, column: 7 }, [10], [], [0])).toEqual([7]);
  });
});

describe("values from the wire", () => {
  test("a view that starts off a multiple of four bytes reads right", () => {
    const bytes = new ArrayBuffer(1 + 8);
    new DataView(bytes, 1).setFloat32(0, 1.5, true);
    new DataView(bytes, 1).setFloat32(4, -2.5, true);
    const array = { dtype: "float32", shape: [1, 2], buffer: 0 };
    expect([...floatsOf(array, [new DataView(bytes, 1)])]).toEqual([1.5, -2.5]);
  });

  test("a reply with too few bytes is refused, not read past its end", () => {
    const array = { dtype: "float32", shape: [2, 2], buffer: 0 };
    expect(() => floatsOf(array, [new DataView(new ArrayBuffer(12))])).toThrow(TypeError);
    expect(() => floatsOf(array, [])).toThrow(TypeError);
  });

  test("a thinned tile finds the block of a cell and ends with the matrix", () => {
    const values = new Float32Array([1, 2, 3, 4]);
    const tile = tileOf(
      {
        n_rows: 5,
        n_columns: 5,
        row: 0,
        column: 0,
        row_step: 3,
        column_step: 3,
        values: { dtype: "float32", shape: [2, 2], buffer: 0 },
        texts: null,
        scale: 1,
        row_axes: [0],
        column_axes: [1],
        shape: [5, 5],
      },
      [new DataView(values.buffer)],
    );
    expect(tile.window).toEqual({ row: 0, column: 0, rows: 5, columns: 5 });
    expect(valueAt(tile, { row: 4, column: 2 })?.value).toBe(3);
    expect(valueAt(tile, { row: 4, column: 4 })?.value).toBe(4);
    expect(valueAt(tile, { row: 6, column: 0 })).toBeNull();
  });

  test.each([
    ["0.0531842", ".053"],
    ["nan", "NaN"],
    ["-inf", "−inf"],
    ["True", "True"],
    ["-7", "−7"],
  ])("a cell's exact text %s is shown as %s", (text, shown) => {
    expect(shownText(text)).toBe(shown);
  });

  test("a complex cell is shown by its magnitude", () => {
    expect(shownText("3+4j", 5)).toBe("5");
  });
});

describe("a picture whose cells stand for many values each", () => {
  /** What the largest of 45 normal values in each block looks like: all far from zero. */
  const thinned = Float32Array.from({ length: 1000 }, (_, i) => (i % 2 === 0 ? 1 : -1) * (2 + (i % 100) / 50));

  test("isn't painted full all over", () => {
    const limit = thinnedLimit(thinned, 2.8);
    expect(limit).toBeCloseTo(3.98, 1);
    const pixels = new Uint8ClampedArray(thinned.length * 4);
    paint(thinned, limit, "light", pixels, true);
    const full = heatColor(limit, limit, "light", true);
    const nFull = Array.from({ length: thinned.length }, (_, i) => pixels[i * 4] === full[0]).filter(Boolean).length;
    expect(nFull).toBeLessThan(0.05 * thinned.length);
  });

  test("never has a smaller limit than the tensor's own, and is not led by what isn't finite", () => {
    expect(thinnedLimit(new Float32Array([0.1, Number.NaN, Infinity]), 1)).toBe(1);
    expect(thinnedLimit(new Float32Array([]), 1)).toBe(1);
  });
});
