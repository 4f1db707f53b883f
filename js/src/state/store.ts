import { type Client, WireFault } from "../protocol/client.ts";
import type { Chip, ErrorCode, LocateReply, OpenReply, Row, TieBody } from "../protocol/messages.ts";
import {
  type Action,
  opened,
  type Question,
  reduce,
  sameQuestion,
  type TreeState,
  withChip,
  withFilter,
  withOpen,
  withPicked,
  withUnfolded,
} from "./tree.ts";

const WINDOW_ROWS = 120;
const MARGIN_ROWS = 40;

/** What went wrong, ready to show. */
export interface Trouble {
  readonly code: ErrorCode | string;
  readonly message: string;
  readonly hint: string;
}

/** Holds the tree's state, asks the kernel for what it lacks, and tells who listens. */
export class TreeStore {
  readonly #client: Client;
  readonly #listeners = new Set<() => void>();
  #state: TreeState;
  #open: OpenReply;
  #asked: Question;
  #asking: AbortController | null = null;
  #window: { start: number; stop: number; request: AbortController } | null = null;
  #sight = { first: 0, last: 60 };
  #ties: { generation: number; groups: readonly TieBody[] } | null = null;
  /** Goes up when values may have changed: what is shown of them is read again. */
  valuesGeneration = 0;
  trouble: Trouble | null = null;
  nPending = 0;
  /** Rows to bring into sight, once. */
  onReveal: (index: number) => void = () => undefined;

  constructor(client: Client, first: OpenReply) {
    this.#client = client;
    this.#open = first;
    this.#state = opened(first);
    this.#asked = this.#state.question;
  }

  get state(): TreeState {
    return this.#state;
  }

  /** Totals and counts of the whole model. */
  get open(): OpenReply {
    return this.#open;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dispatch(action: Action): void {
    const next = reduce(this.#state, action);
    if (next !== this.#state) {
      this.#state = next;
      this.#tell();
    }
  }

  // ---- what the user does ----

  setOpen(row: Row, isOpen: boolean): void {
    if (row.expandable && row.expanded !== isOpen) {
      void this.#ask(withOpen(this.#asked, row.id, isOpen));
    }
  }

  pick(fold: Row, member: number): Promise<void> {
    return this.#ask(withPicked(this.#asked, fold.id, member));
  }

  unfold(fold: Row): void {
    if (fold.fold !== null) {
      void this.#ask(withUnfolded(this.#asked, fold.id, !fold.fold.unfolded));
    }
  }

  setFilter(text: string): void {
    if (text !== this.#asked.filter) {
      this.#sight = { first: 0, last: 60 };
      void this.#ask(withFilter({ ...this.#asked, expanded: null }, text));
    }
  }

  toggleChip(chip: Chip): void {
    this.#sight = { first: 0, last: 60 };
    void this.#ask(withChip({ ...this.#asked, expanded: null }, chip));
  }

  /** Says which rows are in sight; those not yet known are asked for. */
  look(first: number, last: number): void {
    this.#sight = { first, last };
    if (this.#asking === null) {
      void this.#fill();
    }
  }

  /** Opens what hides a path, selects its row and brings it into sight. */
  async reveal(path: string): Promise<void> {
    const known = [...this.#state.rows].find(([, row]) => row.path === path && row.kind !== "fold");
    if (known !== undefined) {
      const [index, row] = known;
      this.dispatch({ type: "selected", id: row.id, path, index });
      this.onReveal(index);
      return;
    }
    const located = await this.#request<LocateReply>((signal) => {
      const { expanded, picked, unfolded, filter, chips } = this.#asked;
      return this.#client.request("locate", { path, expanded, picked, unfolded, filter, chips }, { signal });
    });
    if (located === null) {
      return;
    }
    const { index, id, expanded, picked } = located;
    this.#sight = { first: Math.max(0, index - 20), last: index + 40 };
    await this.#ask({ ...this.#asked, expanded, picked });
    this.dispatch({ type: "selected", id, path, index });
    this.onReveal(index);
  }

  /** The next member of a tie group after `path`, in walk order, around the corner; null where there is none. */
  async nextTied(path: string, letter: string): Promise<string | null> {
    if (this.#ties === null || this.#ties.generation !== this.#state.generation) {
      const reply = await this.#request((signal) => this.#client.request("ties", {}, { signal }));
      if (reply === null) {
        return null;
      }
      this.#ties = { generation: this.#state.generation, groups: reply.ties };
    }
    const members = this.#ties.groups.find((group) => group.id === letter)?.members ?? [];
    const at = members.findIndex((member) => member.path === path);
    return members[(at + 1) % Math.max(1, members.length)]?.path ?? null;
  }

  /** Reads rows and totals again: the model may have changed. */
  async refresh(isStructure: boolean): Promise<void> {
    this.valuesGeneration += 1;
    this.#tell();
    if (!isStructure) {
      return;
    }
    const open = await this.#request((signal) => this.#client.request("open", {}, { signal }));
    if (open !== null) {
      this.#open = open;
      await this.#ask(this.#asked);
    }
  }

  /** Tries again what failed. */
  retry(): void {
    this.trouble = null;
    void this.#ask(this.#asked);
  }

  dispose(): void {
    this.#asking?.abort();
    this.#window?.request.abort();
    this.#listeners.clear();
  }

  // ---- asking ----

  async #ask(question: Question): Promise<void> {
    this.#asking?.abort();
    this.#window?.request.abort();
    this.#window = null;
    const asking = new AbortController();
    this.#asking = asking;
    this.#asked = question;
    const start = Math.max(0, this.#sight.first - MARGIN_ROWS);
    const reply = await this.#request(
      (signal) => this.#client.request("rows", { ...question, start, count: WINDOW_ROWS }, { signal }),
      asking,
    );
    if (this.#asking !== asking) {
      return;
    }
    this.#asking = null;
    if (reply !== null) {
      this.#asked = { ...question, expanded: reply.expanded };
      this.dispatch({ type: "answered", question, reply });
      await this.#fill();
    }
  }

  async #fill(): Promise<void> {
    const { rows, total, question } = this.#state;
    const last = Math.min(this.#sight.last, total - 1);
    let missing = Math.max(0, this.#sight.first);
    while (missing <= last && rows.has(missing)) {
      missing += 1;
    }
    if (missing > last) {
      return;
    }
    if (this.#window !== null) {
      if (missing >= this.#window.start && last < this.#window.stop) {
        return;
      }
      this.#window.request.abort();
    }
    const start = Math.max(0, missing - MARGIN_ROWS);
    const request = new AbortController();
    const asked = { start, stop: start + WINDOW_ROWS + MARGIN_ROWS, request };
    this.#window = asked;
    const body = { ...question, start, count: asked.stop - start };
    const reply = await this.#request((signal) => this.#client.request("rows", body, { signal }), request);
    if (this.#window !== asked) {
      return;
    }
    this.#window = null;
    if (reply !== null && sameQuestion(question, this.#state.question)) {
      this.dispatch({ type: "answered", question, reply });
      await this.#fill();
    }
  }

  /** Makes a request; null where it was aborted or failed, the failure being told. */
  async #request<Body>(
    make: (signal: AbortSignal) => Promise<{ body: Body }>,
    controller = new AbortController(),
  ): Promise<Body | null> {
    this.nPending += 1;
    this.#tell();
    try {
      const { body } = await make(controller.signal);
      this.trouble = null;
      return body;
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "AbortError")) {
        this.trouble = troubleOf(error);
      }
      return null;
    } finally {
      this.nPending -= 1;
      this.#tell();
    }
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) {
      listener();
    }
  }
}

export function troubleOf(error: unknown): Trouble {
  if (error instanceof WireFault) {
    return { code: error.code, message: error.message, hint: error.hint };
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { code: "internal", message, hint: "" };
}
