// @vitest-environment happy-dom
import { cleanup, fireEvent, render } from "@testing-library/preact";
import { afterEach, expect, test, vi } from "vitest";
import { setCatalogue } from "../../../src/i18n/translate.ts";
import zh from "../../../src/i18n/zh.json";
import { KEYMAP } from "../../../src/state/tree/keymap.ts";
import { Help } from "../../../src/views/help/Help.tsx";

afterEach(() => {
  cleanup();
  setCatalogue({});
});

const SHOWN: Readonly<Record<string, string>> = {
  ArrowDown: "↓",
  ArrowUp: "↑",
  ArrowRight: "→",
  ArrowLeft: "←",
  PageDown: "Page Down",
  PageUp: "Page Up",
  U: "Shift+U",
};

test("the help lists every key of the tree, and what the filter understands", () => {
  const { getByRole } = render(<Help onClose={() => {}} />);
  const keys = getByRole("region", { name: "Keys in the tree" }).textContent ?? "";
  for (const { key, control } of KEYMAP) {
    if (!control) {
      expect(keys).toContain(SHOWN[key] ?? key);
    }
  }
  expect(getByRole("region", { name: "In the filter" }).textContent).toContain("dtype:bf16");
});

test("the help is there in Chinese", () => {
  setCatalogue(zh);
  const { getByRole } = render(<Help onClose={() => {}} />);
  expect(getByRole("region", { name: "筛选框" }).textContent).toContain("任一维度的大小");
});

test("Escape and ? close the help, and nothing else hears them", () => {
  const onClose = vi.fn();
  const heard = vi.fn();
  const { getByRole } = render(
    // biome-ignore lint/a11y/noStaticElementInteractions: stands for the view round it.
    <div onKeyDown={heard}>
      <Help onClose={onClose} />
    </div>,
  );
  const panel = getByRole("dialog", { name: "Filter and keys" });
  expect(document.activeElement).toBe(panel);
  fireEvent.keyDown(panel, { key: "Escape" });
  fireEvent.keyDown(panel, { key: "?" });
  expect(onClose).toHaveBeenCalledTimes(2);
  expect(heard).not.toHaveBeenCalled();
});
