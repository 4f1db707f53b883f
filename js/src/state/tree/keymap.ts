/** What keys do in the tree. They act only while the grid has the focus. */
export type Command =
  | "down"
  | "up"
  | "first"
  | "last"
  | "pageDown"
  | "pageUp"
  | "openOrChild"
  | "closeOrParent"
  | "inspect"
  | "unfold"
  | "filter"
  | "nextTied"
  | "previousMember"
  | "nextMember"
  | "copy"
  | "freeze"
  | "undo"
  | "redo"
  | "help";

interface Binding {
  readonly key: string;
  readonly shift?: boolean;
  /** Or Command. */
  readonly control?: boolean;
  readonly command: Command;
}

export const KEYMAP: readonly Binding[] = [
  { key: "ArrowDown", command: "down" }, // Next row
  { key: "ArrowUp", command: "up" }, // Previous row
  { key: "ArrowRight", command: "openOrChild" }, // Open, or first child
  { key: "ArrowLeft", command: "closeOrParent" }, // Close, or parent
  { key: "Home", command: "first" }, // First row
  { key: "End", command: "last" }, // Last row
  { key: "PageDown", command: "pageDown" }, // A screen down
  { key: "PageUp", command: "pageUp" }, // A screen up
  { key: "Enter", command: "inspect" }, // Inspector
  { key: "Enter", shift: true, command: "unfold" }, // Open all members of a fold
  { key: "/", command: "filter" }, // Filter
  { key: "t", command: "nextTied" }, // Next tied tensor
  { key: "[", command: "previousMember" }, // Previous member of the fold
  { key: "]", command: "nextMember" }, // Next member of the fold
  { key: "c", command: "copy" }, // Copy as Python
  { key: "f", command: "freeze" }, // Freeze or unfreeze
  { key: "u", command: "undo" }, // Undo the last change
  { key: "z", control: true, command: "undo" }, // Undo the last change
  { key: "U", command: "redo" }, // Redo
  { key: "Z", control: true, command: "redo" }, // Redo
  { key: "y", control: true, command: "redo" }, // Redo
  { key: "?", command: "help" }, // What the filter and the keys mean
];

interface Press {
  readonly key: string;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
}

/**
 * The command of a key press, or null. Shift counts only with keys that are not characters. `pressed` is the key where
 * another is meant than the one on the keyboard: left and right change places where reading goes from right to left.
 */
export function commandFor(press: Press, pressed = press.key): Command | null {
  if (press.altKey) {
    return null;
  }
  const isControl = press.ctrlKey || press.metaKey;
  const isCharacter = pressed.length === 1;
  const found = KEYMAP.find(
    ({ key, shift = false, control = false }) =>
      key === pressed && control === isControl && (isCharacter || shift === press.shiftKey),
  );
  return found?.command ?? null;
}
