// @vitest-environment happy-dom
import { cleanup, render } from "@testing-library/preact";
import { afterEach, expect, test } from "vitest";
import type { RankFigures, RankState, ValuesReply } from "../../../src/protocol/messages.ts";
import { Borders } from "../../../src/views/ranks/Borders.tsx";
import { RankLines } from "../../../src/views/ranks/RankLines.tsx";
import { RanksLine } from "../../../src/views/ranks/RanksLine.tsx";
import { statsReply } from "../../fakes/inspectorClient.ts";

afterEach(cleanup);

const rank = (change: Partial<RankState>): RankState => ({
  rank: 0,
  host: "node7",
  state: "idle",
  answered: true,
  doing: "",
  local_bytes: 1000,
  ...change,
});
const line = (change: Partial<RankFigures>): RankFigures => ({
  rank: 0,
  part: [0],
  n: 256,
  min: -1,
  mean: 0,
  max: 1,
  norm: 9,
  n_nan: 0,
  n_inf: 0,
  ...change,
});

test("the header says how many ranks there are, on which mesh, and who gave no answer", () => {
  const ranks = [rank({}), rank({ rank: 3, state: "missing", answered: false, doing: "hasn't answered for 5.0 s" })];
  const mesh = [
    { name: "dp", size: 2 },
    { name: "tp", size: 2 },
  ];
  const view = render(<RanksLine ranks={{ ranks, mesh, problem: "It is gone.", can_change: true }} />);
  const text = view.container.textContent;
  expect(text).toContain("2 ranks· dp 2 × tp 2· 1 answered");
  expect(text).toContain("rank 3 hasn't answered for 5.0 s");
  expect(text).toContain("It is gone.");
  expect(view.getByRole("img", { name: /rank 0 · answered · node7 · holds 1.00.kB of the model/ })).toBeDefined();
  expect(view.getByRole("img", { name: /rank 3 · hasn't answered/ }).className).toContain("nnw-rank-missing");
});

test("of very many ranks only those that don't answer have their number beside", () => {
  const ranks = Array.from({ length: 64 }, (_, at) =>
    rank({ rank: at, state: at === 40 ? "dead" : "idle", answered: at !== 40 }),
  );
  const view = render(<RanksLine ranks={{ ranks, mesh: [], problem: null, can_change: true }} />);
  expect(view.container.querySelector(".nnw-dots")?.textContent).toBe("40");
});

test("each rank has its line, with NaN told and who is missing named", () => {
  const by_rank = [line({}), line({ rank: 2, part: [1], n_nan: 3 }), line({ rank: 3, part: [2], n: 0, min: "NaN" })];
  const view = render(<RankLines reply={statsReply({ by_rank, missing: [1] })} isStale={false} />);
  const rows = view.getAllByRole("row").map((row) => row.textContent);
  expect(rows).toHaveLength(5);
  expect(rows[2]).toMatch(/^21256.*3$/);
  expect(rows[3]).toContain("––––");
  expect(rows[4]).toMatch(/^1no answer/);
});

test("borders are drawn where the parts end, and what none has is hatched and named", () => {
  const about = {
    shards: [
      { row: 0, column: 0, rows: 16, columns: 16, ranks: [0, 2] },
      { row: 16, column: 0, rows: 8, columns: 16, ranks: [1] },
    ],
    absent: [{ row: 24, column: 0, rows: 8, columns: 16 }],
  } as unknown as ValuesReply;
  const whole = { row: 0, column: 0, rows: 32, columns: 16 };
  const view = render(<Borders {...{ about, view: whole, width: 160, height: 320 }} />);
  const shards = [...view.container.querySelectorAll<HTMLElement>(".nnw-shard")];
  expect(shards.map(({ style, textContent }) => [style.top, style.height, textContent])).toEqual([
    ["0px", "160px", "0, 2"],
    ["160px", "80px", "1"],
  ]);
  expect(view.getByRole("img", { name: /rows 24 to 31: no rank/ }).style.top).toBe("240px");
  const zoomed = { row: 24, column: 0, rows: 8, columns: 16 };
  view.rerender(<Borders {...{ about, view: zoomed, width: 160, height: 320 }} />);
  expect(view.container.querySelectorAll(".nnw-shard")).toHaveLength(0);
  expect(view.getByRole("img").style.height).toBe("320px");
});
