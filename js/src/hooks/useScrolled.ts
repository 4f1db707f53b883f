import type { RefObject } from "preact";
import { useLayoutEffect } from "preact/hooks";

/** Calls `read` at once, and whenever a frame was scrolled or has another size. */
export function useScrolled(frame: RefObject<HTMLElement | null>, read: () => void): void {
  useLayoutEffect(() => {
    const element = frame.current;
    if (element === null) {
      return;
    }
    read();
    element.addEventListener("scroll", read, { passive: true });
    const size = new ResizeObserver(read);
    size.observe(element);
    return () => {
      element.removeEventListener("scroll", read);
      size.disconnect();
    };
  }, [frame, read]);
}
