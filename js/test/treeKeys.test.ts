// @vitest-environment happy-dom
import { describe, expect, test, vi } from "vitest";
import { rowsInSight, scrollToRow } from "../src/hooks/useVirtualRows.ts";
import { keyOf } from "../src/lib/keyEvents.ts";
import { type Command, commandFor, KEYMAP } from "../src/state/tree/keymap.ts";
import { initialState } from "../src/state/tree/treeState.ts";
import { type Handlers, runCommand } from "../src/views/tree/commands.ts";
import { TreeKernel } from "./treeKernel.ts";

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

function ran(command: Command, active: number, expanded = ["m:", "m:embed"]) {
  const kernel = new TreeKernel();
  const first = kernel.first();
  const rows = kernel.rows({ expanded, picked: {}, unfolded: [], filter: "", chips: [] });
  const state = { ...initialState({ ...first, rows }), active };
  const handlers = {
    move: vi.fn(),
    pageRows: 10,
    setOpen: vi.fn(),
    unfold: vi.fn(),
    inspect: vi.fn(),
    filter: vi.fn(),
    step: vi.fn(),
    nextTied: vi.fn(),
    freeze: vi.fn(),
    turn: vi.fn(),
    copy: vi.fn(),
  } satisfies Handlers;
  runCommand(command, state, handlers);
  return { handlers, row: state.rows.get(active) };
}

// Rows: 0 net, 1 embed, 2 embed.weight, 3 h.0 … h.3, 4 head.
describe("commands", () => {
  test.each([
    ["down", 1, 2],
    ["up", 1, 0],
    ["first", 3, 0],
    ["last", 1, 4],
    ["pageDown", 0, 10],
    ["pageUp", 4, -6],
  ] as const)("%s from row %i moves to row %i", (command, from, to) => {
    expect(ran(command, from).handlers.move).toHaveBeenCalledWith(to);
  });

  test("right opens a closed row", () => {
    const { handlers, row } = ran("openOrChild", 4);
    expect(handlers.setOpen).toHaveBeenCalledWith(row, true, 4);
  });

  test("right on an open row goes to its first child", () => {
    const { handlers } = ran("openOrChild", 1);
    expect(handlers.setOpen).not.toHaveBeenCalled();
    expect(handlers.move).toHaveBeenCalledWith(2);
  });

  test("right on a leaf stays", () => {
    const { handlers } = ran("openOrChild", 2);
    expect(handlers.move).not.toHaveBeenCalled();
    expect(handlers.setOpen).not.toHaveBeenCalled();
  });

  test("left closes an open row", () => {
    const { handlers, row } = ran("closeOrParent", 1);
    expect(handlers.setOpen).toHaveBeenCalledWith(row, false, 1);
  });

  test("left on a closed row or a leaf goes to its parent", () => {
    expect(ran("closeOrParent", 2).handlers.move).toHaveBeenCalledWith(1);
    expect(ran("closeOrParent", 4).handlers.move).toHaveBeenCalledWith(0);
  });

  test("unfold is for folds", () => {
    expect(ran("unfold", 3).handlers.unfold).toHaveBeenCalled();
    expect(ran("unfold", 1).handlers.unfold).not.toHaveBeenCalled();
  });

  test("members step both ways", () => {
    expect(ran("previousMember", 3).handlers.step).toHaveBeenCalledWith(-1);
    expect(ran("nextMember", 3).handlers.step).toHaveBeenCalledWith(1);
  });
});

describe("rows in sight", () => {
  const blocks = (count: number) => [{ count, height: 24 }];
  test("are drawn with some above and below", () => {
    expect(rowsInSight(blocks(1000), 2400, 480)).toEqual({
      first: 100,
      last: 121,
      start: 92,
      stop: 130,
      height: 24_000,
    });
  });

  test("end with the rows there are", () => {
    expect(rowsInSight(blocks(3), 0, 480)).toEqual({ first: 0, last: 2, start: 0, stop: 3, height: 72 });
    expect(rowsInSight(blocks(0), 0, 480).stop).toBe(0);
    expect(rowsInSight(blocks(10), 24 * 5000, 480).stop).toBe(10);
  });

  test("are never more than 200 in the page, however high the frame", () => {
    for (const height of [0, 100, 480, 2000, 50_000]) {
      const { start, stop } = rowsInSight(blocks(100_000), 24 * 50_000, height);
      expect(stop - start).toBeLessThan(200);
    }
  });

  test("are scrolled by as little as it takes", () => {
    const frame = { scrollTop: 240, clientHeight: 264 } as HTMLElement;
    scrollToRow(frame, blocks(100), 12, 24);
    expect(frame.scrollTop).toBe(240);
    scrollToRow(frame, blocks(100), 5, 24);
    expect(frame.scrollTop).toBe(120);
    scrollToRow(frame, blocks(100), 20, 24);
    expect(frame.scrollTop).toBe(21 * 24 - 240);
  });

  test("one to be shown comes to the middle", () => {
    const frame = { scrollTop: 0, clientHeight: 264 } as HTMLElement;
    scrollToRow(frame, blocks(2000), 1000, 24, true);
    expect(frame.scrollTop).toBe(1000 * 24 - 120);
  });
});
