import { afterEach, expect, test } from "vitest";
import { tellSentence } from "../../src/i18n/kernelSentences.ts";
import { setCatalogue, told } from "../../src/i18n/translate.ts";
import findings from "../../src/i18n/zh-sentences.json";

afterEach(() => setCatalogue({}));

const FROZEN = "Its 2 parameters have requires_grad=False: no gradient comes to them.";
const HIDDEN =
  "blocks is a plain list that holds 2 modules (Linear the first). torch doesn't look there: its 4 parameters are left " +
  "out of parameters() and never trained, and state_dict() doesn't save what is inside. Use torch.nn.ModuleList.";

test("a finding is told in the reader's language, what it says of its parts too, with the model's own names", () => {
  expect(told(FROZEN)).toBe(FROZEN);
  setCatalogue(findings, tellSentence);
  expect(told(FROZEN)).toBe("其 2 个参数的 requires_grad=False：得不到梯度。");
  expect(told(HIDDEN)).toBe(
    "blocks 是普通的 list，其中有 2 个模块（第一个为 Linear）。torch 不会查看那里：其 4 个参数不在 parameters() 中，从不训练，" +
      "state_dict() 也不保存其内容。请使用 torch.nn.ModuleList。",
  );
  expect(told(`${FROZEN} The same at 11 more places: h.1 … h.11.`)).toBe(
    "其 2 个参数的 requires_grad=False：得不到梯度。另有 11 处相同：h.1 … h.11。",
  );
});

test("what is wrong with a file is told with its counts, and the file's own names stay", () => {
  setCatalogue(findings, tellSentence);
  const unsafe = "a.pt has a pickle with more than 1000 marks open.";
  const says = (english: string) => (chinese: string) => expect(told(english)).toBe(chinese);
  says("a.pt has the member 'a/data/0' of 64 bytes overlap what follows it.")(
    "a.pt 中 64 字节的成员 'a/data/0' 与其后的内容重叠。",
  );
  says(`a.pt wants to import os.system. Nothing was imported or run. The rest of it can't be looked at: ${unsafe}`)(
    "a.pt 想要导入 os.system。没有导入或运行任何内容。其余部分无法查看：a.pt 的 pickle 中有超过 1000 个未闭合的标记。",
  );
  says("net.onnx is no checkpoint known here: it is a text file: it says 'a tensor of 2 bytes'.")(
    "net.onnx 不是已知的检查点：它是文本文件：内容为 'a tensor of 2 bytes'。",
  );
  says("hasn't answered for 5.0 s")("已有 5.0 秒没有应答");
  says("in all_reduce at train.py:88")("正在 train.py:88 处的 all_reduce 中");
  says("Rank 3 hasn't answered for 5.0 s; it is in wait at train.py:88; ranks 0–2 answered.")(
    "rank 3 已有 5.0 秒没有应答；它正在 train.py:88 处的 wait 中；ranks 0–2 已应答。",
  );
});

test("what the catalogue doesn't have stays as it is, whatever signs are in it", () => {
  setCatalogue(findings, tellSentence);
  for (const said of ["Nothing like it.", "(.*?){0}", "a\nb", ""]) {
    expect(told(said)).toBe(said);
  }
  expect(told("<b>{1}</b> can't be read in full: $&.")).toBe("<b>{1}</b> 无法完整读取：$&。");
});

test("each sentence keeps the places of its English", () => {
  const places = (text: string) => new Set([...text.matchAll(/\{(\d)/g)].map(([, place]) => place));
  for (const [english, chinese] of Object.entries(findings)) {
    expect(
      [...places(chinese)].filter((place) => !places(english).has(place)),
      english,
    ).toEqual([]);
  }
});

test("no sentence is taken for another, more general one that stands before it", () => {
  setCatalogue(findings, tellSentence);
  for (const [key, chinese] of Object.entries(findings)) {
    const counts = new Set([...key.matchAll(/\{(\d)\|/g)].map(([, place]) => place));
    const fill = (text: string) =>
      text
        .replace(/\{(\d)\}/g, (_, place) => (counts.has(place) ? "2" : `X${place}`))
        .replace(/\{\d\|[^|}]*\|([^}]*)\}/g, "$1");
    expect(told(fill(key.slice(1))), key).toBe(fill(chinese));
  }
});
