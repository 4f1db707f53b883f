import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { type Block, drawnRows, scrollToRow, topOf, useVirtualRows } from "../hooks/useVirtualRows.ts";
import { isModified, keyOf } from "../lib/keyEvents.ts";

interface VirtualListProps {
  readonly class: string;
  readonly label: string;
  readonly blocks: readonly Block[];
  readonly children: (index: number, top: number) => ComponentChildren;
  /** Hears which rows are in sight. */
  readonly onLook: (first: number, last: number) => void;
  /** Changes when the list is another one: it then shows from its first row. */
  readonly of: string;
}

/** A long list of which only the rows in sight are on the page. What is in a row has the focus, not the row. */
export function VirtualList({ class: extra, label, blocks, children, onLook, of }: VirtualListProps) {
  const frame = useRef<HTMLDivElement>(null);
  const sight = useVirtualRows(frame, blocks);
  useFromTheTop(frame, of);
  useEffect(() => onLook(sight.first, sight.last));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable.
    <div ref={frame} class={`nnw-list ${extra}`} role="list" aria-label={label} tabIndex={0}>
      <div role="presentation" style={{ height: `${sight.height}px` }}>
        {drawnRows(sight).map((index) => children(index, topOf(blocks, index)))}
      </div>
    </div>
  );
}

/** Stands in a list for a row that was asked for. */
export function WaitingRow({ top }: { readonly top: number }) {
  return (
    <div class="nnw-entry" role="listitem" aria-busy style={{ top: `${top}px` }}>
      <span class="nnw-bone" />
    </div>
  );
}

interface PickListProps extends VirtualListProps {
  readonly role: "listbox" | "tree";
  /** The row that the keyboard is on. */
  readonly active: number;
  readonly id: string;
  readonly total: number;
  readonly onActive: (index: number) => void;
  /** Enter or Space on the active row. */
  readonly onPick: (index: number) => void;
  /** Left and right on the active row; whether it was taken. */
  readonly onTurn?: (index: number, isOpen: boolean) => void;
}

const PAGE_ROWS = 10;

/** A long list that has the focus as a whole; arrows, Home and End move through it. */
export function PickList(props: PickListProps) {
  const { class: extra, label, blocks, children, onLook, of, role, active, id, total } = props;
  const frame = useRef<HTMLDivElement>(null);
  const sight = useVirtualRows(frame, blocks);
  useFromTheTop(frame, of);
  useEffect(() => onLook(sight.first, sight.last));
  const go = (index: number): void => {
    const to = Math.max(0, Math.min(total - 1, index));
    props.onActive(to);
    if (frame.current !== null) {
      scrollToRow(frame.current, blocks, to);
    }
  };
  const keys: Readonly<Record<string, () => void>> = {
    ArrowDown: () => go(active + 1),
    ArrowUp: () => go(active - 1),
    PageDown: () => go(active + PAGE_ROWS),
    PageUp: () => go(active - PAGE_ROWS),
    Home: () => go(0),
    End: () => go(total - 1),
    Enter: () => props.onPick(active),
    " ": () => props.onPick(active),
    ...(props.onTurn === undefined
      ? {}
      : { ArrowRight: () => props.onTurn?.(active, true), ArrowLeft: () => props.onTurn?.(active, false) }),
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: its role is that of the list it shows.
    // biome-ignore lint/a11y/useAriaPropsSupportedByRole: both roles have a label and an active row.
    <div
      ref={frame}
      class={`nnw-list ${extra}`}
      role={role}
      aria-label={label}
      tabIndex={0}
      aria-activedescendant={total > 0 ? `${id}-${active}` : undefined}
      onKeyDown={(event) => {
        const run = isModified(event) ? undefined : keys[keyOf(event)];
        if (run !== undefined && total > 0) {
          event.preventDefault();
          run();
        }
      }}
    >
      <div role="presentation" style={{ height: `${sight.height}px` }}>
        {drawnRows(sight, total > 0 ? active : undefined).map((index) => children(index, topOf(blocks, index)))}
      </div>
    </div>
  );
}

function useFromTheTop(frame: RefObject<HTMLElement | null>, of: string): void {
  useLayoutEffect(() => {
    if (frame.current !== null) {
      frame.current.scrollTop = 0;
    }
  }, [of, frame]);
}
