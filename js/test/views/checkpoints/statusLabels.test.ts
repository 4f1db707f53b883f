import { expect, test } from "vitest";
import { dateText, shortDtype } from "../../../src/views/checkpoints/statusLabels.tsx";

test("dates are told from today on", () => {
  const now = new Date(2024, 5, 15, 12, 0);
  const at = (...parts: [number, number, number, number, number]) => new Date(...parts).getTime() / 1000;
  expect(dateText(at(2024, 5, 15, 9, 5), now)).toBe("today 09:05");
  expect(dateText(at(2024, 5, 14, 23, 59), now)).toBe("yesterday 23:59");
  expect(dateText(at(2024, 4, 1, 1, 1), now)).toBe("1 May");
  expect(dateText(at(2023, 4, 1, 1, 1), now)).toBe("1 May 2023");
});

test.each([
  ["float32", "f32"],
  ["bfloat16", "bf16"],
  ["uint8", "u8"],
  ["int64", "i64"],
])("%s is short for %s", (dtype, short) => expect(shortDtype(dtype)).toBe(short));
