import { useMemo, useState } from "preact/hooks";
import type { ExtraCell } from "../../bundles/lazyParts.ts";
import { Icon } from "../../components/Icon.tsx";
import { tieColor } from "../../components/TieBadge.tsx";
import { currentCatalogue, t, told, tx, word } from "../../i18n/translate.ts";
import { copyText } from "../../lib/clipboard.ts";
import { exactCount } from "../../lib/format.ts";
import type { Row } from "../../protocol/messages.ts";
import { CountCell, MarksCell, ShapeCell } from "./cells.tsx";

export const ROW_HEIGHT = 24;

/** What a row can be asked to do. */
export interface RowActions {
  readonly select: (row: Row, index: number) => void;
  readonly setOpen: (row: Row, isOpen: boolean, index: number) => void;
  readonly pick: (row: Row, member: number, index: number) => void;
  readonly navigate: (path: string) => void;
  readonly glow: (tie: string | null) => void;
  readonly inspect: () => void;
  /** Null where nothing can be changed. */
  readonly freeze: ((row: Row) => void) | null;
  /** Python that gives the row's object. */
  readonly code: (row: Row) => Promise<string | null>;
}

interface RowViewProps {
  readonly id: string;
  readonly row: Row;
  readonly index: number;
  readonly isSelected: boolean;
  readonly isActive: boolean;
  readonly isLit: boolean;
  /** Why torch's own sum of the parameters is another one; for the model's own row. */
  readonly why: string | null;
  readonly actions: RowActions;
  /** Draws the course of a training, or what a run through the layers gave. */
  readonly Extra: ExtraCell | null;
}

/** One line of the tree grid. Few change at once: the others stay as they were drawn. */
export function RowView(props: RowViewProps) {
  return useMemo(() => <Line {...props} />, [...Object.values(props), currentCatalogue()]);
}

function Line({ id, row, index, isSelected, isActive, isLit, why, actions, Extra }: RowViewProps) {
  const isTensor = row.kind === "tensor";
  const role = t(ROLE_WORDS[row.role ?? "parameter"]);
  const isBroken = row.problem !== null && (row.kind === "problem" || row.shape === "");
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid handles keys for all its rows.
    <div
      id={id}
      class={classes(row, isLit)}
      role="row"
      data-path={row.path}
      data-row={row.id}
      aria-level={row.level}
      aria-posinset={row.position}
      aria-setsize={row.set_size}
      aria-rowindex={index + 2}
      aria-expanded={row.expandable ? row.expanded : undefined}
      aria-selected={isSelected}
      tabIndex={isActive ? 0 : -1}
      style={{
        top: `${index * ROW_HEIGHT}px`,
        ...(row.tie === null ? {} : { "--nnw-tie": tieColor(row.tie) }),
      }}
      onClick={() => actions.select(row, index)}
      onDblClick={() => actions.setOpen(row, !row.expanded, index)}
      onMouseEnter={() => actions.glow(row.tie)}
    >
      {/* Named, so that the row isn't read out with what its button says. */}
      <div class="nnw-name" role="rowheader" aria-label={isTensor ? `${role} ${row.name}` : row.name}>
        <Guides count={row.level - 1} />
        {isTensor ? <span class={`nnw-glyph nnw-glyph-${row.role}`} title={role} /> : null}
        {isTensor ? null : (
          // biome-ignore lint/a11y/useKeyWithClickEvents lint/a11y/noStaticElementInteractions: the row's own keys open it.
          <span
            class={row.expandable ? "nnw-chevron" : "nnw-leaf"}
            onClick={(event) => {
              if (row.expandable) {
                event.stopPropagation();
                actions.setOpen(row, !row.expanded, index);
              }
            }}
          >
            {leadGlyph(row)}
          </span>
        )}
        <bdi class="nnw-label" title={row.path === "" ? row.name : row.path}>
          {row.name}
        </bdi>
        <CopyRow row={row} actions={actions} />
      </div>
      {isBroken ? (
        <div class="nnw-why" role="gridcell" aria-colspan={4} title={told(row.problem ?? "")}>
          {tx("can’t be read: {0}", <bdi>{told(row.problem ?? "")}</bdi>)}
        </div>
      ) : (
        <>
          <div class="nnw-dim nnw-class" role="gridcell" title={row.class_name}>
            <bdi>{row.kind === "alias" ? t("same module") : row.kind === "cycle" ? t("cycle") : row.class_name}</bdi>
            {row.placement === undefined ? null : (
              <span class="nnw-placement" title={told(row.note ?? "")}>
                {row.placement}
              </span>
            )}
          </div>
          <div class="nnw-shape" role="gridcell" title={row.problem === null ? undefined : told(row.problem)}>
            <ShapeCell row={row} onPick={(member) => actions.pick(row, member, index)} onNavigate={actions.navigate} />
          </div>
          <div class="nnw-count" role="gridcell" aria-label={countName(row)}>
            <CountCell row={row} why={why} />
          </div>
          <div class="nnw-dim nnw-dtype" role="gridcell" title={row.dtype}>
            {row.dtype_short}
          </div>
          {Extra === null ? null : <Extra row={row} />}
        </>
      )}
      <div class="nnw-marks" role="gridcell">
        <MarksCell row={row} onFreeze={actions.freeze && (() => actions.freeze?.(row))} />
      </div>
    </div>
  );
}

const ROLE_WORDS = {
  parameter: word("parameter"),
  buffer: word("buffer"),
  unregistered: word("unregistered tensor"),
} as const;
const MOST_GUIDES = 24;

/** Vertical lines, one a level; very deep rows get a number instead of the first of them. */
function Guides({ count }: { readonly count: number }) {
  const shown = Math.min(count, MOST_GUIDES);
  return (
    <>
      {Array.from({ length: shown }, (_, level) => (
        <i key={level} />
      ))}
      {count > shown ? <span class="nnw-deep">+{count - shown}</span> : null}
    </>
  );
}

function leadGlyph(row: Row) {
  if (row.kind === "alias" || row.kind === "cycle") {
    return <Icon name={row.kind} />;
  }
  if (row.kind === "problem" || row.problem !== null) {
    return row.expandable ? <Icon name="chevron" /> : <Icon name="no" class="nnw-err" />;
  }
  return row.expandable ? <Icon name="chevron" /> : null;
}

function classes(row: Row, isLit: boolean): string {
  return [
    "nnw-row",
    row.kind === "tensor" ? "nnw-tensor" : "",
    row.kind === "alias" || row.kind === "cycle" || row.trace?.unused ? "nnw-off" : "",
    row.trace?.failed ? "nnw-failed" : "",
    row.matched ? "nnw-matched" : "",
    isLit ? "nnw-lit" : "",
  ]
    .filter(Boolean)
    .join(" ");
}

function countName(row: Row): string {
  if (row.n_params === null) {
    return row.kind === "tensor" && row.problem === null ? t("not known yet") : t("no parameters");
  }
  const isOfParameters = row.role === null || row.role === "parameter";
  const count = t(
    isOfParameters ? "{0} {0|parameter|parameters}" : "{0} {0|element|elements}",
    exactCount(row.n_params),
  );
  return row.counted ? count : t("{0}, already counted under an earlier name", count);
}

const DONE_MS = 1600;

/** Copies Python that gives this row's object. Shown on hover and on the row the keyboard is on. */
function CopyRow({ row, actions }: { readonly row: Row; readonly actions: RowActions }) {
  const [isDone, setDone] = useState(false);
  const copy = async (event: MouseEvent): Promise<void> => {
    event.stopPropagation();
    const button = event.currentTarget as HTMLElement;
    const code = await actions.code(row);
    if (code !== null && (await copyText(code, button))) {
      setDone(true);
      setTimeout(() => setDone(false), DONE_MS);
    }
  };
  return (
    <button
      type="button"
      class="nnw-icon-button nnw-copy-row"
      tabIndex={-1}
      aria-label={isDone ? t("Copied") : t("Copy as Python")}
      title={isDone ? t("Copied") : t("Copy as Python (c)")}
      onClick={copy}
    >
      <Icon name={isDone ? "check" : "copy"} />
    </button>
  );
}
