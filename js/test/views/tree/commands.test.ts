// @vitest-environment happy-dom
import { describe, expect, test, vi } from "vitest";
import type { Command } from "../../../src/state/tree/keymap.ts";
import { initialState } from "../../../src/state/tree/treeState.ts";
import { type Handlers, runCommand } from "../../../src/views/tree/commands.ts";
import { TreeKernel } from "../../fakes/treeKernel.ts";

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
    help: vi.fn(),
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

  test("? opens the help", () => {
    expect(ran("help", 1).handlers.help).toHaveBeenCalledOnce();
  });

  test("members step both ways", () => {
    expect(ran("previousMember", 3).handlers.step).toHaveBeenCalledWith(-1);
    expect(ran("nextMember", 3).handlers.step).toHaveBeenCalledWith(1);
  });
});
