import { useState } from "preact/hooks";

/** What was typed and opened in a view, for when the host draws that view anew. */
export type Memory = Map<string, unknown>;

/** State that the next drawing of the view begins with. */
export function useRemembered<T>(memory: Memory | undefined, name: string, initial: T): [T, (next: T) => void] {
  const [value, setValue] = useState(() => (memory?.get(name) as T | undefined) ?? initial);
  memory?.set(name, value);
  return [value, setValue];
}
