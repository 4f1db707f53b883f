import { describe, expect, test } from "vitest";
import { ChannelClient } from "../../../src/protocol/client.ts";
import { TreeStore } from "../../../src/state/tree/treeStore.ts";
import { settle } from "../../fakes/inspectorClient.ts";
import { module, NET, type Part, TreeKernel } from "../../fakes/treeKernel.ts";

async function settled(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) {
    await settle();
  }
}

function opened(model: Part = NET) {
  const kernel = new TreeKernel(model);
  const store = new TreeStore(new ChannelClient(kernel), kernel.first());
  const rows = () => Array.from({ length: store.state.total }, (_, index) => store.state.rows.get(index)?.id ?? "?");
  const row = (id: string) => {
    const found = [...store.state.rows.values()].find((each) => each.id === id);
    if (found === undefined) {
      throw new Error(`no row ${id}`);
    }
    return found;
  };
  return { kernel, store, rows, row };
}

const CLOSED = ["m:", "m:embed", "f:h.0", "m:head"];

describe("opening", () => {
  test("the first rows need no request", () => {
    const { kernel, rows } = opened();
    expect(rows()).toEqual(CLOSED);
    expect(kernel.asked).toEqual([]);
  });

  test("a row opens and closes in its place", async () => {
    const { store, rows, row } = opened();
    store.setOpen(row("m:embed"), true);
    await settled();
    expect(rows()).toEqual(["m:", "m:embed", "t:embed.weight", "f:h.0", "m:head"]);
    store.setOpen(row("m:embed"), false);
    await settled();
    expect(rows()).toEqual(CLOSED);
  });

  test("two rows opened before the kernel answers are both open", async () => {
    const { kernel, store, rows, row } = opened();
    kernel.isSlow = true;
    store.setOpen(row("m:embed"), true);
    store.setOpen(row("m:head"), true);
    kernel.answerAll();
    await settled();
    expect(rows()).toEqual(["m:", "m:embed", "t:embed.weight", "f:h.0", "m:head", "t:head.weight"]);
    expect(kernel.cancelled).toHaveLength(1);
  });

  test("the keyboard stays on its row when rows come in above it", async () => {
    const { store, row } = opened();
    store.dispatch({ type: "moved", index: 3 });
    store.setOpen(row("m:embed"), true);
    await settled();
    expect(store.state.rows.get(store.state.active)?.id).toBe("m:head");
  });

  test("the rows of before stay until the kernel has answered", async () => {
    const { kernel, store, rows, row } = opened();
    kernel.isSlow = true;
    store.setOpen(row("m:embed"), true);
    await settled();
    expect(rows()).toEqual(CLOSED);
  });
});

describe("folds", () => {
  test("open to the member that is picked", async () => {
    const { store, rows, row } = opened();
    await store.pick(row("f:h.0"), 2);
    expect(rows()).toEqual(["m:", "m:embed", "f:h.0", "m:h.2", "m:head"]);
  });

  test("open to all members, and back to one", async () => {
    const { store, rows, row } = opened();
    store.unfold(row("f:h.0"));
    await settled();
    expect(rows()).toContain("m:h.3");
    store.unfold(row("f:h.0"));
    await settled();
    expect(rows()).toEqual(["m:", "m:embed", "f:h.0", "m:h.0", "m:head"]);
  });

  test("picking another member keeps the same tensor in view", async () => {
    const { store, row } = opened();
    await store.reveal("h.1.mlp.weight");
    await store.pick(row("f:h.0"), 3);
    expect(store.state.selectedPath).toBe("h.3.mlp.weight");
    expect(store.state.rows.get(store.state.active)?.id).toBe("t:h.3.mlp.weight");
  });

  test("the fold's own row stands for the member it shows", async () => {
    const { store, row } = opened();
    store.dispatch({ type: "selected", id: "f:h.0", path: "h.0", index: 2 });
    await store.pick(row("f:h.0"), 1);
    expect(store.state).toMatchObject({ selectedId: "f:h.0", selectedPath: "h.1" });
  });

  test("a step goes to the same tensor of the next member and no further than the last", async () => {
    const { store } = opened();
    await store.reveal("h.2.mlp.bias");
    await store.step(1);
    expect(store.state.selectedPath).toBe("h.3.mlp.bias");
    await store.step(1);
    expect(store.state.selectedPath).toBe("h.3.mlp.bias");
    await store.step(-1);
    expect(store.state.selectedPath).toBe("h.2.mlp.bias");
  });

  test("a step on the fold's own row shows its next member", async () => {
    const { store, row } = opened();
    store.dispatch({ type: "moved", index: 2 });
    await store.step(1);
    await store.step(1);
    expect(row("f:h.0").fold?.picked).toBe(2);
  });
});

describe("revealing a path", () => {
  test("opens what hides it, selects it, and asks for it to be scrolled to", async () => {
    const { store, rows } = opened();
    const { turn } = store.state.reveal;
    await store.reveal("h.2.mlp.weight");
    expect(rows()).toContain("t:h.2.mlp.weight");
    const index = rows().indexOf("t:h.2.mlp.weight");
    expect(store.state).toMatchObject({
      selectedPath: "h.2.mlp.weight",
      selectedId: "t:h.2.mlp.weight",
      active: index,
    });
    expect(store.state.reveal).toEqual({ index, turn: turn + 1 });
  });

  test("selects it also when the model is read anew on the way", async () => {
    const { kernel, store } = opened();
    kernel.isSlow = true;
    const revealed = store.reveal("h.1.mlp.weight");
    kernel.answerAll();
    await settled();
    expect(store.state.selectedPath).toBe("");
    const refreshed = store.refresh(true);
    kernel.answerAll("open");
    await settled();
    kernel.answerAll();
    await Promise.all([revealed, refreshed]);
    expect(store.state.selectedPath).toBe("h.1.mlp.weight");
  });

  test("asks nothing when the row is there", async () => {
    const { kernel, store } = opened();
    await store.reveal("head");
    expect(kernel.asked).toEqual([]);
    expect(store.state.selectedPath).toBe("head");
  });

  test("that the filter hides clears the filter, and says so", async () => {
    const { store, rows } = opened();
    let cleared = 0;
    store.onFilterCleared = () => {
      cleared += 1;
    };
    store.setFilter("head");
    await settled();
    await store.reveal("embed.weight");
    expect(store.state.question).toMatchObject({ filter: "", chips: [] });
    expect(rows()).toContain("t:embed.weight");
    expect(store.state.selectedPath).toBe("embed.weight");
    expect(cleared).toBe(1);
    expect(store.error).toBeNull();
  });

  test("that is nowhere is said, and nothing changes", async () => {
    const { store, rows } = opened();
    await store.reveal("no.such");
    expect(store.error?.code).toBe("path-not-found");
    expect(rows()).toEqual(CLOSED);
    expect(store.state.selectedPath).toBe("");
  });
});

describe("filtering", () => {
  test("starts the keyboard at the first match", async () => {
    const { store, rows } = opened();
    store.setFilter("bias");
    await settled();
    expect(store.state.nMatches).toBe(4);
    expect(rows()[store.state.active]).toBe("t:h.0.mlp.bias");
  });

  test("and clearing it leaves open what was open", async () => {
    const { store, rows, row } = opened();
    store.setOpen(row("m:embed"), true);
    await settled();
    const before = rows();
    store.setFilter("head");
    await settled();
    expect(rows()).not.toEqual(before);
    store.setFilter("");
    await settled();
    expect(rows()).toEqual(before);
  });

  test("shows matches closed, whatever was open before", async () => {
    const { store, rows, row } = opened();
    store.setOpen(row("m:embed"), true);
    await settled();
    store.setFilter("head");
    await settled();
    expect(store.state.question.expanded).toEqual([]);
    expect(rows()).toContain("t:head.weight");
  });

  test("and clearing it keeps in view what was selected in it", async () => {
    const { store, rows } = opened();
    store.setFilter("h.2.mlp.bias");
    await settled();
    const index = rows().indexOf("t:h.2.mlp.bias");
    store.dispatch({ type: "selected", id: "t:h.2.mlp.bias", path: "h.2.mlp.bias", index });
    store.setFilter("");
    await settled();
    expect(rows()).toContain("t:h.2.mlp.bias");
    expect(store.state.reveal.index).toBe(rows().indexOf("t:h.2.mlp.bias"));
  });

  test("cleared while the one before is still being answered ends unfiltered", async () => {
    const { kernel, store, rows } = opened();
    await store.reveal("head");
    kernel.isSlow = true;
    store.setFilter("bias");
    store.setFilter("");
    for (let turn = 0; turn < 4; turn += 1) {
      kernel.answerAll();
      await settled();
    }
    expect(store.state.question.filter).toBe("");
    expect(rows()).toEqual(CLOSED);
  });

  test("chips narrow with it", async () => {
    const { store, rows } = opened();
    store.toggleChip("tied");
    await settled();
    expect(rows()).toEqual(["m:", "m:embed", "t:embed.weight", "m:head", "t:head.weight"]);
    store.toggleChip("tied");
    await settled();
    expect(rows()).toEqual(CLOSED);
  });

  test("says why it can't be read", async () => {
    const { store } = opened();
    store.setFilter('["');
    await settled();
    expect(store.state.problem).toBe("A quote is not closed.");
  });
});

describe("ties", () => {
  test("lead from one name to the next and around", async () => {
    const { kernel, store } = opened();
    expect(await store.nextTied("embed.weight", "A")).toBe("head.weight");
    expect(await store.nextTied("head.weight", "A")).toBe("embed.weight");
    expect(kernel.count("ties")).toBe(1);
  });

  test("are asked for again after the model changed", async () => {
    const { kernel, store } = opened();
    await store.nextTied("embed.weight", "A");
    kernel.generation += 1;
    await store.refresh(true);
    await store.nextTied("embed.weight", "A");
    expect(kernel.count("ties")).toBe(2);
  });
});

const MANY = module(
  "",
  Array.from({ length: 3000 }, (_, n) => module(`part_${n}`)),
);

describe("many rows", () => {
  test("are asked for as they come into sight", async () => {
    const { kernel, store } = opened(MANY);
    expect(store.state.total).toBe(3001);
    store.look(1500, 1530);
    await settled();
    for (let index = 1500; index <= 1530; index += 1) {
      expect(store.state.rows.get(index)?.path).toBe(`part_${index - 1}`);
    }
    expect(kernel.count("rows")).toBe(1);
    store.look(1505, 1535);
    await settled();
    expect(kernel.count("rows")).toBe(1);
  });

  test("are there before they come into sight, on either side", async () => {
    const { store } = opened(MANY);
    store.look(1500, 1530);
    await settled();
    store.look(1575, 1605);
    await settled();
    expect(store.state.rows.get(1645)?.path).toBe("part_1644");
    store.look(1440, 1470);
    await settled();
    expect(store.state.rows.get(1401)?.path).toBe("part_1400");
  });

  test("that were scrolled past are no longer waited for", async () => {
    const { kernel, store } = opened(MANY);
    kernel.isSlow = true;
    store.look(500, 530);
    store.look(2500, 2530);
    expect(kernel.cancelled).toEqual([kernel.asked[0]?.id]);
    kernel.answerAll();
    await settled();
    expect(store.state.rows.get(2510)?.path).toBe("part_2509");
    expect(store.state.rows.has(510)).toBe(false);
  });

  test("asked for once are not asked for again while they come", async () => {
    const { kernel, store } = opened(MANY);
    kernel.isSlow = true;
    store.look(500, 530);
    store.look(501, 531);
    store.look(502, 532);
    expect(kernel.count("rows")).toBe(1);
  });

  test("are forgotten again, so that the page doesn't grow", async () => {
    const { store } = opened(
      module(
        "",
        Array.from({ length: 12_000 }, (_, n) => module(`part_${n}`)),
      ),
    );
    for (let first = 0; first < 12_000; first += 150) {
      store.look(first, first + 30);
      await settled();
    }
    expect(store.state.rows.size).toBeLessThan(5_000);
  });
});

describe("trouble", () => {
  test("is told, and trying again asks the same", async () => {
    const { kernel, store, row, rows } = opened();
    kernel.isOpen = false;
    store.setOpen(row("m:embed"), true);
    await settled();
    expect(store.error?.code).toBe("no-kernel");
    kernel.isOpen = true;
    store.retry();
    await settled();
    expect(store.error).toBeNull();
    expect(rows()).toContain("t:embed.weight");
  });
});

describe("a model that changed", () => {
  test("in its values only is not asked for its rows", async () => {
    const { kernel, store } = opened();
    const before = store.valuesGeneration;
    await store.refresh(false);
    expect(store.valuesGeneration).toBe(before + 1);
    expect(kernel.asked).toEqual([]);
  });

  test("in its structure shows its new rows", async () => {
    const { kernel, store, rows } = opened();
    kernel.model = module("", [module("other")]);
    kernel.generation += 1;
    await store.refresh(true);
    expect(rows()).toEqual(["m:", "m:other"]);
  });
});
