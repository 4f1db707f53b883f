import { describe, expect, test } from "vitest";
import { rowAt, rowsInSight, topOf } from "../src/hooks/useVirtualRows.ts";
import { defaultName, fileNameProblem, formatOf, within } from "../src/state/checkpoints/fileNames.ts";
import { PagedList, type PageReply } from "../src/state/checkpoints/pagedList.ts";
import { NOT_BEGUN, remainingText, updateRate } from "../src/state/checkpoints/progressRate.ts";
import {
  acceptAllRenames,
  acceptRename,
  NO_RENAMES,
  refuseRename,
  replaceRename,
} from "../src/state/checkpoints/renames.ts";
import { dateText, shortDtype } from "../src/views/checkpoints/statusLabels.tsx";

describe("pace", () => {
  test("rate and remaining time come from the last seconds", () => {
    let pace = NOT_BEGUN;
    for (const at of [0, 1, 2, 3]) {
      pace = updateRate(pace, at * 100, 1000, at);
    }
    expect([pace.rate, pace.remaining]).toEqual([100, 7]);
  });

  test("nothing is said before there is anything to measure by, and a stage that starts over is measured anew", () => {
    const first = updateRate(NOT_BEGUN, 500, 1000, 10);
    expect([first.rate, first.remaining]).toEqual([null, null]);
    expect(updateRate(updateRate(first, 900, 1000, 11), 10, 1000, 12).rate).toBeNull();
  });

  test.each([
    [null, ""],
    [0.2, "1 s left"],
    [89, "89 s left"],
    [180, "about 3 min left"],
    [7200, "about 2 h left"],
  ])("%s seconds read %j", (seconds, text) => expect(remainingText(seconds)).toBe(text));
});

describe("renames", () => {
  test("no two names stand for one path", () => {
    const one = acceptRename(NO_RENAMES, "a", "x");
    expect(acceptRename(one, "b", "x").byName).toEqual({ b: "x" });
  });

  test("a suggestion that is refused stays refused where all are accepted", () => {
    expect(refuseRename(acceptAllRenames(NO_RENAMES), "a")).toEqual({ acceptAll: true, byName: { a: null } });
    expect(refuseRename(acceptRename(NO_RENAMES, "a", "x"), "a")).toEqual(NO_RENAMES);
  });

  test("accepting all takes back refusals and keeps what was typed", () => {
    const typed = acceptRename(refuseRename(acceptAllRenames(NO_RENAMES), "a"), "b", "y");
    expect(acceptAllRenames(typed).byName).toEqual({ b: "y" });
  });

  test("another name in place of a suggested one refuses that", () => {
    expect(replaceRename(acceptAllRenames(NO_RENAMES), "a", "b", "x").byName).toEqual({ a: null, b: "x" });
  });
});

describe("file names", () => {
  test.each([
    ["net.safetensors", "safetensors"],
    ["net.pt", "torch zip"],
    ["net/", "safetensors in shards, with an index"],
  ])("%s is saved as %s", (name, format) => expect(formatOf(name)).toBe(format));

  test.each(["", " ", "/", "/etc/x", "../x", "a/../../x"])("%j is refused", (name) =>
    expect(fileNameProblem(name)).not.toBeNull(),
  );

  test("a model's name becomes a file's", () => {
    expect(defaultName("my net/../x")).toBe("my-net-..-x.safetensors");
    expect(fileNameProblem(defaultName("…"))).toBeNull();
    expect(within("runs", "a.pt")).toBe("runs/a.pt");
  });
});

describe("rows of several heights", () => {
  const blocks = [
    { count: 2, height: 48 },
    { count: 50_000, height: 26 },
  ];
  test("where a row begins and which row is at a height agree", () => {
    for (const index of [0, 1, 2, 3, 25_000, 50_001]) {
      expect(rowAt(blocks, topOf(blocks, index))).toBe(index);
    }
    expect(rowAt(blocks, 1e9)).toBe(50_001);
  });

  test("few rows are drawn, wherever the list is scrolled to and however high it is", () => {
    for (const top of [0, 1000, 1_300_000]) {
      const { start, stop } = rowsInSight(blocks, top, 5000);
      expect(stop - start).toBeLessThanOrEqual(185);
    }
    expect(rowsInSight([], 0, 400)).toMatchObject({ start: 0, stop: 0, height: 0 });
  });
});

describe("a long list in windows", () => {
  type Reply = PageReply<number>;
  function list(total: number) {
    const asked: [number, number][] = [];
    const made = new PagedList<Reply, number>(
      async (start, count) => {
        asked.push([start, count]);
        const rows = Array.from({ length: Math.max(0, Math.min(count, total - start)) }, (_, at) => start + at);
        return { total, start, rows };
      },
      () => undefined,
    );
    return { made, asked };
  }

  test("rows that are known are not asked for again", async () => {
    const { made, asked } = list(1000);
    await made.restart();
    made.look(0, 50);
    expect(asked).toHaveLength(1);
    made.look(500, 550);
    await Promise.resolve();
    await Promise.resolve();
    expect(made.row(520)).toBe(520);
    expect(made.row(10)).toBe(10);
  });

  test("what is asked anew overtakes what was asked before", async () => {
    const { made } = list(10);
    const [first, second] = [made.restart(), made.restart()];
    expect(await Promise.all([first, second])).toEqual([false, true]);
  });

  test("a failure stays until the next question, and asks nothing by itself", async () => {
    let n = 0;
    const made = new PagedList<Reply, number>(
      async () => {
        n += 1;
        throw new Error("gone");
      },
      () => undefined,
    );
    expect(await made.restart()).toBe(false);
    made.look(0, 10);
    expect([n, made.isBusy, made.error]).toEqual([1, false, new Error("gone")]);
  });
});

test("dates are told from today on", () => {
  const now = new Date(2024, 5, 15, 12, 0);
  const at = (...parts: [number, number, number, number, number]) => new Date(...parts).getTime() / 1000;
  expect(dateText(at(2024, 5, 15, 9, 5), now)).toBe("today 09:05");
  expect(dateText(at(2024, 5, 14, 23, 59), now)).toBe("yesterday 23:59");
  expect(dateText(at(2024, 4, 1, 1, 1), now)).toBe("1 May");
  expect(dateText(at(2023, 4, 1, 1, 1), now)).toBe("1 May 2023");
});

test.each([
  ["float32", "f32"],
  ["bfloat16", "bf16"],
  ["uint8", "u8"],
  ["int64", "i64"],
])("%s is short for %s", (dtype, short) => expect(shortDtype(dtype)).toBe(short));
