import { t } from "../../../i18n/translate.ts";

/** Two names side by side: the dotted parts that differ stand out, by weight and mark as well as by colour. */
export function RenameInput({ source, path }: { readonly source: string; readonly path: string }) {
  const [before, after] = [source.split("."), path.split(".")];
  const head = common(before, after);
  const tail = Math.min(
    common([...before].reverse(), [...after].reverse()),
    Math.min(before.length, after.length) - head,
  );
  return (
    <span title={`${source} → ${path}`}>
      <Parts parts={before} head={head} tail={tail} as="del" />
      <span class="nnw-arrow" aria-hidden="true">
        →
      </span>
      <span class="nnw-hidden">{t(" becomes ")}</span>
      <Parts parts={after} head={head} tail={tail} as="ins" />
    </span>
  );
}

interface PartsProps {
  readonly parts: readonly string[];
  readonly head: number;
  readonly tail: number;
  readonly as: "del" | "ins";
}

function Parts({ parts, head, tail, as: Tag }: PartsProps) {
  const stop = parts.length - tail;
  const between = parts.slice(head, stop).join(".");
  return (
    <bdi>
      {parts.slice(0, head).map((part) => `${part}.`)}
      {between === "" ? null : <Tag>{between}</Tag>}
      {between !== "" && tail > 0 ? "." : ""}
      {parts.slice(stop).join(".")}
    </bdi>
  );
}

function common(one: readonly string[], two: readonly string[]): number {
  let n = 0;
  while (n < one.length && n < two.length && one[n] === two[n]) {
    n += 1;
  }
  return n;
}
