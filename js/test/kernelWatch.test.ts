import { afterEach, expect, test, vi } from "vitest";
import { kernelUnseen } from "../src/entries/kernel.ts";

afterEach(() => vi.unstubAllGlobals());

test("a kernel of which no model tells is there until a message can't reach it", () => {
  const kernel = kernelUnseen();
  const heard = vi.fn();
  kernel.onChange(heard);
  expect(kernel.isAlive()).toBe(true);
  kernel.unreached();
  expect(kernel.isAlive()).toBe(false);
  expect(heard).toHaveBeenCalledTimes(1);
});

test("a page that marimo has exported has no kernel", () => {
  vi.stubGlobal("__MARIMO_STATIC__", {});
  expect(kernelUnseen().isAlive()).toBe(false);
});
