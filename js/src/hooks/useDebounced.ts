import { useEffect, useState } from "preact/hooks";

const SETTLE_MS = 120;

/** A value once it has stayed the same for a moment, the first one at once; `key` stands for it. */
export function useDebounced<T>(value: T, key: string, after = SETTLE_MS): T {
  const [settled, setSettled] = useState(value);
  // Dependencies: `key` stands for the value.
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), after);
    return () => clearTimeout(timer);
  }, [key]);
  return settled;
}
