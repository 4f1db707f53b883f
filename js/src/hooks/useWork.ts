import { useEffect, useRef, useState } from "preact/hooks";
import { type PageError, toPageError } from "../lib/errors.ts";
import type { Client } from "../protocol/client.ts";
import type { Bodies, Kind, Replies } from "../protocol/messages.ts";

export interface Progress {
  readonly done: number;
  readonly total: number;
}

export interface Work<K extends Kind> {
  readonly isRunning: boolean;
  /** Null until the kernel has told of any. */
  readonly progress: Progress | null;
  readonly error: PageError | null;
  readonly run: (body: Bodies[K]) => void;
  readonly cancel: () => void;
}

/** One request at a time that takes as long as it takes: its progress, how to call it off, what it failed with. */
export function useWork<K extends Kind>(
  client: Client,
  kind: K,
  onDone: (reply: Replies[K], body: Bodies[K]) => void,
): Work<K> {
  const [isRunning, setRunning] = useState(false);
  const [progress, setProgress] = useState<Progress | null>(null);
  const [error, setError] = useState<PageError | null>(null);
  const stop = useRef<AbortController | null>(null);
  useEffect(() => () => stop.current?.abort(), []);
  const run = async (body: Bodies[K]): Promise<void> => {
    stop.current?.abort();
    const own = new AbortController();
    stop.current = own;
    setRunning(true);
    setProgress(null);
    setError(null);
    try {
      const onProgress = (done: number, total: number): void => setProgress({ done, total });
      onDone((await client.request(kind, body, { signal: own.signal, onProgress })).body, body);
    } catch (failure) {
      if (!own.signal.aborted) {
        setError(toPageError(failure));
      }
    } finally {
      if (stop.current === own) {
        stop.current = null;
        setRunning(false);
      }
    }
  };
  return { isRunning, progress, error, run: (body) => void run(body), cancel: () => stop.current?.abort() };
}
