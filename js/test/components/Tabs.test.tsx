// @vitest-environment happy-dom
import { cleanup, fireEvent, render } from "@testing-library/preact";
import { useState } from "preact/hooks";
import { afterEach, expect, test } from "vitest";
import { type Tab, Tabs, tabIds } from "../../src/components/Tabs.tsx";

type Id = "overview" | "ties" | "code";

const TABS: readonly Tab<Id>[] = [
  { id: "overview", label: "Overview" },
  { id: "ties", label: "Ties", count: "3" },
  { id: "code", label: "Code" },
];

function Subject() {
  const [selected, setSelected] = useState<Id>("overview");
  return (
    <>
      <Tabs tabs={TABS} selected={selected} onSelect={setSelected} label="Inspector" prefix="x" />
      <div role="tabpanel" id={tabIds("x", selected).panel} aria-labelledby={tabIds("x", selected).tab} />
    </>
  );
}

afterEach(cleanup);

function shown() {
  const view = render(<Subject />);
  const tabs = view.getAllByRole("tab");
  const selected = (): (string | null)[] =>
    tabs.filter((tab) => tab.getAttribute("aria-selected") === "true").map((tab) => tab.textContent);
  return { ...view, tabs, selected };
}

test("arrows select the next tab, round the ends, and the focus goes with them", () => {
  const { tabs, selected } = shown();
  tabs[0]?.focus();
  for (const [key, label] of [
    ["ArrowRight", "Ties 3"],
    ["ArrowRight", "Code"],
    ["ArrowRight", "Overview"],
    ["ArrowLeft", "Code"],
    ["Home", "Overview"],
    ["End", "Code"],
  ] as const) {
    fireEvent.keyDown(document.activeElement as Element, { key });
    expect(selected()).toEqual([label]);
    expect(document.activeElement?.textContent).toBe(label);
  }
});

test("one tab at a time is a stop for the Tab key, and names its panel", () => {
  const { tabs, getByRole } = shown();
  fireEvent.click(tabs[1] as HTMLElement);
  expect(tabs.map((tab) => tab.tabIndex)).toEqual([-1, 0, -1]);
  expect(getByRole("tabpanel").getAttribute("aria-labelledby")).toBe(tabs[1]?.id);
  expect(tabs[1]?.getAttribute("aria-controls")).toBe(getByRole("tabpanel").id);
});

test("keys held with Ctrl are the host's, others don't select", () => {
  const { tabs, selected } = shown();
  fireEvent.keyDown(tabs[0] as HTMLElement, { key: "ArrowRight", ctrlKey: true });
  fireEvent.keyDown(tabs[0] as HTMLElement, { key: "x" });
  expect(selected()).toEqual(["Overview"]);
});
