import { word } from "../i18n/translate.ts";
import { type Bodies, type Kind, type Replies, VERSION, type Event as WireEvent } from "./messages.ts";

/** How to make one request. */
export interface RequestOptions {
  /** Aborting it cancels the work in the kernel; the promise rejects with an `AbortError`. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
  /** What was aborted still waits for its reply: only that tells whether the work was done all the same. */
  readonly awaitsEnd?: boolean;
  /** Nobody waits for the answer: the view asks by itself, since the model may have changed. */
  readonly isUnasked?: boolean;
}

/** Asks the kernel. */
export interface Client {
  request<K extends Kind>(
    kind: K,
    body: Bodies[K],
    options?: RequestOptions,
  ): Promise<{ body: Replies[K]; buffers: DataView[] }>;
  /** Whether there is a kernel to ask. */
  readonly alive: boolean;
  /** Hears what comes unasked; returns how to stop. */
  onEvent(listener: (event: WireEvent) => void): () => void;
}

/** What carries messages: a widget's model, a comm. */
export interface Channel {
  send(message: unknown): void;
  /** Hears every message; returns how to stop. */
  listen(listener: (message: unknown, buffers: DataView[]) => void): () => void;
  /** Whether anyone is at the other end. */
  isAlive(): boolean;
}

/** An error reply, or a request that could not be made. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly code: string;
  readonly path: string | null;
  readonly hint: string;

  constructor(error: { code: string; message: string; path: string | null; hint: string }) {
    super(error.message);
    this.code = error.code;
    this.path = error.path;
    this.hint = error.hint;
  }
}

interface Waiting {
  readonly resolve: (reply: { body: unknown; buffers: DataView[] }) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
  readonly end: () => void;
  readonly isUnasked: boolean;
}

/** One conversation over one channel: a reply to each request, in any order. */
export class ChannelClient implements Client {
  readonly #channel: Channel;
  readonly #waiting = new Map<string, Waiting>();
  readonly #listeners = new Set<(event: WireEvent) => void>();
  readonly #prefix: string;
  readonly #stop: () => void;
  #count = 0;
  /** Hears that a request was made, or answered. */
  onTurn: () => void = () => {};

  /** `prefix` keeps this view's ids apart from those of another view on the same channel. */
  constructor(channel: Channel, prefix = "") {
    this.#channel = channel;
    this.#prefix = prefix;
    this.#stop = channel.listen((message, buffers) => this.#receive(message, buffers));
  }

  get alive(): boolean {
    return this.#channel.isAlive();
  }

  /** How many requests of the user's wait for their reply. */
  get nWaiting(): number {
    return [...this.#waiting.values()].filter(({ isUnasked }) => !isUnasked).length;
  }

  request<K extends Kind>(
    kind: K,
    body: Bodies[K],
    { signal, onProgress, awaitsEnd = false, isUnasked = false }: RequestOptions = {},
  ): Promise<{ body: Replies[K]; buffers: DataView[] }> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortError());
        return;
      }
      if (!this.alive) {
        reject(new RequestError(NO_KERNEL));
        return;
      }
      this.#count += 1;
      const id = `${this.#prefix}${this.#count}`;
      const onAbort = (): void => {
        if (this.alive) {
          this.#send(`${id}c`, "cancel", { id });
        }
        if (!awaitsEnd) {
          this.#end(id);
          reject(abortError());
        }
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.set(id, {
        resolve: (reply) => resolve(reply as { body: Replies[K]; buffers: DataView[] }),
        reject,
        onProgress,
        end: () => signal?.removeEventListener("abort", onAbort),
        isUnasked,
      });
      this.onTurn();
      this.#send(id, kind, body);
    });
  }

  onEvent(listener: (event: WireEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Fails what waits: the kernel has gone. */
  failWaiting(): void {
    for (const id of [...this.#waiting.keys()]) {
      this.#end(id)?.reject(new RequestError(NO_KERNEL));
    }
  }

  /** Stops listening; what still runs in the kernel for this view is cancelled. */
  close(): void {
    for (const id of [...this.#waiting.keys()]) {
      this.#end(id)?.reject(abortError());
      if (this.alive) {
        this.#send(`${id}c`, "cancel", { id });
      }
    }
    this.#listeners.clear();
    this.#stop();
  }

  #send(id: string, kind: string, body: unknown): void {
    this.#channel.send({ v: VERSION, id, kind, body });
  }

  #end(id: string): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.end();
    this.onTurn();
    return waiting;
  }

  #receive(message: unknown, buffers: DataView[]): void {
    if (!isRecord(message) || message.v !== VERSION) {
      return;
    }
    if (typeof message.event === "string") {
      for (const listener of [...this.#listeners]) {
        listener(message as unknown as WireEvent);
      }
      return;
    }
    if (typeof message.id !== "string") {
      return;
    }
    if (isRecord(message.progress)) {
      const { done, total } = message.progress;
      if (typeof done === "number" && typeof total === "number") {
        this.#waiting.get(message.id)?.onProgress?.(done, total);
      }
      return;
    }
    const waiting = this.#end(message.id);
    if (waiting === undefined) {
      return;
    }
    if (message.ok === true) {
      waiting.resolve({ body: message.body, buffers });
    } else {
      waiting.reject(new RequestError(errorOf(message.error)));
    }
  }
}

const NO_KERNEL = {
  code: "no-kernel",
  message: word("There is no kernel to ask."),
  path: null,
  hint: word("Run the cell again."),
} as const;

function abortError(): DOMException {
  return new DOMException("The request was cancelled.", "AbortError");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function errorOf(error: unknown): { code: string; message: string; path: string | null; hint: string } {
  const text = (value: unknown, fallback: string): string => (typeof value === "string" ? value : fallback);
  const { code, message, path, hint } = isRecord(error) ? error : {};
  return {
    code: text(code, "internal"),
    message: text(message, word("The kernel sent an error without a message.")),
    path: typeof path === "string" ? path : null,
    hint: text(hint, ""),
  };
}
