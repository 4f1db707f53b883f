import { MINUS, cellText, exactFloat } from "../../lib/format.ts";
import { type Tone, css, heatColor, textOn } from "../../lib/heat.ts";
import type { Cell, Size, Window } from "../../lib/matrix.ts";
import { type Tile, valueAt } from "./heatTile.ts";

interface ZoomTableProps {
  /** The cells to show. A matrix of one row is written on several lines. */
  readonly window: Window;
  readonly columnsPerLine: number;
  readonly size: Size;
  readonly tile: Tile | null;
  readonly focus: Cell;
  readonly limit: number;
  readonly tone: Tone;
  readonly onFocus: (cell: Cell) => void;
}

const INFINITE = /^([-+−]?)inf(?:inity)?$/i;

/** How a cell's exact text is written in the room there is. */
export function shownText(text: string): string {
  const infinite = INFINITE.exec(text);
  if (infinite !== null) {
    return exactFloat(infinite[1] === "-" || infinite[1] === "−" ? -Infinity : Infinity);
  }
  const value = Number(text);
  if (text.toLowerCase() === "nan") {
    return "NaN";
  }
  return Number.isNaN(value) || text === "" ? text : cellText(value);
}

/** The real numbers round the cell in focus, each on its heat colour, exact when pointed at. */
export function ZoomTable(props: ZoomTableProps) {
  const { window, columnsPerLine, size, focus } = props;
  const isLine = size.rows === 1;
  const lines = isLine ? Math.ceil(window.columns / columnsPerLine) : window.rows;
  const columns = isLine ? Math.min(columnsPerLine, window.columns) : window.columns;
  const cell = (line: number, at: number): Cell =>
    isLine
      ? { row: 0, column: window.column + line * columnsPerLine + at }
      : { row: window.row + line, column: window.column + at };
  const heading = (at: number): string => (isLine ? `+${at}` : String(window.column + at));
  const lineName = (line: number): string => String(isLine ? cell(line, 0).column : window.row + line);
  const longest = lineName(lines - 1).length;
  const spans = range(columns);
  if (size.rows === 1 && size.columns === 1) {
    return (
      <p class="nnw-single">{props.tile === null ? "" : singleText(props.tile)}</p>
    );
  }
  return (
    <div
      class="nnw-zoom"
      role="table"
      aria-label={
        isLine
          ? `Values ${window.column} to ${window.column + window.columns - 1}`
          : `Values, rows ${window.row} to ${window.row + window.rows - 1}, columns ${window.column} to ${window.column + window.columns - 1}`
      }
      style={{ gridTemplateColumns: `${Math.max(30, longest * 7 + 4)}px repeat(${columns}, minmax(0, 1fr))` }}
    >
      <div role="row">
        <span role="columnheader" aria-label={isLine ? "first index" : "row"} />
        {spans.map((at) => (
          <span key={at} class="nnw-axis" role="columnheader">
            {heading(at)}
          </span>
        ))}
      </div>
      {range(lines).map((line) => (
        <div key={line} role="row">
          <span class="nnw-axis nnw-axis-row" role="rowheader">
            {lineName(line)}
          </span>
          {spans.map((at) => {
            const where = cell(line, at);
            return where.column < window.column + window.columns ? (
              <ValueCell
                key={at}
                {...props}
                where={where}
                isFocus={where.row === focus.row && where.column === focus.column}
              />
            ) : (
              <span key={at} role="cell" />
            );
          })}
        </div>
      ))}
    </div>
  );
}

/** A scalar needs no table: its exact text is enough. */
function singleText(tile: Tile): string {
  const found = valueAt(tile, { row: 0, column: 0 });
  return found === null ? "" : (found.text?.replace("-", MINUS) ?? exactFloat(found.value));
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

interface ValueCellProps extends ZoomTableProps {
  readonly where: Cell;
  readonly isFocus: boolean;
}

function ValueCell({ tile, where, isFocus, limit, tone, onFocus }: ValueCellProps) {
  const found = tile === null ? null : valueAt(tile, where);
  const move = (): void => onFocus(where);
  const mark = isFocus ? "nnw-current" : undefined;
  if (found === null) {
    return (
      // biome-ignore lint/a11y/useKeyWithClickEvents: the arrows of the picture above reach every cell.
      <span class={mark} role="cell" aria-current={isFocus || undefined} onClick={move}>
        {" "}
      </span>
    );
  }
  const color = heatColor(found.value, limit, tone);
  const exact = found.text ?? exactFloat(found.value);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the arrows of the picture above reach every cell.
    <span
      class={mark}
      role="cell"
      aria-current={isFocus || undefined}
      title={exact}
      style={{ background: css(color), color: textOn(color) }}
      onClick={move}
    >
      {found.text === null ? cellText(found.value) : shownText(found.text)}
    </span>
  );
}
