import type { Client } from "../../src/protocol/client.ts";
import type { Bodies, InspectReply, Kind, Replies, StatsReply, TensorFacts } from "../../src/protocol/messages.ts";

interface RequestOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** A request that was made and not yet answered. */
export interface Open<K extends Kind = Kind> {
  readonly kind: K;
  readonly body: Bodies[K];
  readonly isAborted: () => boolean;
  readonly reply: (body: Replies[K], buffers?: DataView[]) => Promise<void>;
  readonly fail: (error: { code: string; message: string; hint: string; path: string | null }) => Promise<void>;
  readonly progress: (done: number, total: number) => void;
}

/** Lets every promise that is ready settle, and what it sets off. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) {
    await Promise.resolve();
  }
}

/** A client whose kernel is the test: requests wait until the test answers them, or a standing answer does. */
export class TestClient implements Client {
  readonly alive = true;
  readonly requests: Open[] = [];
  readonly #standing = new Map<Kind, (body: never) => { body: unknown; buffers: DataView[] } | Error>();

  /** Answers every request of a kind at once. */
  answer<K extends Kind>(
    kind: K,
    make: (body: Bodies[K]) => Replies[K],
    buffers: (body: Bodies[K]) => DataView[] = () => [],
  ): this {
    this.#standing.set(kind, (body: never) => ({ body: make(body), buffers: buffers(body) }));
    return this;
  }

  /** Refuses every request of a kind. */
  refuse(kind: Kind, code: string, message: string, hint = ""): this {
    this.#standing.set(kind, () => Object.assign(new Error(message), { code, hint, path: null }));
    return this;
  }

  /** From now on requests of a kind wait for the test. */
  wait(kind: Kind): this {
    this.#standing.delete(kind);
    return this;
  }

  onEvent: Client["onEvent"] = () => () => undefined;

  request<K extends Kind>(
    kind: K,
    body: Bodies[K],
    options: RequestOptions = {},
  ): Promise<{ body: Replies[K]; buffers: DataView[] }> {
    return new Promise((resolve, reject) => {
      let isAborted = false;
      options.signal?.addEventListener("abort", () => {
        isAborted = true;
        reject(new DOMException("The request was cancelled.", "AbortError"));
      });
      const open: Open<K> = {
        kind,
        body,
        isAborted: () => isAborted,
        reply: (answer, buffers = []) => {
          resolve({ body: answer, buffers });
          return settle();
        },
        fail: (error) => {
          reject(Object.assign(new Error(error.message), error));
          return settle();
        },
        progress: (done, total) => options.onProgress?.(done, total),
      };
      this.requests.push(open as unknown as Open);
      const standing = this.#standing.get(kind)?.(body as never);
      if (standing instanceof Error) {
        reject(standing);
      } else if (standing !== undefined) {
        resolve(standing as { body: Replies[K]; buffers: DataView[] });
      }
    });
  }

  /** The requests of a kind so far. */
  of<K extends Kind>(kind: K): Open<K>[] {
    return this.requests.filter((open) => open.kind === kind) as unknown as Open<K>[];
  }
}

export function statsReply(change: Partial<StatsReply> = {}): StatsReply {
  return {
    n: 1000,
    n_total: 1000,
    mean: -0.00041,
    std: 0.1294,
    min: -2.411,
    max: 2.026,
    norm: 198.8,
    n_zero: 0,
    n_nan: 0,
    n_inf: 0,
    hist_counts: [100, 400, 400, 100],
    hist_edges: [-2, -1, 0, 1, 2],
    is_exact: true,
    version: 1,
    ...change,
  };
}

export function tensorFacts(change: Partial<TensorFacts> = {}): TensorFacts {
  return {
    shape: [768, 3072],
    dtype: "float32",
    device: "cpu",
    layout: "strided",
    requires_grad: true,
    role: "parameter",
    persistent: true,
    n_elements: 2359296,
    size_bytes: 9437184,
    has_grad: false,
    strides: [3072, 1],
    is_contiguous: true,
    version: 0,
    readable: null,
    ...change,
  };
}

export function inspectReply(change: Partial<InspectReply> = {}): InspectReply {
  return {
    path: "0.weight",
    kind: "tensor",
    class_name: "Parameter",
    alias_of: null,
    problem: null,
    tie: null,
    ties_inside: [],
    findings: [],
    code: [{ label: "The parameter", code: "net[0].weight" }],
    siblings: null,
    tensor: tensorFacts(),
    module: null,
    trace: [],
    ...change,
  };
}
