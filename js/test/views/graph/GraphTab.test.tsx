// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/preact";
import { afterEach, expect, test, vi } from "vitest";
import type { GraphNode, GraphReply } from "../../../src/protocol/messages.ts";
import { layOut } from "../../../src/state/graph/layout.ts";
import { GraphTab } from "../../../src/views/graph/GraphTab.tsx";
import { TestClient } from "../../fakes/inspectorClient.ts";

afterEach(cleanup);

const CLOSED: GraphNode = {
  key: "2",
  kind: "module",
  name: "h.0 … h.11",
  path: "h.0",
  class_name: "Block",
  can_open: true,
  n_calls: 3,
  n_repeats: 12,
  n_params: 1200,
  tie: "A",
};

/** An input, twelve blocks alike, and an output; the blocks open into a layer and a sum. */
function graph(isOpen: boolean, change: Partial<GraphReply> = {}): GraphReply {
  const inside: GraphNode[] = [
    { key: "3", kind: "module", name: "lin", path: "h.0.lin", class_name: "Linear", parent: 1, seconds: 0.002 },
    { key: "4", kind: "operator", name: "add", parent: 1 },
  ];
  const edge = { shape: "2 × 4", dtype: "float32" };
  return {
    nodes: [
      { key: "0", kind: "input", name: "input 0" },
      { ...CLOSED, ...(isOpen ? { is_open: true } : {}) },
      ...(isOpen ? inside : []),
      { key: "9", kind: "output", name: "output" },
    ],
    edges: isOpen
      ? [
          { source: 0, target: 2, ...edge },
          { source: 0, target: 3, ...edge },
          { source: 2, target: 3, ...edge, through: ["view"] },
          { source: 3, target: 2, ...edge, is_to_next: true },
          { source: 3, target: 4, ...edge },
        ]
      : [
          { source: 0, target: 1, ...edge },
          { source: 1, target: 2, ...edge, dtype: "float16" },
        ],
    opened: isOpen ? ["2"] : [],
    n_closed: 0,
    widest: 100,
    shown: null,
    failed_at: null,
    error: null,
    ...change,
  };
}

function shown(client: TestClient, path = "", run = 0) {
  const [onNavigate, onHover] = [vi.fn(), vi.fn()];
  const memory = new Map();
  const tab = (traced: number) => (
    <GraphTab
      {...{ client, path, traced, memory, onNavigate, onHover }}
      name="net"
      alive
      run={run}
      loadLayout={async () => layOut}
    >
      {null}
    </GraphTab>
  );
  const view = render(tab(0));
  return { onNavigate, onHover, ...view, trace: () => view.rerender(tab(1)) };
}

const kernel = (change: Partial<GraphReply> = {}) =>
  new TestClient().answer("graph", ({ opened = [], mermaid = false }) => ({
    ...graph(opened.includes("2"), change),
    ...(mermaid ? { mermaid: "flowchart TB" } : {}),
  }));

const node = (name: RegExp) => screen.findByRole("button", { name });

test("each node says what it is, what comes in and where it goes, and shapes stand on the edges", async () => {
  const { container } = shown(kernel());
  const block = await node(/^12 × h\.0 … h\.11 Block; closed; 3 calls in it; one after the other; 1.200 parameters/);
  expect(block.getAttribute("aria-label")).toMatch(
    /tied, A; from input 0 \(2 × 4 float32\); to output \(2 × 4 float16\)$/,
  );
  expect(block.getAttribute("aria-expanded")).toBe("false");
  expect([...container.querySelectorAll(".nnw-graph-label")].map((label) => label.textContent).sort()).toEqual([
    "2 × 4",
    "2 × 4 float16",
  ]);
});

test("a double click opens a box and another closes it, and a click selects its module in the tree", async () => {
  const client = kernel();
  const { onNavigate, onHover } = shown(client);
  fireEvent.mouseEnter(await node(/^12 ×/));
  expect(onHover).toHaveBeenLastCalledWith(["h.0"]);
  fireEvent.click(await node(/^12 ×/));
  expect(onNavigate).toHaveBeenLastCalledWith("h.0");
  fireEvent.dblClick(await node(/^12 ×/));
  expect((await node(/^lin Linear/)).textContent).toMatch(/2.ms/);
  expect((await node(/Block; open/)).getAttribute("aria-expanded")).toBe("true");
  fireEvent.dblClick(await node(/Block; open/));
  await waitFor(() => expect(screen.queryByRole("button", { name: /^lin Linear/ })).toBeNull());
});

test("boxes are asked for in the order they were opened, without those in one that is closed; a trace forgets them", async () => {
  const client = new TestClient().answer("graph", ({ opened = [] }) => {
    const box = { kind: "module", can_open: true } as const;
    const boxes: GraphNode[] = [
      { ...box, key: "1", name: "first" },
      ...(opened.includes("1") ? [{ ...box, key: "2", name: "inner", parent: 0 }] : []),
      { ...box, key: "7", name: "last" },
    ];
    const nodes = boxes.map((each) => ({ ...each, ...(opened.includes(each.key) ? { is_open: true } : {}) }));
    return { ...graph(false), nodes, edges: [], opened: nodes.flatMap((each) => (each.is_open ? [each.key] : [])) };
  });
  const { trace } = shown(client);
  const asked = async (...opened: string[]) => {
    await waitFor(() => expect(client.requests.at(-1)?.body).toEqual({ opened }));
  };
  fireEvent.dblClick(await node(/^last; closed/));
  await asked("7");
  await node(/^last; open/);
  fireEvent.dblClick(await node(/^first; closed/));
  await asked("7", "1");
  fireEvent.dblClick(await node(/^inner; closed/));
  await asked("7", "1", "2");
  await node(/^inner; open/);
  fireEvent.dblClick(await node(/^first; open/));
  await asked("7");
  trace();
  await waitFor(() => expect(client.requests.at(-1)?.body).toEqual({}));
});

test("by keyboard one goes along edges, into a box and out of it", async () => {
  const { onNavigate } = shown(kernel());
  (await node(/^input 0/)).focus();
  const press = (key: string): void => void fireEvent.keyDown(document.activeElement as Element, { key });
  const isAt = (key: string) => waitFor(() => expect(document.activeElement?.getAttribute("data-key")).toBe(key));
  press("ArrowDown");
  await isAt("2");
  press("Enter");
  await isAt("3");
  press("ArrowDown");
  await isAt("4");
  press("ArrowUp");
  await isAt("3");
  press(" ");
  expect(onNavigate).toHaveBeenLastCalledWith("h.0.lin");
  press("Escape");
  await isAt("2");
  press("Enter");
  await node(/Block; closed/);
  await isAt("2");
  press("ArrowDown");
  await isAt("9");
});

test("what is typed is found and counted, and Enter goes from one match to the next", async () => {
  const client = new TestClient().answer("graph", ({ opened = [], find, nth }) => {
    const reply = graph(opened.includes("2") || nth !== undefined, { shown: nth === undefined ? null : 2 + nth });
    const nodes = reply.nodes.map((each, at) => ({
      ...each,
      ...(find && (at === 2 || at === 3) ? { n_found: 1 } : {}),
    }));
    const found = { n: 2, n_all: 24, ...(nth === undefined ? {} : { nth }) };
    return { ...reply, nodes, ...(find === undefined ? {} : { found }) };
  });
  const { container } = shown(client);
  await node(/^12 ×/);
  const box = screen.getByRole("searchbox", { name: "Find boxes" });
  fireEvent.input(box, { target: { value: "lin" } });
  await screen.findByText("2 boxes found, 24 with those that repeat");
  const asked = () => client.requests.at(-1)?.body;
  expect(asked()).toEqual({ find: "lin" });
  const reading = () => container.querySelector(".nnw-graph-reading")?.textContent;
  for (const [nth, words] of [/^lin Linear; 2.ms; found/, /^operator add; found/, /^lin Linear/].entries()) {
    fireEvent.keyDown(box, { key: "Enter" });
    await screen.findByText(`${(nth % 2) + 1} of 2 boxes, 24 with those that repeat`);
    expect(asked()).toEqual({ find: "lin", nth: nth % 2, opened: nth === 0 ? [] : ["2"] });
    await waitFor(() => expect(reading()).toMatch(words));
  }
  expect(container.querySelectorAll(".nnw-graph-found")).toHaveLength(2);
  fireEvent.click(screen.getByRole("button", { name: "The one before" }));
  await screen.findByText(/^2 of 2 boxes/);
  fireEvent.keyDown(box, { key: "Escape" });
  await waitFor(() => expect(asked()).toEqual({ opened: ["2"] }));
});

test("after a run of activations nodes can be told by their std, before it the choice says why not", async () => {
  shown(kernel());
  expect(await screen.findByRole("option", { name: "by activations: no run yet" })).toHaveProperty("disabled", true);
  cleanup();
  const nodes = graph(false).nodes.map((each, at) =>
    at === 0 ? each : { ...each, signal: { std: 10 ** -at, level: 1 / at, n_bad: at - 1 } },
  );
  const { container } = shown(kernel({ nodes }), "", 3);
  await node(/^12 ×.*; std 0\.1;/);
  await node(/^output; std 0\.01; 1 NaN or infinite;/);
  fireEvent.change(screen.getByRole("combobox", { name: "Colours" }), { target: { value: "activations" } });
  await screen.findByText("std 0.01 to 0.1, log scale");
  const widths = [...container.querySelectorAll(".nnw-graph-share")].map((bar) => Number(bar.getAttribute("width")));
  const frame = Number(container.querySelector('[data-key="2"] .nnw-graph-frame')?.getAttribute("width"));
  expect(widths).toHaveLength(2);
  expect(widths[0]).toBe(frame - 8);
  expect(container.querySelectorAll(".nnw-graph-bad")).toHaveLength(1);
});

test("the row that is selected has its node, and one that is in a closed box can be shown", async () => {
  const client = kernel();
  shown(client, "h.0.lin");
  expect((await node(/^12 ×/)).getAttribute("aria-pressed")).toBe("true");
  fireEvent.click(screen.getByRole("button", { name: "Show h.0.lin" }));
  await waitFor(() => expect(client.requests.at(-1)?.body).toEqual({ opened: [], show: "h.0.lin" }));
});

test("without a trace it says how to make one, and a forward that failed says where", async () => {
  shown(new TestClient().refuse("graph", "not-traced", "No trace was made yet."));
  await screen.findByText(/No forward was traced yet/);
  cleanup();
  shown(kernel({ failed_at: "h.0.lin", error: "RuntimeError: <b>shapes</b>", n_closed: 2 }));
  await screen.findByText("RuntimeError: <b>shapes</b>");
  screen.getByText(/^2 boxes were closed/);
});

test("the picture is a file of its own: text as text, and nothing of the page's", async () => {
  const copied = vi.fn(async (_text: string) => {});
  vi.stubGlobal("navigator", { ...navigator, clipboard: { writeText: copied } });
  const hostile = graph(false);
  shown(
    new TestClient().answer("graph", () => ({
      ...hostile,
      nodes: hostile.nodes.map((each) => ({ ...each, name: "<script>" })),
    })),
  );
  await node(/^12 ×/);
  fireEvent.click(screen.getByRole("button", { name: "SVG" }));
  await waitFor(() => expect(copied).toHaveBeenCalled());
  const [[svg]] = copied.mock.calls as [[string]];
  expect(svg).toContain("http://www.w3.org/2000/svg");
  expect(svg).toContain("&lt;script&gt;");
  expect(svg).not.toMatch(/<script|class="|tabindex/);
  vi.unstubAllGlobals();
});
