import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Theme } from "../../../lib/colormap.ts";
import { consumeEvent, isModified } from "../../../lib/keyEvents.ts";
import {
  type Cell,
  clampCell,
  isWholeWindow,
  type Size,
  type Window,
  wholeWindow,
  zoomWindow,
} from "../../../lib/matrixView.ts";
import { draw, type Picture } from "./tile.ts";

interface HeatCanvasProps {
  readonly pictures: readonly Picture[];
  readonly size: Size;
  readonly view: Window;
  readonly focus: Cell;
  readonly theme: Theme;
  readonly label: string;
  /** In CSS pixels. */
  readonly width: number;
  readonly height: number;
  readonly onFocus: (cell: Cell) => void;
  readonly onView: (view: Window) => void;
  /** Lies over the picture. */
  readonly children?: ComponentChildren;
}

const ZOOM = 2;
/** Cells moved by the arrows while Shift is held. */
const LEAP = 10;
const SMALLEST_MARK = 8;

/** The picture one points at: click, drag or arrows move the cell in focus; wheel, + and − zoom about it. */
export function HeatCanvas(props: HeatCanvasProps) {
  const { pictures, size, view, focus, theme, label, width, height, onFocus, onView, children } = props;
  const canvas = useRef<HTMLCanvasElement | null>(null);
  const live = useRef(props);
  live.current = props;
  const density = globalThis.devicePixelRatio || 1;

  useLayoutEffect(() => {
    if (canvas.current !== null) {
      draw(canvas.current, pictures, view, theme);
    }
  }, [pictures, view, theme, width, height, density]);

  useEffect(() => {
    const target = canvas.current;
    const onWheel = (event: WheelEvent): void => zoomByWheel(event, live.current);
    target?.addEventListener("wheel", onWheel, { passive: false });
    return () => target?.removeEventListener("wheel", onWheel);
  }, []);

  const toPointer = (event: PointerEvent): void => onFocus(cellAt(event, view, size));
  const onKeyDown = (event: KeyboardEvent): void => {
    const next = moveByKey(event, focus, view, size);
    if (next === null) {
      return;
    }
    consumeEvent(event);
    if ("rows" in next) {
      onView(next);
    } else {
      onFocus(clampCell(next, size));
    }
  };
  return (
    <div class="nnw-map">
      <canvas
        ref={canvas}
        width={Math.max(1, Math.round(width * density))}
        height={Math.max(1, Math.round(height * density))}
        style={{ height: `${height}px` }}
        role="img"
        aria-label={label}
        tabIndex={0}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          toPointer(event);
        }}
        onPointerMove={(event) => {
          if (event.buttons === 1) {
            toPointer(event);
          }
        }}
        onDblClick={(event) => {
          const [x, y] = share(event);
          onView(zoomWindow(view, size, ZOOM * ZOOM, x, y));
        }}
        onKeyDown={onKeyDown}
      />
      {children}
      <Mark focus={focus} view={view} width={width} height={height} />
    </div>
  );
}

/** Where the pointer is, as shares of the picture's width and height. */
function share(event: MouseEvent): [number, number] {
  const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
  const inside = (value: number): number => Math.max(0, Math.min(1, value));
  return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
}

function cellAt(event: PointerEvent, view: Window, size: Size): Cell {
  const [x, y] = share(event);
  return clampCell(
    { row: Math.floor(view.row + y * view.rows), column: Math.floor(view.column + x * view.columns) },
    size,
  );
}

/** The wheel zooms once the picture has the focus, or with Ctrl; else it scrolls the panel as everywhere. */
function zoomByWheel(event: WheelEvent, { view, size, onView }: HeatCanvasProps): void {
  const target = event.currentTarget as HTMLElement;
  const root = target.getRootNode() as Document | ShadowRoot;
  if (!event.ctrlKey && root.activeElement !== target) {
    return;
  }
  if (event.deltaY > 0 && isWholeWindow(view, size)) {
    return;
  }
  consumeEvent(event);
  const [x, y] = share(event);
  const notches = event.deltaMode === 0 ? event.deltaY / 120 : event.deltaY / 3;
  onView(zoomWindow(view, size, 1.5 ** -Math.max(-2, Math.min(2, notches)), x, y));
}

function moveByKey(event: KeyboardEvent, focus: Cell, view: Window, size: Size): Cell | Window | null {
  if (isModified(event)) {
    return null;
  }
  const step = event.shiftKey ? LEAP : 1;
  const x = (focus.column + 0.5 - view.column) / view.columns;
  const y = (focus.row + 0.5 - view.row) / view.rows;
  switch (event.key) {
    case "ArrowLeft":
      return { ...focus, column: focus.column - step };
    case "ArrowRight":
      return { ...focus, column: focus.column + step };
    case "ArrowUp":
      return { ...focus, row: focus.row - step };
    case "ArrowDown":
      return { ...focus, row: focus.row + step };
    case "Home":
      return { ...focus, column: 0 };
    case "End":
      return { ...focus, column: size.columns - 1 };
    case "PageUp":
      return { ...focus, row: focus.row - Math.max(1, Math.round(view.rows / 4)) };
    case "PageDown":
      return { ...focus, row: focus.row + Math.max(1, Math.round(view.rows / 4)) };
    case "+":
    case "=":
      return zoomWindow(view, size, ZOOM, x, y);
    case "-":
    case "_":
      return zoomWindow(view, size, 1 / ZOOM, x, y);
    case "0":
      return wholeWindow(size);
    default:
      return null;
  }
}

interface MarkProps {
  readonly focus: Cell;
  readonly view: Window;
  readonly width: number;
  readonly height: number;
}

/** A box round the cell in focus, never too small to see. */
function Mark({ focus, view, width, height }: MarkProps) {
  const across = width / view.columns;
  const down = height / view.rows;
  const x = (focus.column + 0.5 - view.column) * across;
  const y = (focus.row + 0.5 - view.row) * down;
  if (x < 0 || y < 0 || x > width || y > height) {
    return null;
  }
  const wide = Math.max(SMALLEST_MARK, across);
  const high = Math.max(SMALLEST_MARK, down);
  const left = Math.max(0, Math.min(width - wide, x - wide / 2));
  const top = Math.max(0, Math.min(height - high, y - high / 2));
  return (
    <i
      class="nnw-crosshair"
      aria-hidden="true"
      style={{ left: `${left}px`, top: `${top}px`, width: `${wide}px`, height: `${high}px` }}
    />
  );
}
