import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { t, told } from "../../../i18n/translate.ts";
import { css, heatColor, type Theme, textOn } from "../../../lib/colormap.ts";
import { cellText, exactFloat, MINUS } from "../../../lib/format.ts";
import { consumeEvent, isModified } from "../../../lib/keyEvents.ts";
import { type Cell, clampCell, type Size, type Window } from "../../../lib/matrixView.ts";
import { type SetValue, ValueInput } from "../../edit/ValueInput.tsx";
import { type Tile, valueAt } from "./tile.ts";

interface ValueTableProps {
  /** The cells to show. A matrix of one row is written on several lines. */
  readonly window: Window;
  readonly columnsPerLine: number;
  readonly size: Size;
  readonly tile: Tile | null;
  /** The numbers are of another tensor or another place, until those asked for arrive. */
  readonly isStale: boolean;
  readonly focus: Cell;
  readonly limit: number;
  readonly theme: Theme;
  readonly onFocus: (cell: Cell) => void;
  /** Writes the value of a cell; null where the tensor can't be written from here. */
  readonly onSet: ((cell: Cell) => SetValue) | null;
}

const INFINITE = /^([-+−]?)inf(?:inity)?$/i;

/** How a cell's exact text is written in the room there is; a complex number by its magnitude. */
export function shownText(text: string, magnitude = Number.NaN): string {
  const infinite = INFINITE.exec(text);
  if (infinite !== null) {
    return exactFloat(infinite[1] === "-" || infinite[1] === "−" ? -Infinity : Infinity);
  }
  const value = Number(text);
  if (text.toLowerCase() === "nan") {
    return "NaN";
  }
  if (text.endsWith("j")) {
    return cellText(magnitude);
  }
  return Number.isNaN(value) || text === "" ? text : cellText(value);
}

interface Line {
  readonly name: string;
  readonly cells: readonly (Cell | null)[];
}

/** The table's lines. A matrix of one row is written on several, each named by its first index. */
function linesOf(window: Window, size: Size, perLine: number): Line[] {
  if (size.rows > 1) {
    return range(window.rows).map((i) => ({
      name: String(window.row + i),
      cells: range(window.columns).map((j) => ({ row: window.row + i, column: window.column + j })),
    }));
  }
  const end = window.column + window.columns;
  return range(Math.ceil(window.columns / perLine)).map((i) => {
    const start = window.column + i * perLine;
    const width = Math.min(perLine, window.columns);
    return {
      name: String(start),
      cells: range(width).map((j) => (start + j < end ? { row: 0, column: start + j } : null)),
    };
  });
}

/** Where an arrow leads; in a matrix on several lines up and down are a line's length away. */
function stepCell(key: string, focus: Cell, size: Size, perLine: number): Cell | null {
  const down = size.rows > 1 ? { row: 1, column: 0 } : { row: 0, column: perLine };
  const steps: Readonly<Record<string, Cell>> = {
    ArrowLeft: { row: 0, column: -1 },
    ArrowRight: { row: 0, column: 1 },
    ArrowDown: down,
    ArrowUp: { row: -down.row, column: -down.column },
  };
  const step = steps[key];
  return step === undefined ? null : clampCell({ row: focus.row + step.row, column: focus.column + step.column }, size);
}

/** The real numbers round the cell in focus, each on its heat colour, exact when pointed at; arrows go on. */
export function ValueTable(props: ValueTableProps) {
  const { window, columnsPerLine, size, focus, tile, onFocus } = props;
  const table = useRef<HTMLTableElement | null>(null);
  const isByKey = useRef(false);
  const [edited, setEdited] = useState<Cell | null>(null);
  const [warnings, setWarnings] = useState<readonly string[]>([]);
  useLayoutEffect(() => {
    if (isByKey.current) {
      isByKey.current = false;
      table.current?.querySelector<HTMLElement>("[aria-current]")?.focus();
    }
  }, [focus, edited]);
  const edit = (cell: Cell): void => {
    if (props.onSet !== null && !props.isStale && tile !== null) {
      setWarnings([]);
      onFocus(cell);
      setEdited(cell);
    }
  };
  const close = (next: readonly string[] | null): void => {
    isByKey.current = true;
    setEdited(null);
    setWarnings(next ?? []);
  };
  const said = warnings.map((warning) => (
    <p key={warning} class="nnw-warn nnw-quiet" role="status">
      {told(warning)}
    </p>
  ));
  if (size.rows === 1 && size.columns === 1) {
    return (
      <>
        <Single {...props} isEdited={edited !== null} onEdit={() => edit(focus)} onClose={close} />
        {said}
      </>
    );
  }
  const lines = linesOf(window, size, columnsPerLine);
  const onKeyDown = (event: KeyboardEvent): void => {
    const next = isModified(event) ? null : stepCell(event.key, focus, size, columnsPerLine);
    if (event.key === "Enter" && next === null && props.onSet !== null) {
      consumeEvent(event);
      edit(focus);
    } else if (next !== null) {
      consumeEvent(event);
      isByKey.current = true;
      onFocus(next);
    }
  };
  const longest = Math.max(0, ...lines.map((line) => line.name.length));
  return (
    <>
      <table
        class={`nnw-zoom${props.isStale ? " nnw-stale" : ""}${props.onSet === null ? "" : " nnw-editable"}`}
        // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: arrows move from cell to cell.
        role="grid"
        aria-label={t("Values round the focus")}
        aria-busy={props.isStale}
        ref={table}
        onKeyDown={onKeyDown}
      >
        <thead>
          <tr>
            <td style={{ width: `${Math.max(30, longest * 7 + 4)}px` }} />
            {lines[0]?.cells.map((_cell, at) => (
              <th key={at} scope="col">
                {size.rows > 1 || lines.length === 1 ? window.column + at : `+${at}`}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {lines.map(({ name, cells }) => (
            <tr key={name}>
              <th scope="row">{size.rows === 1 && lines.length === 1 ? "" : name}</th>
              {cells.map((where, at) =>
                where === null ? (
                  <td key={at} />
                ) : (
                  <ValueCell
                    key={at}
                    {...props}
                    where={where}
                    isEdited={edited !== null && where.row === edited.row && where.column === edited.column}
                    onEdit={() => edit(where)}
                    onClose={close}
                    isFocus={where.row === focus.row && where.column === focus.column}
                  />
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {props.onSet === null ? null : (
        <p class="nnw-dim nnw-how-to-edit">{t("Double-click or Enter changes a number.")}</p>
      )}
      {said}
    </>
  );
}

interface EditProps {
  readonly isEdited: boolean;
  readonly onEdit: () => void;
  readonly onClose: (warnings: readonly string[] | null) => void;
}

/** The one value of a tensor that has no more. */
function Single({ tile, focus, onSet, isEdited, onEdit, onClose }: ValueTableProps & EditProps) {
  const text = tile === null ? "" : singleText(tile);
  if (onSet === null) {
    return <p class="nnw-single">{text}</p>;
  }
  return isEdited ? (
    <p class="nnw-single nnw-editing">
      <ValueInput name={t("the value")} text={text.replace(MINUS, "-")} onSet={onSet(focus)} onClose={onClose} />
    </p>
  ) : (
    <button
      type="button"
      class="nnw-single nnw-bare"
      aria-current
      title={t("Enter or click to change it")}
      onClick={onEdit}
    >
      {text}
    </button>
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

interface ValueCellProps extends ValueTableProps, EditProps {
  readonly where: Cell;
  readonly isFocus: boolean;
}

function ValueCell(props: ValueCellProps) {
  const { tile, where, isFocus, limit, theme, onFocus, onSet, isEdited, onEdit, onClose } = props;
  const found = tile === null ? null : valueAt(tile, where);
  const color = found === null ? null : heatColor(found.value, limit, theme);
  const text = found === null ? "" : found.text === null ? cellText(found.value) : shownText(found.text, found.value);
  if (isEdited && onSet !== null && found !== null) {
    return (
      <td class="nnw-current nnw-editing" aria-current>
        <ValueInput
          name={t("row {0}, column {1}", where.row, where.column)}
          text={found.text ?? String(found.value)}
          onSet={onSet(where)}
          onClose={onClose}
        />
      </td>
    );
  }
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the table's arrows reach every cell.
    <td
      class={isFocus ? "nnw-current" : undefined}
      aria-current={isFocus || undefined}
      tabIndex={isFocus ? 0 : -1}
      title={found === null ? undefined : (found.text ?? exactFloat(found.value))}
      style={color === null ? undefined : { background: css(color), color: textOn(color) }}
      onClick={() => onFocus(where)}
      onDblClick={onEdit}
    >
      {text}
    </td>
  );
}
