import { useState } from "preact/hooks";

let nIds = 0;

/** An id that no other view on the page has: Preact's own `useId` starts over in each. */
export function useUniqueId(): string {
  return useState(() => {
    nIds += 1;
    return `nnw${nIds}`;
  })[0];
}
