// @vitest-environment happy-dom
import { cleanup, fireEvent, render } from "@testing-library/preact";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ChannelClient } from "../../src/protocol/client.ts";
import { App, type AppProps } from "../../src/views/App.tsx";
import { module, NET, type Part, TreeKernel, tensor } from "../fakes/treeKernel.ts";

afterEach(cleanup);

/** Lets requests be answered and what they change be drawn. */
async function drawn(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

async function shown(model: Part = NET, change: Partial<AppProps> = {}) {
  const kernel = new TreeKernel(model);
  const props: AppProps = {
    client: new ChannelClient(kernel),
    first: kernel.first(),
    seen: "2026-11-24T14:02:17",
    height: null,
    selected: "",
    filter: "",
    onSelected: vi.fn(),
    onFilter: vi.fn(),
    alive: true,
    ...change,
  };
  const view = render(<App {...props} />);
  const firstRows = view.container.querySelectorAll("[data-row]").length;
  await drawn();
  const row = (id: string): HTMLElement => {
    const found = view.container.querySelector<HTMLElement>(`[data-row="${id}"]`);
    if (found === null) {
      throw new Error(`no row ${id}`);
    }
    return found;
  };
  const ids = () => [...view.container.querySelectorAll("[data-row]")].map((each) => each.getAttribute("data-row"));
  const press = async (key: string, init: Partial<KeyboardEventInit> = {}) => {
    fireEvent.keyDown(document.activeElement ?? document.body, { key, ...init });
    await drawn();
  };
  const again = async (next: Partial<AppProps>) => {
    view.rerender(<App {...props} {...next} />);
    await drawn();
  };
  return { kernel, props, view, firstRows, row, ids, press, again };
}

test("a model over ranks that can't be changed from here is looked at: what changes it is disabled and says why, and no history is asked for", async () => {
  const kernel = new TreeKernel(NET);
  const first = { ...kernel.first(), ranks: { mesh: [], ranks: [], problem: null, can_change: false } };
  kernel.first = () => first;
  const { view, press, row } = await shown(NET, {
    client: new ChannelClient(kernel),
    first,
  });
  for (const name of ["Trace", "Checkpoints"]) {
    const button = view.getByRole("button", { name }) as HTMLButtonElement;
    expect(button.disabled).toBe(true);
    expect(button.title).toContain("on each rank");
  }
  row("m:").focus();
  await press("f");
  await press("u");
  expect(kernel.count("history") + kernel.count("freeze") + kernel.count("undo")).toBe(0);
  expect(view.queryByRole("region", { name: "History" })).toBeNull();
});

test("a model over ranks is changed as long as all of them answer", async () => {
  const kernel = new TreeKernel(NET);
  const rank = { rank: 3, host: "", state: "idle" as const, answered: true, doing: "", local_bytes: 1 };
  const over = (change: object) => ({ mesh: [], ranks: [{ ...rank, ...change }], problem: null, can_change: true });
  const opened = kernel.first();
  kernel.first = () => ({ ...opened, ranks: over({}) });
  const { press, row, view } = await shown(NET, { client: new ChannelClient(kernel), first: kernel.first() });
  expect(view.getByRole("region", { name: "History" })).toBeTruthy();
  const isOff = (name: string) => (view.getByRole("button", { name }) as HTMLButtonElement).disabled;
  expect(["Trace", "Table", "Checkpoints"].map(isOff)).toEqual([true, false, false]);
  row("m:").focus();
  await press("f");
  expect(kernel.count("freeze")).toBe(1);
  kernel.first = () => ({ ...opened, ranks: over({ answered: false, state: "missing" }) });
  kernel.emit("changed", { structure: true });
  await drawn();
  await press("f");
  expect(kernel.count("freeze")).toBe(1);
});

describe("the first picture", () => {
  test("is drawn before the kernel answers anything", async () => {
    const { firstRows } = await shown();
    expect(firstRows).toBe(4);
  });

  test("says the totals, exact on hover, with why torch counts otherwise", async () => {
    const { view } = await shown();
    const totals = view.container.querySelector(".nnw-totals");
    expect(totals?.textContent).toMatch(/38\.60.M · 11 modules · 154\.4.MB/);
    expect(totals?.querySelector("b")?.title).toMatch(/38.597.376 parameters.*counts embed\.weight twice/);
  });
});

describe("a host that draws the view anew", () => {
  test("shows the tab that was open, and what was typed there", async () => {
    const memory = new Map();
    const { view } = await shown(NET, { memory });
    fireEvent.click(view.getByRole("tab", { name: "Trace" }));
    fireEvent.input(view.getByPlaceholderText("2,20"), { target: { value: "4,20" } });
    await drawn();
    view.unmount();
    const again = await shown(NET, { memory });
    expect(again.view.getByRole("tab", { name: "Trace" }).getAttribute("aria-selected")).toBe("true");
    expect((again.view.getByPlaceholderText("2,20") as HTMLInputElement).value).toBe("4,20");
  });
});

describe("what the view asks by itself", () => {
  test("is not waited for by anyone; what is selected is", async () => {
    const { kernel, props, row } = await shown();
    const client = props.client as ChannelClient;
    expect(client.nWaiting).toBe(0);
    kernel.isSlow = true;
    const before = kernel.asked.length;
    kernel.emit("changed", { structure: true });
    await drawn();
    expect(kernel.asked.slice(before).map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(["open", "history", "inspect"]),
    );
    expect(client.nWaiting).toBe(0);
    fireEvent.click(row("m:head"));
    await drawn();
    expect(client.nWaiting).toBe(1);
  });
});

describe("rows", () => {
  test("say their place to a screen reader", async () => {
    const { row, view } = await shown();
    expect(view.getByRole("treegrid").getAttribute("aria-rowcount")).toBe("5");
    const head = row("m:head");
    const named = Object.fromEntries(
      ["level", "posinset", "setsize", "rowindex"].map((n) => [n, head.getAttribute(`aria-${n}`)]),
    );
    expect(named).toEqual({ level: "2", posinset: "3", setsize: "3", rowindex: "5" });
    expect(head.getAttribute("aria-expanded")).toBe("false");
  });

  test("only one takes the Tab key", async () => {
    const { view, press, row } = await shown();
    row("m:").focus();
    await press("ArrowDown");
    expect(view.container.querySelectorAll('[role="row"][tabindex="0"]')).toHaveLength(1);
    expect(document.activeElement).toBe(row("m:embed"));
  });

  test("a click selects, and tells it", async () => {
    const { row, props } = await shown();
    fireEvent.click(row("m:head"));
    await drawn();
    expect(row("m:head").getAttribute("aria-selected")).toBe("true");
    expect(props.onSelected).toHaveBeenLastCalledWith("head");
  });

  test("the chevron opens without selecting", async () => {
    const { row, ids, props } = await shown();
    fireEvent.click(row("m:embed").querySelector(".nnw-chevron") as Element);
    await drawn();
    expect(ids()).toContain("t:embed.weight");
    expect(props.onSelected).not.toHaveBeenCalled();
  });

  test("names are text, whatever they hold", async () => {
    const hostile = '<img src=x onerror="window.pwned=1">';
    const { row, view } = await shown(
      module("", [tensor("w", { name: hostile, class_name: hostile, shape: hostile })]),
    );
    expect(row("t:w").textContent).toContain(hostile);
    expect(view.container.querySelector("img")).toBeNull();
  });

  test("one that can't be read says why", async () => {
    const { row } = await shown(module("", [module("x", [], { kind: "problem", problem: "_modules is a list" })]));
    expect(row("m:x").textContent).toContain("can’t be read: _modules is a list");
  });

  test("an alias leads to what it is", async () => {
    const { row } = await shown(
      module("", [
        module("a", [tensor("a.weight")]),
        module("b", [], { kind: "alias", alias_of: "a", n_params: null }),
      ]),
    );
    fireEvent.click(row("m:b").querySelector(".nnw-alias-of") as Element);
    await drawn();
    expect(row("m:a").getAttribute("aria-selected")).toBe("true");
  });

  test("hovering a tied one lights its group and leaving ends it", async () => {
    const { row, view } = await shown();
    for (const id of ["m:embed", "m:head"]) {
      fireEvent.click(row(id).querySelector(".nnw-chevron") as Element);
      await drawn();
    }
    fireEvent.mouseEnter(row("t:embed.weight"));
    await drawn();
    expect(row("t:head.weight").className).toContain("nnw-lit");
    expect(row("m:head").className).not.toContain("nnw-lit");
    fireEvent.mouseLeave(view.getByRole("treegrid"));
    await drawn();
    expect(row("t:head.weight").className).not.toContain("nnw-lit");
  });
});

describe("keys", () => {
  test("t goes to the next name, also where its row is closed", async () => {
    const { row, press } = await shown();
    row("m:").focus();
    await press("ArrowDown");
    await press("ArrowRight");
    await press("ArrowRight");
    expect(document.activeElement).toBe(row("t:embed.weight"));
    await press("t");
    expect(document.activeElement).toBe(row("t:head.weight"));
    await press("t");
    expect(document.activeElement).toBe(row("t:embed.weight"));
    expect(row("t:embed.weight").tabIndex).toBe(0);
  });

  test("Enter goes to the inspector and Escape back", async () => {
    const { row, press, view } = await shown();
    row("m:").focus();
    await press("ArrowDown");
    await press("Enter");
    expect(view.container.querySelector(".nnw-inspector")?.contains(document.activeElement)).toBe(true);
    await press("Escape");
    expect(document.activeElement).toBe(row("m:embed"));
  });

  test("what was typed in the filter counts, also where the box goes at once", async () => {
    const { view, props } = await shown();
    fireEvent.input(view.getByRole("searchbox"), { target: { value: "bias" } });
    await drawn();
    view.unmount();
    expect(props.onFilter).toHaveBeenCalledExactlyOnceWith("bias");
  });

  test("slash goes to the filter, Escape clears it and comes back", async () => {
    const { row, press, view, ids } = await shown();
    row("m:").focus();
    await press("/");
    const box = view.getByRole("searchbox") as HTMLInputElement;
    expect(document.activeElement).toBe(box);
    fireEvent.input(box, { target: { value: "bias" } });
    await press("Enter");
    expect(ids()).toContain("t:h.0.mlp.bias");
    expect(document.activeElement).toBe(row("t:h.0.mlp.bias"));
    await press("/");
    await press("Escape");
    expect(box.value).toBe("");
    expect(ids()).toContain("f:h.0");
  });

  test("never reach the page around it", async () => {
    const { row, press } = await shown();
    const heard = vi.fn();
    document.addEventListener("keydown", heard);
    row("m:").focus();
    for (const key of ["d", "b", "Enter", "ArrowDown", "Escape"]) {
      await press(key);
    }
    document.removeEventListener("keydown", heard);
    expect(heard).not.toHaveBeenCalled();
  });

  test("of the host reach the page around, from a row and from the filter, and what edits text doesn't", async () => {
    const { row, view } = await shown();
    const heard: string[] = [];
    const hear = (event: KeyboardEvent): unknown => heard.push(event.key);
    document.addEventListener("keydown", hear);
    const box = view.getByRole("searchbox");
    for (const target of [row("m:"), box]) {
      for (const key of ["s", "S", "p", "b", "F1"]) {
        fireEvent.keyDown(target, { key, ctrlKey: key !== "F1" });
        expect(target.closest("[data-lm-suppress-shortcuts]")).toBeNull();
      }
    }
    expect(heard).toEqual(["s", "S", "p", "b", "F1", "s", "S", "p", "b", "F1"]);
    for (const key of ["a", "c", "v", "x", "z", "ArrowLeft", "Backspace"]) {
      fireEvent.keyDown(box, { key, ctrlKey: true });
      expect(box.closest("[data-lm-suppress-shortcuts]")).not.toBeNull();
    }
    fireEvent.keyDown(box, { key: "q", ctrlKey: true, altKey: true, modifierAltGraph: true });
    fireEvent.keyDown(row("m:"), { key: "z", ctrlKey: true });
    document.removeEventListener("keydown", hear);
    expect(heard).toHaveLength(10);
  });
});

describe("traits", () => {
  test("a path set in Python is opened, selected and not told back", async () => {
    const { again, row, props } = await shown();
    await again({ selected: "h.2.mlp.weight" });
    expect(row("t:h.2.mlp.weight").getAttribute("aria-selected")).toBe("true");
    expect(props.onSelected).not.toHaveBeenCalled();
  });

  test("two paths set one after the other are followed, and neither is told back", async () => {
    const { view, again, row, props } = await shown();
    view.rerender(<App {...props} selected="h.2.mlp.weight" />);
    await again({ selected: "head" });
    expect(row("m:head").getAttribute("aria-selected")).toBe("true");
    expect(props.onSelected).not.toHaveBeenCalled();
    fireEvent.click(row("m:embed"));
    await drawn();
    expect(props.onSelected).toHaveBeenLastCalledWith("embed");
  });

  test("what the view told earlier doesn't pull it back", async () => {
    const { again, row, props } = await shown();
    fireEvent.click(row("m:embed"));
    await drawn();
    expect(props.onSelected).toHaveBeenLastCalledWith("embed");
    fireEvent.click(row("m:head"));
    await again({ selected: "embed" });
    expect(row("m:head").getAttribute("aria-selected")).toBe("true");
  });

  test("a filter set in Python shows in the box and filters", async () => {
    const { again, view, ids } = await shown();
    await again({ filter: "bias" });
    expect((view.getByRole("searchbox") as HTMLInputElement).value).toBe("bias");
    expect(ids()).toContain("t:h.1.mlp.bias");
  });
});

describe("what stands in the way", () => {
  test("no kernel: says since when and what to do, and the rows stay", async () => {
    const { again, kernel, view, ids } = await shown();
    kernel.isOpen = false;
    await again({ alive: false });
    expect(view.container.textContent).toMatch(
      /No kernel\. Seen at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\. Run the cell again to go on\./,
    );
    expect(ids()).toHaveLength(4);
    expect((view.getByRole("searchbox") as HTMLInputElement).disabled).toBe(true);
  });

  test("no kernel: rows that were never read say so, and none waits for ever", async () => {
    const kernel = new TreeKernel(NET);
    const whole = kernel.first();
    const first = { ...whole, rows: { ...whole.rows, rows: whole.rows.rows.slice(0, 1) } };
    kernel.isOpen = false;
    const { view, ids } = await shown(NET, { client: new ChannelClient(kernel), first, alive: false });
    expect(ids()).toHaveLength(1);
    expect(view.getAllByText("not read")).toHaveLength(3);
    expect(view.container.querySelector('[aria-busy="true"]')).toBeNull();
    expect(view.container.querySelector(".nnw-left:disabled")).not.toBeNull();
    expect(view.getByRole("tabpanel").textContent).toContain("Not read while there was a kernel.");
  });

  test("a model that has gone is said", async () => {
    const { kernel, view } = await shown();
    kernel.emit("closed", { code: "model-gone", message: "The model was deleted." });
    await drawn();
    expect(view.container.textContent).toContain("The model was deleted.");
  });

  test("a kernel that went says so, also where its model went first", async () => {
    const { again, kernel, view } = await shown();
    kernel.emit("closed", { code: "model-gone", message: "The model was deleted." });
    kernel.isOpen = false;
    await again({ alive: false });
    expect(view.container.textContent).toContain("No kernel.");
  });

  test("a training that can't be drawn leaves the view as it is, and its part is asked for anew", async () => {
    const { kernel, row } = await shown();
    for (const step of [1, 2]) {
      kernel.emit("ticked", { step, beats: { "": [1, 1, 1] } });
      await drawn();
      expect(kernel.count("part")).toBe(step);
    }
    expect(row("m:")).not.toBeNull();
  });

  test("no match, and a filter that can't be read", async () => {
    const { again, view } = await shown();
    await again({ filter: "no such" });
    expect(view.container.textContent).toContain("Nothing matches");
    await again({ filter: '["' });
    expect(view.container.querySelector('.nnw-toolbar [role="alert"]')?.textContent).toContain(
      "A quote is not closed.",
    );
  });

  test("an empty model says what to do", async () => {
    const { view } = await shown(module(""));
    expect(view.container.textContent).toContain("No submodules and no tensors yet");
  });
});
