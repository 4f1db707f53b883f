import { useMemo, useRef, useState } from "preact/hooks";
import { useDebounced } from "../../../hooks/useDebounced.ts";
import { type Answer, useQuery } from "../../../hooks/useQuery.ts";
import type { Theme } from "../../../lib/colormap.ts";
import { type PageError, toPageError } from "../../../lib/errors.ts";
import {
  type Cell,
  clampCell,
  clampWindow,
  containsWindow,
  isWholeWindow,
  type Size,
  scrollToCell,
  snapToCells,
  type Window,
  wholeWindow,
  windowAround,
} from "../../../lib/matrixView.ts";
import type { Client } from "../../../protocol/client.ts";
import type { Of, ValuesBody, ValuesReply } from "../../../protocol/messages.ts";
import { isFull, type Picture, pictureOf, type Tile, tileOf } from "./tile.ts";

/** Cells with their exact texts come by blocks of so many rows and columns, or one row of so many columns. */
const BLOCK_ROWS = 16;
const BLOCK_COLUMNS = 20;
const BLOCK_LINE = BLOCK_ROWS * BLOCK_COLUMNS;
/** A matrix of no more rows (that fits across) is shown as a table alone. */
const MOST_TABLE_ROWS = 8;
/** Wait this long after a zoom before asking for the finer picture. */
const SETTLE_MS = 90;

interface HeatMapInput {
  readonly client: Client;
  readonly path: string;
  readonly of: Of;
  readonly generation: number;
  readonly alive: boolean;
  readonly theme: Theme;
  /** The tensor's, so that its numbers need not wait until its picture says how large the matrix is. */
  readonly shape: readonly number[] | null;
  /** In device pixels: the most rows and columns a picture can show. */
  readonly maxRows: number;
  readonly maxColumns: number;
  /** Rows and columns of the table of numbers. */
  readonly tableRows: number;
  readonly tableColumns: number;
  /** Whether the largest magnitude is at full colour, not the one that nearly all are below. */
  readonly isFullRange: boolean;
  readonly along: PrefetchedValues;
}

/** What comes along with the facts of a tensor, so that its picture and numbers need no requests of their own. */
export interface PrefetchedValues {
  /** What the picture and numbers in sight were asked with: those of the next tensor will be asked likewise. */
  asked: readonly ValuesBody[];
  came: readonly Answer<"values">[];
}

export interface HeatMapState {
  /** What the kernel says of the whole matrix: its size, its colour scale. Null until it has answered. */
  readonly about: ValuesReply | null;
  readonly size: Size;
  readonly view: Window;
  readonly focus: Cell;
  readonly pictures: readonly Picture[];
  /** The magnitude at full colour, and the largest there is. */
  readonly limit: number;
  readonly largest: number;
  readonly tableWindow: Window;
  /** The table shows everything: no picture is needed. */
  readonly fitsTable: boolean;
  readonly tableTile: Tile | null;
  /** Whether the table's numbers are those asked for, and not of the tensor or place before. */
  readonly isTableCurrent: boolean;
  readonly isCurrent: boolean;
  readonly error: PageError | null;
  readonly retry: () => void;
  readonly setView: (view: Window) => void;
  readonly setFocus: (cell: Cell) => void;
}

/** Where one looks in a matrix of some shape; another shape starts over, a like tensor keeps the place. */
interface Place {
  readonly shape: string;
  readonly view: Window | null;
  readonly focus: Cell;
}

/** An answer decoded. Values that don't match their own description are an error to show, not a reason to stop. */
function useTile(answer: Answer<"values"> | null): { readonly tile: Tile | null; readonly error: PageError | null } {
  return useMemo(() => {
    try {
      return { tile: answer === null ? null : tileOf(answer.body, answer.buffers), error: null };
    } catch (error) {
      return { tile: null, error: toPageError(error) };
    }
  }, [answer]);
}

/**
 * A tensor's values as pictures and numbers: the whole of it thinned to the screen, the window in sight at full
 * resolution over that, and the exact numbers round the cell in focus.
 */
export function useHeatMap(input: HeatMapInput): HeatMapState {
  const { client, path, of, generation, alive, theme, maxRows, maxColumns, tableRows, tableColumns, along } = input;
  const { isFullRange } = input;
  const options = { generation, alive, came: along.came };
  const picture: ValuesBody = { path, of, max_rows: maxRows, max_columns: maxColumns };
  const overview = useQuery(client, "values", picture, options);
  const about = overview.answer?.body ?? null;
  const size: Size = { rows: about?.n_rows ?? 0, columns: about?.n_columns ?? 0 };
  const { tile: overviewTile, error: overviewError } = useTile(overview.answer);

  const shape = `${size.rows} ${size.columns}`;
  const [place, setPlace] = useState<Place>({ shape, view: null, focus: { row: 0, column: 0 } });
  const isPlaced = place.shape === shape;
  const view = isPlaced && place.view !== null ? clampWindow(place.view, size) : wholeWindow(size);
  const focus = isPlaced ? clampCell(place.focus, size) : { row: 0, column: 0 };

  const isThinned = overviewTile !== null && !isFull(overviewTile);
  const wanted = isThinned && !isWholeWindow(view, size) ? snapToCells(view, size) : null;
  const settled = useDebounced(wanted, JSON.stringify(wanted), SETTLE_MS);
  const detailWindow = wanted !== null && overview.isCurrent ? settled : null;
  const detail = useQuery(
    client,
    "values",
    detailWindow && { path, of, ...detailWindow, max_rows: maxRows, max_columns: maxColumns },
    options,
  );
  const { tile: detailTile, error: detailError } = useTile(detail.answer);

  const isLine = size.rows === 1;
  const fitsTable = isLine
    ? size.columns <= tableRows * tableColumns
    : size.rows <= MOST_TABLE_ROWS && size.columns <= tableColumns;
  const tableWindow = isLine
    ? windowAround(focus, 1, tableRows * tableColumns, size)
    : windowAround(focus, fitsTable ? size.rows : tableRows, tableColumns, size);
  const hasTexts = overviewTile !== null && isFull(overviewTile) && overviewTile.texts !== null;
  const block = useRef<{ shape: string; window: Window } | null>(null);
  if (block.current === null || block.current.shape !== shape || !containsWindow(block.current.window, tableWindow)) {
    block.current = {
      shape,
      window: windowAround(focus, isLine ? 1 : BLOCK_ROWS, isLine ? BLOCK_LINE : BLOCK_COLUMNS, size),
    };
  }
  const blockWindow = block.current.window;
  // While another tensor's picture is on its way, the numbers of the one before stay, dimmed; those of one of the same
  // shape are asked for at once.
  const asked = useRef<ValuesBody | null>(null);
  if (about === null || hasTexts || size.rows === 0 || size.columns === 0) {
    asked.current = null;
  } else if (overview.isCurrent || about.shape.join() === input.shape?.join()) {
    asked.current = { path, of, ...blockWindow, max_rows: blockWindow.rows, max_columns: blockWindow.columns };
  }
  const isAsked = asked.current?.path === path && asked.current.of === of;
  const numbers = useQuery(client, "values", asked.current, { ...options, alive: alive && isAsked });
  along.asked = asked.current === null ? [picture] : [picture, asked.current];
  const { tile: numbersTile, error: numbersError } = useTile(numbers.answer);

  const largest = useMemo(() => largestOf(overviewTile), [overviewTile]);
  const limit = isFullRange ? largest : Number(about?.scale ?? 0);
  const coarse = usePicture(overviewTile, limit, theme);
  const fine = usePicture(detailTile, limit, theme);
  const pictures = useMemo(
    () => [coarse, fine].filter((picture): picture is Picture => picture !== null),
    [coarse, fine],
  );
  return {
    about,
    size,
    view,
    focus,
    pictures,
    limit,
    largest,
    tableWindow,
    fitsTable,
    tableTile: hasTexts ? overviewTile : numbersTile !== null && isFull(numbersTile) ? numbersTile : null,
    isTableCurrent: overview.isCurrent && (hasTexts || numbers.isCurrent),
    isCurrent: overview.isCurrent,
    error: overview.error ?? detail.error ?? numbers.error ?? overviewError ?? detailError ?? numbersError,
    retry: () => {
      overview.retry();
      detail.retry();
      numbers.retry();
    },
    setView: (next) => setPlace({ shape, view: isWholeWindow(next, size) ? null : next, focus }),
    setFocus: (cell) =>
      setPlace({ shape, view: isWholeWindow(view, size) ? null : scrollToCell(view, cell, size), focus: cell }),
  };
}

/** The largest finite magnitude; a cell that stands for many has theirs. */
function largestOf(tile: Tile | null): number {
  return (
    tile?.values.reduce((most, value) => (Math.abs(value) < Infinity ? Math.max(most, Math.abs(value)) : most), 0) ?? 0
  );
}

function usePicture(tile: Tile | null, limit: number, theme: Theme): Picture | null {
  return useMemo(() => (tile === null ? null : pictureOf(tile, limit, theme, document)), [tile, limit, theme]);
}
