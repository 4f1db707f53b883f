import { describe, expect, test } from "vitest";
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
} from "../../src/lib/matrixView.ts";

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
