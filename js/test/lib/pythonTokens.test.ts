import { describe, expect, test } from "vitest";
import { tokenize } from "../../src/lib/pythonTokens.ts";

describe("code tint", () => {
  test("tokens joined are the code again, whatever it holds", () => {
    for (const code of ['net["a.b"].weight  # 1\nfor x in 0.5:', "'open", '"', "ünï = r'\\d' \u2028 <b>", ""]) {
      expect(
        tokenize(code)
          .map((token) => token.text)
          .join(""),
      ).toBe(code);
    }
  });

  test("keywords inside strings, comments and names stay plain", () => {
    expect(tokenize('for x in "for": # in')).toEqual([
      { kind: "keyword", text: "for" },
      { kind: "plain", text: " x " },
      { kind: "keyword", text: "in" },
      { kind: "plain", text: " " },
      { kind: "string", text: '"for"' },
      { kind: "plain", text: ": " },
      { kind: "comment", text: "# in" },
    ]);
    expect(tokenize("information2")).toEqual([{ kind: "plain", text: "information2" }]);
  });
});
