import { describe, expect, test } from "vitest";
import { gainOf, stdHint } from "../../src/lib/initGain.ts";
import type { FanBody } from "../../src/protocol/messages.ts";

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
