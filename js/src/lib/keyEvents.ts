/** Has nothing else act on an event: neither the browser nor the host. */
export function consumeEvent(event: Event): void {
  event.preventDefault();
  event.stopPropagation();
}

/** Whether a key that makes another of each key is held. */
export function isModified({ ctrlKey, metaKey, altKey }: KeyboardEvent): boolean {
  return ctrlKey || metaKey || altKey;
}

const FUNCTION_KEY = /^F\d+$/;
const EDITING_KEY = /^(?:[acvxyz]|Arrow\w+|Home|End|Backspace|Delete|Insert)$/i;

/**
 * Whether a key press is the view's: a key alone, a chord that the view acts on, and in a text field what edits or types.
 * The rest, such as Ctrl+S and F1, is the host's.
 */
export function isForView(event: KeyboardEvent): boolean {
  if (FUNCTION_KEY.test(event.key)) {
    return false;
  }
  const isTyping = event.getModifierState("AltGraph") || (event.altKey && !event.ctrlKey && !event.metaKey);
  const target = event.composedPath()[0];
  if (isTextField(target)) {
    return !isModified(event) || isTyping || EDITING_KEY.test(event.key) || isApplying(event, target);
  }
  return !isModified(event) || isUndoing(event) || isApplying(event, target);
}

/** Whether what is typed there is text. */
export function isTextField(target: EventTarget | undefined): target is HTMLElement {
  return (
    target instanceof HTMLElement &&
    target.matches("input:not([type=radio], [type=checkbox]), textarea, [contenteditable]")
  );
}

/** Ctrl+Z, Ctrl+Y, Ctrl+Shift+Z, or with Command. */
function isUndoing({ key, ctrlKey, metaKey, altKey }: KeyboardEvent): boolean {
  return (ctrlKey || metaKey) && !altKey && /^[zy]$/i.test(key);
}

function isApplying({ key, ctrlKey, metaKey }: KeyboardEvent, target: EventTarget | undefined): boolean {
  return (
    key === "Enter" && (ctrlKey || metaKey) && target instanceof Element && target.closest("[data-applies]") !== null
  );
}

const TURNED: Readonly<Record<string, string>> = { ArrowLeft: "ArrowRight", ArrowRight: "ArrowLeft" };

/** The key pressed; where reading goes from right to left, the arrow that goes as far along it from left to right. */
export function keyOf(event: KeyboardEvent): string {
  const isTurned = getComputedStyle(event.currentTarget as Element).direction === "rtl";
  return (isTurned ? TURNED[event.key] : undefined) ?? event.key;
}
