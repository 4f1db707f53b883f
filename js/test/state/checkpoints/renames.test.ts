import { describe, expect, test } from "vitest";
import {
  acceptAllRenames,
  acceptRename,
  NO_RENAMES,
  refuseRename,
  replaceRename,
} from "../../../src/state/checkpoints/renames.ts";

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
