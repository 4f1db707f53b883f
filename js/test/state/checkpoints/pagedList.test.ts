import { describe, expect, test } from "vitest";
import { PagedList, type PageReply } from "../../../src/state/checkpoints/pagedList.ts";

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
