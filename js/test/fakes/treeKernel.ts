import type { Channel } from "../../src/protocol/client.ts";
import type { Bodies, FoldMember, Kind, OpenReply, Row, RowsReply } from "../../src/protocol/messages.ts";
import { inspectReply, statsReply } from "./inspectorClient.ts";

/** A part of a made-up model. */
export interface Part {
  readonly id: string;
  readonly path: string;
  readonly row: Partial<Row>;
  readonly children: readonly Part[];
}

export function tensor(path: string, row: Partial<Row> = {}): Part {
  return {
    id: `t:${path}`,
    path,
    row: { kind: "tensor", class_name: "Parameter", role: "parameter", shape: "2 × 2", n_params: 4, ...row },
    children: [],
  };
}

export function module(path: string, children: readonly Part[] = [], row: Partial<Row> = {}): Part {
  return { id: `m:${path}`, path, row: { kind: "module", class_name: "Block", n_params: 4, ...row }, children };
}

/** A run of like modules, shown as one row. */
export function fold(members: readonly Part[], row: Partial<Row> = {}): Part {
  const path = members[0]?.path ?? "";
  return {
    id: `f:${path}`,
    path,
    row: { kind: "fold", class_name: `${members.length} × Block`, ...row },
    children: members,
  };
}

/** `net`: an embedding tied to the head, four folded blocks, a head. */
export const NET = module("", [
  module("embed", [tensor("embed.weight", { tie: "A" })], { class_name: "Embedding", tie_inside: "A" }),
  fold(
    [0, 1, 2, 3].map((n) =>
      module(`h.${n}`, [module(`h.${n}.mlp`, [tensor(`h.${n}.mlp.weight`), tensor(`h.${n}.mlp.bias`)])]),
    ),
  ),
  module("head", [tensor("head.weight", { tie: "A", counted: false })], { class_name: "Linear", tie_inside: "A" }),
]);

type Asked = Pick<Bodies["rows"], "expanded" | "picked" | "unfolded" | "filter" | "chips">;

/** Answers as the kernel does, from a made-up model; in a test's own time where `isSlow`. */
export class TreeKernel implements Channel {
  readonly asked: { readonly kind: Kind; readonly id: string; readonly body: Record<string, unknown> }[] = [];
  readonly cancelled: string[] = [];
  isOpen = true;
  isSlow = false;
  generation = 1;
  model: Part;
  readonly #listeners = new Set<(message: unknown, buffers: DataView[]) => void>();
  #waiting: { readonly kind: Kind; readonly answer: () => void }[] = [];

  constructor(model: Part = NET) {
    this.model = model;
  }

  send(message: unknown): void {
    const { id, kind, body } = message as { id: string; kind: Kind; body: Record<string, unknown> };
    if (kind === "cancel") {
      this.cancelled.push(String(body.id));
      return;
    }
    this.asked.push({ id, kind, body });
    const answer = (): void => this.deliver({ v: 1, id, ...this.#answer(kind, body) });
    if (this.isSlow) {
      this.#waiting.push({ kind, answer });
    } else {
      queueMicrotask(answer);
    }
  }

  listen(listener: (message: unknown, buffers: DataView[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  isAlive(): boolean {
    return this.isOpen;
  }

  deliver(message: unknown): void {
    for (const listener of [...this.#listeners]) {
      listener(JSON.parse(JSON.stringify(message)), []);
    }
  }

  emit(event: string, body: object): void {
    this.deliver({ v: 1, event, body });
  }

  /** Answers what waits; of one kind, where it is named. */
  answerAll(only?: Kind): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ kind }) => only !== undefined && kind !== only);
    for (const { kind, answer } of waiting) {
      if (only === undefined || kind === only) {
        answer();
      }
    }
  }

  count(kind: Kind): number {
    return this.asked.filter((each) => each.kind === kind).length;
  }

  first(): OpenReply {
    const asked: Asked = { expanded: ["m:"], picked: {}, unfolded: [], filter: "", chips: [] };
    return {
      name: "net",
      class_name: "Net",
      totals: {
        n_params: 38_597_376,
        n_params_trainable: 38_597_376,
        n_params_torch: 38_597_380,
        size_bytes: 154_389_504,
        n_modules: 11,
        n_tensors: 10,
        why: "parameters() counts embed.weight twice.",
      },
      chips: { trainable: 10, frozen: 0, tied: 2, findings: 0, notes: 0 },
      rows: this.#rows(asked, 0, 40),
    };
  }

  /** A window of rows; all of them by default. */
  rows(asked: Asked, start = 0, count = Number.POSITIVE_INFINITY): RowsReply {
    return this.#rows(asked, start, count);
  }

  #answer(kind: Kind, body: Record<string, unknown>): object {
    const path = String(body.path ?? "");
    switch (kind) {
      case "open":
        return { ok: true, body: this.first() };
      case "rows":
        return { ok: true, body: this.#rows(body as unknown as Asked, Number(body.start), Number(body.count)) };
      case "locate":
        return this.#locate(path, body as unknown as Asked);
      case "inspect":
        return {
          ok: true,
          body: inspectReply({ path, code: [{ label: "It", code: `net(${path})` }], siblings: siblings(path) }),
        };
      case "stats":
        return { ok: true, body: statsReply() };
      case "ties": {
        const members = flat(this.model).filter((part) => part.row.tie === "A");
        const tied = members.map((part) => ({ path: part.path, shape: "2 × 2", how: "same object" }));
        return { ok: true, body: { ties: [{ id: "A", kind: "object", shared_bytes: 16, members: tied }] } };
      }
      case "findings":
        return { ok: true, body: { findings: [] } };
      default:
        return refusal("not-traced", "Not here.");
    }
  }

  #rows(asked: Asked, start: number, count: number): RowsReply {
    const lines = lay(this.model, asked);
    const matches = lines.filter(({ row }) => row.matched).length;
    return {
      generation: this.generation,
      total: lines.length,
      start,
      rows: lines.slice(start, start + count).map(({ row }) => row),
      expanded: asked.expanded ?? ["m:"],
      n_matches: matches,
      problem: asked.filter === '["' ? "A quote is not closed." : null,
      ruler: lines.flatMap(({ row }, index) =>
        row.tie === null ? [] : [{ index, tie: row.tie, severity: null, path: row.path }],
      ),
    };
  }

  #locate(path: string, asked: Asked): object {
    const trail = trailTo(this.model, path);
    const expanded = new Set(asked.expanded ?? []);
    const picked: Record<string, number> = { ...asked.picked };
    for (const [at, part] of trail.slice(0, -1).entries()) {
      expanded.add(part.id);
      if (part.row.kind === "fold") {
        picked[part.id] = part.children.indexOf(trail[at + 1] as Part);
      }
    }
    const settled = { ...asked, expanded: [...expanded].sort(), picked };
    const id = trail.at(-1)?.id;
    const index = lay(this.model, settled).findIndex(({ row }) => row.id === id);
    if (index < 0) {
      return refusal("path-not-found", `'${path}' is not among the rows shown.`);
    }
    return { ok: true, body: { index, id, expanded: settled.expanded, picked } };
  }
}

function refusal(code: string, message: string): object {
  return { ok: false, error: { code, message, path: null, hint: "Clear the filter to see it." } };
}

function flat(part: Part): Part[] {
  return [part, ...part.children.flatMap(flat)];
}

function trailTo(part: Part, path: string): Part[] {
  if (part.path === path && part.row.kind !== "fold") {
    return [part];
  }
  for (const child of part.children) {
    const below = trailTo(child, path);
    if (below.length > 0) {
      return [part, ...below];
    }
  }
  return [];
}

function siblings(path: string) {
  const [, index] = path.match(/^h\.(\d)/) ?? [];
  if (index === undefined) {
    return null;
  }
  const at = Number(index);
  const like = (to: number): string | null => (to < 0 || to > 3 ? null : path.replace(/^h\.\d/, `h.${to}`));
  return { label: `h.${at}`, index: at, count: 4, previous: like(at - 1), next: like(at + 1) };
}

function lay(model: Part, asked: Asked): { readonly row: Row }[] {
  const expanded = new Set(asked.expanded ?? ["m:"]);
  const isFiltered = asked.filter !== "" || asked.chips.length > 0;
  const isMatch = (part: Part): boolean =>
    part.row.kind !== "fold" &&
    (asked.filter === "" ? part.row.kind === "tensor" : part.path.includes(asked.filter)) &&
    (!asked.chips.includes("tied") || part.row.tie != null);
  const lines: { row: Row }[] = [];
  const visit = (part: Part, level: number, position: number, set_size: number): void => {
    if (isFiltered && !flat(part).some(isMatch)) {
      return;
    }
    const isFold = part.row.kind === "fold";
    if (!(isFiltered && isFold)) {
      const isOpen = part.children.length > 0 && (isFiltered || expanded.has(part.id));
      lines.push({
        row: rowOf(part, { level, position, set_size, expanded: isOpen, matched: isFiltered && isMatch(part) }, asked),
      });
      if (!isOpen) {
        return;
      }
    }
    const only = isFold && !isFiltered && !asked.unfolded.includes(part.id) ? (asked.picked[part.id] ?? 0) : null;
    for (const [at, child] of part.children.entries()) {
      if (only === null || at === only) {
        visit(child, level + 1, at + 1, part.children.length);
      }
    }
  };
  visit(model, 1, 1, 1);
  return lines;
}

function rowOf(part: Part, place: Partial<Row>, asked: Asked): Row {
  const members = part.row.kind === "fold" ? part.children : [];
  const cells = members.map(
    (child): FoldMember => ({ path: child.path, label: child.path, frozen: null, findings: 0, worst: null }),
  );
  return {
    id: part.id,
    kind: "module",
    level: 1,
    position: 1,
    set_size: 1,
    name: part.path === "" ? "net" : part.path.slice(part.path.lastIndexOf(".") + 1),
    path: part.path,
    class_name: "",
    shape: "",
    n_params: null,
    counted: true,
    share: 0,
    dtype: part.row.kind === "tensor" ? "float32" : "",
    dtype_short: part.row.kind === "tensor" ? "f32" : "",
    role: null,
    expandable: part.children.length > 0,
    expanded: false,
    tie: null,
    tie_inside: null,
    frozen: null,
    findings: null,
    findings_inside: 0,
    worst_inside: null,
    alias_of: null,
    problem: null,
    note: null,
    matched: false,
    trace: null,
    fold:
      part.row.kind === "fold"
        ? {
            count: cells.length,
            picked: asked.picked[part.id] ?? 0,
            picked_path: part.children[asked.picked[part.id] ?? 0]?.path ?? "",
            unfolded: asked.unfolded.includes(part.id),
            per_cell: 1,
            members: cells,
          }
        : null,
    ...part.row,
    ...place,
  };
}
