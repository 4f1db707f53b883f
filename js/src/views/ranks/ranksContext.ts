import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { RanksPart } from "../../bundles/lazyParts.ts";

/** Of a model over ranks: what draws them, null until it is here. */
export interface OverRanks {
  readonly part: RanksPart | null;
}

export const RanksContext = createContext<OverRanks | null>(null);

/** Null where one process holds the model. */
export function useRanks(): OverRanks | null {
  return useContext(RanksContext);
}
