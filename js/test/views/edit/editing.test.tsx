// @vitest-environment happy-dom
import { act, cleanup, fireEvent, render } from "@testing-library/preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Memory } from "../../../src/hooks/useRemembered.ts";
import type { HistoryReply, InitializersReply, InitReply } from "../../../src/protocol/messages.ts";
import { ChangesStore } from "../../../src/state/changesStore.ts";
import { type Editing, EditingContext } from "../../../src/views/edit/editingContext.ts";
import { FreezeButton } from "../../../src/views/edit/FreezeButton.tsx";
import { Reinitialize } from "../../../src/views/edit/Reinitialize.tsx";
import { ValueInput } from "../../../src/views/edit/ValueInput.tsx";
import { HistoryBar } from "../../../src/views/history/HistoryBar.tsx";
import { changed, entry, figures, historyReply, initializersReply, initReply } from "../../fakes/editReplies.ts";
import { settle, TestClient } from "../../fakes/inspectorClient.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

async function calm(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) {
    await act(async () => {
      await vi.advanceTimersByTimeAsync(150);
      await settle();
    });
  }
}

interface Shown {
  readonly offer?: Partial<InitializersReply>;
  readonly reply?: Partial<InitReply>;
  readonly isFold?: boolean;
  readonly silent?: string | null;
}

async function panel({ offer = {}, reply = {}, isFold = false, silent = null }: Shown = {}) {
  const client = new TestClient()
    .answer("initializers", () => initializersReply(offer))
    .answer("preview", () => initReply(reply))
    .answer("init", () => initReply(reply))
    .answer("history", () => historyReply());
  const changes = new ChangesStore(client);
  const onCancel = vi.fn();
  const memory: Memory = new Map();
  const draw = (path: string) => (
    <Reinitialize
      client={client}
      path={path}
      editing={{ changes, filter: "", chips: [], isFold, alive: true, memory, silent }}
      generation={0}
      alive
      onNavigate={vi.fn()}
      onCancel={onCancel}
      Compare={() => null}
    />
  );
  const view = render(draw("0.weight"));
  await calm();
  const select = (path: string) => view.rerender(draw(path));
  const anew = async (path: string) => {
    view.unmount();
    const next = render(draw(path));
    await calm();
    return next;
  };
  return { client, view, select, anew, onCancel, lastPreview: () => client.of("preview").at(-1)?.body };
}

function field(view: ReturnType<typeof render>, name: string): HTMLInputElement {
  return view.getByLabelText(name, { exact: true, selector: "input, select" }) as HTMLInputElement;
}

test("nothing is applied while a rank is silent, which is named", async () => {
  const { client, view } = await panel({ silent: "A change needs every rank; rank 3, no answer" });
  const apply = view.getByRole("button", { name: /Apply/ });
  expect(apply.getAttribute("aria-disabled")).toBe("true");
  expect(view.getByRole("status").textContent).toContain("rank 3, no answer");
  fireEvent.click(apply);
  await calm();
  expect(client.of("init")).toEqual([]);
});

test("opens with what is suggested, already previewed", async () => {
  const { view, lastPreview } = await panel();
  expect(field(view, "Initializer").value).toBe("kaiming_normal_");
  expect(lastPreview()).toMatchObject({ path: "0.weight", how: "kaiming_normal_", kwargs: { nonlinearity: "relu" } });
  expect(view.getByRole("table", { name: "Statistics of 0.weight" }).textContent).toContain("0.1294");
  expect(view.container.textContent).toContain("relu follows (1): gain 1.414.");
  expect(view.container.textContent).toContain("nothing is written until Apply");
});

test("what was typed is there when the form is drawn anew for the same tensor, until it is cancelled", async () => {
  const { view, anew } = await panel({ offer: { suggested: "reset" } });
  fireEvent.change(field(view, "Initializer"), { target: { value: "normal_" } });
  fireEvent.input(field(view, "std"), { target: { value: "0.3" } });
  fireEvent.input(field(view, "Seed"), { target: { value: "77" } });
  await calm();
  const again = await anew("0.weight");
  expect(field(again, "Initializer").value).toBe("normal_");
  expect(field(again, "std").value).toBe("0.3");
  expect(field(again, "Seed").value).toBe("77");
  fireEvent.click(again.getByRole("button", { name: "Cancel" }));
  again.unmount();
  const fresh = await anew("0.weight");
  expect(field(fresh, "Initializer").value).not.toBe("normal_");
  fireEvent.change(field(fresh, "Initializer"), { target: { value: "normal_" } });
  await calm();
  fresh.unmount();
  expect(field(await anew("2.weight"), "Initializer").value).not.toBe("normal_");
});

test("Apply sends what was previewed, and Ctrl+Enter from a field does too", async () => {
  const { view, client, lastPreview } = await panel();
  fireEvent.click(view.getByRole("button", { name: /Apply/ }));
  await calm();
  expect(client.of("init")[0]?.body).toEqual(lastPreview());
  expect(view.getByRole("status").textContent).toBe("applied");
  expect(view.getByRole("region", { name: "1 tensor changed" })).toBeTruthy();

  fireEvent.input(field(view, "Seed"), { target: { value: "12" } });
  await calm();
  expect(view.getByRole("status").textContent).toBe("nothing is written until Apply");
  fireEvent.keyDown(field(view, "Seed"), { key: "Enter", ctrlKey: true });
  await calm();
  expect(client.of("init")[1]?.body).toMatchObject({ seed: 12 });
});

test("what is refused says why, and can't be applied or previewed", async () => {
  const { view, client } = await panel();
  const before = client.of("preview").length;
  fireEvent.change(field(view, "Initializer"), { target: { value: "zeros_" } });
  await calm();
  expect(view.container.textContent).toContain("zeros_ can’t fill this.Every unit would stay the same.");
  expect(view.getByRole("button", { name: /Apply/ }).getAttribute("aria-disabled")).toBe("true");
  fireEvent.keyDown(field(view, "Initializer"), { key: "Enter", ctrlKey: true });
  await calm();
  expect(client.of("preview")).toHaveLength(before);
  expect(client.of("init")).toHaveLength(0);
});

test("a wrong parameter is told under its field", async () => {
  const { view } = await panel();
  fireEvent.change(field(view, "Initializer"), { target: { value: "normal_" } });
  await calm();
  fireEvent.input(field(view, "std"), { target: { value: "wide" } });
  await calm();
  expect(field(view, "std").getAttribute("aria-invalid")).toBe("true");
  expect(view.container.textContent).toContain("expects a number");
  expect(view.getByRole("button", { name: /Apply/ }).getAttribute("aria-disabled")).toBe("true");
});

test("a refusal of the kernel stays in the panel, which keeps what was typed", async () => {
  const { view, client } = await panel();
  client.refuse("init", "initializer", "std is negative.", "Take another.");
  fireEvent.click(view.getByRole("button", { name: /Apply/ }));
  await calm();
  expect(view.getByRole("alert").textContent).toBe("Nothing was changed.std is negative.Take another.");
  expect(field(view, "Initializer").value).toBe("kaiming_normal_");
});

test("ties, samples, warnings and stale moments are told", async () => {
  const sampled = figures({ is_exact: false, n: 65_536, n_total: 38_597_376 });
  const { view, lastPreview } = await panel({
    reply: {
      n_tensors: 2,
      tensors: [
        changed("wte.weight", { tie: "A", before: sampled, after: sampled }),
        changed("head.weight", { tie: "A", how: "same object", before: null, after: null, overlay: null }),
      ],
      warnings: ["It is wide."],
      stale: [{ optimizer: "AdamW", n_tensors: 2, message: "AdamW keeps moments (step 3)." }],
    },
  });
  const list = view.getByRole("region", { name: "2 tensors change" });
  expect(list.textContent).toContain("Awte.weighttarget");
  expect(list.textContent).toContain("Ahead.weightsame object");
  expect(list.textContent).toContain("each storage filled once");
  expect(view.container.textContent).toContain("≈ from a sample of 38.60\u00a0M");
  expect(view.getByRole("table").textContent).toContain("≤−0.22");
  expect(view.container.textContent).toContain("It is wide.");
  fireEvent.click(view.getByRole("checkbox", { name: /Clear them too/ }));
  await calm();
  expect(lastPreview()).toMatchObject({ clear_state: true });
});

test("a fold's row means all its members, and the tensors of it can be narrowed", async () => {
  const { view, client, lastPreview } = await panel({
    isFold: true,
    offer: {
      scopes: [
        { scope: "here", label: "this module", n_tensors: 2 },
        { scope: "fold", label: "all 12, h.0 to h.11", n_tensors: 24 },
      ],
      n_weights: 12,
      n_vectors: 12,
    },
  });
  expect(field(view, "Target").value).toBe("fold");
  expect(lastPreview()).toMatchObject({ scope: "fold" });
  fireEvent.change(view.getByLabelText("Which tensors of it"), { target: { value: "weights" } });
  await calm();
  expect(client.of("initializers").at(-1)?.body).toMatchObject({ scope: "fold", only: "weights" });
  expect(lastPreview()).toMatchObject({ scope: "fold", only: "weights" });
});

test("a target is chosen for what is selected: it stays from the first moment on, and goes with the selection", async () => {
  const { view, client, select, lastPreview } = await panel({
    offer: {
      scopes: [
        { scope: "here", label: "this tensor", n_tensors: 1 },
        { scope: "fold", label: "all 2, 0 to 1", n_tensors: 2 },
      ],
    },
  });
  fireEvent.change(field(view, "Target"), { target: { value: "fold" } });
  await calm();
  expect(lastPreview()).toMatchObject({ path: "0.weight", scope: "fold" });
  select("1.weight");
  expect(field(view, "Target").value).toBe("here");
  fireEvent.change(field(view, "Target"), { target: { value: "fold" } });
  await calm();
  expect(lastPreview()).toMatchObject({ path: "1.weight", scope: "fold" });
  select("0.weight");
  await calm();
  expect(field(view, "Target").value).toBe("here");
  const asked = client.of("initializers").map(({ body }) => JSON.stringify(body));
  const asks = (path: string, scope?: string) => JSON.stringify({ path, scope });
  expect(asked).toEqual([
    asks("0.weight"),
    asks("0.weight", "fold"),
    asks("1.weight"),
    asks("1.weight", "fold"),
    asks("0.weight"),
  ]);
});

test("text of the model stays text", async () => {
  const hostile = "<img src=x onerror=alert(1)>";
  const { view } = await panel({
    reply: { tensors: [changed(hostile, { how: hostile, shape: hostile })], warnings: [hostile], code: hostile },
  });
  expect(view.container.textContent).toContain(hostile);
  expect(view.container.querySelector("img")).toBeNull();
});

async function bar(history: Partial<HistoryReply>, alive = true) {
  const client = new TestClient()
    .answer("history", () => historyReply(history))
    .answer("code", () => ({ code: "net[0].weight" }));
  const changes = new ChangesStore(client);
  const onLeave = vi.fn();
  const draw = () => <HistoryBar changes={changes} alive={alive} onLeave={onLeave} />;
  const view = render(draw());
  await act(() => changes.load());
  await calm();
  return { client, changes, view, onLeave };
}

test("an unchanged model has a quiet bar", async () => {
  const { view } = await bar({});
  expect(view.container.textContent).toBe("No changes yet");
  expect(view.getAllByRole("button").map((each) => each.getAttribute("aria-disabled"))).toEqual(["true", "true"]);
});

test("a model whose changes were all taken back says so, and how many", async () => {
  const { view } = await bar({ entries: [entry({ state: "undone" })], n_changes: 0, redo: "normal_" });
  expect(view.container.textContent).toContain("No changes in force");
  expect(view.getByRole("button", { name: /1 change undone/ })).toBeTruthy();
});

test("the button that freezes says what it does to how many tensors, beside the state of three", async () => {
  const client = new TestClient().answer("history", () => historyReply()).answer("freeze", () => ({}) as never);
  const changes = new ChangesStore(client);
  const shown = (n: number, nFrozen: number, change: Partial<Editing> = {}) => {
    cleanup();
    const editing = {
      ...{ changes, filter: "", chips: [], isFold: false, alive: true, memory: new Map(), silent: null },
      ...change,
    };
    return render(
      <EditingContext.Provider value={editing}>
        <FreezeButton path="h" n={n} nFrozen={nFrozen} />
      </EditingContext.Provider>,
    );
  };
  expect(shown(149, 0).container.textContent).toBe("trainable Freeze 149 tensors");
  expect(shown(149, 125).container.textContent).toBe("partly frozen Freeze 24 tensors");
  expect(shown(149, 149).container.textContent).toBe("frozen Unfreeze 149 tensors");
  expect(shown(2, 1).container.textContent).toBe("partly frozen Freeze 1 tensor");
  const view = shown(4, 0, { isFold: true });
  fireEvent.click(view.getByRole("button", { name: "Freeze in all blocks" }));
  await calm();
  expect(client.of("freeze")[0]?.body).toEqual({ path: "h", scope: "fold" });
});

test("the bar tells the last change, and the log all, undone and dropped ones marked", async () => {
  const { view } = await bar({
    entries: [
      entry({ label: "ones_", seed: null, state: "kept" }),
      entry({ n_paths: 5 }),
      entry({ label: "freeze", seed: null, state: "undone" }),
    ],
    n_changes: 2,
    undo: "normal_(std=0.02)",
    redo: "freeze",
    kept_bytes: 9_440_000,
  });
  expect(view.container.textContent).toContain("Last: normal_(std=0.02) → 0.weight and 4 more · seed 7 · ");
  fireEvent.click(view.getByRole("button", { name: /2 changes/ }));
  const lines = view.getAllByRole("listitem").map((each) => each.textContent);
  expect(lines.map((line) => line?.slice(5))).toEqual([
    "freeze → 0.weightundone",
    "normal_(std=0.02) → 0.weight and 4 moreseed 7",
    "ones_ → 0.weightcan’t be undone: its copy was dropped",
  ]);
  expect(view.container.textContent).toContain("undo holds 9.44\u00a0MB of 2\u00a0GiB");
});

test("undo that would overwrite an edit asks; keeping it changes nothing", async () => {
  const { view, client, onLeave } = await bar({ entries: [entry()], n_changes: 1, undo: "normal_" });
  client.refuse("undo", "changed-since", "Changed.");
  fireEvent.click(view.getByRole("button", { name: "Undo normal_ (u)" }));
  await calm();
  expect(view.getByRole("alert").textContent).toContain("was edited in a cell after this change.");
  const keep = view.getByRole("button", { name: "Keep my edit" });
  expect(document.activeElement).toBe(keep);
  fireEvent.click(keep);
  await calm();
  expect(view.queryByRole("alert")).toBeNull();
  expect(client.of("undo")).toHaveLength(1);
  expect(onLeave).toHaveBeenCalledOnce();
});

test("without a kernel the log stays readable and nothing can be changed", async () => {
  const { view } = await bar({ entries: [entry()], n_changes: 1, undo: "normal_" }, false);
  expect(view.getByRole("button", { name: "Undo normal_ (u)" }).getAttribute("aria-disabled")).toBe("true");
  expect((view.getByRole("button", { name: /1 change$/ }) as HTMLButtonElement).disabled).toBe(false);
});

test("a typed value is applied by Enter, given up by Escape, and a wrong one stays with the reason", async () => {
  const onClose = vi.fn();
  const onSet = vi.fn<(text: string) => Promise<readonly string[]>>();
  const view = render(<ValueInput name="row 0" text="0.5" onSet={onSet} onClose={onClose} />);
  const input = view.getByRole("textbox", { name: "New value of row 0" }) as HTMLInputElement;
  onSet.mockRejectedValueOnce(
    Object.assign(new Error("'x' is no number."), { code: "invalid-target", hint: "Such as 1." }),
  );
  expect(input.value).toBe("0.5");
  input.value = "x";
  view.rerender(<ValueInput name="row 0" text="0.5" onSet={onSet} onClose={onClose} />);
  expect(input.value).toBe("x");
  fireEvent.keyDown(input, { key: "Enter" });
  await calm();
  expect(view.getByRole("alert").textContent).toBe("'x' is no number. Such as 1.");
  expect(onClose).not.toHaveBeenCalled();
  onSet.mockResolvedValueOnce(["It is NaN."]);
  input.value = "nan";
  fireEvent.keyDown(input, { key: "Enter" });
  await calm();
  expect(onSet).toHaveBeenLastCalledWith("nan");
  expect(onClose).toHaveBeenLastCalledWith(["It is NaN."]);
  fireEvent.keyDown(input, { key: "Escape" });
  expect(onClose).toHaveBeenLastCalledWith(null);
});
