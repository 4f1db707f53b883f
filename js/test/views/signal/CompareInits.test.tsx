// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/preact";
import { afterEach, expect, test, vi } from "vitest";
import type { Compared, CompareInitsReply } from "../../../src/protocol/messages.ts";
import { CompareInits } from "../../../src/views/signal/CompareInits.tsx";
import { TestClient } from "../../fakes/inspectorClient.ts";

afterEach(cleanup);

function compared(how: string, change: Partial<Compared> = {}): Compared {
  const bands = [
    [1, 0.9, 1.1],
    [0.1, 0.05, 0.2],
  ];
  return {
    name: how === "" ? "as it is" : how,
    how,
    kwargs: {},
    verdict: `${how} keeps it.`,
    forward: bands,
    backward: bands,
    bad: [],
    error: null,
    ...change,
  };
}

const REPLY: CompareInitsReply = {
  points: [0, 1].map((at) => ({ path: String(at), call_index: 0, class_name: "Linear" })),
  n_calls: 2,
  candidates: [
    compared(""),
    compared("normal_", { kwargs: { std: 0.01 }, bad: [1] }),
    compared("xavier_normal_"),
    compared("broken_", { error: "ValueError: no" }),
  ],
  verdict: "xavier_normal_ keeps 0.97 per layer.",
  seed: 7,
  n_seeds: 3,
};

function shown(generation = 0) {
  const client = new TestClient()
    .answer("last_inputs", () => ({ inputs: "64 × 20 float32" }))
    .answer("tensors", () => ({ tensors: [] }));
  const onTake = vi.fn();
  const draw = (path: string, at: number) => (
    <CompareInits
      {...{ client, path, onTake }}
      target={{ path }}
      candidates={[{ how: "" }, { how: "xavier_normal_" }]}
      seed="7"
      alive
      memory={new Map()}
      generation={at}
    />
  );
  const view = render(draw("0", generation));
  return { client, onTake, draw: (path: string, at: number) => view.rerender(draw(path, at)), ...view };
}

async function compare({ client }: ReturnType<typeof shown>, reply = REPLY) {
  const button = await screen.findByRole("button", { name: "Compare on data" });
  await waitFor(() => expect(button.hasAttribute("disabled")).toBe(false));
  fireEvent.click(button);
  await client.of("compare_inits")[0]?.reply(reply);
  await screen.findByText(reply.verdict);
}

test("it asks for the candidates of the target on the last inputs, and draws each over the others", async () => {
  const view = shown();
  await compare(view);
  expect(view.client.of("compare_inits")[0]?.body).toEqual({
    path: "0",
    candidates: [{ how: "" }, { how: "xavier_normal_" }],
    seed: 7,
  });
  const curves = screen.getAllByRole("img");
  expect(curves.map((each) => each.getAttribute("aria-label"))).toEqual([
    `output: ${REPLY.verdict}`,
    `gradient: ${REPLY.verdict}`,
  ]);
  expect(curves[0]?.querySelectorAll(".nnw-signal-line")).toHaveLength(4);
  expect(curves[0]?.querySelectorAll(".nnw-signal-nan")).toHaveLength(1);
  expect(screen.getByLabelText(/^xavier_normal_/).closest("label")?.textContent).toContain("output 1 → 0.1");
});

test("the one chosen is taken with its seed; values as they are, and what failed, can't be", async () => {
  const view = shown();
  await compare(view);
  fireEvent.click(screen.getByLabelText(/^normal_/));
  expect(view.onTake).toHaveBeenCalledWith({ how: "normal_", kwargs: { std: 0.01 } }, "7");
  expect(screen.getByLabelText(/^as it is/).hasAttribute("disabled")).toBe(true);
  expect(screen.getByLabelText(/^broken_ ValueError: no/).hasAttribute("disabled")).toBe(true);
});

test("where no candidate gave anything nothing is drawn, and of a single point no dot of one that failed", async () => {
  const failed = (how: string) => compared(how, { forward: [null], backward: [null], error: "RuntimeError: no" });
  const view = shown();
  const alone = { ...REPLY, points: REPLY.points.slice(0, 1), candidates: [failed(""), failed("normal_")] };
  await compare(view, alone);
  expect(screen.queryAllByRole("img")).toHaveLength(0);
  const good = compared("xavier_normal_", { forward: [[1, 0.9, 1.1]], backward: [null] });
  fireEvent.click(screen.getByRole("button", { name: "Compare on data" }));
  await view.client.of("compare_inits")[1]?.reply({ ...alone, candidates: [failed(""), good] });
  expect((await screen.findByRole("img")).querySelectorAll(".nnw-signal-dot")).toHaveLength(1);
});

test("it can be taken again after the form was edited, and of another comparison none is taken yet", async () => {
  const view = shown();
  await compare(view);
  const radio = () => screen.getByLabelText<HTMLInputElement>(/^normal_/);
  fireEvent.click(radio());
  fireEvent.click(radio());
  expect(view.onTake).toHaveBeenCalledTimes(2);
  expect(radio().checked).toBe(true);
  fireEvent.click(screen.getByRole("button", { name: "Compare on data" }));
  await view.client.of("compare_inits")[1]?.reply({ ...REPLY, verdict: "Another." });
  await screen.findByText("Another.");
  await waitFor(() => expect(radio().checked).toBe(false));
});

test("what is read again when a comparison ends is no change", async () => {
  const view = shown();
  const button = await screen.findByRole("button", { name: "Compare on data" });
  await waitFor(() => expect(button.hasAttribute("disabled")).toBe(false));
  fireEvent.click(button);
  view.draw("0", 1);
  await view.client.of("compare_inits")[0]?.reply(REPLY);
  await screen.findByText(REPLY.verdict);
  expect(screen.queryByText("Compared before the model last changed.")).toBeNull();
});

test("of another target nothing is shown, and after a change that it is older", async () => {
  const view = shown();
  await compare(view);
  view.draw("0", 1);
  expect(screen.getByText("Compared before the model last changed.")).toBeTruthy();
  view.draw("1", 1);
  expect(screen.queryByText(REPLY.verdict)).toBeNull();
});

test("what can't be compared says why, and cancelling says nothing", async () => {
  const view = shown();
  const button = await screen.findByRole("button", { name: "Compare on data" });
  await waitFor(() => expect(button.hasAttribute("disabled")).toBe(false));
  fireEvent.click(button);
  await view.client.of("compare_inits")[0]?.fail({ code: "initializer", message: "No.", hint: "", path: null });
  expect((await screen.findByRole("alert")).textContent).toContain("These can’t be compared.");
  fireEvent.click(screen.getByRole("button", { name: "Compare on data" }));
  fireEvent.click(await screen.findByRole("button", { name: "Cancel" }));
  await waitFor(() => expect(view.client.of("compare_inits")[1]?.isAborted()).toBe(true));
  expect(screen.queryByRole("alert")).toBeNull();
});
