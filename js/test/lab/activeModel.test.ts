// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { ActiveModel } from "../../src/lab/activeModel.ts";
import { wordAtCursor } from "../../src/lab/commands.ts";
import { DEFAULTS, settingsOf } from "../../src/lab/settings.ts";
import { wordsFor } from "../../src/lab/views/panelWords.ts";
import { FakeKernel, FakeNotebook, FakeTracker, settled } from "../fakes/labKernel.ts";

const variable = (name: string, identity: number) => ({ name, class_name: "Linear", identity });

function loaded(...names: string[]): FakeKernel {
  const kernel = new FakeKernel();
  kernel.isLoaded = true;
  kernel.modules = names.map((name, index) => variable(name, index + 1));
  return kernel;
}

async function following(notebook: FakeNotebook | null): Promise<{ follower: ActiveModel; tracker: FakeTracker }> {
  const tracker = new FakeTracker();
  tracker.currentWidget = notebook;
  const follower = new ActiveModel(tracker);
  follower.setVisible(true);
  await settled();
  return { follower, tracker };
}

test("the active notebook's first model is on view, and each notebook keeps what was chosen in it", async () => {
  const one = new FakeNotebook("a/one.ipynb", loaded("net", "other"));
  const two = new FakeNotebook("two.ipynb", loaded("mlp"));
  const { follower, tracker } = await following(one);
  expect(follower.shown?.variable.name).toBe("net");
  follower.choose("other");
  expect(follower.shown?.variable.name).toBe("other");
  tracker.activate(two);
  await settled();
  expect(follower.shown?.variable.name).toBe("mlp");
  expect(one.statusChanged.nSlots + one.kernelChanged.nSlots).toBe(0);
  tracker.activate(one);
  await settled();
  expect(follower.shown?.variable.name).toBe("other");
});

test("a name bound anew is another model; a name that is gone leaves what was seen", async () => {
  const kernel = loaded("net");
  const { follower } = await following(new FakeNotebook("one.ipynb", kernel));
  const before = follower.shown;
  kernel.endCell();
  await settled();
  expect(follower.shown).toBe(before);
  kernel.modules = [variable("net", 7)];
  kernel.endCell();
  await settled();
  expect(follower.shown?.variable.identity).toBe(7);
  kernel.modules = [];
  kernel.endCell();
  await settled();
  expect(follower.shown?.variable.identity).toBe(7);
});

test("where models don't show by themselves, none does until it is chosen", async () => {
  const tracker = new FakeTracker();
  tracker.currentWidget = new FakeNotebook("one.ipynb", loaded("net"));
  const follower = new ActiveModel(tracker);
  follower.isAutomatic = false;
  follower.setVisible(true);
  await settled();
  expect(follower.shown).toBeNull();
  follower.choose("net");
  expect(follower.shown?.variable.name).toBe("net");
});

test("a restart ends the view and is not loaded into again by itself", async () => {
  const kernel = loaded("net");
  const notebook = new FakeNotebook("one.ipynb", kernel);
  const { follower } = await following(notebook);
  const shown = follower.shown;
  kernel.status = "restarting";
  notebook.statusChanged.ring(null);
  expect(shown?.connection.isOver).toBe(true);
  expect(wordsFor(follower)).toMatchObject({ title: "The kernel is restarting." });
  kernel.status = "idle";
  kernel.isLoaded = false;
  notebook.statusChanged.ring(null);
  await settled();
  expect(wordsFor(follower)).toMatchObject({ action: "Load nnwidgets" });
  expect(kernel.executed).toHaveLength(0);
  follower.load();
  await settled();
  expect(kernel.executed).toHaveLength(1);
  expect(wordsFor(follower)).toBeNull();
});

test("without a notebook, or without a kernel, the words say so", async () => {
  const { follower, tracker } = await following(null);
  expect(wordsFor(follower)).toMatchObject({ title: "No notebook." });
  tracker.activate(new FakeNotebook("one.ipynb", null));
  await settled();
  expect(wordsFor(follower)).toMatchObject({ title: "This notebook has no kernel." });
});

test("the word at the cursor is the whole name around it", () => {
  const notebook = new FakeNotebook("one.ipynb", null);
  const at = (line: string, column: number) => {
    notebook.content = {
      activeCell: { editor: { getCursorPosition: () => ({ line: 0, column }), getLine: () => line } },
    };
    return wordAtCursor({ notebook });
  };
  expect(at("out = my_net2(x)", 9)).toBe("my_net2");
  expect(at("netz = größe", 12)).toBe("größe");
  expect(at("1 + 2", 1)).toBeNull();
  expect(wordAtCursor({ notebook: null })).toBeNull();
});

test("settings of a wrong type stay at their defaults", () => {
  expect(settingsOf({ height: "tall", colours: "pink", autoDisplay: 1, language: "xx" })).toEqual(DEFAULTS);
  expect(settingsOf({ height: 400, colours: "dark", autoDisplay: false, language: "zh" })).toEqual({
    height: 400,
    colours: "dark",
    autoDisplay: false,
    language: "zh",
  });
});
