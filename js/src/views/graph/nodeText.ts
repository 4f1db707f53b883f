import { t } from "../../i18n/translate.ts";
import { countText, floatText, flopsText, secondsText, toNumber } from "../../lib/format.ts";
import type { GraphEdge, GraphNode, GraphReply } from "../../protocol/messages.ts";
import { HEAD, type SizedGraph } from "../../state/graph/levels.ts";

/** Lines are as high as this in a node, and on an edge. */
export const LINE = 14;
export const LABEL_LINE = 12;
export const PAD = 8;
/** A label's letters beside a node's. */
const SMALLER = 10 / 11;
const LONGEST = 28;
const WIDE = /[\u2e80-\uffff]/g;

/** What stands in a node: its name, its class, and figures of it. */
export function linesOf(node: GraphNode): string[] {
  const { n_repeats = 1, class_name = "", n_params = 0, seconds, flops } = node;
  if (node.kind === "row") {
    return [`${n_repeats} ×`];
  }
  const figures = [
    n_params === 0 ? "" : countText(n_params),
    seconds === undefined ? "" : secondsText(seconds),
    flops === undefined || flops === 0 ? "" : flopsText(flops),
  ].filter(Boolean);
  const name = `${n_repeats > 1 ? `${n_repeats} × ` : ""}${nameOf(node)}`;
  return [cut(name), cut(class_name), ...(node.is_open ? [] : [figures.join(" · ")])].filter(Boolean);
}

/** What a node is called; inputs and outputs in the reader's language. */
export function nameOf({ kind, name }: GraphNode): string {
  return kind === "input"
    ? t("input {0}", name.replace(/^input ?/, "")).trim()
    : kind === "output"
      ? t("output {0}", name.replace(/^output ?/, "")).trim()
      : name;
}

/** What stands on an edge: what flows, and what it went through on its way; a dtype only where it isn't the usual. */
export function labelOf(edge: GraphEdge, usual: string): string[] {
  const more = edge.n_tensors === undefined ? "" : ` +${edge.n_tensors - 1}`;
  const what = `${edge.shape || t("scalar")}${edge.dtype === usual ? "" : ` ${edge.dtype}`}${more}`;
  return [what, (edge.through ?? []).join(" · ")].filter(Boolean).map(cut);
}

/** The dtype of most edges. */
export function usualDtype({ edges }: GraphReply): string {
  const counts = new Map<string, number>();
  for (const { dtype } of edges) {
    counts.set(dtype, (counts.get(dtype) ?? 0) + 1);
  }
  return [...counts].sort(([, one], [, other]) => other - one)[0]?.[0] ?? "";
}

/** Sizes of all, by the width of a letter. */
export function sizedGraph(reply: GraphReply, letter: number): SizedGraph {
  const usual = usualDtype(reply);
  const widest = (lines: readonly string[]): number => Math.max(0, ...lines.map(lettersIn)) * letter;
  return {
    nodes: reply.nodes.map((node) => {
      const lines = linesOf(node);
      const isBox = node.is_open === true || node.kind === "row";
      const width = Math.ceil((isBox ? lettersIn(lines.join(" ")) * letter : widest(lines)) + 2 * PAD + 4);
      return { parent: node.parent ?? null, width, height: isBox ? HEAD : lines.length * LINE + PAD };
    }),
    edges: reply.edges.map((edge) => {
      const lines = labelOf(edge, usual);
      const { source, target } = edge;
      return { source, target, width: Math.ceil(widest(lines) * SMALLER + 6), height: lines.length * LABEL_LINE };
    }),
  };
}

function lettersIn(text: string): number {
  return text.length + (text.match(WIDE)?.length ?? 0);
}

function cut(text: string): string {
  const half = LONGEST / 2 - 1;
  return text.length <= LONGEST ? text : `${text.slice(0, half)}…${text.slice(-half)}`;
}

/** All of each node in words: what it is, what is in it, what comes in and where it goes. */
export function describeNodes(reply: GraphReply): string[] {
  const comes = reply.nodes.map((): GraphEdge[] => []);
  const goes = reply.nodes.map((): GraphEdge[] => []);
  for (const edge of reply.edges) {
    if (edge.source !== edge.target) {
      comes[edge.target]?.push(edge);
      goes[edge.source]?.push(edge);
    }
  }
  return reply.nodes.map((node, at) => describeNode(reply, node, comes[at] ?? [], goes[at] ?? []));
}

function describeNode(
  reply: GraphReply,
  node: GraphNode,
  comes: readonly GraphEdge[],
  goes: readonly GraphEdge[],
): string {
  const name = (to: number): string => reply.nodes[to]?.path ?? nameOf(reply.nodes[to] as GraphNode);
  const ends = (edges: readonly GraphEdge[], end: "source" | "target"): string =>
    edges.map((edge) => t("{0} ({1})", name(edge[end]), labelOf(edge, "").join(" · "))).join(", ");
  const { kind, n_repeats = 1, n_calls = 0, n_params = 0, seconds, flops } = node;
  return [
    [kind === "operator" ? t("operator") : "", ...linesOf({ ...node, is_open: true })].filter(Boolean).join(" "),
    node.failed === true ? t("the forward failed here") : "",
    node.can_open === true ? (node.is_open === true ? t("open") : t("closed")) : "",
    n_calls === 0 ? "" : t("{0} {0|call|calls} in it", n_calls),
    n_repeats > 1 && kind !== "row" ? t("one after the other") : "",
    n_params === 0 ? "" : t("{0} {0|parameter|parameters}", countText(n_params)),
    seconds === undefined ? "" : secondsText(seconds),
    flops === undefined || flops === 0 ? "" : flopsText(flops),
    node.signal === undefined ? "" : t("std {0}", floatText(node.signal.std, 3)),
    toNumber(node.signal?.n_bad ?? 0) === 0 ? "" : t("{0} NaN or infinite", countText(node.signal?.n_bad ?? 0)),
    node.tie === undefined ? "" : t("tied, {0}", node.tie),
    node.findings === undefined ? "" : t("has findings: {0}", t(node.findings)),
    node.n_found === undefined ? "" : node.can_open ? t("{0} found", node.n_found) : t("found"),
    comes.length === 0 ? "" : t("from {0}", ends(comes, "source")),
    goes.length === 0 ? "" : t("to {0}", ends(goes, "target")),
  ]
    .filter(Boolean)
    .join("; ");
}
