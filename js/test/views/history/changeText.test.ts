import { afterEach, expect, test } from "vitest";
import { tellSentence } from "../../../src/i18n/kernelSentences.ts";
import { setCatalogue } from "../../../src/i18n/translate.ts";
import sentences from "../../../src/i18n/zh-sentences.json";
import type { HistoryEntry } from "../../../src/protocol/messages.ts";
import { labelText } from "../../../src/views/history/changeText.ts";

afterEach(() => setCatalogue({}));

const entry = (kind: string, label: string): HistoryEntry => ({
  label,
  kind,
  paths: ["0.weight"],
  n_paths: 1,
  seed: null,
  time: 0,
  warnings: [],
  state: "done",
});

test("a change is called in the reader's words, but for code and what the user called it", () => {
  setCatalogue(sentences, tellSentence);
  expect(labelText(entry("load", "load net.pt"))).toBe("加载 net.pt");
  expect(labelText(entry("freeze", "freeze"))).toBe("冻结");
  expect(labelText(entry("init", "reset"))).toBe("重置");
  expect(labelText(entry("init", "xavier_uniform_(gain=2)"))).toBe("xavier_uniform_(gain=2)");
  expect(labelText(entry("function", "load balance"))).toBe("load balance");
});
