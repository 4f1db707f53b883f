// @vitest-environment happy-dom
import { act, cleanup, render } from "@testing-library/preact";
import { afterEach, expect, test, vi } from "vitest";
import training from "../../../src/bundles/parts/training.ts";
import { bandOf, lineOf } from "../../../src/views/training/SparklineCell.tsx";

afterEach(cleanup);

const rowOf = (path: string) => ({ path, id: `t:${path}`, fold: null });

test("a row tells its last beat in words, and draws a line for each series", () => {
  const { add, Cell } = training();
  const { getByRole, container } = render(<Cell row={rowOf("0.weight")} />);
  expect(getByRole("gridcell").hasAttribute("aria-label")).toBe(false);
  act(() => {
    add({ step: 1, beats: { "0.weight": [2, 0.5, null], bias: [9, 9, 9] }, broken: null });
    add({ step: 2, beats: { "0.weight": [2.5, 0.25, 0.125] }, broken: null });
  });
  expect(getByRole("gridcell").getAttribute("aria-label")).toBe(
    "norm 2.5, gradient’s norm 0.25, last step over norm 0.125",
  );
  expect(container.querySelectorAll("path")).toHaveLength(3);
});

test("what is no number is lit, with the step it began at, and goes out when it is one again", () => {
  const { add, Cell } = training();
  const { getByRole, container } = render(<Cell row={rowOf("w")} />);
  act(() => {
    add({ step: 7, beats: { w: [2, "NaN", 0.1] }, broken: null });
    add({ step: 8, beats: { w: [2, "NaN", "Infinity"] }, broken: null });
  });
  expect(getByRole("gridcell").getAttribute("aria-label")).toBe(
    "norm 2, gradient’s norm NaN first seen at step 7, last step over norm inf first seen at step 8, step 7 was clean",
  );
  expect([...container.querySelectorAll("b")].map((each) => each.textContent)).toEqual(["NaN", "inf"]);
  act(() => add({ step: 9, beats: { w: [2, 0.5, 0.1] }, broken: null }));
  expect(container.querySelector("b")).toBeNull();
});

test("an alarm names the first tensor that isn't finite and the steps it came in between, leads to it, and goes out", () => {
  const { add, Alarm } = training();
  const onNavigate = vi.fn();
  const { getByRole, queryByRole } = render(<Alarm onNavigate={onNavigate} alive />);
  expect(queryByRole("alert")).toBeNull();
  const broken = { step: 42, last_clean: 39, path: "h.3.weight", of: "gradient", n_tensors: 1 } as const;
  act(() => add({ step: 42, beats: {}, broken }));
  expect(getByRole("alert").textContent).toContain(
    "NaN or inf in the gradient of h.3.weight. First seen after step 42; step 39 was clean.",
  );
  getByRole("button", { name: "Show it" }).click();
  expect(onNavigate).toHaveBeenCalledExactlyOnceWith("h.3.weight");
  act(() => add({ step: 43, beats: {}, broken: { ...broken, of: "value", last_clean: null, n_tensors: 148 } }));
  expect(getByRole("alert").textContent).toContain(
    "NaN or inf in the values of h.3.weight and of 147 more. First seen after step 42.",
  );
  act(() => add({ step: 44, beats: {}, broken: null }));
  expect(queryByRole("alert")).toBeNull();
});

test("the signal of a module is a band around its mean, beside its other lines or alone", () => {
  const { add, Cell } = training();
  const { getAllByRole, container } = render(
    <>
      <Cell row={rowOf("h.0")} />
      <Cell row={rowOf("h.0.act")} />
    </>,
  );
  act(() => {
    add({ step: 1, beats: { "h.0": [2, 0.5, null] }, broken: null });
    add({ step: 2, beats: {}, broken: null, signals: { "h.0": [0.1, 0.5, 0.01], "h.0.act": [0.2, 0.3, null] } });
    add({ step: 4, beats: {}, broken: null, signals: { "h.0": [0, 1, 0.02], "h.0.act": [0, 0, null] } });
  });
  expect(getAllByRole("gridcell").map((cell) => cell.getAttribute("aria-label"))).toEqual([
    "norm 2, gradient’s norm 0.5, last step over norm none, output 0 ± 1, gradient that arrives ± 0.02",
    "output 0 ± 0, no gradient arrives",
  ]);
  expect(container.querySelectorAll(".nnw-pulse-band")).toHaveLength(2);
  act(() => add({ step: 5, beats: {}, broken: null, signals: { "h.0": ["NaN", "NaN", "NaN"] } }));
  expect(container.querySelectorAll(".nnw-pulse-signal b, .nnw-pulse-arrived b")).toHaveLength(2);
  expect(bandOf([0, null, 2], [1, 1, 1])).toEqual({
    band: "M1.0 8.0L35.0 1.0L35.0 8.0L1.0 15.0Z",
    line: "M1.0 11.5L35.0 4.5",
  });
});

test("no more than the last forty beats are kept", () => {
  const { add, Cell } = training();
  const { container } = render(<Cell row={rowOf("w")} />);
  act(() => {
    for (let step = 1; step <= 90; step += 1) {
      add({ step, beats: { w: [step, step, step] }, broken: null });
    }
  });
  expect(container.querySelector("path")?.getAttribute("d")?.match(/[ML]/g)).toHaveLength(40);
});

test("a line spans its room from the least to the greatest, and leaves gaps where nothing is known", () => {
  expect(lineOf([1, 10, 100])).toBe("M1.0 14.0L18.0 8.0L35.0 2.0");
  expect(lineOf([1, null, 100])).toBe("M1.0 14.0M35.0 2.0");
  expect(lineOf([5, Number.NaN, 5])).toBe("M1.0 8.0M35.0 8.0");
  expect(lineOf([0, 0])).toBe("M1.0 8.0L35.0 8.0");
});

test("a row that no training is drawn of tells how far it has moved since a mark", () => {
  const { add, Cell } = training();
  const { getByRole } = render(<Cell row={rowOf("w")} />);
  const told = (moved: Record<string, number | string | null>) => {
    act(() => add({ step: 0, beats: {}, broken: null, moved }));
    return getByRole("gridcell").textContent;
  };
  expect(told({ w: 0.125, v: 1 })).toBe("moved 12.5\u00a0%");
  expect(told({ w: "Infinity" })).toBe("moved inf");
  expect(told({ w: null })).toBe("moved");
  expect(told({})).toBe("");
  act(() => add({ step: 1, beats: { w: [1, 1, 1] }, broken: null }));
  expect(told({ w: 0.5 })).toBe("");
});
