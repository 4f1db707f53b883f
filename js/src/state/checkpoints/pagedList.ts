/** What a window of a long list comes as. */
export interface PageReply<Row> {
  readonly total: number;
  readonly start: number;
  readonly rows: readonly Row[];
}

const WINDOW_ROWS = 200;
const MARGIN_ROWS = 60;

/**
 * A long list of which the page holds what it was shown. Another question starts it over, but what was there stays in
 * sight until its answer comes.
 */
export class PagedList<Reply extends PageReply<Row>, Row> {
  readonly #ask: (start: number, count: number, signal: AbortSignal) => Promise<Reply>;
  readonly #notify: () => void;
  #asking: { readonly start: number; readonly stop: number; readonly abort: AbortController } | null = null;
  #rows = new Map<number, Row>();
  /** The last answer, its rows the least of it. */
  reply: Reply | null = null;
  /** Whether `reply` answers what is asked now. */
  isCurrent = false;
  error: unknown = null;

  constructor(ask: (start: number, count: number, signal: AbortSignal) => Promise<Reply>, tell: () => void) {
    this.#ask = ask;
    this.#notify = tell;
  }

  get total(): number {
    return this.reply?.total ?? 0;
  }

  get isBusy(): boolean {
    return this.#asking !== null;
  }

  row(index: number): Row | undefined {
    return this.#rows.get(index);
  }

  /** Asks anew; whether the answer came before the next was asked. */
  async restart(start = 0): Promise<boolean> {
    this.isCurrent = false;
    this.error = null;
    return this.#fetch(Math.max(0, start - MARGIN_ROWS), WINDOW_ROWS, true);
  }

  /** Says which rows are in sight; those not yet known are asked for. */
  look(first: number, last: number): void {
    const end = Math.min(last, this.total - 1);
    let missing = Math.max(0, first);
    while (missing <= end && this.#rows.has(missing)) {
      missing += 1;
    }
    if (missing > end || !this.isCurrent || this.error !== null) {
      return;
    }
    if (this.#asking !== null && missing >= this.#asking.start && end < this.#asking.stop) {
      return;
    }
    void this.#fetch(Math.max(0, missing - MARGIN_ROWS), WINDOW_ROWS, false);
  }

  /** Gives up what is asked for. */
  stop(): void {
    this.#asking?.abort.abort();
    this.#asking = null;
  }

  /** Forgets everything. */
  clear(): void {
    this.stop();
    this.#rows.clear();
    this.reply = null;
    this.isCurrent = false;
    this.error = null;
  }

  async #fetch(start: number, count: number, isFresh: boolean): Promise<boolean> {
    this.stop();
    const asking = { start, stop: start + count, abort: new AbortController() };
    this.#asking = asking;
    this.#notify();
    try {
      const reply = await this.#ask(start, count, asking.abort.signal);
      if (this.#asking !== asking) {
        return false;
      }
      this.#asking = null;
      if (isFresh) {
        this.#rows = new Map();
      }
      for (const [at, row] of reply.rows.entries()) {
        this.#rows.set(reply.start + at, row);
      }
      this.reply = reply;
      this.isCurrent = true;
      return true;
    } catch (error) {
      if (this.#asking === asking) {
        this.#asking = null;
        this.error = error;
      }
      return false;
    } finally {
      this.#notify();
    }
  }
}
