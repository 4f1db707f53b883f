import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../protocol/client.ts";

/** Counts the traces that arrived since the view was opened. */
export function useTraced(client: Client): number {
  const [count, setCount] = useState(0);
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
