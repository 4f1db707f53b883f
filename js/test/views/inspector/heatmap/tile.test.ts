import { describe, expect, test } from "vitest";
import { floatsOf, tileOf, valueAt } from "../../../../src/views/inspector/heatmap/tile.ts";
import { shownText } from "../../../../src/views/inspector/heatmap/ValueTable.tsx";

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
