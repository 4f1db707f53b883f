import type { Row } from "../../protocol/messages.ts";
import type { Turn } from "../../state/changesStore.ts";
import type { Command } from "../../state/tree/keymap.ts";
import type { TreeState } from "../../state/tree/treeState.ts";

/** What commands can do; the grid supplies it. */
export interface Handlers {
  readonly move: (index: number) => void;
  readonly pageRows: number;
  readonly setOpen: (row: Row, isOpen: boolean, index: number) => void;
  readonly unfold: (row: Row) => void;
  readonly inspect: () => void;
  readonly filter: () => void;
  readonly step: (step: -1 | 1) => void;
  readonly nextTied: (row: Row) => unknown;
  readonly copy: (row: Row) => unknown;
  readonly freeze: (row: Row) => void;
  readonly turn: (turn: Turn) => void;
  readonly help: () => void;
}

/** Carries out a command on the active row. */
export function runCommand(command: Command, state: TreeState, handlers: Handlers): void {
  const { active } = state;
  const row = state.rows.get(active);
  const target = targetOf(command, state, handlers.pageRows);
  if (target !== null) {
    handlers.move(target);
    return;
  }
  switch (command) {
    case "inspect":
      handlers.inspect();
      return;
    case "filter":
      handlers.filter();
      return;
    case "previousMember":
      handlers.step(-1);
      return;
    case "nextMember":
      handlers.step(1);
      return;
    case "undo":
    case "redo":
      handlers.turn(command);
      return;
    case "help":
      handlers.help();
      return;
  }
  if (row === undefined) {
    return;
  }
  switch (command) {
    case "openOrChild":
      if (row.expandable && !row.expanded) {
        handlers.setOpen(row, true, active);
      } else if (row.expanded) {
        handlers.move(active + 1);
      }
      return;
    case "closeOrParent":
      // The rows above a match stay open whatever is asked.
      if (row.expanded && state.question.expanded?.includes(row.id)) {
        handlers.setOpen(row, false, active);
      } else {
        handlers.move(parentOf(state, active, row.level));
      }
      return;
    case "unfold":
      if (row.fold !== null) {
        handlers.unfold(row);
      }
      return;
    case "nextTied":
      handlers.nextTied(row);
      return;
    case "copy":
      handlers.copy(row);
      return;
    case "freeze":
      handlers.freeze(row);
      return;
  }
}

/** Where a command that moves goes; null for one that doesn't. */
function targetOf(command: Command, { active, total }: TreeState, pageRows: number): number | null {
  switch (command) {
    case "down":
      return active + 1;
    case "up":
      return active - 1;
    case "first":
      return 0;
    case "last":
      return total - 1;
    case "pageDown":
      return active + pageRows;
    case "pageUp":
      return active - pageRows;
    default:
      return null;
  }
}

/** The nearest known row above that is a level up. */
function parentOf(state: TreeState, index: number, level: number): number {
  for (let above = index - 1; above >= 0; above -= 1) {
    const row = state.rows.get(above);
    if (row === undefined || row.level < level) {
      return above;
    }
  }
  return index;
}
