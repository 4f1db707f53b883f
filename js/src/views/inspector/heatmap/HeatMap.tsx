import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { Icon } from "../../../components/Icon.tsx";
import { ErrorNote } from "../../../components/Note.tsx";
import { Section } from "../../../components/Section.tsx";
import { useWidth } from "../../../hooks/useWidth.ts";
import { t } from "../../../i18n/translate.ts";
import { rampBackground, specialColors, type Theme } from "../../../lib/colormap.ts";
import { exactCount, floatText } from "../../../lib/format.ts";
import { isWholeWindow, tensorIndex, wholeWindow, zoomWindow } from "../../../lib/matrixView.ts";
import type { Client } from "../../../protocol/client.ts";
import type { Of, ValuesReply } from "../../../protocol/messages.ts";
import { useEditing } from "../../edit/editingContext.ts";
import { useRanks } from "../../ranks/ranksContext.ts";
import { HeatCanvas } from "./HeatCanvas.tsx";
import { isFull } from "./tile.ts";
import { type HeatMapState, type PrefetchedValues, useHeatMap } from "./useHeatMap.ts";
import { ValueTable } from "./ValueTable.tsx";

interface HeatMapProps {
  readonly client: Client;
  readonly path: string;
  readonly shape: readonly number[] | null;
  readonly hasGrad: boolean;
  readonly generation: number;
  readonly alive: boolean;
  readonly theme: Theme;
  readonly along: PrefetchedValues;
}

const TALLEST = 190;
const TABLE_ROWS = 4;
const TABLE_CELL = 49;
const LEAST_CELL = 41;
const TABLE_AXIS = 32;
const ZOOM = 2;

/** The tensor as a picture that zooms into real numbers. */
export function HeatMap({ client, path, shape, hasGrad, generation, alive, theme, along }: HeatMapProps) {
  const [wantsGrad, setWantsGrad] = useState(false);
  const of: Of = wantsGrad && hasGrad ? "grad" : "value";
  const frame = useRef<HTMLDivElement | null>(null);
  const width = useWidth(frame, 378);
  const density = globalThis.devicePixelRatio || 1;
  const tableColumns = columnsFor(width, shape);
  const [isFullRange, setFullRange] = useState(false);
  const heat = useHeatMap({
    client,
    path,
    of,
    generation,
    alive,
    theme,
    shape,
    maxRows: Math.ceil(TALLEST * density),
    maxColumns: Math.ceil(width * density),
    tableRows: TABLE_ROWS,
    tableColumns,
    isFullRange,
    along,
  });
  const editing = useEditing();
  const Borders = useRanks()?.part?.Borders;
  const { about, size, view, focus, error, fitsTable } = heat;
  const isEmpty = about !== null && (size.rows === 0 || size.columns === 0);
  const height = Math.min(
    TALLEST,
    Math.max(lowest(size.rows), Math.round((width * size.rows) / Math.max(1, size.columns))),
  );
  const isSingle = size.rows === 1 && size.columns === 1;
  return (
    <Section
      title={isSingle ? t("Value") : fitsTable ? t("Numbers") : t("Heat map")}
      caption={about === null || isEmpty || isSingle ? null : <span aria-live="polite">{placeText(about, heat)}</span>}
      tools={
        about === null || isEmpty || isSingle ? null : (
          <>
            {heat.largest > Number(about.scale) ? (
              <button
                type="button"
                class="nnw-button-tiny"
                aria-pressed={isFullRange}
                title={t("Colours up to the largest magnitude, {0}", floatText(heat.largest))}
                onClick={() => setFullRange(!isFullRange)}
              >
                {t("full range")}
              </button>
            ) : null}
            <Legend heat={heat} theme={theme} />
          </>
        )
      }
      isStale={about !== null && !heat.isCurrent && error === null}
    >
      <div ref={frame}>
        {about === null && error === null ? <div class="nnw-skeleton nnw-skeleton-map" aria-hidden="true" /> : null}
        {isEmpty ? <p class="nnw-dim nnw-quiet">{t("No values: the tensor is empty.")}</p> : null}
        {about === null || isEmpty ? null : (
          <>
            {fitsTable ? null : (
              <HeatCanvas
                pictures={heat.pictures}
                size={size}
                view={view}
                focus={focus}
                theme={theme}
                width={width}
                height={height}
                label={pictureLabel(of, about, heat)}
                onFocus={heat.setFocus}
                onView={heat.setView}
              >
                {Borders === undefined ? null : <Borders {...{ about, view, width, height }} />}
              </HeatCanvas>
            )}
            {fitsTable && !hasGrad ? null : (
              <Controls heat={heat} hasZoom={!fitsTable}>
                {hasGrad ? <Switch of={of} onChange={(next) => setWantsGrad(next === "grad")} /> : null}
              </Controls>
            )}
            <ValueTable
              window={heat.tableWindow}
              columnsPerLine={tableColumns}
              size={size}
              tile={heat.tableTile}
              isStale={!heat.isTableCurrent}
              focus={focus}
              limit={heat.limit}
              theme={theme}
              onFocus={heat.setFocus}
              onSet={
                editing === null || editing.silent !== null || of === "grad" || !alive
                  ? null
                  : (cell) => async (value) => {
                      const index = tensorIndex(cell, about.shape, about.row_axes, about.column_axes);
                      return (await editing.changes.assign({ path, index, value })).warnings;
                    }
              }
            />
          </>
        )}
      </div>
      {error === null ? null : (
        <ErrorNote
          error={error}
          path={path}
          what={of === "grad" ? t("The gradient can’t be read now.") : t("Values can’t be read now.")}
          alive={alive}
          onRetry={heat.retry}
        />
      )}
    </Section>
  );
}

/** How many numbers stand side by side; a row of a few more is written as one, and a longer one on lines of a length. */
function columnsFor(width: number, shape: readonly number[] | null): number {
  const room = Math.max(3, Math.min(16, Math.floor((width - TABLE_AXIS) / TABLE_CELL)));
  const n = (shape ?? []).reduce((product, size) => product * size, 1);
  const isLine = shape !== null && shape.filter((size) => size !== 1).length === 1;
  if (!isLine || n > TABLE_ROWS * room) {
    return room;
  }
  const fits = Math.floor((width - TABLE_AXIS) / LEAST_CELL);
  return n <= fits ? n : Math.ceil(n / Math.ceil(n / room));
}

/** Few rows are drawn taller than they are wide, so that they can be seen and pointed at. */
function lowest(rows: number): number {
  return Math.min(95, Math.max(28, rows * 4));
}

/** Which element is in focus, in words for a matrix and as an index for more dimensions. */
function placeText(about: ValuesReply, { focus }: HeatMapState): string {
  if (about.shape.length === 1) {
    return t("index {0}", focus.row === 0 ? focus.column : focus.row);
  }
  if (about.shape.length === 2 && about.row_axes[0] === 0) {
    return t("row {0}, column {1}", focus.row, focus.column);
  }
  return `[${tensorIndex(focus, about.shape, about.row_axes, about.column_axes).join(", ")}]`;
}

function axesText(axes: readonly number[]): string {
  return axes.length === 0 ? t("none") : t(axes.length === 1 ? "axis {0}" : "axes {0}", axes.join(", "));
}

function pictureLabel(of: Of, about: ValuesReply, heat: HeatMapState): string {
  const { size, focus, tableTile, isTableCurrent, limit } = heat;
  const axes =
    about.shape.length > 2
      ? t("Rows are {0}, columns {1}.", axesText(about.row_axes), axesText(about.column_axes))
      : "";
  const text = tableTile?.texts?.[focus.row - tableTile.window.row]?.[focus.column - tableTile.window.column];
  const value =
    text === undefined || !isTableCurrent ? "" : t("At row {0}, column {1}: {2}.", focus.row, focus.column, text);
  const what = t(
    of === "grad"
      ? "Heat map of the gradient, {0} {0|row|rows} by {1} {1|column|columns}, scaled to plus or minus {2}."
      : "Heat map of the values, {0} {0|row|rows} by {1} {1|column|columns}, scaled to plus or minus {2}.",
    size.rows,
    size.columns,
    floatText(limit, 2),
  );
  return [what, axes, value, t("Arrows move, plus and minus zoom.")].filter(Boolean).join(" ");
}

function Legend({ heat, theme }: { readonly heat: HeatMapState; readonly theme: Theme }) {
  const limit = floatText(heat.pictures.at(-1)?.limit ?? heat.limit, 2);
  const nan = heat.pictures.some((picture) => picture.nan > 0);
  const infinite = heat.pictures.some((picture) => picture.infinite > 0);
  const colors = specialColors(theme);
  return (
    <span class="nnw-legend">
      {nan ? <Special color={colors.nan} name="NaN" /> : null}
      {infinite ? <Special color={colors.infinite} name="inf" /> : null}
      <span class="nnw-dim">−{limit}</span>
      <i class="nnw-ramp" style={{ background: rampBackground(theme) }} />
      <span class="nnw-dim">{limit}</span>
    </span>
  );
}

function Special({ color, name }: { readonly color: string; readonly name: string }) {
  return (
    <span class="nnw-special">
      <i style={{ background: color }} />
      {name}
    </span>
  );
}

function Switch({ of, onChange }: { readonly of: Of; readonly onChange: (of: Of) => void }) {
  const option = (value: Of, words: string) => (
    <button type="button" aria-pressed={of === value} onClick={() => onChange(value)}>
      {words}
    </button>
  );
  return (
    <span class="nnw-switch" role="group" aria-label={t("Heat map of")}>
      {option("value", t("values"))}
      {option("grad", t("gradient"))}
    </span>
  );
}

interface ControlsProps {
  readonly heat: HeatMapState;
  readonly hasZoom: boolean;
  readonly children: ComponentChildren;
}

function Controls({ heat, hasZoom, children }: ControlsProps) {
  const { view, size, focus } = heat;
  const isOut = isWholeWindow(view, size);
  const zoom = (factor: number): void =>
    heat.setView(
      zoomWindow(
        view,
        size,
        factor,
        (focus.column + 0.5 - view.column) / view.columns,
        (focus.row + 0.5 - view.row) / view.rows,
      ),
    );
  const isIn =
    zoomWindow(view, size, ZOOM, 0.5, 0.5).columns === view.columns &&
    zoomWindow(view, size, ZOOM, 0.5, 0.5).rows === view.rows;
  return (
    <div class="nnw-map-controls">
      {children}
      {hasZoom ? (
        <>
          <span class="nnw-dim nnw-range nnw-ellipsis" title={isOut ? undefined : t("Rows × columns in sight")}>
            {isOut ? wholeNote(heat) : rangeText(heat)}
          </span>
          <ZoomButton icon="minus" label={t("Zoom out (−)")} disabled={isOut} onClick={() => zoom(1 / ZOOM)} />
          <ZoomButton icon="plus" label={t("Zoom in (+)")} disabled={isIn} onClick={() => zoom(ZOOM)} />
          <ZoomButton
            icon="fit"
            label={t("Whole tensor (0)")}
            disabled={isOut}
            onClick={() => heat.setView(wholeWindow(size))}
          />
        </>
      ) : null}
    </div>
  );
}

/** What a cell of the whole picture stands for, and which dimensions run along it. */
function wholeNote({ about, pictures }: HeatMapState): string {
  const tile = pictures[0]?.tile;
  const notes = [
    about !== null && about.shape.length > 2
      ? t("rows {0}, columns {1}", axesText(about.row_axes), axesText(about.column_axes))
      : "",
    tile !== undefined && !isFull(tile) ? t("largest of each {0} × {1}", tile.rowStep, tile.columnStep) : "",
  ];
  return notes.filter((note) => note !== "").join(" · ");
}

function rangeText({ view, size }: HeatMapState): string {
  const span = (from: number, count: number): string =>
    `${exactCount(Math.floor(from))}–${exactCount(Math.ceil(from + count) - 1)}`;
  const columns = span(view.column, view.columns);
  return size.rows === 1 ? columns : t("rows {0} × {1}", span(view.row, view.rows), columns);
}

interface ZoomButtonProps {
  readonly icon: "plus" | "minus" | "fit";
  readonly label: string;
  readonly disabled: boolean;
  readonly onClick: () => void;
}

function ZoomButton({ icon, label, disabled, onClick }: ZoomButtonProps) {
  return (
    <button
      type="button"
      class="nnw-icon-button"
      aria-label={label}
      title={label}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
