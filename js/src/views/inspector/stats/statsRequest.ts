import { type PageError, toPageError } from "../../../lib/errors.ts";
import type { Client, RequestOptions } from "../../../protocol/client.ts";
import type { Of, StatsReply } from "../../../protocol/messages.ts";

/** What is asked: one tensor's values or its gradient. */
export interface StatsSubject {
  readonly path: string;
  readonly of: Of;
}

/**
 * How far the answer is. `sampling` nothing yet; `exact` a sampled answer is shown and the exact one under way;
 * `done` exact; `cancelled` the sampled answer is what stays; `failed` see `error`.
 */
export type StatsPhase = "idle" | "sampling" | "exact" | "done" | "cancelled" | "failed";

export interface StatsState {
  readonly subject: StatsSubject | null;
  readonly phase: StatsPhase;
  readonly reply: StatsReply | null;
  /** Which tensor `reply` is about; another one's stays in sight (dimmed) until this one's arrives. */
  readonly replyOf: StatsSubject | null;
  readonly progress: { readonly done: number; readonly total: number } | null;
  /** The exact answer takes long enough that progress and Cancel should show. */
  readonly isSlow: boolean;
  readonly error: PageError | null;
}

export const NO_STATS: StatsState = {
  subject: null,
  phase: "idle",
  reply: null,
  replyOf: null,
  progress: null,
  isSlow: false,
  error: null,
};

/** Work longer than this shows its progress and can be cancelled. */
const SLOW_MS = 300;
/** Finer than is shown: thin tails are cut and neighbours joined in the page. */
export const BINS = 1024;

interface Run {
  readonly exactToo?: boolean;
  readonly sampled?: StatsReply | null;
  readonly isUnasked?: boolean;
}

/** Sampled statistics first, the exact ones after them, for one subject at a time. */
export class StatsRequest {
  readonly #client: Client;
  readonly #show: (state: StatsState) => void;
  #state: StatsState = NO_STATS;
  #stop: AbortController | null = null;
  #isDirty = false;

  constructor(client: Client, show: (state: StatsState) => void) {
    this.#client = client;
    this.#show = show;
  }

  /** Takes up another subject and drops the work on the one before; `sampled` is its first answer, if it came already. */
  start(subject: StatsSubject, sampled: StatsReply | null = null): void {
    this.stop();
    this.#set({ subject, phase: "sampling", progress: null, isSlow: false, error: null });
    void this.#run(subject, { sampled });
  }

  /** The model may have changed: asks again, after the work under way has ended. */
  refresh(): void {
    const { subject, phase } = this.#state;
    if (subject === null) {
      return;
    }
    if (this.#stop !== null) {
      this.#isDirty = true;
    } else if (phase === "cancelled") {
      void this.#run(subject, { exactToo: false, isUnasked: true });
    } else {
      void this.#run(subject, { isUnasked: true });
    }
  }

  /** Gives up the exact answer; the sampled one stays. */
  cancel(): void {
    if (this.#state.phase === "exact") {
      this.stop();
      this.#set({ phase: "cancelled", progress: null, isSlow: false });
    }
  }

  /** Takes the exact answer up again, or tries again after a failure. */
  resume(): void {
    const { subject } = this.#state;
    if (subject !== null) {
      this.start(subject);
    }
  }

  /** Stops the request under way. */
  stop(): void {
    this.#stop?.abort();
    this.#stop = null;
    this.#isDirty = false;
  }

  #set(change: Partial<StatsState>): void {
    this.#state = { ...this.#state, ...change };
    this.#show(this.#state);
  }

  async #run(
    subject: StatsSubject,
    { exactToo = true, sampled: known = null, isUnasked = false }: Run = {},
  ): Promise<void> {
    const stop = new AbortController();
    this.#stop = stop;
    let slow: ReturnType<typeof setTimeout> | undefined;
    try {
      const sampled = known ?? (await this.#ask(subject, false, { signal: stop.signal, isUnasked }));
      if (stop.signal.aborted) {
        return;
      }
      if (sampled.is_exact || sampled.by_rank !== undefined) {
        this.#set({ reply: sampled, replyOf: subject, phase: "done", error: null });
      } else if (exactToo) {
        const hadExact = this.#state.phase === "done" && this.#state.reply?.is_exact === true;
        this.#set(hadExact ? { phase: "exact" } : { reply: sampled, replyOf: subject, phase: "exact", error: null });
        slow = setTimeout(() => this.#set({ isSlow: true }), SLOW_MS);
        const exact = await this.#ask(subject, true, { signal: stop.signal, isUnasked });
        if (stop.signal.aborted) {
          return;
        }
        this.#set({ reply: exact, replyOf: subject, phase: "done", error: null, progress: null, isSlow: false });
      } else {
        this.#set({ reply: sampled, replyOf: subject });
      }
    } catch (error) {
      if (stop.signal.aborted) {
        return;
      }
      this.#set({ phase: "failed", error: toPageError(error), progress: null, isSlow: false });
    } finally {
      clearTimeout(slow);
      if (this.#stop === stop) {
        this.#stop = null;
        if (this.#isDirty) {
          this.#isDirty = false;
          this.refresh();
        }
      }
    }
  }

  async #ask({ path, of }: StatsSubject, exact: boolean, options: RequestOptions): Promise<StatsReply> {
    const onProgress = (done: number, total: number): void => {
      if (!options.signal?.aborted) {
        this.#set({ progress: { done, total } });
      }
    };
    const body = { path, of, exact, bins: BINS };
    return (await this.#client.request("stats", body, exact ? { ...options, onProgress } : options)).body;
  }
}
