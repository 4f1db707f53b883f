import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Memory } from "../../hooks/useRemembered.ts";
import type { Chip } from "../../protocol/messages.ts";
import type { ChangesStore } from "../../state/changesStore.ts";

/** What it takes to change the model from anywhere in the inspector. */
export interface Editing {
  readonly changes: ChangesStore;
  /** What the tree is filtered by. */
  readonly filter: string;
  readonly chips: readonly Chip[];
  /** The selected row stands for a whole fold. */
  readonly isFold: boolean;
  /** Whether there is a kernel to change it in. */
  readonly alive: boolean;
  readonly memory: Memory;
  /** Of a model over ranks, why it can't be changed now: one that doesn't answer. */
  readonly silent: string | null;
}

export const EditingContext = createContext<Editing | null>(null);

/** Null where nothing can ever be changed. */
export function useEditing(): Editing | null {
  return useContext(EditingContext);
}
