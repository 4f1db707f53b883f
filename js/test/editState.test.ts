import { describe, expect, test } from "vitest";
import { overlayPaths } from "../src/lib/histogram.ts";
import { gainOf, stdHint } from "../src/lib/initGain.ts";
import type { FanBody, InitReply } from "../src/protocol/messages.ts";
import { ChangesStore, NO_CHANGES, reduceChanges } from "../src/state/changesStore.ts";
import {
  bodyOf,
  type ChangeTarget,
  checkForm,
  type InitForm,
  reduceForm,
  startingForm,
  suggestion,
  targetOf,
} from "../src/state/initForm.ts";
import { filler, historyReply, initializersReply, parameter } from "./editReplies.ts";
import { settle, TestClient } from "./inspectorClient.ts";

const AIM: ChangeTarget = { path: "0.weight", scope: "here", only: "all", filter: "", chips: [] };
const NORMAL = filler("normal_", [parameter("mean", "float", 0), parameter("std", "float", 1)]);

function form(change: Partial<InitForm> = {}): InitForm {
  return { how: "normal_", texts: {}, seed: "7", clears: false, ...change };
}

describe("the form", () => {
  test("starts with a seed that will do", () => {
    expect(checkForm(startingForm(), NORMAL).problems).toEqual({});
  });

  test("choosing another initializer forgets the parameters of the one before", () => {
    const typed = reduceForm(form(), { type: "typed", name: "std", text: "2" });
    expect(typed.texts).toEqual({ std: "2" });
    expect(reduceForm(typed, { type: "chosen", how: "eye_" })).toMatchObject({ how: "eye_", texts: {}, seed: "7" });
  });

  test.each([
    ["0.02", 0.02],
    ["1e-3", 0.001],
    [".5", 0.5],
    ["−2", -2],
    ["nan", "NaN"],
    ["-inf", "-Infinity"],
  ])("%s is the number %s", (text, value) => {
    expect(checkForm(form({ texts: { std: text } }), NORMAL)).toEqual({ kwargs: { std: value }, problems: {} });
  });

  test.each(["x", "0x10", "1 2", "1,5", "--1"])("%s is no number, and it says so", (text) => {
    expect(checkForm(form({ texts: { std: text } }), NORMAL).problems).toEqual({ std: "expects a number" });
  });

  test("what is at its default is left out, and an empty field is at its default", () => {
    expect(checkForm(form({ texts: { std: "1", mean: "" } }), NORMAL).kwargs).toEqual({});
  });

  test("what has no default is needed", () => {
    const sparse = filler("sparse_", [parameter("sparsity", "float")]);
    expect(checkForm(form(), sparse).problems).toEqual({ sparsity: "needed" });
  });

  test("whole numbers beyond 2^53 travel as their digits", () => {
    const user = filler("mine", [parameter("n", "int", 0)]);
    expect(checkForm(form({ texts: { n: "9007199254740993" } }), user).kwargs).toEqual({ n: "9007199254740993" });
    expect(checkForm(form({ texts: { n: "1.5" } }), user).problems).toEqual({ n: "expects a whole number" });
    expect(bodyOf(AIM, form({ seed: "18446744073709551615" }), NORMAL)?.seed).toBe("18446744073709551615");
  });

  test.each(["", "-1", "1.5", "x", "18446744073709551616"])("%j is no seed", (seed) => {
    expect(bodyOf(AIM, form({ seed }), NORMAL)).toBeNull();
  });

  test("truth values and open parameters", () => {
    const user = filler("mine", [parameter("flag", "bool", false), parameter("open", "any", null)]);
    expect(checkForm(form({ texts: { flag: "True", open: "(1, 2)" } }), user).kwargs).toEqual({
      flag: true,
      open: "(1, 2)",
    });
  });
});

describe("the request", () => {
  test("says only what is not at its default", () => {
    expect(bodyOf(AIM, form({ texts: { std: "0.02" } }), NORMAL)).toEqual({
      path: "0.weight",
      how: "normal_",
      kwargs: { std: 0.02 },
      seed: 7,
    });
    expect(bodyOf(AIM, form({ clears: true }), { ...NORMAL, draws: false })).toEqual({
      path: "0.weight",
      how: "normal_",
      clear_state: true,
    });
  });

  test("is none where the initializer is refused or unknown", () => {
    expect(bodyOf(AIM, form(), { ...NORMAL, refused: "No." })).toBeNull();
    expect(bodyOf(AIM, form(), undefined)).toBeNull();
  });

  test("names the filter only where that is its scope", () => {
    const filtered = { ...AIM, filter: "**.bias", chips: ["frozen"] } as const;
    expect(targetOf(filtered)).toEqual({ path: "0.weight" });
    expect(targetOf({ ...filtered, scope: "filter", only: "vectors" })).toEqual({
      path: "0.weight",
      scope: "filter",
      only: "vectors",
      filter: "**.bias",
      chips: ["frozen"],
    });
  });

  test("takes the activation that follows into the suggestion", () => {
    const reply = initializersReply();
    expect(suggestion(reply)).toEqual({ type: "chosen", how: "kaiming_normal_", texts: { nonlinearity: "relu" } });
    expect(suggestion({ ...reply, suggested: "normal_" })).toMatchObject({ how: "normal_", texts: {} });
  });
});

describe("the hint", () => {
  const fan: FanBody = {
    fan_in: 3072,
    fan_out: 768,
    activation: null,
    activation_path: null,
    gain: 1,
    stds: { xavier: 0.0228, kaiming_fan_in: 0.018 },
    note: "",
  };
  const values: Record<string, string> = { mode: "fan_out", nonlinearity: "relu", a: "0", gain: "2" };
  const value = (name: string): string => values[name] ?? "";

  test("gives the rule with its numbers", () => {
    expect(stdHint("kaiming_normal_", value, fan)).toBe("std √2 ⁄ √768 = 0.0510");
    expect(stdHint("xavier_uniform_", value, fan)).toBe("std 2 · √(2 ⁄ 3840) = 0.0456");
    expect(stdHint("normal_", value, fan)).toBe("xavier 0.0228 · kaiming 0.018");
  });

  test("knows torch's gains", () => {
    expect([gainOf("tanh", 0), gainOf("selu", 0), gainOf("linear", 0)]).toEqual([5 / 3, 0.75, 1]);
    expect(gainOf("leaky_relu", 0.5)).toBeCloseTo(Math.sqrt(1.6));
  });
});

test("before and after share one scale", () => {
  const { bars, outline } = overlayPaths({ edges: [0, 1, 2], before: [1, 0], after: [0.25, 0.5] }, 20, 11);
  expect(bars).toBe("M0 11V8.5H10V11ZM10 11V6H20V11Z");
  expect(outline).toBe("M0 11V1H10V11H20V11");
});

describe("changes", () => {
  const applied = { type: "applied", key: "k", reply: {} as InitReply } as const;

  test("what was applied shows until it is taken back", () => {
    const state = reduceChanges(NO_CHANGES, applied);
    expect(state.applied?.key).toBe("k");
    expect(reduceChanges(state, { type: "turned" }).applied).toBeNull();
  });

  test("the next step ends a question and a complaint", () => {
    const asked = reduceChanges(NO_CHANGES, { type: "asked", turn: "undo", path: "0.bias" });
    expect(reduceChanges(asked, { type: "began" })).toMatchObject({ question: null, isBusy: true });
    expect(reduceChanges(asked, { type: "dismissed" }).question).toBeNull();
  });

  test("undo over what other code wrote becomes a question, and forced it is carried out", async () => {
    const client = new TestClient().answer("history", () => historyReply());
    const store = new ChangesStore(client);
    const undone = store.turn("undo");
    await client
      .of("undo")[0]
      ?.fail({ code: "changed-since", message: "0.bias was changed by other code", hint: "", path: "0.bias" });
    await undone;
    expect(store.state).toMatchObject({ question: { turn: "undo", path: "0.bias" }, error: null, isBusy: false });
    const forced = store.turn("undo", true);
    expect(client.of("undo")[1]?.body).toEqual({ force: true });
    await client.of("undo")[1]?.reply({ label: "zeros_", paths: [], n_paths: 0, seed: null, warnings: [] });
    await forced;
    expect(store.state.question).toBeNull();
  });

  test("any other refusal is told with what to do", async () => {
    const client = new TestClient()
      .answer("history", () => historyReply())
      .refuse("freeze", "invalid-target", "It is no parameter.", "Name one.");
    const store = new ChangesStore(client);
    await store.freeze({ path: "x" }, false);
    expect(store.state.error).toMatchObject({ message: "It is no parameter.", hint: "Name one." });
  });

  test("a log asked for while it is being read is read once more", async () => {
    const client = new TestClient();
    const store = new ChangesStore(client);
    void store.load();
    void store.load();
    void store.load();
    expect(client.of("history")).toHaveLength(1);
    await client.of("history")[0]?.reply(historyReply());
    expect(client.of("history")).toHaveLength(2);
    await client.of("history")[1]?.reply(historyReply({ n_changes: 5 }));
    await settle();
    expect(client.of("history")).toHaveLength(2);
    expect(store.state.history?.n_changes).toBe(5);
  });
});
