import type { RefObject } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";

/** The width of an element's content box, followed as it changes; `start` until it is known. */
export function useWidth(element: RefObject<HTMLElement | null>, start: number): number {
  const [width, setWidth] = useState(start);
  useLayoutEffect(() => {
    const target = element.current;
    if (target === null) {
      return;
    }
    const take = (): void => {
      const measured = target.clientWidth;
      if (measured > 0) {
        setWidth(measured);
      }
    };
    take();
    const observer = new ResizeObserver(take);
    observer.observe(target);
    return () => observer.disconnect();
  }, [element]);
  return width;
}
