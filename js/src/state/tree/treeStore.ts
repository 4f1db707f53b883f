import { type PageError, toPageError } from "../../lib/errors.ts";
import type { Client, RequestOptions } from "../../protocol/client.ts";
import type { Chip, LocateReply, OpenReply, Row, TieBody } from "../../protocol/messages.ts";
import {
  type Action,
  firstMatch,
  initialState,
  isFiltered,
  type Question,
  reduce,
  replaceAncestor,
  sameQuestion,
  type TreeState,
  withChip,
  withFilter,
  withOpen,
  withPicked,
  withUnfolded,
} from "./treeState.ts";

const WINDOW_ROWS = 120;
/** So many rows beyond those in sight are there before they are needed. */
const MARGIN_ROWS = 60;

/** Holds the tree's state, asks the kernel for what it lacks, and tells who listens. */
export class TreeStore {
  readonly #client: Client;
  readonly #listeners = new Set<() => void>();
  #state: TreeState;
  #open: OpenReply;
  #asked: Question;
  #asking: AbortController | null = null;
  /** The question last asked, and whether its rows came. */
  #current: { question: Question; asking: AbortController; isAnswered: Promise<boolean> } | null = null;
  /** Goes up with every selection made or asked for: what was asked for before gives way. */
  #nSelections = 0;
  /** What was open before the filter. */
  #plainExpanded: Question["expanded"] = null;
  #window: { start: number; stop: number; request: AbortController } | null = null;
  #sight = { first: 0, last: 60 };
  #ties: { generation: number; groups: readonly TieBody[] } | null = null;
  /** Goes up when values may have changed: what is shown of them is read again. */
  valuesGeneration = 0;
  error: PageError | null = null;
  /** Requests of the user's under way. */
  nPending = 0;
  /** Hears that the filter was cleared to reach a row that it hid. */
  onFilterCleared: () => void = () => undefined;

  constructor(client: Client, first: OpenReply) {
    this.#client = client;
    this.#open = first;
    this.#state = initialState(first);
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
    if (action.type === "selected") {
      this.#nSelections += 1;
    }
    const next = reduce(this.#state, action);
    if (next !== this.#state) {
      this.#state = next;
      this.#notify();
    }
  }

  // ---- what the user does ----

  setOpen(row: Row, isOpen: boolean): void {
    if (row.expandable && row.expanded !== isOpen) {
      void this.#ask(withOpen(this.#asked, row.id, isOpen));
    }
  }

  /** Shows another member of a fold. What is selected in the one before gives way to its like in this one. */
  async pick(row: Row, member: number): Promise<void> {
    const from = row.fold?.picked_path;
    if (from === undefined) {
      return;
    }
    const { selectedId, selectedPath } = this.#state;
    await this.#ask(withPicked(this.#asked, row.id, member));
    const to = [...this.#state.rows.values()].find(({ id }) => id === row.id)?.fold?.picked_path;
    const like = to === undefined ? null : replaceAncestor(selectedPath, from, to);
    if (like === null || like === selectedPath) {
      return;
    }
    if (selectedId === row.id) {
      this.dispatch({ type: "selected", id: row.id, path: like, index: this.#state.active });
    } else {
      await this.reveal(like);
    }
  }

  /** Goes to the like of what is selected in the next member of its fold, or the one before. */
  async step(by: -1 | 1): Promise<void> {
    const { rows, active, selectedPath } = this.#state;
    const row = rows.get(active);
    if (row?.fold != null) {
      const { count, picked } = row.fold;
      await this.pick(row, Math.max(0, Math.min(count - 1, picked + by)));
      return;
    }
    const reply = await this.#request((options) => this.#client.request("inspect", { path: selectedPath }, options));
    const to = by < 0 ? reply?.siblings?.previous : reply?.siblings?.next;
    if (to != null) {
      await this.reveal(to);
    }
  }

  unfold(fold: Row): void {
    if (fold.fold !== null) {
      void this.#ask(withUnfolded(this.#asked, fold.id, !fold.fold.unfolded));
    }
  }

  setFilter(text: string): void {
    if (text !== this.#asked.filter) {
      void this.#narrow(withFilter(this.#asked, text));
    }
  }

  toggleChip(chip: Chip): void {
    void this.#narrow(withChip(this.#asked, chip));
  }

  /** Says which rows are in sight; those not yet known are asked for. */
  look(first: number, last: number): void {
    this.#sight = { first, last };
    if (this.#asking === null) {
      void this.#fill();
    }
  }

  /** Opens what hides a path, selects its row and brings it into sight; clears the filter if that hides it. */
  async reveal(path: string): Promise<void> {
    const known = [...this.#state.rows].find(([, row]) => row.path === path && row.kind !== "fold");
    if (known !== undefined) {
      const [index, row] = known;
      this.#select(row.id, path, index);
      return;
    }
    this.#nSelections += 1;
    const turn = this.#nSelections;
    const filtered = isFiltered(this.#asked);
    const located = await this.#locate(path, this.#asked, filtered);
    if (turn !== this.#nSelections) {
      return;
    }
    if (located !== null) {
      await this.#goTo(path, located, this.#asked);
    } else if (filtered && this.#client.alive) {
      const plain = { ...this.#asked, filter: "", chips: [], expanded: this.#plainExpanded };
      const found = await this.#locate(path, plain);
      if (found !== null && turn === this.#nSelections) {
        this.onFilterCleared();
        await this.#goTo(path, found, plain);
      }
    }
  }

  /** The next member of a tie group after `path`, in walk order, around the corner; null where there is none. */
  async nextTied(path: string, letter: string): Promise<string | null> {
    if (this.#ties === null || this.#ties.generation !== this.#state.generation) {
      const reply = await this.#request((options) => this.#client.request("ties", {}, options));
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
    this.#notify();
    if (!isStructure) {
      return;
    }
    const open = await this.#request((options) => this.#client.request("open", {}, options), { isUnasked: true });
    if (open !== null) {
      this.#open = open;
      await this.#ask(this.#asked, true);
    }
  }

  /** Tries again what failed. */
  retry(): void {
    this.error = null;
    void this.#ask(this.#asked);
  }

  dispose(): void {
    this.#asking?.abort();
    this.#window?.request.abort();
    this.#listeners.clear();
  }

  // ---- going somewhere ----

  #select(id: string, path: string, index: number): void {
    this.dispatch({ type: "selected", id, path, index });
    this.dispatch({ type: "revealed", index });
  }

  async #locate(path: string, question: Question, isQuiet = false): Promise<LocateReply | null> {
    const before = this.error;
    const located = await this.#request((options) => this.#client.request("locate", { ...question, path }, options));
    if (isQuiet && this.error?.code === "path-not-found") {
      this.error = before;
    }
    return located;
  }

  async #goTo(path: string, { index, id, expanded, picked }: LocateReply, question: Question): Promise<void> {
    this.#sight = { first: Math.max(0, index - 20), last: index + 40 };
    const turn = this.#nSelections;
    if ((await this.#ask({ ...question, expanded, picked })) && turn === this.#nSelections) {
      this.#select(id, path, index);
    }
  }

  /** Takes up another filter: from the first match, or back at the selection once there is none. */
  async #narrow(narrowed: Question): Promise<void> {
    const { selectedPath } = this.#state;
    const wasFiltered = isFiltered(this.#asked);
    if (!wasFiltered) {
      this.#plainExpanded = this.#asked.expanded;
    }
    // Matches show closed; what was open before is open again after.
    const question = { ...narrowed, expanded: isFiltered(narrowed) ? [] : this.#plainExpanded };
    if (wasFiltered && !isFiltered(question) && selectedPath !== "") {
      this.#asking?.abort();
      this.#asking = null;
      this.#asked = question;
      const located = await this.#locate(selectedPath, question);
      if (this.#asked === question) {
        await (located === null ? this.#ask(question) : this.#goTo(selectedPath, located, question));
      }
      return;
    }
    this.#sight = { first: 0, last: 60 };
    if (await this.#ask(question)) {
      const index = firstMatch(this.#state);
      this.dispatch({ type: "moved", index });
      this.dispatch({ type: "revealed", index });
    }
  }

  // ---- asking ----

  /** Asks for the rows of another question; whether its answer came before the next was asked. */
  #ask(question: Question, isUnasked = false): Promise<boolean> {
    const asking = new AbortController();
    const isAnswered = this.#answerTo(question, asking, isUnasked);
    this.#current = { question, asking, isAnswered };
    return isAnswered;
  }

  async #answerTo(question: Question, asking: AbortController, isUnasked: boolean): Promise<boolean> {
    this.#asking?.abort();
    this.#window?.request.abort();
    this.#window = null;
    this.#asking = asking;
    this.#asked = question;
    const start = Math.max(0, this.#sight.first - MARGIN_ROWS);
    const reply = await this.#request(
      (options) => this.#client.request("rows", { ...question, start, count: WINDOW_ROWS }, options),
      { controller: asking, isUnasked },
    );
    if (this.#asking !== asking) {
      // The same question asked again, as a refresh does, is answered by the later reply.
      const later = this.#current;
      return later?.question === question && later.asking !== asking ? later.isAnswered : false;
    }
    this.#asking = null;
    if (reply === null) {
      return false;
    }
    this.#asked = { ...question, expanded: reply.expanded };
    this.dispatch({ type: "answered", question, reply });
    void this.#fill();
    return true;
  }

  async #fill(): Promise<void> {
    const { rows, total, question } = this.#state;
    const { first } = this.#sight;
    const last = Math.min(this.#sight.last, total - 1);
    const missingIn = (from: number, to: number): number | null => {
      const end = Math.min(to, total - 1);
      let index = Math.max(0, from);
      while (index <= end && rows.has(index)) {
        index += 1;
      }
      return index > end ? null : index;
    };
    const inSight = missingIn(first, last);
    const missing = inSight ?? missingIn(first - MARGIN_ROWS, last + MARGIN_ROWS);
    if (missing === null) {
      return;
    }
    if (this.#window !== null) {
      if (inSight === null || (missing >= this.#window.start && last < this.#window.stop)) {
        return;
      }
      this.#window.request.abort();
    }
    const start = Math.max(0, missing - MARGIN_ROWS);
    const request = new AbortController();
    const asked = { start, stop: start + WINDOW_ROWS + MARGIN_ROWS, request };
    this.#window = asked;
    const body = { ...question, start, count: asked.stop - start };
    const reply = await this.#request((options) => this.#client.request("rows", body, options), {
      controller: request,
      isUnasked: inSight === null,
    });
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
    make: (options: RequestOptions) => Promise<{ body: Body }>,
    { controller = new AbortController(), isUnasked = false } = {},
  ): Promise<Body | null> {
    const nAsked = isUnasked ? 0 : 1;
    this.nPending += nAsked;
    this.#notify();
    try {
      const { body } = await make({ signal: controller.signal, isUnasked });
      this.error = null;
      return body;
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "AbortError")) {
        this.error = toPageError(error);
      }
      return null;
    } finally {
      this.nPending -= nAsked;
      this.#notify();
    }
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) {
      listener();
    }
  }
}
