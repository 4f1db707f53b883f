import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";

/** From so far on it is no click. */
const LEAST = 4;

/** Has a mouse pull what scrolls in a frame. */
export function useDrag(frame: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const box = frame.current;
    let from: { readonly x: number; readonly y: number; readonly left: number; readonly top: number } | null = null;
    let isPulled = false;
    const down = (event: PointerEvent): void => {
      if (box !== null && event.pointerType === "mouse" && event.button === 0) {
        from = { x: event.clientX, y: event.clientY, left: box.scrollLeft, top: box.scrollTop };
        isPulled = false;
      }
    };
    const move = (event: PointerEvent): void => {
      if (box === null || from === null) {
        return;
      }
      const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
      if (!isPulled && Math.hypot(dx, dy) >= LEAST) {
        isPulled = true;
        box.setPointerCapture(event.pointerId);
      }
      if (isPulled) {
        box.scrollLeft = from.left - dx;
        box.scrollTop = from.top - dy;
      }
    };
    const up = (): void => {
      from = null;
    };
    const click = (event: MouseEvent): void => {
      if (isPulled) {
        isPulled = false;
        event.stopPropagation();
      }
    };
    box?.addEventListener("pointerdown", down);
    box?.addEventListener("pointermove", move);
    box?.addEventListener("pointerup", up);
    box?.addEventListener("pointercancel", up);
    box?.addEventListener("click", click, true);
    return () => {
      box?.removeEventListener("pointerdown", down);
      box?.removeEventListener("pointermove", move);
      box?.removeEventListener("pointerup", up);
      box?.removeEventListener("pointercancel", up);
      box?.removeEventListener("click", click, true);
    };
  }, []);
}
