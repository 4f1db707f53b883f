// @vitest-environment happy-dom
import { cleanup, render } from "@testing-library/preact";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { StatsReply } from "../../../../src/protocol/messages.ts";
import { Statistics } from "../../../../src/views/inspector/stats/Statistics.tsx";
import { StatsRequest, type StatsState } from "../../../../src/views/inspector/stats/statsRequest.ts";
import { type Open, settle, statsReply, TestClient } from "../../../fakes/inspectorClient.ts";

const SAMPLED = statsReply({ n: 65_536, n_total: 38_597_376, is_exact: false, std: 0.1437, mean: 0.0004 });
const EXACT = statsReply({ n: 38_597_376, n_total: 38_597_376 });
const FAULT = { code: "unreadable", message: "The device failed.", hint: "Restart the kernel.", path: "w" };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  cleanup();
});

function started() {
  const client = new TestClient();
  const states: StatsState[] = [];
  const flow = new StatsRequest(client, (state) => states.push(state));
  flow.start({ path: "w", of: "value" });
  const last = (): StatsState => states.at(-1) as StatsState;
  const asked = (at: number): Open<"stats"> => client.of("stats").at(at) as Open<"stats">;
  return { client, flow, last, asked };
}

describe("sampled first, exact after", () => {
  test("the sampled answer shows, then the exact one takes its place", async () => {
    const { client, last, asked } = started();
    expect(asked(0).body).toMatchObject({ path: "w", of: "value", exact: false });
    await asked(0).reply(SAMPLED);
    expect(last()).toMatchObject({ phase: "exact", reply: SAMPLED });
    expect(asked(1).body).toMatchObject({ path: "w", exact: true });
    await asked(1).reply(EXACT);
    expect(last()).toMatchObject({ phase: "done", reply: EXACT, isSlow: false });
    expect(client.of("stats")).toHaveLength(2);
  });

  test("of a model over ranks the first answer is all there is", async () => {
    const { client, last, asked } = started();
    const reply = statsReply({ is_exact: false, of: "3 of 4 parts", by_rank: [], missing: [3] });
    await asked(0).reply(reply);
    expect(last()).toMatchObject({ phase: "done", reply });
    expect(client.of("stats")).toHaveLength(1);
  });

  test("a sample that came with the facts shows at once, and only the exact answer is asked for", async () => {
    const { client, flow, last } = started();
    flow.start({ path: "v", of: "value" }, SAMPLED);
    await settle();
    expect(last()).toMatchObject({ phase: "exact", reply: SAMPLED, replyOf: { path: "v" } });
    expect(client.of("stats").filter(({ body }) => body.path === "v" && body.exact === false)).toEqual([]);
    await (client.of("stats").at(-1) as Open<"stats">).reply(EXACT);
    expect(last()).toMatchObject({ phase: "done", reply: EXACT });
  });

  test("a first answer that is exact already asks nothing more", async () => {
    const { client, last, asked } = started();
    await asked(0).reply(EXACT);
    expect(last().phase).toBe("done");
    expect(client.of("stats")).toHaveLength(1);
  });

  test("progress shows only once the work has taken 0.3 s", async () => {
    const { last, asked } = started();
    await asked(0).reply(SAMPLED);
    asked(1).progress(3, 10);
    expect(last()).toMatchObject({ isSlow: false, progress: { done: 3, total: 10 } });
    vi.advanceTimersByTime(299);
    expect(last().isSlow).toBe(false);
    vi.advanceTimersByTime(1);
    expect(last().isSlow).toBe(true);
    await asked(1).reply(EXACT);
    expect(last()).toMatchObject({ isSlow: false, progress: null });
  });

  test("cancelling stops the request and leaves the sampled answer", async () => {
    const { flow, last, asked } = started();
    await asked(0).reply(SAMPLED);
    vi.advanceTimersByTime(400);
    flow.cancel();
    await settle();
    expect(asked(1).isAborted()).toBe(true);
    expect(last()).toMatchObject({ phase: "cancelled", reply: SAMPLED, isSlow: false, progress: null });
    asked(1).progress(9, 10);
    expect(last().progress).toBeNull();
  });

  test("after a cancel the model's next change asks for a sample alone, and resuming reads everything", async () => {
    const { client, flow, last, asked } = started();
    await asked(0).reply(SAMPLED);
    flow.cancel();
    await settle();
    flow.refresh();
    await asked(2).reply({ ...SAMPLED, mean: 0.0005 });
    expect(last()).toMatchObject({ phase: "cancelled", reply: { mean: 0.0005 } });
    expect(client.of("stats")).toHaveLength(3);
    flow.resume();
    await asked(3).reply(SAMPLED);
    await asked(4).reply(EXACT);
    expect(last()).toMatchObject({ phase: "done", reply: EXACT });
  });

  test("another subject stops the work on the one before, whose late answer is dropped", async () => {
    const { flow, last, asked } = started();
    await asked(0).reply(SAMPLED);
    flow.start({ path: "v", of: "value" });
    expect(asked(1).isAborted()).toBe(true);
    await asked(1).reply(EXACT);
    expect(last()).toMatchObject({ subject: { path: "v" }, reply: SAMPLED, replyOf: { path: "w" }, phase: "sampling" });
    await asked(2).reply(EXACT);
    expect(last().replyOf).toMatchObject({ path: "v" });
  });

  test("changes of the model while at work ask once more after it, not at once", async () => {
    const { client, flow, last, asked } = started();
    flow.refresh();
    flow.refresh();
    expect(client.of("stats")).toHaveLength(1);
    await asked(0).reply(EXACT);
    expect(client.of("stats")).toHaveLength(2);
    await asked(1).reply({ ...EXACT, mean: 1 });
    expect(client.of("stats")).toHaveLength(2);
    expect(last().reply?.mean).toBe(1);
  });

  test("a failure of the exact work keeps the sample beside the error", async () => {
    const { last, asked } = started();
    await asked(0).reply(SAMPLED);
    await asked(1).fail(FAULT);
    expect(last()).toMatchObject({ phase: "failed", reply: SAMPLED, error: FAULT });
  });
});

describe("as shown", () => {
  function shown(change: Partial<StatsState> & { reply: StatsReply | null }) {
    const subject = { path: "w", of: "value" } as const;
    const cancel = vi.fn();
    const stats = {
      subject,
      phase: "done",
      replyOf: subject,
      progress: null,
      isSlow: false,
      error: null,
      cancel,
      resume: vi.fn(),
      isCurrent: true,
      ...change,
    } as const;
    const view = render(<Statistics stats={stats} path="w" isComplex={false} alive={true} />);
    const figures = Object.fromEntries(
      [...view.container.querySelectorAll("dl > div")].map((pair) => [
        pair.querySelector("dt")?.textContent,
        pair.querySelector("dd")?.textContent,
      ]),
    );
    return { ...view, figures, cancel };
  }

  test("figures of a shard stand without signs once all of it is read, and say whose they are", () => {
    const reply = statsReply({ n: 16, n_total: 64, is_exact: false, of: "rank 1: 4 × 4 of 8 × 8" });
    const { figures, container } = shown({ reply, phase: "done" });
    expect(figures.mean).toBe("−0.0004");
    expect(container.textContent).toContain("of rank 1: 4 × 4 of 8 × 8");
    expect(container.textContent).not.toContain("≈");
  });

  test("figures are copied in full, once all values are read", async () => {
    const copied = vi.spyOn(navigator.clipboard, "writeText").mockResolvedValue();
    const reply = statsReply({ mean: 0.1 + 0.2, std: "NaN", min: -1, max: 2, norm: 5, n_zero: 1, n_nan: 2, n_inf: 0 });
    const { getByRole } = shown({ reply });
    getByRole("button", { name: "CSV" }).click();
    await settle();
    expect(copied).toHaveBeenLastCalledWith(
      "mean,std,min,max,norm,n_zero,n_nan,n_inf\n0.30000000000000004,NaN,-1,2,5,1,2,0",
    );
    getByRole("button", { name: "Markdown" }).click();
    await settle();
    expect(copied.mock.lastCall?.[0].split("\n")).toEqual([
      "| mean | std | min | max | norm | n_zero | n_nan | n_inf |",
      "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
      "| 0.30000000000000004 | NaN | -1 | 2 | 5 | 1 | 2 | 0 |",
    ]);
    cleanup();
    const sampled = shown({ reply: SAMPLED, phase: "exact" });
    expect(sampled.getByRole("button", { name: "CSV" })).toHaveProperty("disabled", true);
  });

  test("exact figures say so and stand without signs", () => {
    const { figures, container } = shown({ reply: statsReply({ n: 2_359_296, n_total: 2_359_296 }) });
    expect(figures).toEqual({
      mean: "−0.0004",
      std: "0.1294",
      min: "−2.411",
      max: "2.026",
      "L2 norm": "198.8",
      zeros: "0",
      NaN: "0",
      inf: "0",
    });
    expect(container.textContent).toContain("2.36\u00a0M values · exact");
    expect(container.querySelector("[title='−2.411']")?.textContent).toBe("−2.411");
  });

  test("sampled figures are marked, and what a sample can't tell isn't claimed", () => {
    const { figures, container } = shown({ reply: SAMPLED, phase: "exact" });
    expect(figures).toEqual({
      mean: "≈ 0.0004",
      std: "≈ 0.1437",
      min: "≤ −2.411",
      max: "≥ 2.026",
      "L2 norm": "…",
      zeros: "…",
      NaN: "…",
      inf: "…",
    });
    expect(container.textContent).toContain("≈ from 65\u202f536 of 38.60\u00a0M values");
  });

  test("NaN found in a sample is told as the least there is", () => {
    expect(shown({ reply: { ...SAMPLED, n_nan: 3 } }).figures.NaN).toBe("≥ 3");
  });

  test("slow work has a named progress bar and a Cancel that cancels", () => {
    const { getByRole, cancel } = shown({
      reply: SAMPLED,
      phase: "exact",
      isSlow: true,
      progress: { done: 23, total: 37 },
    });
    const bar = getByRole("progressbar", { name: "Exact statistics" });
    expect(bar.getAttribute("aria-valuenow")).toBe("62");
    getByRole("button", { name: /Cancel/ }).click();
    expect(cancel).toHaveBeenCalledOnce();
  });

  test("a tensor of nothing but NaN has no figures to claim", () => {
    const nan = statsReply({ mean: "NaN", std: "NaN", min: "NaN", max: "NaN", norm: 0, n_nan: 1000 });
    const { figures } = shown({ reply: nan });
    expect(figures).toMatchObject({ mean: "–", std: "–", min: "–", max: "–", NaN: "1\u202f000" });
  });
});
