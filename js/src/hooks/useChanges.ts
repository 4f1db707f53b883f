import { useLayoutEffect, useState } from "preact/hooks";
import type { ChangesState, ChangesStore } from "../state/changesStore.ts";

/** The state of the changes; who uses it is drawn again when that changes, and no one else. */
export function useChanges(changes: ChangesStore): ChangesState {
  const [, redraw] = useState(0);
  useLayoutEffect(() => changes.subscribe(() => redraw((count) => count + 1)), [changes]);
  return changes.state;
}
