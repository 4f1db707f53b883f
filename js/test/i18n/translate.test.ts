import { parseAst } from "rolldown/parseAst";
import { afterEach, describe, expect, test } from "vitest";
import { setCatalogue, t, tx } from "../../src/i18n/translate.ts";
import catalogue from "../../src/i18n/zh.json";

declare global {
  interface ImportMeta {
    /** Of vitest: the files that a pattern names. */
    glob(pattern: string, options: object): Record<string, string>;
  }
}

const SOURCES = import.meta.glob("../../src/**/*.{ts,tsx}", { query: "?raw", import: "default", eager: true });
const CHINESE: Readonly<Record<string, string>> = catalogue;

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [part: string]: unknown;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** Calls `visit` on a node and what is in it, as deep as it says. */
function walk(value: unknown, visit: (node: Node) => boolean): void {
  if (Array.isArray(value)) {
    for (const each of value) {
      walk(each, visit);
    }
  } else if (isNode(value) && visit(value)) {
    walk(Object.values(value), visit);
  }
}

/** The texts that an expression can be, as far as they stand there. */
function textsOf(node: unknown): readonly string[] {
  if (!isNode(node)) {
    return [];
  }
  switch (node.type) {
    case "Literal":
      return typeof node.value === "string" ? [node.value] : [];
    case "JSXText":
      return [String(node.value)];
    case "TemplateLiteral":
      return (node.quasis as Node[]).map(({ value }) => (value as { cooked: string }).cooked);
    case "ConditionalExpression":
      return [...textsOf(node.consequent), ...textsOf(node.alternate)];
    case "LogicalExpression":
      return [...textsOf(node.left), ...textsOf(node.right)];
    case "JSXExpressionContainer":
      return textsOf(node.expression);
    default:
      return [];
  }
}

function isWrapper(node: Node): boolean {
  const callee = node.callee as Node | undefined;
  return node.type === "CallExpression" && ["t", "tx", "word"].includes(String(callee?.name));
}

function keysIn(source: string): string[] {
  const keys: string[] = [];
  walk(parseAst(source, { lang: "tsx" }).body, (node) => {
    if (isWrapper(node)) {
      keys.push(...textsOf((node.arguments as Node[])[0]));
    }
    return true;
  });
  return keys;
}

/** Attributes that the reader gets to see or hear. */
const SPOKEN = /^(title|aria-label|aria-valuetext|placeholder|label|caption|what|words|alt)$/;
/** Signs, units, names of torch and keys on the keyboard are the same in every language. */
const PLAIN =
  /^(?:[^\p{L}]*|s|nn\.\w+|Linear\.weight|h\.\*\.attn|\*\*\.bias|NaN|inf|FLOPs|SVG|Mermaid|Ctrl ↵|Esc|English|中文)$/u;

/** What stands in a source for the reader, and does not go through `t`. */
function unwrapped(source: string): string[] {
  const found: string[] = [];
  const look = (node: unknown): void => {
    found.push(...textsOf(node).filter((text) => !PLAIN.test(text.trim())));
  };
  walk(parseAst(source, { lang: "tsx" }).body, (node) => {
    if (node.type === "JSXAttribute" && SPOKEN.test(String((node.name as Node).name))) {
      look(node.value);
    } else if (node.type === "JSXElement" || node.type === "JSXFragment") {
      (node.children as Node[]).forEach(look);
    }
    return true;
  });
  return found;
}

/** A number with many of something after it, whatever the number is; `{0|row|rows}` would choose. */
const MANY = /\{\d\} (?!follows|as…|is |was )(?:[a-z]+ ){0,2}?[a-z]+s\b/;
/** Labels that stand where there are several; for one there is another label. */
const SEVERAL = [
  "each bar is {0} blocks, by the greatest",
  "{0} in {1} cells of {2}",
  "Accept all {0} suggested renames",
  "Standard deviation of {0} in each of {1} blocks",
  "called {0} times",
  "size of {0} files",
];
const MEASURES = ["{0} of 2 or more dimensions", "{0} of the values lie outside; show the whole range", "{0} s left"];

const placeholders = (text: string): string[] => [...new Set(text.match(/\{\d\}/g))].sort();

afterEach(() => setCatalogue({}));

describe("the page's words", () => {
  const keys = new Set(Object.values(SOURCES).flatMap(keysIn));

  test("each label has a Chinese translation, and each translation a label", () => {
    expect(keys.size).toBeGreaterThan(400);
    expect([...keys].filter((key) => !(key in CHINESE))).toEqual([]);
    expect(Object.keys(CHINESE).filter((key) => !keys.has(key))).toEqual([]);
  });

  test("a translation has the placeholders of its label", () => {
    const unlike = Object.entries(CHINESE).filter(
      ([english, chinese]) => placeholders(english).join() !== placeholders(chinese).join(),
    );
    expect(unlike).toEqual([]);
  });

  test("a number is followed by one or many, as it says", () => {
    expect(MANY.test("{0} more matches")).toBe(true);
    const fixed = [...keys].filter((key) => MANY.test(key));
    expect(fixed.filter((key) => ![...SEVERAL, ...MEASURES].includes(key))).toEqual([]);
  });

  test("the catalogue is in order, so that two who add a label meet in one place", () => {
    expect(Object.keys(CHINESE)).toEqual(Object.keys(CHINESE).sort());
  });

  test("nothing that a reader sees or hears stands beside t()", () => {
    const all = Object.entries(SOURCES).flatMap(([file, source]) =>
      unwrapped(source).map((text) => `${file}: ${text}`),
    );
    expect(all).toEqual([]);
  });

  test.each([
    ["<p>Some text</p>", "Some text"],
    ['<p title="Some text" />', "Some text"],
    ['<p>{isOpen ? "open" : t("closed")}</p>', "open"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a source.
    ["<p aria-label={`${n} rows`} />", " rows"],
  ])("a label that stands beside t() is found: %s", (source, text) => {
    expect(unwrapped(source)).toContain(text);
  });
});

describe("t", () => {
  test("gives the English of the source where the page is in English", () => {
    expect(t("{0} of {1}", 3, "7")).toBe("3 of 7");
  });

  test("puts values where the translation has them", () => {
    setCatalogue({ "{0} of {1} values": "{1} 个值中的 {0} 个" });
    expect(t("{0} of {1} values", 3, 7)).toBe("7 个值中的 3 个");
  });

  test.each([
    [1, "1 match"],
    ["1", "1 match"],
    [0, "0 matches"],
    ["1.00 K", "1.00 K matches"],
  ])("writes %j with one or many of it", (n, written) => {
    expect(t("{0} {0|match|matches}", n)).toBe(written);
  });

  test("leaves what is in a value as it is", () => {
    expect(t("Copy {0}", "{1}")).toBe("Copy {1}");
  });

  test("keeps elements between the pieces of a sentence", () => {
    const element = { type: "b" } as never;
    expect(tx("Save {0} as…", element)).toEqual(["Save ", element, " as…"]);
  });
});
