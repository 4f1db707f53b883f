import { expect, test } from "vitest";
import { bandPath, linePath, logScale, powerText } from "../../src/lib/logScale.ts";

test("an axis goes from the power of ten below to the one above, and zero lies at the bottom", () => {
  const scale = logScale([0.57, 3e-5, 0, Number.NaN], 100);
  expect(scale.ticks.map(({ exponent }) => exponent)).toEqual([0, -2, -4]);
  expect(scale.y(1)).toBe(6);
  expect(scale.y(1e-5)).toBe(94);
  expect(scale.y(0)).toBe(100);
  expect([scale.y(Number.NaN), scale.y(Number.POSITIVE_INFINITY)]).toEqual([null, null]);
});

test("numbers that are all alike have a decade around them, and none at all have an axis too", () => {
  expect(logScale([1, 1], 100).ticks.map(({ exponent }) => exponent)).toEqual([1, 0]);
  expect(logScale([], 100).ticks.map(({ exponent }) => exponent)).toEqual([1, 0]);
  expect(logScale([1e-38, 1e30], 100).ticks.length).toBeLessThanOrEqual(5);
});

test("powers of ten are written as one reads them", () => {
  expect([0, 1, -2, -7, 12].map(powerText)).toEqual(["1", "10", "0.01", "1e−7", "1e12"]);
});

test("a line is broken where there is no number, and a band goes there and back", () => {
  const x = (at: number) => at * 10;
  expect(linePath(x, [1, 2, null, 3, 4])).toBe("M0.0 1.0L10.0 2.0M30.0 3.0L40.0 4.0");
  expect(bandPath(x, [1, 2, null], [5, 6, 7])).toBe("M0.0 1.0L10.0 2.0L10.0 6.0L0.0 5.0Z");
  expect(bandPath(x, [null], [null])).toBe("");
});
