import { describe, expect, test } from "vitest";
import {
  bodyOf,
  type ChangeTarget,
  checkForm,
  type InitForm,
  reduceForm,
  startingForm,
  suggestion,
  targetOf,
} from "../../src/state/initForm.ts";
import { filler, initializersReply, parameter } from "../fakes/editReplies.ts";

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
