import { describe, expect, test } from "vitest";
import {
  bytesText,
  cellText,
  countText,
  exactBytes,
  exactCount,
  exactFloat,
  floatText,
  flopsText,
  meanText,
  percentText,
  plainShape,
  plainText,
  secondsText,
  shapeText,
  shortCount,
} from "../../src/lib/format.ts";

describe("counts", () => {
  test.each([
    [0, "0"],
    [1536, "1\u202f536"],
    [9999, "9\u202f999"],
    [10_000, "10.00\u00a0K"],
    [786_432, "786.4\u00a0K"],
    [1_234_567, "1.23\u00a0M"],
    [38_597_376, "38.60\u00a0M"],
    [124_441_346, "124.4\u00a0M"],
  ])("%d is short as %s", (count, text) => {
    expect(countText(count)).toBe(text);
  });

  test("rounding never leaves a thousand of the smaller unit", () => {
    for (const count of [99_995, 999_949, 999_950, 999_999, 999_949_999, 999_950_000]) {
      expect(Number(shortCount(count).value)).toBeLessThan(1000);
    }
    expect(shortCount(999_950)).toEqual({ value: "1.00", unit: "M" });
  });

  test("an integer beyond 2^53 keeps every digit", () => {
    expect(exactCount("9007199254740993")).toBe("9\u202f007\u202f199\u202f254\u202f740\u202f993");
  });

  test("bytes are SI in short, exact and binary on hover", () => {
    expect(bytesText(9_437_184)).toBe("9.44\u00a0MB");
    expect(bytesText(154_389_504)).toBe("154.4\u00a0MB");
    expect(bytesText(80)).toBe("80\u00a0B");
    expect(exactBytes(9_437_184)).toBe("9\u202f437\u202f184\u00a0bytes · 9.00\u00a0MiB");
    expect(exactBytes(1)).toBe("1\u00a0byte");
  });

  test("shapes, times, operations, shares", () => {
    expect(shapeText([256, 20])).toBe("256 × 20");
    expect(shapeText([])).toBe("()");
    expect(shapeText(null)).toBe("?");
    expect(secondsText(0.00125)).toBe("1.25\u00a0ms");
    expect(secondsText(0.00034)).toBe("340\u00a0µs");
    expect(secondsText(2.128)).toBe("2.13\u00a0s");
    expect(flopsText(1_234_567_890)).toBe("1.23\u00a0GFLOP");
    expect(percentText(0.002)).toBe("0.2\u00a0%");
    expect(percentText(1e-7)).toBe("<\u00a00.01\u00a0%");
  });
});

describe("floats", () => {
  test.each([
    [0, "0"],
    [0.5, "0.5"],
    [0.12941, "0.1294"],
    [0.13000001, "0.1300"],
    [-2.4113, "−2.411"],
    [198.81, "198.8"],
    [12_345.6, "12\u202f346"],
    [3.1412e-4, "3.141e−4"],
    [-1e-20, "−1e−20"],
    ["NaN", "NaN"],
    ["-Infinity", "−inf"],
  ])("%s reads %s", (value, text) => {
    expect(floatText(value)).toBe(text);
  });

  test("a mean has no more digits than its spread gives sense to", () => {
    expect(meanText(-0.00041234, 0.1294)).toBe("−0.0004");
    expect(meanText(-2e-5, 0.051)).toBe("−2e−5");
    expect(meanText(5, 0.1)).toBe("5");
    expect(meanText(0, 0.1)).toBe("0");
  });

  test("the exact form reads back to the same double", () => {
    for (const value of [0.1, 1 / 3, -1.5e-310, 1e21, 123456.789]) {
      expect(Number(plainText(exactFloat(value)))).toBe(value);
    }
  });

  test.each([
    [0.0531, ".053"],
    [-0.2603, "−.260"],
    [-12.345, "−12.35"],
    [1.2e-5, "1.2e−5"],
    [-1.2e-12, "−1e−12"],
    [3, "3"],
    [Number.NaN, "NaN"],
    [Number.NEGATIVE_INFINITY, "−inf"],
  ])("cell %d reads %s", (value, text) => {
    expect(cellText(value)).toBe(text);
  });

  test("every cell fits its six characters", () => {
    for (let power = -40; power <= 38; power += 1) {
      for (const digits of [1, 1.234567, 9.99999]) {
        expect(cellText(-digits * 10 ** power).length).toBeLessThanOrEqual(6);
      }
    }
  });

  test("the clipboard gets plain ASCII", () => {
    expect(plainText(`${exactCount(-1536)} ${countText(38_597_376)} ${floatText(-3.1e-4)} ${shapeText([2, 3])}`)).toBe(
      "-1536 38.60 M -3.1e-4 2 x 3",
    );
    expect(plainShape([5])).toBe("(5,)");
    expect(plainShape([256, 20])).toBe("(256, 20)");
  });
});
