// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/preact";
import { afterEach, expect, test, vi } from "vitest";
import type { SignalPoint, SignalReply } from "../../../src/protocol/messages.ts";
import { SignalCell } from "../../../src/views/signal/SignalCell.tsx";
import { SignalTab } from "../../../src/views/signal/SignalTab.tsx";
import { settle, statsReply, TestClient } from "../../fakes/inspectorClient.ts";

afterEach(cleanup);

function point(at: number, change: Partial<SignalPoint> = {}): SignalPoint {
  return {
    at,
    path: `h.${at}`,
    call_index: 0,
    class_name: "Tanh",
    shape: "64 × 16",
    mean: 0,
    std: 10 ** -at,
    gradient: 10 ** (at - 3),
    zeros: 0,
    saturated: 0,
    n_silent: 0,
    n_units: 16,
    silent: 0,
    n_bad: 0,
    n_bad_gradients: 0,
    ...change,
  };
}

function signal(change: Partial<SignalReply> = {}): SignalReply {
  const points = [point(0), point(1), point(2, { silent: 0.25, n_silent: 4 }), point(3, { saturated: 0.5 })];
  return {
    run: 7,
    points,
    n_calls: points.length,
    n_all: 9,
    has_gradients: true,
    loss: 0.5,
    failed_at: null,
    failed_in: null,
    error: null,
    findings: [],
    n_findings: 0,
    ...change,
  };
}

function kernel(reply: SignalReply): TestClient {
  return new TestClient()
    .answer("signal", () => reply)
    .answer("last_inputs", () => ({ inputs: "64 × 20 float32" }))
    .answer("tensors", () => ({ tensors: [{ name: "y", shape: "64", dtype: "int64" }] }))
    .answer("signal_point", () => ({ path: "h.1", n_outputs: 1, values: statsReply(), gradient: null }));
}

function shown(reply: SignalReply, client = kernel(reply), path = "") {
  const heard = { onNavigate: vi.fn(), onHover: vi.fn(), show: vi.fn() };
  const tab = (
    <div class="nnw-explorer">
      <div role="treegrid" aria-label="tree" tabIndex={0}>
        <div role="row" data-path="h.2" tabIndex={0}>
          h.2
        </div>
      </div>
      <SignalTab
        {...{ client, path }}
        generation={0}
        run={reply.run}
        alive
        memory={new Map()}
        column={{ isShown: true, show: heard.show }}
        onNavigate={heard.onNavigate}
        onHover={heard.onHover}
      />
    </div>
  );
  return { ...heard, client, ...render(tab) };
}

const plot = () => screen.findByRole("group", { name: "Signal through 4 points" });

test("the curves are told in words: each end, the extremes, and what isn't finite", async () => {
  shown(signal({ points: [point(0), point(1), point(2), point(3, { n_bad: 5 })] }));
  const described = (await plot()).getAttribute("aria-describedby") ?? "";
  expect(document.getElementById(described)?.textContent).toBe(
    "Output: std 1 at h.0, falls to 0.001 at h.3. Least 0.001 at h.3, greatest 1 at h.0. " +
      "Gradient: std 0.001 at h.0, grows to 1 at h.3. Least 0.001 at h.0, greatest 1 at h.3. " +
      "NaN or infinite values at 1 point, the first at h.3.",
  );
  expect(document.querySelectorAll("rect.nnw-signal-bad")).toHaveLength(1);
});

test("pointing at a point lights its row and reads it, a click goes there, and leaving lights nothing", async () => {
  const { onHover, onNavigate, container } = shown(signal());
  const third = within(await plot()).getAllByRole("button")[2] as HTMLElement;
  fireEvent.mouseEnter(third);
  expect(onHover).toHaveBeenLastCalledWith(["h.2"]);
  expect(third.getAttribute("aria-label")).toBe("h.2: Tanh, std 0.01, gradient’s std 0.1, dead units 4 of 16");
  expect(container.querySelector(".nnw-signal-reading")?.textContent).toContain("dead units 4 of 16");
  fireEvent.mouseLeave(await plot());
  expect(onHover).toHaveBeenLastCalledWith(null);
  fireEvent.click(third);
  expect(onNavigate).toHaveBeenCalledWith("h.2");
});

test("arrows go along the points, one of which is a stop for Tab", async () => {
  shown(signal());
  const points = within(await plot()).getAllByRole("button");
  points[0]?.focus();
  fireEvent.keyDown(points[0] as HTMLElement, { key: "ArrowRight" });
  expect(document.activeElement).toBe(points[1]);
  fireEvent.keyDown(points[1] as HTMLElement, { key: "End" });
  expect(document.activeElement).toBe(points[3]);
  expect(points.map(({ tabIndex }) => tabIndex)).toEqual([-1, -1, -1, 0]);
});

test("a row under the pointer has its points lit", async () => {
  const { container } = shown(signal());
  await plot();
  fireEvent.mouseOver(screen.getByText("h.2"));
  const lit = [...container.querySelectorAll("circle")].map((dot) => Number(dot.getAttribute("r")) > 3);
  expect(lit).toEqual([true, false, true, false]);
});

test("lanes are there for what there is: dead units, saturated values", async () => {
  const { container, rerender } = shown(signal());
  await plot();
  const lanes = () =>
    [...container.querySelectorAll("g > .nnw-signal-tick + path")].map((lane) => lane.parentElement?.classList.value);
  expect(lanes()).toEqual(["nnw-signal-dead", "nnw-signal-saturated"]);
  rerender(<div />);
  shown(signal({ points: [0, 1, 2, 3].map((at) => point(at)) }));
  await plot();
  expect(document.querySelectorAll(".nnw-signal-dead, .nnw-signal-saturated")).toHaveLength(0);
});

test("histograms are asked for on demand, and at once where there is one point", async () => {
  const { client } = shown(signal());
  await plot();
  expect(client.of("signal_point")).toHaveLength(0);
  fireEvent.click(screen.getByRole("button", { name: "Histograms of h.0" }));
  await screen.findByRole("img", { name: /^Output of h\.0/ });
  expect(client.of("signal_point")[0]?.body).toEqual({ run: 7, at: 0 });
  expect(screen.getByText("No gradient came here.")).toBeTruthy();
  cleanup();
  const single = kernel(signal({ points: [point(1)], n_calls: 1 }));
  shown(signal(), single, "h.1");
  await screen.findByRole("img", { name: /^Output of h\.1/ });
  expect(single.of("signal")[0]?.body).toEqual({ path: "h.1" });
});

test("without a run it says how to make one, and runs it on the last inputs with a choice of loss", async () => {
  const client = kernel(signal({ run: 0, points: [] })).wait("activations");
  shown(signal({ run: 0, points: [] }), client);
  await screen.findByText(/No run yet/);
  const run = screen.getByRole("button", { name: "Run" });
  await waitFor(() => expect(run.hasAttribute("disabled")).toBe(false));
  fireEvent.change(screen.getByLabelText("Loss"), { target: { value: "y" } });
  fireEvent.click(run);
  expect(client.of("activations")[0]?.body).toEqual({ loss: "target", target: "y" });
  expect(await screen.findByRole("button", { name: "Cancel" })).toBeTruthy();
  client.of("activations")[0]?.progress(3, 4);
  await waitFor(() => expect(screen.getByRole("progressbar").getAttribute("aria-valuenow")).toBe("75"));
  fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
  await settle();
  expect(client.of("activations")[0]?.isAborted()).toBe(true);
  expect(screen.queryByRole("alert")).toBeNull();
  expect(await screen.findByRole("button", { name: "Run" })).toBeTruthy();
});

test("what raised is told with where, and findings with what to do", async () => {
  const finding = { code: "first-nan", severity: "error", path: "h.1", message: "NaN.", fix: "net.mend()" } as const;
  shown(signal({ failed_in: "forward", failed_at: "h.1", error: "RuntimeError: no", findings: [finding] }));
  expect(await screen.findByText("RuntimeError: no")).toBeTruthy();
  expect(screen.getByText("Forward failed")).toBeTruthy();
  expect(screen.getByText("What to do").closest("details")?.textContent).toContain("net.mend()");
});

test("a row has bars of its std on the scale of all rows, and NaN is told", () => {
  const row = { signal: { std: 0.5, level: 0.75, gradient: 1e-5, gradient_level: 0.25, n_bad: 0 } };
  const { container, rerender } = render(<SignalCell row={row} />);
  const cell = screen.getByRole("gridcell");
  expect(cell.getAttribute("aria-label")).toBe("std 0.5, gradient’s std 1e−5");
  expect([...container.querySelectorAll("i")].map(({ style }) => style.width)).toEqual(["75%", "25%"]);
  rerender(<SignalCell row={{ signal: { ...row.signal, std: "NaN", n_bad: 3 } }} />);
  expect(screen.getByText("NaN")).toBeTruthy();
  expect(screen.getByRole("gridcell").getAttribute("aria-label")).toContain("3 NaN or infinite");
  rerender(<SignalCell row={{}} />);
  expect(screen.getByRole("gridcell").textContent).toBe("");
});

test("of another run no point is open yet, nor the one that was read", async () => {
  const client = kernel(signal());
  const draw = (run: number) => (
    <SignalTab
      {...{ client, run }}
      path=""
      generation={0}
      alive
      memory={new Map()}
      column={{ isShown: true, show: vi.fn() }}
      onNavigate={vi.fn()}
      onHover={vi.fn()}
    />
  );
  const { rerender, container } = render(draw(7));
  fireEvent.focus(within(await plot()).getAllByRole("button")[2] as HTMLElement);
  fireEvent.click(screen.getByRole("button", { name: "Histograms of h.2" }));
  await screen.findByRole("img", { name: /^Output of h\.2/ });
  client.answer("signal", () => signal({ run: 8 }));
  rerender(draw(8));
  await waitFor(() => expect(container.querySelector(".nnw-signal-reading")?.textContent).toContain("h.0"));
  expect(screen.getByRole("button", { name: "Histograms of h.0" })).toBeTruthy();
  expect(client.of("signal_point")).toHaveLength(1);
});
