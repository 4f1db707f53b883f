/** A quiet syntax tint for short pieces of Python: enough to tell strings, numbers and keywords, by one expression. */

export type TokenKind = "plain" | "string" | "number" | "keyword" | "comment";

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

const KEYWORDS =
  "and|as|assert|async|await|break|class|continue|def|del|elif|else|except|False|finally|for|from|global|if|import|in|is|lambda|None|nonlocal|not|or|pass|raise|return|True|try|while|with|yield";

const TOKEN = new RegExp(
  [
    /(?<comment>#[^\n]*)/.source,
    /(?<string>[rbfRBF]{0,2}(?:"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?))/.source,
    `\\b(?<keyword>${KEYWORDS})\\b`,
    /(?<number>\b\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?\b)/.source,
    /(?<name>[\p{L}_][\p{L}\p{N}_]*)/u.source,
  ].join("|"),
  "gu",
);

const KINDS = ["comment", "string", "keyword", "number"] as const;

/** The tokens of `code`, in order; their texts joined are `code` again. */
export function tokenize(code: string): Token[] {
  const tokens: Token[] = [];
  let end = 0;
  const push = (kind: TokenKind, text: string): void => {
    const last = tokens.at(-1);
    if (text === "") {
      return;
    }
    if (kind === "plain" && last?.kind === "plain") {
      tokens[tokens.length - 1] = { kind, text: last.text + text };
    } else {
      tokens.push({ kind, text });
    }
  };
  for (const match of code.matchAll(TOKEN)) {
    push("plain", code.slice(end, match.index));
    const kind = KINDS.find((name) => match.groups?.[name] !== undefined) ?? "plain";
    push(kind, match[0]);
    end = match.index + match[0].length;
  }
  push("plain", code.slice(end));
  return tokens;
}
