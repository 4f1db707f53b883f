import { describe, expect, test } from "vitest";
import { NOT_BEGUN, remainingText, updateRate } from "../../../src/state/checkpoints/progressRate.ts";

describe("pace", () => {
  test("rate and remaining time come from the last seconds", () => {
    let pace = NOT_BEGUN;
    for (const at of [0, 1, 2, 3]) {
      pace = updateRate(pace, at * 100, 1000, at);
    }
    expect([pace.rate, pace.remaining]).toEqual([100, 7]);
  });

  test("nothing is said before there is anything to measure by, and a stage that starts over is measured anew", () => {
    const first = updateRate(NOT_BEGUN, 500, 1000, 10);
    expect([first.rate, first.remaining]).toEqual([null, null]);
    expect(updateRate(updateRate(first, 900, 1000, 11), 10, 1000, 12).rate).toBeNull();
  });

  test.each([
    [null, ""],
    [0.2, "1 s left"],
    [89, "89 s left"],
    [180, "about 3 min left"],
    [7200, "about 2 h left"],
  ])("%s seconds read %j", (seconds, text) => expect(remainingText(seconds)).toBe(text));
});
