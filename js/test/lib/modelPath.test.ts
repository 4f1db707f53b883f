import { describe, expect, test } from "vitest";
import { splitPath } from "../../src/lib/modelPath.ts";

describe("paths", () => {
  test.each([
    ["weight", "", "weight"],
    ["h.3.mlp.weight", "h.3.mlp.", "weight"],
    ["[0].weight", "[0].", "weight"],
    ["block[0]", "block", "[0]"],
    ["[0]", "", "[0]"],
    ['a["x.y]\\"z"].weight', 'a["x.y]\\"z"].', "weight"],
    ['a["x.y"]', "a", '["x.y"]'],
    ["", "", ""],
  ])("%s splits before its last component", (path, parent, name) => {
    expect(splitPath(path)).toEqual({ parent, name });
  });
});
