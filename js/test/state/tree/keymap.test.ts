// @vitest-environment happy-dom
import { describe, expect, test } from "vitest";
import { keyOf } from "../../../src/lib/keyEvents.ts";
import { commandFor, KEYMAP } from "../../../src/state/tree/keymap.ts";

function press(key: string, modifiers: Partial<Record<"shiftKey" | "ctrlKey" | "metaKey" | "altKey", boolean>> = {}) {
  return commandFor({ key, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, ...modifiers });
}

describe("keys", () => {
  test.each([
    ["ArrowDown", "down"],
    ["ArrowUp", "up"],
    ["ArrowRight", "openOrChild"],
    ["ArrowLeft", "closeOrParent"],
    ["Home", "first"],
    ["End", "last"],
    ["PageDown", "pageDown"],
    ["PageUp", "pageUp"],
    ["Enter", "inspect"],
    ["/", "filter"],
    ["t", "nextTied"],
    ["[", "previousMember"],
    ["]", "nextMember"],
    ["f", "freeze"],
    ["u", "undo"],
    ["U", "redo"],
  ])("%s: %s", (key, command) => expect(press(key)).toBe(command));

  test("where reading goes from right to left, left opens and right closes", () => {
    const tree = document.createElement("div");
    tree.style.direction = "rtl";
    document.body.append(tree);
    const heard: (string | null)[] = [];
    tree.addEventListener("keydown", (event) => heard.push(commandFor(event, keyOf(event))));
    for (const key of ["ArrowLeft", "ArrowRight", "ArrowDown", "t"]) {
      tree.dispatchEvent(new KeyboardEvent("keydown", { key }));
    }
    expect(heard).toEqual(["openOrChild", "closeOrParent", "down", "nextTied"]);
    tree.remove();
  });

  test("Shift+Enter opens all members of a fold", () => expect(press("Enter", { shiftKey: true })).toBe("unfold"));

  test("characters that need Shift on some keyboards work there too", () => {
    expect(press("/", { shiftKey: true })).toBe("filter");
    expect(press("]", { shiftKey: true })).toBe("nextMember");
  });

  test.each(["ctrlKey", "metaKey", "altKey"] as const)("with %s they are the browser's", (modifier) => {
    for (const { key, control = false } of KEYMAP) {
      if (control) {
        continue;
      }
      expect(press(key, { [modifier]: true })).toBeNull();
    }
  });

  test.each(["d", "a", "b", "x", "m", "z", "T", "Tab", "Escape", "F5"])("%s does nothing", (key) =>
    expect(press(key)).toBeNull(),
  );
});
