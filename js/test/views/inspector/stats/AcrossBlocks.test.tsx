// @vitest-environment happy-dom
import { cleanup, render } from "@testing-library/preact";
import { afterEach, expect, test, vi } from "vitest";
import { AcrossBlocks } from "../../../../src/views/inspector/stats/AcrossBlocks.tsx";
import { settle, TestClient } from "../../../fakes/inspectorClient.ts";

afterEach(cleanup);

test("a bar of several blocks says which, and between what their figures lie", async () => {
  const client = new TestClient().answer("depth", () => ({
    name: "weight",
    labels: ["h.0 … h.1", "h.2 … h.3", "h.4 … h.5"],
    paths: ["h.0.weight", "h.2.weight", "h.4.weight"],
    std: [0.1, "NaN", 0.2],
    least: [0.1, "NaN", 0.15],
    is_exact: false,
    index: 0,
    per_bar: 2,
    n_members: 6,
    n_read: 6,
  }));
  const onNavigate = vi.fn();
  const { getByRole, container } = render(
    <AcrossBlocks client={client} path="h.1.weight" generation={0} alive onNavigate={onNavigate} />,
  );
  await settle();
  getByRole("button", { name: "h.4 … h.5: std 0.15 – 0.2" }).click();
  expect(onNavigate).toHaveBeenCalledExactlyOnceWith("h.4.weight");
  expect(getByRole("button", { name: "h.2 … h.3: std NaN" })).toBeTruthy();
  expect(getByRole("group", { name: "Standard deviation of weight in each of 6 blocks" })).toBeTruthy();
  expect(container.textContent).toContain("std of weight, h.0 to h.5 · sampled");
  expect(container.textContent).toContain("Each bar is 2 blocks, by the greatest.");
});
