import { useEffect, useRef, useState } from "preact/hooks";
import type { Client } from "../../../protocol/client.ts";
import type { Of, StatsReply } from "../../../protocol/messages.ts";
import { NO_STATS, StatsRequest, type StatsState } from "./statsRequest.ts";

export interface Stats extends StatsState {
  readonly cancel: () => void;
  readonly resume: () => void;
  /** Whether the numbers shown are this tensor's own. */
  readonly isCurrent: boolean;
}

interface Options {
  readonly generation: number;
  readonly alive: boolean;
  /** Sampled statistics that came already. */
  readonly sampled?: StatsReply | undefined;
}

/** Statistics of a tensor's values or gradient, sampled and then exact. A null path asks nothing. */
export function useStats(client: Client, path: string | null, of: Of, { generation, alive, sampled }: Options): Stats {
  const [state, setState] = useState<StatsState>(NO_STATS);
  const flow = useRef<StatsRequest | null>(null);
  const seen = useRef(generation);

  useEffect(() => {
    const made = new StatsRequest(client, setState);
    flow.current = made;
    return () => {
      flow.current = null;
      made.stop();
    };
  }, [client]);

  // Dependencies: a new client makes a new flow, which starts here.
  useEffect(() => {
    if (path === null || !alive) {
      flow.current?.stop();
    } else {
      flow.current?.start({ path, of }, sampled);
    }
  }, [client, path, of, alive]);

  useEffect(() => {
    if (seen.current !== generation) {
      seen.current = generation;
      if (alive) {
        flow.current?.refresh();
      }
    }
  }, [generation, alive]);

  return {
    ...state,
    cancel: () => flow.current?.cancel(),
    resume: () => flow.current?.resume(),
    isCurrent: state.replyOf !== null && state.replyOf.path === path && state.replyOf.of === of,
  };
}
