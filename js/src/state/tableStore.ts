import { type PageError, toPageError } from "../lib/errors.ts";
import type { Client } from "../protocol/client.ts";
import type { Chip, Column, TableBody, TableReply, TableRow } from "../protocol/messages.ts";
import { PagedList } from "./checkpoints/pagedList.ts";

export interface Sort {
  readonly by: Column;
  readonly isDown: boolean;
}

/** What rows are kept. */
export interface Kept {
  readonly filter: string;
  readonly chips: readonly Chip[];
}

/** The table of all tensors: what is asked of it, and the rows that are here. */
export class TableStore {
  readonly rows: PagedList<TableReply, TableRow>;
  readonly #client: Client;
  readonly #tell: () => void;
  #isFresh = true;
  #kept: Kept;
  sort: Sort | null = null;
  /** How far the kernel is, 0 to 1; null while it measures nothing. */
  progress: number | null = null;
  isMarking = false;
  #markError: unknown = null;

  constructor(client: Client, kept: Kept, tell: () => void) {
    this.#client = client;
    this.#kept = kept;
    this.#tell = tell;
    this.rows = new PagedList((start, count, signal) => this.#ask(start, count, signal), tell);
  }

  get error(): PageError | null {
    const error = this.#markError ?? this.rows.error;
    return error === null ? null : toPageError(error);
  }

  /** Has all tensors measured anew. */
  measure(): void {
    this.#isFresh = true;
    this.#markError = null;
    void this.rows.restart();
  }

  keep(kept: Kept): void {
    this.#kept = kept;
    void this.rows.restart();
  }

  /** The greatest first, then the least, then in the order of the model; names the other way. */
  sortBy(by: Column): void {
    const isText = by === "path" || by === "dtype" || by === "note";
    if (this.sort?.by !== by) {
      this.sort = { by, isDown: !isText };
    } else {
      this.sort = this.sort.isDown === isText ? null : { by, isDown: isText };
    }
    void this.rows.restart();
  }

  /** Keeps what the tensors are now, or lets go of it. */
  async mark(set: boolean): Promise<void> {
    this.isMarking = true;
    this.#markError = null;
    this.#tell();
    try {
      await this.#client.request("mark", { set });
    } catch (error) {
      this.#markError = error;
    }
    this.isMarking = false;
    if (this.#markError === null) {
      this.measure();
    } else {
      this.#tell();
    }
  }

  /** All rows that are kept, in their order. */
  async text(text: "markdown" | "csv"): Promise<string> {
    return (await this.#client.request("table", { ...this.#body(0, 0), text })).body.text;
  }

  dispose(): void {
    this.rows.stop();
  }

  async #ask(start: number, count: number, signal: AbortSignal): Promise<TableReply> {
    const isFresh = this.#isFresh;
    const onProgress = (done: number, total: number): void => {
      this.progress = total > 0 ? done / total : null;
      this.#tell();
    };
    try {
      const { body } = await this.#client.request("table", this.#body(start, count), { signal, onProgress });
      if (isFresh) {
        this.#isFresh = false;
      }
      return body;
    } finally {
      this.progress = null;
    }
  }

  #body(start: number, count: number): TableBody {
    const sort = { sort: this.sort?.by ?? null, descending: this.sort?.isDown ?? false };
    const kept = { filter: this.#kept.filter, chips: [...this.#kept.chips] };
    return { fresh: this.#isFresh, ...kept, ...sort, start, count, text: "" };
  }
}
