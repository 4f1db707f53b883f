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
  | "copy";

interface Binding {
  readonly key: string;
  readonly shift?: boolean;
  readonly command: Command;
  readonly help: string;
}

export const KEYMAP: readonly Binding[] = [
  { key: "ArrowDown", command: "down", help: "Next row" },
  { key: "ArrowUp", command: "up", help: "Previous row" },
  { key: "ArrowRight", command: "openOrChild", help: "Open, or first child" },
  { key: "ArrowLeft", command: "closeOrParent", help: "Close, or parent" },
  { key: "Home", command: "first", help: "First row" },
  { key: "End", command: "last", help: "Last row" },
  { key: "PageDown", command: "pageDown", help: "A screen down" },
  { key: "PageUp", command: "pageUp", help: "A screen up" },
  { key: "Enter", command: "inspect", help: "Inspector" },
  { key: "Enter", shift: true, command: "unfold", help: "Open all members of a fold" },
  { key: "/", command: "filter", help: "Filter" },
  { key: "t", command: "nextTied", help: "Next tied tensor" },
  { key: "[", command: "previousMember", help: "Previous member of the fold" },
  { key: "]", command: "nextMember", help: "Next member of the fold" },
  { key: "c", command: "copy", help: "Copy as Python" },
];

interface Press {
  readonly key: string;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
}

/** The command of a key press, or null. Shift counts only with keys that are not characters. */
export function commandFor(press: Press): Command | null {
  if (press.ctrlKey || press.metaKey || press.altKey) {
    return null;
  }
  const isCharacter = press.key.length === 1;
  const found = KEYMAP.find(({ key, shift = false }) => key === press.key && (isCharacter || shift === press.shiftKey));
  return found?.command ?? null;
}
