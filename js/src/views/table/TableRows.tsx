import { useEffect, useRef } from "preact/hooks";
import { drawnRows, topOf, useVirtualRows } from "../../hooks/useVirtualRows.ts";
import { t, told, word } from "../../i18n/translate.ts";
import { exactCount, exactFloat, floatText, shapeText } from "../../lib/format.ts";
import type { Column, TableReply, TableRow } from "../../protocol/messages.ts";
import type { TableStore } from "../../state/tableStore.ts";

interface TableRowsProps {
  readonly store: TableStore;
  readonly reply: TableReply;
  readonly alive: boolean;
  readonly onSelect: (path: string) => void;
}

const HEAD_HEIGHT = 26;
const ROW_HEIGHT = 24;
const COUNTS: ReadonlySet<Column> = new Set(["n_zero", "n_nan", "n_inf", "n_grad_bad"]);
const HEADS: Readonly<Record<Column, { readonly word: string; readonly width: number }>> = {
  path: { word: word("Tensor"), width: 180 },
  shape: { word: word("Shape"), width: 104 },
  dtype: { word: word("Type"), width: 70 },
  mean: { word: word("Mean"), width: 80 },
  std: { word: word("Std"), width: 80 },
  min: { word: word("Min"), width: 80 },
  max: { word: word("Max"), width: 80 },
  norm: { word: word("Norm"), width: 80 },
  n_zero: { word: word("Zeros"), width: 76 },
  n_nan: { word: word("NaN"), width: 60 },
  n_inf: { word: word("Inf"), width: 60 },
  grad_norm: { word: word("Grad norm"), width: 86 },
  n_grad_bad: { word: word("Grad NaN"), width: 80 },
  moved: { word: word("Moved"), width: 80 },
  note: { word: word("Note"), width: 200 },
};
const TEXTS: ReadonlySet<Column> = new Set(["path", "shape", "dtype", "note"]);
/** Columns whose numbers want a look when they aren't zero. */
const ODD: ReadonlySet<Column> = new Set(["n_nan", "n_inf", "n_grad_bad"]);

/** The rows in sight, under heads that sort them. */
export function TableRows({ store, reply, alive, onSelect }: TableRowsProps) {
  const frame = useRef<HTMLDivElement>(null);
  const { columns, total } = reply;
  const blocks = [{ count: total, height: ROW_HEIGHT }];
  const sight = useVirtualRows(frame, blocks, HEAD_HEIGHT);
  useEffect(() => store.rows.look(sight.first, sight.last));
  const template = columns
    .map((name) =>
      name === "path" || name === "note" ? `minmax(${HEADS[name].width}px, 1fr)` : `${HEADS[name].width}px`,
    )
    .join(" ");
  const width = columns.reduce((sum, name) => sum + HEADS[name].width, 0);
  const drawn = drawnRows(sight);
  return (
    <div
      ref={frame}
      class="nnw-table-frame"
      role="table"
      aria-label={t("Statistics of all tensors")}
      aria-rowcount={total + 1}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable.
      tabIndex={0}
      style={{ "--nnw-template": template, "--nnw-least": `${width}px` }}
    >
      <div class="nnw-table-row nnw-table-head" role="row" aria-rowindex={1}>
        {columns.map((name) => (
          <Head key={name} name={name} store={store} alive={alive} />
        ))}
      </div>
      <div class="nnw-table-rows" role="rowgroup" style={{ height: `${sight.height}px` }}>
        {drawn.map((index) => {
          const row = store.rows.row(index);
          const place = { top: `${topOf(blocks, index)}px` };
          return row === undefined ? (
            <div key={index} class="nnw-table-row" role="row" aria-busy style={place}>
              <span class="nnw-bone" role="cell" />
            </div>
          ) : (
            <div key={index} class="nnw-table-row" role="row" aria-rowindex={index + 2} style={place}>
              {columns.map((name) => (
                <Cell key={name} name={name} row={row} onSelect={onSelect} />
              ))}
            </div>
          );
        })}
      </div>
      {total === 0 ? <p class="nnw-table-empty">{t("No tensor is kept.")}</p> : null}
    </div>
  );
}

interface HeadProps {
  readonly name: Column;
  readonly store: TableStore;
  readonly alive: boolean;
}

function Head({ name, store, alive }: HeadProps) {
  const { sort } = store;
  const way = sort?.by === name ? (sort.isDown ? "descending" : "ascending") : "none";
  const sign = { descending: " ↓", ascending: " ↑", none: "" }[way];
  return (
    <div role="columnheader" aria-sort={way} class={TEXTS.has(name) ? undefined : "nnw-table-number"}>
      <button type="button" disabled={!alive} title={t("Sort by this column")} onClick={() => store.sortBy(name)}>
        {t(HEADS[name].word)}
        {sign}
      </button>
    </div>
  );
}

interface CellProps {
  readonly name: Column;
  readonly row: TableRow;
  readonly onSelect: (path: string) => void;
}

function Cell({ name, row, onSelect }: CellProps) {
  if (name === "path") {
    return (
      <div role="cell" class="nnw-table-path">
        <button type="button" title={t("Go to {0}", row.path)} onClick={() => onSelect(row.path)}>
          <bdi>{row.path}</bdi>
        </button>
      </div>
    );
  }
  if (name === "shape" || name === "dtype") {
    return <div role="cell">{name === "shape" ? shapeText(row.shape) : row.dtype}</div>;
  }
  if (name === "note") {
    const note = row.note.split(" · ").map(told).join(" · ");
    const said = row.tied_to === "" ? note : `= ${row.tied_to}${note === "" ? "" : ` · ${note}`}`;
    return (
      <div role="cell" class="nnw-dim" title={said}>
        <bdi>{said}</bdi>
      </div>
    );
  }
  const value = row[name];
  if (value === null) {
    return <div role="cell" />;
  }
  const isOdd = ODD.has(name) && Number(value) > 0;
  return (
    <div role="cell" class={isOdd ? "nnw-table-number nnw-bad" : "nnw-table-number"} title={exactFloat(value)}>
      {COUNTS.has(name) ? exactCount(value) : floatText(value)}
    </div>
  );
}
