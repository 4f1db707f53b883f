import { useEffect, useState } from "preact/hooks";
import type { Memory } from "../../hooks/useRemembered.ts";
import type { Client } from "../../protocol/client.ts";

/** Counts the traces that arrived since the view was first opened. */
export function useTraced(client: Client, memory?: Memory): number {
  const [count, setCount] = useState(() => (memory?.get("traced") as number | undefined) ?? 0);
  memory?.set("traced", count);
  useEffect(
    () =>
      client.onEvent(({ event }) => {
        if (event === "traced") {
          setCount((before) => before + 1);
        }
      }),
    [client],
  );
  return count;
}
