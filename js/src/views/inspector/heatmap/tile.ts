import { paint, type Theme, thinnedLimit } from "../../../lib/colormap.ts";
import type { Cell, Window } from "../../../lib/matrixView.ts";
import { arrayBytes } from "../../../protocol/codec.ts";
import type { ValuesReply, Array as WireArray } from "../../../protocol/messages.ts";

/** Values of a part of the matrix, one every `rowStep` × `columnStep` elements. */
export interface Tile {
  readonly window: Window;
  readonly rowStep: number;
  readonly columnStep: number;
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
  readonly texts: readonly (readonly string[])[] | null;
}

/** A reply's float32 values. A view that doesn't start at a multiple of four bytes is copied. */
export function floatsOf(array: WireArray, buffers: readonly DataView[]): Float32Array {
  if (array.dtype !== "float32") {
    throw new TypeError(`The values came as ${array.dtype}; float32 was expected.`);
  }
  const { buffer, byteOffset, byteLength } = arrayBytes(array, buffers);
  return byteOffset % 4 === 0
    ? new Float32Array(buffer, byteOffset, byteLength / 4)
    : new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

export function tileOf(reply: ValuesReply, buffers: readonly DataView[]): Tile {
  const [rows = 0, columns = 0] = reply.values.shape;
  return {
    window: {
      row: reply.row,
      column: reply.column,
      rows: Math.min(rows * reply.row_step, reply.n_rows - reply.row),
      columns: Math.min(columns * reply.column_step, reply.n_columns - reply.column),
    },
    rowStep: reply.row_step,
    columnStep: reply.column_step,
    rows,
    columns,
    values: floatsOf(reply.values, buffers),
    texts: reply.texts,
  };
}

/** Whether every element has its own cell. */
export function isFull(tile: Tile): boolean {
  return tile.rowStep === 1 && tile.columnStep === 1;
}

/** The tile's value (and text) for a cell of the matrix, or null outside it. */
export function valueAt(
  tile: Tile,
  { row, column }: Cell,
): { readonly value: number; readonly text: string | null } | null {
  const i = Math.floor((row - tile.window.row) / tile.rowStep);
  const j = Math.floor((column - tile.window.column) / tile.columnStep);
  if (i < 0 || j < 0 || i >= tile.rows || j >= tile.columns) {
    return null;
  }
  return { value: tile.values[i * tile.columns + j] ?? Number.NaN, text: tile.texts?.[i]?.[j] ?? null };
}

/** A tile painted, ready to be drawn at any size. */
export interface Picture {
  readonly tile: Tile;
  readonly canvas: HTMLCanvasElement;
  /** The magnitude at full colour. */
  readonly limit: number;
  readonly nan: number;
  readonly infinite: number;
}

/** Paints a tile one pixel a cell; null where there is no canvas to paint on. */
export function pictureOf(tile: Tile, scale: number, theme: Theme, host: Document): Picture | null {
  const canvas = host.createElement("canvas");
  canvas.width = Math.max(1, tile.columns);
  canvas.height = Math.max(1, tile.rows);
  const context = canvas.getContext("2d");
  if (!context) {
    return null;
  }
  const image = context.createImageData(canvas.width, canvas.height);
  const isThinned = !isFull(tile);
  const limit = isThinned ? thinnedLimit(tile.values, scale) : scale;
  const counts = paint(tile.values, limit, theme, image.data, isThinned);
  context.putImageData(image, 0, 0);
  return { tile, canvas, limit, ...counts };
}

/** A cell must be this many device pixels wide and high for a cross to be drawn on what isn't a number. */
const CROSS_PIXELS = 6;

/** Draws the pictures over one another, coarse first, as seen through `view`. */
export function draw(target: HTMLCanvasElement, pictures: readonly Picture[], view: Window, theme: Theme): void {
  const context = target.getContext("2d");
  if (!context) {
    return;
  }
  const across = target.width / view.columns;
  const down = target.height / view.rows;
  context.imageSmoothingEnabled = false;
  context.clearRect(0, 0, target.width, target.height);
  for (const { tile, canvas, nan, infinite } of pictures) {
    const x = (tile.window.column - view.column) * across;
    const y = (tile.window.row - view.row) * down;
    context.drawImage(canvas, x, y, tile.columns * tile.columnStep * across, tile.rows * tile.rowStep * down);
    if (nan + infinite > 0) {
      cross(context, tile, view, across, down, theme);
    }
  }
}

/** A cross over each cell that isn't a finite number, where cells are large enough: colour alone doesn't say it. */
function cross(
  context: CanvasRenderingContext2D,
  tile: Tile,
  view: Window,
  across: number,
  down: number,
  theme: Theme,
): void {
  const width = across * tile.columnStep;
  const height = down * tile.rowStep;
  if (width < CROSS_PIXELS || height < CROSS_PIXELS) {
    return;
  }
  context.strokeStyle = theme === "dark" ? "#000" : "#fff";
  context.lineWidth = 1.5;
  context.beginPath();
  tile.values.forEach((value, at) => {
    if (Number.isFinite(value)) {
      return;
    }
    const left = (tile.window.column + (at % tile.columns) * tile.columnStep - view.column) * across;
    const top = (tile.window.row + Math.floor(at / tile.columns) * tile.rowStep - view.row) * down;
    context.moveTo(left + width * 0.25, top + height * 0.25);
    context.lineTo(left + width * 0.75, top + height * 0.75);
    if (Number.isNaN(value)) {
      context.moveTo(left + width * 0.75, top + height * 0.25);
      context.lineTo(left + width * 0.25, top + height * 0.75);
    }
  });
  context.stroke();
}
