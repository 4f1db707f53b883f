import { expect, test } from "vitest";
import type { Row } from "../../../src/protocol/messages.ts";
import { rowsOf } from "../../../src/state/tree/treeState.ts";

const row = (id: string, path: string, members?: readonly string[]) =>
  ({
    id,
    path,
    fold: members === undefined ? null : { members: members.map((each) => ({ path: each })) },
  }) as unknown as Row;

test("a path is its own row's, else that of the fold or the closed module it is in; the model itself has no part in it", () => {
  const rows = new Map(
    [row("m:", ""), row("f:h.0", "h.0", ["h.0", "h.1"]), row("m:h.0", "h.0"), row("m:head", "head")].entries(),
  );
  const lit = (...paths: string[]) => [...rowsOf(rows, new Set(paths))];
  expect(lit("h.0")).toEqual(["m:h.0"]);
  expect(lit("h.1.mlp")).toEqual(["f:h.0"]);
  expect(lit("head.weight", "")).toEqual(["m:head", "m:"]);
  expect(lit("h.10", "elsewhere")).toEqual([]);
});
