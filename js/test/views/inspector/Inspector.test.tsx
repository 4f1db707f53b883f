// @vitest-environment happy-dom
import { act, cleanup, fireEvent, render } from "@testing-library/preact";
import { afterEach, expect, test, vi } from "vitest";
import type { InspectReply, ValuesBody, ValuesReply, Event as WireEvent } from "../../../src/protocol/messages.ts";
import { Inspector, type InspectorHandle, type InspectorProps } from "../../../src/views/inspector/Inspector.tsx";
import { AcrossBlocks } from "../../../src/views/inspector/stats/AcrossBlocks.tsx";
import { inspectReply, settle, statsReply, TestClient, tensorFacts } from "../../fakes/inspectorClient.ts";

// What comes from a kernel as a script can't be run here. Another file's tests may have loaded what is replaced.
vi.hoisted(() => vi.resetModules());
vi.mock("../../../src/bundles/lazyParts.ts", async (original) => ({
  ...(await original<object>()),
  depthPart: async () => AcrossBlocks,
}));
afterEach(cleanup);

const VALUES = new Float32Array([0.5, -0.25, Number.NaN, 1]);

function valuesReply(): ValuesReply {
  return {
    n_rows: 2,
    n_columns: 2,
    row: 0,
    column: 0,
    row_step: 1,
    column_step: 1,
    values: { dtype: "float32", shape: [2, 2], buffer: 0 },
    texts: [
      ["0.5", "-0.25"],
      ["nan", "1.0"],
    ],
    scale: 1,
    row_axes: [0],
    column_axes: [1],
    shape: [2, 2],
  };
}

/** A kernel whose model is one tensor (or what `reply` makes of it), all readable. */
function kernel(reply: (path: string) => InspectReply = (path) => inspectReply({ path })): TestClient {
  return new TestClient()
    .answer("inspect", ({ path }) => reply(path))
    .answer("stats", () => statsReply())
    .answer("values", valuesReply, () => [new DataView(VALUES.buffer)])
    .answer("findings", () => ({ findings: [] }))
    .refuse("trace", "not-traced", "No trace was made yet.");
}

async function shown(client: TestClient, change: Partial<InspectorProps> = {}) {
  const props: InspectorProps = {
    client,
    path: "0.weight",
    name: "net",
    generation: 0,
    onNavigate: vi.fn(),
    onHover: vi.fn(),
    theme: "light",
    alive: true,
    ...change,
  };
  const view = render(<Inspector {...props} />);
  const calm = async (): Promise<void> => {
    for (let turn = 0; turn < 4; turn += 1) {
      await act(settle);
    }
  };
  await calm();
  return {
    ...view,
    props,
    calm,
    again: async (next: Partial<InspectorProps>) => {
      view.rerender(<Inspector {...props} {...next} />);
      await calm();
    },
  };
}

test("a tensor shows its path, facts, figures and numbers", async () => {
  const { container, getByRole } = await shown(kernel());
  expect(getByRole("heading", { level: 2 }).textContent).toBe("0.weight");
  expect(container.querySelector("h2 b")?.textContent).toBe("weight");
  expect(container.querySelector("header")?.textContent).toContain("768 × 3072float32cpu9.44\u00a0MBtrainable");
  expect(getByRole("region", { name: "Statistics" }).textContent).toContain("0.1294");
  const cells = [...container.querySelectorAll("table td[title]")];
  expect(cells.map((cell) => [cell.textContent, cell.getAttribute("title")])).toEqual([
    [".500", "0.5"],
    ["−.250", "-0.25"],
    ["NaN", "nan"],
    ["1", "1.0"],
  ]);
});

test("text from the model stays text", async () => {
  const hostile = "<img src=x onerror=alert(1)>";
  const client = kernel((path) =>
    inspectReply({
      path,
      class_name: hostile,
      problem: hostile,
      code: [{ label: hostile, code: hostile }],
      findings: [{ code: hostile, severity: "error", path, message: hostile, fix: hostile }],
      tie: {
        id: "A",
        kind: hostile,
        shared_bytes: 8,
        members: [
          { path, shape: hostile, how: hostile },
          { path: hostile, shape: "2", how: hostile },
        ],
      },
    }),
  );
  const view = await shown(client, { path: hostile });
  for (const name of [/Overview/, /Ties/, /Code/]) {
    fireEvent.click(view.getByRole("tab", { name }));
    expect(view.container.textContent).toContain(hostile);
    expect(view.container.querySelector("img")).toBeNull();
  }
});

test("[ and ] go to the neighbours in the fold, and stop at its ends", async () => {
  const siblings = { label: "h.0", index: 0, count: 12, previous: null, next: "h.1.weight" };
  const { getByRole, props } = await shown(
    kernel((path) => inspectReply({ path, siblings })).answer("depth", depthReply),
  );
  const tab = getByRole("tab", { name: "Overview" });
  fireEvent.keyDown(tab, { key: "[" });
  expect(props.onNavigate).not.toHaveBeenCalled();
  fireEvent.keyDown(tab, { key: "]" });
  expect(props.onNavigate).toHaveBeenCalledExactlyOnceWith("h.1.weight");
  expect((getByRole("button", { name: /previous member/ }) as HTMLButtonElement).disabled).toBe(true);
});

function depthReply() {
  return {
    name: "weight",
    labels: ["h.0", "h.1", "h.2"],
    paths: ["h.0.weight", "h.1.weight", "h.2.weight"],
    std: [0.1, "NaN", 0.2],
    least: [0.1, "NaN", 0.2],
    is_exact: false,
    index: 0,
    per_bar: 1,
    n_members: 3,
    n_read: 3,
  };
}

test("pointing at a tie group lights it, leaving ends it, and its members lead to their rows", async () => {
  const tie = {
    id: "B",
    kind: "view",
    shared_bytes: 80,
    members: [
      { path: "0.weight", shape: "4 × 5", how: "this tensor" },
      { path: "out.weight", shape: "5 × 4", how: "transposed view" },
    ],
  };
  const { getByRole, props, container } = await shown(kernel((path) => inspectReply({ path, tie })));
  fireEvent.click(getByRole("tab", { name: "Ties 2" }));
  const list = container.querySelector(".nnw-members") as HTMLElement;
  fireEvent.mouseEnter(list);
  expect(props.onHover).toHaveBeenLastCalledWith(["0.weight", "out.weight"]);
  fireEvent.mouseLeave(list);
  expect(props.onHover).toHaveBeenLastCalledWith(null);
  fireEvent.click(getByRole("button", { name: "out.weight" }));
  expect(props.onNavigate).toHaveBeenCalledExactlyOnceWith("out.weight");
  expect(list.textContent).toContain("transposed view");
});

test("a read that fails says so once, in its place, and can be tried again", async () => {
  const client = kernel().refuse("stats", "unreadable", "CUDA error: an illegal memory access.", "Restart the kernel.");
  const { getByRole, getAllByRole, queryByRole, calm } = await shown(client);
  expect(getAllByRole("alert")).toHaveLength(1);
  expect(getByRole("alert").textContent).toBe(
    "Values can’t be read now.CUDA error: an illegal memory access.Restart the kernel.",
  );
  expect(getByRole("heading", { level: 2 }).textContent).toBe("0.weight");
  client.answer("stats", () => statsReply());
  fireEvent.click(getByRole("button", { name: "Try again" }));
  await calm();
  expect(queryByRole("alert")).toBeNull();
});

test("data that can't be had has its reason in its place, and nothing is asked for it", async () => {
  const client = kernel((path) =>
    inspectReply({ path, tensor: tensorFacts({ device: "meta", readable: "no data: on the meta device" }) }),
  );
  const { container } = await shown(client);
  expect(container.textContent).toContain("No data: on the meta device.");
  expect(client.of("stats")).toHaveLength(0);
  expect(client.of("values")).toHaveLength(0);
});

test("Escape cancels slow work first, and only then is the tree's", async () => {
  vi.useFakeTimers();
  try {
    const client = kernel();
    const sampled = statsReply({ n: 10, n_total: 1000, is_exact: false });
    client.answer("stats", () => sampled);
    const exact = vi.spyOn(client, "request");
    const original = TestClient.prototype.request;
    let isAborted = false;
    exact.mockImplementation(((kind, body, options) => {
      if (kind === "stats" && "exact" in body && body.exact) {
        options?.signal?.addEventListener("abort", () => {
          isAborted = true;
        });
        return new Promise(() => undefined);
      }
      return original.call(client, kind, body, options);
    }) as TestClient["request"]);
    const { getByRole, container, calm } = await shown(client);
    const outside = vi.fn();
    container.addEventListener("keydown", outside);
    await act(() => {
      vi.advanceTimersByTime(400);
    });
    const tab = getByRole("tab", { name: "Overview" });
    fireEvent.keyDown(tab, { key: "Escape" });
    await calm();
    expect(isAborted).toBe(true);
    expect(outside).not.toHaveBeenCalled();
    expect(container.textContent).toContain("Cancelled; these are from the sample.");
    fireEvent.keyDown(tab, { key: "Escape" });
    expect(outside).toHaveBeenCalledOnce();
  } finally {
    vi.useRealTimers();
  }
});

test("another selection stops what is under way; the last answer stays, dimmed, until the new one", async () => {
  const client = new TestClient().answer("findings", () => ({ findings: [] }));
  const { again, calm, container, getByRole } = await shown(client, { path: "a" });
  await client.of("inspect")[0]?.reply(inspectReply({ path: "a", tensor: null, class_name: "Linear" }));
  await calm();
  await again({ path: "b" });
  await again({ path: "c" });
  expect(client.of("inspect").map((open) => open.isAborted())).toEqual([false, true, false]);
  expect(getByRole("heading", { level: 2 }).textContent).toBe("c");
  expect(container.querySelector("header .nnw-stale")?.textContent).toContain("Linear");
  await client.of("inspect")[2]?.reply(inspectReply({ path: "c", tensor: null, class_name: "Conv2d" }));
  await calm();
  expect(container.querySelector(".nnw-stale")).toBeNull();
  expect(container.textContent).toContain("Conv2d");
});

test("without a kernel what was read stays and nothing more is asked", async () => {
  const siblings = { label: "h.0", index: 0, count: 12, previous: null, next: "h.1.weight" };
  const client = kernel((path) => inspectReply({ path, siblings })).answer("depth", depthReply);
  const { again, getByRole, container } = await shown(client);
  const before = client.requests.length;
  await again({ alive: false, generation: 1 });
  expect(client.requests).toHaveLength(before);
  expect(container.textContent).toContain("0.1294");
  expect((getByRole("button", { name: /next member/ }) as HTMLButtonElement).disabled).toBe(true);
  expect((getByRole("button", { name: "h.2: std 0.2" }) as HTMLButtonElement).disabled).toBe(true);
});

test("a change of the model reads again what is in sight", async () => {
  const client = kernel();
  const { again, container } = await shown(client);
  client.answer("stats", () => statsReply({ std: 0.5 }));
  await again({ generation: 1 });
  expect(container.textContent).toContain("std0.5");
});

test("the tree can hand over the keyboard focus", async () => {
  const handle: { current: InspectorHandle | null } = { current: null };
  const { getByRole } = await shown(kernel(), { handle });
  handle.current?.focus();
  expect(document.activeElement).toBe(getByRole("tab", { name: "Overview" }));
});

test("a module shows its size, its own tensors as links, and its calls", async () => {
  const client = kernel((path) =>
    inspectReply({
      path,
      kind: "module",
      class_name: "Linear",
      tensor: null,
      module: {
        n_params: 5376,
        n_params_trainable: 5120,
        size_bytes: 21_504,
        n_modules: 1,
        n_tensors: 2,
        n_parameters: 2,
        n_frozen: 1,
        training: true,
        extra: "in_features=20",
        hooks: ["forward: print_shape"],
        doc: "Applies an affine map.",
        tensors: [
          {
            path: "0.weight",
            name: "weight",
            shape: "256 × 20",
            dtype: "float32",
            role: "parameter",
            n_elements: 5120,
          },
        ],
      },
      trace: [
        {
          path: "0",
          call_index: 0,
          depth: 1,
          input_shapes: [[2, 20]],
          input_dtypes: ["float32"],
          output_shapes: [[2, 256]],
          output_dtypes: ["float32"],
          seconds: 0.00125,
          flops: 20_480,
        },
      ],
    }),
  );
  const { container, getByRole, props } = await shown(client, { path: "0" });
  for (const words of ["5\u202f376", "5\u202f120", "21.50\u00a0kB", "in_features=20", "forward: print_shape"]) {
    expect(container.textContent).toContain(words);
  }
  expect(container.textContent).toContain("2 × 20 → 2 × 256");
  expect(container.textContent).toContain("1.25\u00a0ms");
  getByRole("button", { name: "weight" }).click();
  expect(props.onNavigate).toHaveBeenCalledExactlyOnceWith("0.weight");
});

test("the model's own row offers all findings and the last trace", async () => {
  const inside = {
    code: "frozen",
    severity: "note",
    path: "1.bias",
    message: "It is frozen.",
    fix: "x.requires_grad_()",
  } as const;
  const own = { ...inside, code: "stale-optimizer", severity: "warning", path: "", fix: null } as const;
  const client = kernel((path) =>
    inspectReply({ path, tensor: null, class_name: "Net", findings: [own, inside] }),
  ).answer("trace", () => ({
    calls: [],
    n_calls: 0,
    failed_at: "1",
    error: "RuntimeError: shapes differ",
    unused: ["2"],
    seconds: 0.5,
    flops: null,
  }));
  const { getByRole, container } = await shown(client, { path: "" });
  expect(getByRole("tabpanel").textContent).toContain("Warning stale-optimizer");
  expect(getByRole("tabpanel").textContent).not.toContain("1.bias");
  fireEvent.click(getByRole("tab", { name: "Findings 2" }));
  expect(container.textContent).toContain("Note frozen at 1.bias");
  fireEvent.click(getByRole("tab", { name: "Trace" }));
  expect(container.textContent).toContain("Forward failed in 1RuntimeError: shapes differ");
  expect(getByRole("region", { name: "Never called" }).textContent).toContain("1 registered module2");
});

test("a trace that arrives while the model is in view shows without anything else changing", async () => {
  let listener: ((event: WireEvent) => void) | undefined;
  const client = kernel((path) => inspectReply({ path, tensor: null }));
  client.onEvent = (next) => {
    listener = next;
    return () => undefined;
  };
  const { queryByRole, getByRole, calm } = await shown(client, { path: "" });
  expect(queryByRole("tab", { name: "Trace" })).toBeNull();
  client.answer("trace", () => ({
    calls: [],
    n_calls: 3,
    failed_at: null,
    error: null,
    unused: [],
    seconds: 0.5,
    flops: null,
  }));
  listener?.({ v: 1, event: "traced", body: {} });
  await calm();
  fireEvent.click(getByRole("tab", { name: "Trace" }));
  expect(getByRole("tabpanel").textContent).toContain("3 calls · 500\u00a0ms");
});

const LARGE = Float32Array.from({ length: 5000 }, () => 0.5);
const LARGE_FACTS = tensorFacts({ has_grad: true, shape: [50, 100] });

/** A part of 50 × 100 values, too many for the table alone. */
function largeReply({ rows, columns }: Pick<ValuesBody, "rows" | "columns">): ValuesReply {
  return {
    ...valuesReply(),
    n_rows: 50,
    n_columns: 100,
    shape: [50, 100],
    values: { dtype: "float32", shape: [rows ?? 50, columns ?? 100], buffer: 0 },
    texts: rows === undefined ? null : Array.from({ length: rows }, () => Array(columns).fill("0.5")),
  };
}

function largeKernel(reply: (path: string) => InspectReply): TestClient {
  return kernel(reply).answer("values", largeReply, ({ rows = 50, columns = 100 }) => [
    new DataView(LARGE.buffer, 0, rows * columns * 4),
  ]);
}

test("the next tensor's picture and numbers come with its facts and are not asked for again", async () => {
  const client = largeKernel((path) => inspectReply({ path })).answer(
    "inspect",
    ({ path, windows = [] }) => ({
      ...inspectReply({ path, tensor: LARGE_FACTS }),
      windows: windows.map((asked, buffer) => {
        const made = largeReply(asked);
        return { ...made, scale: 5, values: { ...made.values, buffer } };
      }),
    }),
    ({ windows = [] }) =>
      windows.map(({ rows = 50, columns = 100 }) => new DataView(LARGE.buffer, 0, rows * columns * 4)),
  );
  const view = await shown(client);
  const label = (): string | null => view.getByRole("img", { name: /^Heat map/ }).getAttribute("aria-label");
  const nAsked = client.of("values").length;
  expect(nAsked).toBe(2);
  expect(label()).toContain("plus or minus 1.");
  await view.again({ path: "1.weight" });
  expect(label()).toContain("plus or minus 5.");
  expect(label()).toContain("At row 0, column 0: 0.5.");
  expect(view.container.querySelector(".nnw-panel [aria-busy=true]")).toBeNull();
  expect(client.of("values").length).toBe(nAsked);
  // Of the same tensor everything is read anew, by itself.
  await view.again({ path: "1.weight", generation: 1 });
  expect(client.of("inspect").map(({ body }) => body.windows?.length)).toEqual([0, 2, 0]);
  expect(
    client
      .of("values")
      .slice(nAsked)
      .map(({ body }) => body.path),
  ).toEqual(["1.weight", "1.weight"]);
  expect(label()).toContain("plus or minus 1.");
});

test("what could not come with the facts is asked for", async () => {
  const client = kernel().answer("inspect", ({ path, windows }) => ({
    ...inspectReply({ path }),
    windows: (windows ?? []).map(() => null),
  }));
  const view = await shown(client);
  const nAsked = client.of("values").length;
  await view.again({ path: "1.weight" });
  expect(
    client
      .of("values")
      .slice(nAsked)
      .map(({ body }) => body.path),
  ).toContain("1.weight");
  expect(view.container.querySelector(".nnw-panel [aria-busy=true]")).toBeNull();
});

test("numbers of the values are never told as the gradient's while those are on their way", async () => {
  const client = largeKernel((path) => inspectReply({ path, tensor: LARGE_FACTS }));
  const { getByRole, calm } = await shown(client);
  const picture = (): string | null => getByRole("img", { name: /^Heat map/ }).getAttribute("aria-label");
  expect(picture()).toContain("Heat map of the values");
  expect(picture()).toContain("At row 0, column 0: 0.5.");
  client.wait("values");
  const nAsked = client.of("values").length;
  fireEvent.click(getByRole("button", { name: "gradient" }));
  await calm();
  expect(picture()).not.toContain("At row 0, column 0");
  // Of the same shape: both are asked for at once, and nothing more of the values.
  const [overview, numbers, ...more] = client.of("values").slice(nAsked);
  expect(more).toEqual([]);
  expect(overview?.body).toMatchObject({ of: "grad" });
  expect(overview?.body).not.toHaveProperty("rows");
  await act(async () => overview?.reply(largeReply({}), [new DataView(LARGE.buffer)]));
  await calm();
  expect(picture()).toContain("Heat map of the gradient");
  expect(picture()).not.toContain("At row 0, column 0");
  expect(getByRole("grid").getAttribute("aria-busy")).toBe("true");
  expect(numbers?.body).toMatchObject({ of: "grad", rows: 16 });
  const { rows = 0, columns = 0 } = numbers?.body ?? {};
  await act(async () =>
    numbers?.reply(largeReply({ rows, columns }), [new DataView(LARGE.buffer, 0, rows * columns * 4)]),
  );
  await calm();
  expect(picture()).toContain("At row 0, column 0: 0.5.");
  expect(getByRole("grid").getAttribute("aria-busy")).toBe("false");
});

test("what of a gradient is not finite is counted beside its spread", async () => {
  const client = kernel((path) => inspectReply({ path, tensor: tensorFacts({ has_grad: true }) })).answer(
    "stats",
    ({ of }) => (of === "grad" ? { ...statsReply(), std: 0.0998, n_nan: 1, n_inf: 2 } : statsReply()),
  );
  const { getByRole } = await shown(client);
  expect(getByRole("region", { name: "Gradient" }).textContent).toMatch(/std 0\.0998 1 NaN 2 inf/);
  expect(getByRole("region", { name: "Values" }).textContent).not.toContain("NaN");
});
