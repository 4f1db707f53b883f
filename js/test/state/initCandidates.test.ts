import { expect, test } from "vitest";
import { candidatesFor, choiceOf } from "../../src/state/initCandidates.ts";
import { reduceForm, startingForm } from "../../src/state/initForm.ts";
import { filler, initializersReply, parameter } from "../fakes/editReplies.ts";

const fan = { fan_in: 20, fan_out: 256, activation: "relu", activation_path: "1", gain: 5 / 3, stds: {}, note: "" };

const offer = initializersReply({
  fan,
  initializers: [
    filler("kaiming_normal_", [
      parameter("a", "float", 0),
      parameter("nonlinearity", "str", "leaky_relu", ["relu", "leaky_relu"]),
    ]),
    filler("xavier_normal_", [parameter("gain", "float", 1)]),
    filler("normal_", [parameter("mean", "float", 0), parameter("std", "float", 1)]),
    { ...filler("orthogonal_"), refused: "It is a vector." },
  ],
});

test("what is compared: the values as they are, what is chosen, and the usual ones told what follows the layer", () => {
  const form = { ...startingForm(), how: "normal_", texts: { std: "0.01" } };
  expect(candidatesFor(offer, form)).toEqual([
    { how: "" },
    { how: "normal_", kwargs: { std: 0.01 } },
    { how: "xavier_normal_", kwargs: { gain: 1.66667 } },
    { how: "kaiming_normal_", kwargs: { nonlinearity: "relu" } },
  ]);
});

test("what is chosen is there once, and not while it is written wrong", () => {
  const usual = { ...startingForm(), how: "kaiming_normal_", texts: { nonlinearity: "relu" } };
  expect(candidatesFor(offer, usual).map(({ how }) => how)).toEqual(["", "kaiming_normal_", "xavier_normal_"]);
  const wrong = { ...startingForm(), how: "normal_", texts: { std: "wide" } };
  expect(candidatesFor(offer, wrong).map(({ how }) => how)).toEqual(["", "xavier_normal_", "kaiming_normal_"]);
});

test("a candidate taken over is what the form then asks for", () => {
  const candidate = { how: "normal_", kwargs: { std: 0.01 } };
  const form = reduceForm(startingForm(), choiceOf(offer, candidate));
  expect(candidatesFor(offer, form)[1]).toEqual(candidate);
});
