import { type PageError, toPageError } from "../lib/errors.ts";
import type { Client } from "../protocol/client.ts";
import type { Bodies, ChangeReply, HistoryReply, InitReply, Replies } from "../protocol/messages.ts";

export type Turn = "undo" | "redo";

/** What was done to the model, as far as the page knows, and what stands in the way of the next step. */
export interface ChangesState {
  readonly history: HistoryReply | null;
  readonly isBusy: boolean;
  readonly isLogOpen: boolean;
  /** Undo or redo would overwrite what other code has written at `path` since. */
  readonly question: { readonly turn: Turn; readonly path: string } | null;
  readonly error: PageError | null;
  /** What was applied last, with the body that did it; gone once it is undone. */
  readonly applied: { readonly key: string; readonly reply: InitReply } | null;
}

export type ChangesAction =
  | { readonly type: "loaded"; readonly history: HistoryReply }
  | { readonly type: "began" }
  | { readonly type: "ended" }
  | { readonly type: "applied"; readonly key: string; readonly reply: InitReply }
  | { readonly type: "turned" }
  | { readonly type: "asked"; readonly turn: Turn; readonly path: string }
  | { readonly type: "failed"; readonly error: PageError }
  | { readonly type: "dismissed" }
  | { readonly type: "logToggled" };

export const NO_CHANGES: ChangesState = {
  history: null,
  isBusy: false,
  isLogOpen: false,
  question: null,
  error: null,
  applied: null,
};

export function reduceChanges(state: ChangesState, action: ChangesAction): ChangesState {
  switch (action.type) {
    case "loaded":
      return { ...state, history: action.history };
    case "began":
      return { ...state, isBusy: true, question: null, error: null };
    case "ended":
      return { ...state, isBusy: false };
    case "applied":
      return { ...state, applied: { key: action.key, reply: action.reply } };
    case "turned":
      return { ...state, applied: null };
    case "asked":
      return { ...state, question: { turn: action.turn, path: action.path } };
    case "failed":
      return { ...state, error: action.error };
    case "dismissed":
      return { ...state, question: null, error: null };
    case "logToggled":
      return { ...state, isLogOpen: !state.isLogOpen };
  }
}

/** Makes changes, one at a time, and keeps the log in sight current. */
export class ChangesStore {
  readonly #client: Client;
  readonly #listeners = new Set<() => void>();
  #state = NO_CHANGES;
  #isLoading = false;
  #isDirty = false;

  constructor(client: Client) {
    this.#client = client;
  }

  get state(): ChangesState {
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dispatch(action: ChangesAction): void {
    this.#state = reduceChanges(this.#state, action);
    for (const listener of [...this.#listeners]) {
      listener();
    }
  }

  /** Reads the log again, once more where that was asked for meanwhile. */
  async load(): Promise<void> {
    this.#isDirty = true;
    if (this.#isLoading) {
      return;
    }
    this.#isLoading = true;
    try {
      while (this.#isDirty) {
        this.#isDirty = false;
        const { body } = await this.#client.request("history", {}, { isUnasked: true });
        this.dispatch({ type: "loaded", history: body });
      }
    } catch {
      // The log stays as it was; that the kernel has gone is said elsewhere.
    } finally {
      this.#isLoading = false;
    }
  }

  /** Takes the last change back, or makes the one taken back again; asks before it overwrites other code's values. */
  async turn(turn: Turn, force = false): Promise<void> {
    if (this.#state.isBusy) {
      return;
    }
    this.dispatch({ type: "began" });
    try {
      await this.#client.request(turn, force ? { force } : {});
      this.dispatch({ type: "turned" });
    } catch (caught) {
      const error = toPageError(caught);
      if (error.code === "changed-since") {
        this.dispatch({ type: "asked", turn, path: error.path ?? "" });
      } else {
        this.dispatch({ type: "failed", error });
      }
    } finally {
      this.dispatch({ type: "ended" });
      void this.load();
    }
  }

  async freeze(body: Bodies["freeze"], isFrozen: boolean): Promise<void> {
    if (this.#state.isBusy) {
      return;
    }
    try {
      await this.#run(isFrozen ? "unfreeze" : "freeze", body);
    } catch (error) {
      this.dispatch({ type: "failed", error: toPageError(error) });
    }
  }

  /** Fills a target anew; rejects with what is to be shown where it was asked for. */
  async apply(body: Bodies["init"], key: string): Promise<void> {
    const reply = await this.#run("init", body);
    this.dispatch({ type: "applied", key, reply });
  }

  /** Sets one value; rejects as `apply` does. */
  assign(body: Bodies["assign"]): Promise<ChangeReply> {
    return this.#run("assign", body);
  }

  /** The changes in force as Python. */
  async code(): Promise<string> {
    return (await this.#client.request("code", {})).body.code;
  }

  async #run<K extends "init" | "assign" | "freeze" | "unfreeze">(kind: K, body: Bodies[K]): Promise<Replies[K]> {
    this.dispatch({ type: "began" });
    try {
      return (await this.#client.request(kind, body)).body;
    } finally {
      this.dispatch({ type: "ended" });
      void this.load();
    }
  }
}
