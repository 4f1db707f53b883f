import type { Chip, OpenReply, Row, RowsReply, RulerMark } from "../../protocol/messages.ts";

/** Which rows there should be: what the page asks the kernel to flatten. */
export interface Question {
  /** Ids of open rows; null lets the kernel choose. */
  readonly expanded: readonly string[] | null;
  /** For each fold, the member shown. */
  readonly picked: Readonly<Record<string, number>>;
  /** Folds opened as all their members. */
  readonly unfolded: readonly string[];
  readonly filter: string;
  readonly chips: readonly Chip[];
}

/** What the tree shows. Rows are known by index, as far as they were asked for. */
export interface TreeState {
  readonly question: Question;
  readonly total: number;
  readonly rows: ReadonlyMap<number, Row>;
  readonly ruler: readonly RulerMark[];
  readonly nMatches: number;
  /** Why the filter can't be read. */
  readonly problem: string | null;
  readonly generation: number;
  /** Row id of the selection, and its path: two rows can share a path (a fold and its first member). */
  readonly selectedId: string;
  readonly selectedPath: string;
  /** The row that the keyboard is on. */
  readonly active: number;
  /** The row last asked to be brought into sight; `turn` goes up each time. */
  readonly reveal: { readonly index: number; readonly turn: number };
  /** What glows: a tie group's letter, or single paths. */
  readonly glow: { readonly tie: string | null; readonly paths: ReadonlySet<string> };
}

export type Action =
  | { readonly type: "answered"; readonly question: Question; readonly reply: RowsReply }
  | { readonly type: "selected"; readonly id: string; readonly path: string; readonly index: number }
  | { readonly type: "moved"; readonly index: number }
  | { readonly type: "revealed"; readonly index: number }
  | { readonly type: "glowed"; readonly tie?: string | null; readonly paths?: readonly string[] | null };

export const NO_FILTER: Question = { expanded: null, picked: {}, unfolded: [], filter: "", chips: [] };
const NO_GLOW = { tie: null, paths: new Set<string>() };
const MOST_KEPT_ROWS = 4_000;

/** The state a view starts with, from what came with the widget. */
export function initialState(first: OpenReply): TreeState {
  const start: TreeState = {
    question: NO_FILTER,
    total: 0,
    rows: new Map(),
    ruler: [],
    nMatches: 0,
    problem: null,
    generation: 0,
    selectedId: "m:",
    selectedPath: "",
    active: 0,
    reveal: { index: 0, turn: 0 },
    glow: NO_GLOW,
  };
  return reduce(start, { type: "answered", question: NO_FILTER, reply: first.rows });
}

export function reduce(state: TreeState, action: Action): TreeState {
  switch (action.type) {
    case "answered":
      return reduceAnswer(state, action.question, action.reply);
    case "selected":
      return { ...state, selectedId: action.id, selectedPath: action.path, active: action.index };
    case "moved": {
      const active = Math.max(0, Math.min(action.index, state.total - 1));
      return active === state.active ? state : { ...state, active };
    }
    case "revealed":
      return { ...state, reveal: { index: action.index, turn: state.reveal.turn + 1 } };
    case "glowed": {
      const tie = action.tie ?? null;
      const paths = action.paths ?? [];
      if (tie === state.glow.tie && paths.length === 0 && state.glow.paths.size === 0) {
        return state;
      }
      return { ...state, glow: { tie, paths: new Set(paths) } };
    }
  }
}

function reduceAnswer(state: TreeState, question: Question, reply: RowsReply): TreeState {
  // What the kernel says is open becomes the question, so that the next window asks the same.
  const settled = { ...question, expanded: reply.expanded };
  const isSame =
    sameQuestion(state.question, settled) && state.total === reply.total && state.generation === reply.generation;
  const rows = new Map(isSame && state.rows.size < MOST_KEPT_ROWS ? state.rows : []);
  for (const [offset, row] of reply.rows.entries()) {
    rows.set(reply.start + offset, row);
  }
  const kept = isSame ? state.active : activeRow(state, reply);
  return {
    ...state,
    question: isSame ? state.question : settled,
    total: reply.total,
    rows,
    ruler: reply.ruler,
    nMatches: reply.n_matches,
    problem: reply.problem,
    generation: reply.generation,
    active: Math.max(0, Math.min(kept, reply.total - 1)),
  };
}

/** Where the row that the keyboard was on has gone; the same place where it can't be told. */
function activeRow(state: TreeState, reply: RowsReply): number {
  const id = state.rows.get(state.active)?.id;
  const offset = reply.rows.findIndex((row) => row.id === id);
  return offset < 0 ? state.active : reply.start + offset;
}

export function sameQuestion(a: Question, b: Question): boolean {
  return (
    a === b ||
    (a.filter === b.filter &&
      sameList(a.expanded, b.expanded) &&
      sameList(a.unfolded, b.unfolded) &&
      sameList(a.chips, b.chips) &&
      sameRecord(a.picked, b.picked))
  );
}

function sameList(a: readonly string[] | null, b: readonly string[] | null): boolean {
  return a === b || (a !== null && b !== null && a.length === b.length && a.every((item, at) => item === b[at]));
}

function sameRecord(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

/** The path that a row stands for: a fold's is that of the member it shows. */
export function pathOf(row: Row): string {
  return row.fold?.picked_path ?? row.path;
}

/** `path` with the module `from` above it replaced by `to`; null where it isn't below `from`. */
export function replaceAncestor(path: string, from: string, to: string): string | null {
  const rest = path.slice(from.length);
  return path.startsWith(from) && (rest === "" || rest.startsWith(".") || rest.startsWith("[")) ? to + rest : null;
}

/** The ids of the rows that stand for paths: each one's own, or else the innermost row that it is within. */
export function rowsOf(rows: ReadonlyMap<number, Row>, paths: ReadonlySet<string>): ReadonlySet<string> {
  const found = new Set<string>();
  for (const path of paths) {
    let best: { readonly id: string; readonly length: number } | null = null;
    for (const row of rows.values()) {
      for (const at of row.fold === null ? [row.path] : row.fold.members.map((member) => member.path)) {
        // Of a fold and the member that it shows, which comes after it, the member.
        if (replaceAncestor(path, at, "") !== null && at.length >= (best?.length ?? 0)) {
          best = { id: row.id, length: at.length };
        }
      }
    }
    if (best !== null) {
      found.add(best.id);
    }
  }
  return found;
}

/** The first row that the filter asks for, or the first row. */
export function firstMatch(state: TreeState): number {
  let first = Number.POSITIVE_INFINITY;
  for (const [index, row] of state.rows) {
    if (row.matched && index < first) {
      first = index;
    }
  }
  return Number.isFinite(first) ? first : 0;
}

// ---- questions that follow from one another ----

export function withOpen(question: Question, id: string, isOpen: boolean): Question {
  const expanded = (question.expanded ?? []).filter((other) => other !== id);
  return { ...question, expanded: isOpen ? [...expanded, id].sort() : expanded };
}

export function withPicked(question: Question, fold: string, member: number): Question {
  return withOpen(
    {
      ...question,
      picked: { ...question.picked, [fold]: member },
      unfolded: question.unfolded.filter((id) => id !== fold),
    },
    fold,
    true,
  );
}

export function withUnfolded(question: Question, fold: string, isUnfolded: boolean): Question {
  const unfolded = question.unfolded.filter((id) => id !== fold);
  return withOpen({ ...question, unfolded: isUnfolded ? [...unfolded, fold] : unfolded }, fold, true);
}

export function withFilter(question: Question, filter: string): Question {
  return { ...question, filter };
}

export function withChip(question: Question, chip: Chip): Question {
  const chips = question.chips.includes(chip)
    ? question.chips.filter((other) => other !== chip)
    : [...question.chips, chip];
  return { ...question, chips };
}

export function isFiltered({ filter, chips }: Question): boolean {
  return filter.trim() !== "" || chips.length > 0;
}
