import { useLayoutEffect, useState } from "preact/hooks";

/** The path of the tree's row that the pointer or the focus is on; of the model's own row too little is said by all. */
export function useRowUnderPointer(within: { readonly current: HTMLElement | null }): string | null {
  const [path, setPath] = useState<string | null>(null);
  useLayoutEffect(() => {
    const root = within.current?.closest(".nnw-explorer");
    const look = ({ target }: Event): void => {
      const row = (target as Element).closest?.<HTMLElement>("[role=treegrid] [role=row][data-path]");
      setPath(row?.dataset.path || null);
    };
    root?.addEventListener("mouseover", look);
    root?.addEventListener("focusin", look);
    return () => {
      root?.removeEventListener("mouseover", look);
      root?.removeEventListener("focusin", look);
    };
  }, []);
  return path;
}
