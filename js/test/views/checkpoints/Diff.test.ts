import { expect, test } from "vitest";
import { relativeText } from "../../../src/views/checkpoints/Diff.tsx";

test("what began at zero has no relative change, and says so unless it became infinite", () => {
  expect(relativeText("Infinity", 0.5)).toBe("from 0");
  expect(relativeText("Infinity", "Infinity")).toMatch(/^rel /);
  expect(relativeText(0.25, 0.5)).toMatch(/^rel 0\.25/);
});
