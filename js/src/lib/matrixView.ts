/** A tensor seen as a matrix: the window in sight, the cell in focus, and which element of the tensor that is. */

/** A rectangle of cells. Fractions are allowed while zooming; `snapped` gives whole cells. */
export interface Window {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
}

export interface Cell {
  readonly row: number;
  readonly column: number;
}

export interface Size {
  readonly rows: number;
  readonly columns: number;
}

/** At full zoom this many cells are left along an axis. */
const FEWEST = 8;

const clamp = (value: number, low: number, high: number): number => Math.max(low, Math.min(high, value));

/** Everything. */
export function wholeWindow(size: Size): Window {
  return { row: 0, column: 0, rows: size.rows, columns: size.columns };
}

export function isWholeWindow(window: Window, size: Size): boolean {
  return window.rows >= size.rows && window.columns >= size.columns;
}

/** Keeps a window inside the matrix, and no smaller than is useful. */
export function clampWindow(window: Window, size: Size): Window {
  const rows = clamp(window.rows, Math.min(FEWEST, size.rows), size.rows);
  const columns = clamp(window.columns, Math.min(FEWEST, size.columns), size.columns);
  return {
    rows,
    columns,
    row: clamp(window.row, 0, size.rows - rows),
    column: clamp(window.column, 0, size.columns - columns),
  };
}

/** Zooms by `factor` (above 1: nearer), keeping the point at `x`, `y` (0 to 1 across the window) where it is. */
export function zoomWindow(window: Window, size: Size, factor: number, x: number, y: number): Window {
  const rows = clamp(window.rows / factor, Math.min(FEWEST, size.rows), size.rows);
  const columns = clamp(window.columns / factor, Math.min(FEWEST, size.columns), size.columns);
  return clampWindow(
    {
      rows,
      columns,
      row: window.row + (window.rows - rows) * y,
      column: window.column + (window.columns - columns) * x,
    },
    size,
  );
}

/** The smallest window of whole cells that holds `window`. */
export function snapToCells(window: Window, size: Size): Window {
  const row = Math.floor(window.row + 1e-9);
  const column = Math.floor(window.column + 1e-9);
  return {
    row,
    column,
    rows: Math.min(size.rows, Math.ceil(window.row + window.rows - 1e-9)) - row,
    columns: Math.min(size.columns, Math.ceil(window.column + window.columns - 1e-9)) - column,
  };
}

export function containsWindow(outer: Window, inner: Window): boolean {
  return (
    inner.row >= outer.row &&
    inner.column >= outer.column &&
    inner.row + inner.rows <= outer.row + outer.rows &&
    inner.column + inner.columns <= outer.column + outer.columns
  );
}

/** A window of `size` with `cell` as near its middle as the matrix allows. */
export function windowAround(cell: Cell, rows: number, columns: number, size: Size): Window {
  const height = Math.min(rows, size.rows);
  const width = Math.min(columns, size.columns);
  return {
    rows: height,
    columns: width,
    row: clamp(cell.row - Math.floor((height - 1) / 2), 0, size.rows - height),
    column: clamp(cell.column - Math.floor((width - 1) / 2), 0, size.columns - width),
  };
}

/** Moves `window` as little as needed for `cell` to be in it. */
export function scrollToCell(window: Window, cell: Cell, size: Size): Window {
  const row = clamp(window.row, cell.row + 1 - window.rows, cell.row);
  const column = clamp(window.column, cell.column + 1 - window.columns, cell.column);
  return row === window.row && column === window.column ? window : clampWindow({ ...window, row, column }, size);
}

export function clampCell(cell: Cell, size: Size): Cell {
  return { row: clamp(cell.row, 0, size.rows - 1), column: clamp(cell.column, 0, size.columns - 1) };
}

/** The element's index in the tensor, given which of its dimensions run along rows and which along columns. */
export function tensorIndex(
  cell: Cell,
  shape: readonly number[],
  rowAxes: readonly number[],
  columnAxes: readonly number[],
): number[] {
  const index = shape.map(() => 0);
  const unravel = (flat: number, axes: readonly number[]): void => {
    let rest = flat;
    for (const axis of axes.toReversed()) {
      const extent = shape[axis] ?? 1;
      index[axis] = extent === 0 ? 0 : rest % extent;
      rest = extent === 0 ? 0 : Math.floor(rest / extent);
    }
  };
  unravel(cell.row, rowAxes);
  unravel(cell.column, columnAxes);
  return index;
}
