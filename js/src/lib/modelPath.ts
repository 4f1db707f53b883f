/** Splits a path before its last component: `h.3.mlp.weight` → `h.3.mlp.` and `weight`; `[0].weight`, `["a.b"]`. */
export function splitPath(path: string): { readonly parent: string; readonly name: string } {
  let cut = 0;
  let at = 0;
  while (at < path.length) {
    const char = path[at];
    if (char === "[") {
      if (at > 0) {
        cut = at;
      }
      at = afterBracket(path, at);
    } else {
      if (char === ".") {
        cut = at + 1;
      }
      at += 1;
    }
  }
  return { parent: path.slice(0, cut), name: path.slice(cut) };
}

/** The position after a bracketed key; brackets inside its quotes don't count. */
function afterBracket(path: string, start: number): number {
  let isQuoted = false;
  for (let at = start + 1; at < path.length; at += 1) {
    const char = path[at];
    if (isQuoted && char === "\\") {
      at += 1;
    } else if (char === '"') {
      isQuoted = !isQuoted;
    } else if (char === "]" && !isQuoted) {
      return at + 1;
    }
  }
  return path.length;
}
