/** Has nothing else act on an event: neither the browser nor the host. */
export function consumeEvent(event: Event): void {
  event.preventDefault();
  event.stopPropagation();
}

/** Whether a key that makes another of each key is held. */
export function isModified({ ctrlKey, metaKey, altKey }: KeyboardEvent): boolean {
  return ctrlKey || metaKey || altKey;
}

const TURNED: Readonly<Record<string, string>> = { ArrowLeft: "ArrowRight", ArrowRight: "ArrowLeft" };

/** The key pressed; where reading goes from right to left, the arrow that goes as far along it from left to right. */
export function keyOf(event: KeyboardEvent): string {
  const isTurned = getComputedStyle(event.currentTarget as Element).direction === "rtl";
  return (isTurned ? TURNED[event.key] : undefined) ?? event.key;
}
