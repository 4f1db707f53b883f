import { describe, expect, test } from "vitest";
import { defaultName, fileNameProblem, formatOf, within } from "../../../src/state/checkpoints/fileNames.ts";

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
