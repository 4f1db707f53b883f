import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import { type PageError, toPageError } from "../lib/errors.ts";
import type { Client } from "../protocol/client.ts";
import type { Bodies, Kind, Replies } from "../protocol/messages.ts";

/** An answer, with the body it answers. */
export interface Answer<K extends Kind> {
  readonly key: string;
  readonly body: Replies[K];
  readonly buffers: readonly DataView[];
}

export interface Query<K extends Kind> {
  /** The last answer, which may be to an earlier question: see `isCurrent`. */
  readonly answer: Answer<K> | null;
  /** Whether `answer` answers what is asked now. */
  readonly isCurrent: boolean;
  /** What the question asked now failed with. */
  readonly error: PageError | null;
  readonly retry: () => void;
}

interface Held<K extends Kind> {
  readonly answer: Answer<K> | null;
  readonly error: { readonly key: string; readonly error: PageError } | null;
}

export interface QueryOptions {
  /** The model's generation: a new one asks again, but never overtakes a request under way. */
  readonly generation: number;
  /** Without a kernel nothing is asked and what was read stays. */
  readonly alive: boolean;
}

interface Extras<K extends Kind> {
  /** Answers that came with another: such a question isn't asked again until there is a new generation. */
  readonly came?: readonly Answer<K>[];
  /** What a request says beside `body`, when it is made; another such is no other question. */
  readonly beside?: () => Partial<Bodies[K]>;
}

/**
 * Keeps the answer to one request in sight: asks when the body changes (and stops the request before), asks again
 * when the model has changed, holds the last answer meanwhile. A null body asks nothing.
 */
export function useQuery<K extends Kind>(
  client: Client,
  kind: K,
  body: Bodies[K] | null,
  { generation, alive, came, beside }: QueryOptions & Extras<K>,
): Query<K> {
  const [held, setHeld] = useState<Held<K>>({ answer: null, error: null });
  const [turn, setTurn] = useState(0);
  const key = body === null ? null : JSON.stringify(body);
  const brought = came?.find((each) => each.key === key);
  const taken = useRef<Answer<K> | null>(null);
  const latest = useRef({ body, generation });
  latest.current = { body, generation };
  const isBusy = useRef(false);
  const askedGeneration = useRef(generation);

  // Dependencies: `turn` asks again; `key` stands for the body. Asked before the frame is painted, not after it.
  useLayoutEffect(() => {
    const asked = latest.current.body;
    if (key === null || asked === null || !alive) {
      return;
    }
    askedGeneration.current = latest.current.generation;
    if (brought !== undefined && brought !== taken.current) {
      taken.current = brought;
      setHeld({ answer: brought, error: null });
      return;
    }
    const stop = new AbortController();
    let isOver = false;
    isBusy.current = true;
    const ended = (next: (before: Held<K>) => Held<K>): void => {
      if (stop.signal.aborted) {
        return;
      }
      isOver = true;
      isBusy.current = false;
      setHeld(next);
      if (askedGeneration.current !== latest.current.generation) {
        setTurn((count) => count + 1);
      }
    };
    // What was answered before is asked anew by itself.
    const isUnasked = held.answer?.key === key || held.error?.key === key;
    client.request(kind, { ...asked, ...beside?.() }, { signal: stop.signal, isUnasked }).then(
      (reply) => ended(() => ({ answer: { key, body: reply.body, buffers: reply.buffers }, error: null })),
      (error: unknown) => ended(({ answer }) => ({ answer, error: { key, error: toPageError(error) } })),
    );
    return () => {
      if (!isOver) {
        isBusy.current = false;
        stop.abort();
      }
    };
  }, [client, kind, key, turn, alive]);

  useLayoutEffect(() => {
    if (!isBusy.current && askedGeneration.current !== generation) {
      setTurn((count) => count + 1);
    }
  }, [generation]);

  const retry = useCallback(() => setTurn((count) => count + 1), []);
  return {
    answer: key === null ? null : held.answer,
    isCurrent: held.answer !== null && held.answer.key === key,
    error: held.error !== null && held.error.key === key ? held.error.error : null,
    retry,
  };
}
