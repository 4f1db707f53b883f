import type { GraphReply } from "../../protocol/messages.ts";
import type { PlacedGraph, Rect } from "./layout.ts";

/** Where an arrow key leads: down and up along edges, in and out of boxes; sideways to what stands beside. */
export function nextNode(reply: GraphReply, { nodes }: PlacedGraph, at: number, key: string): number | null {
  const here = nodes[at];
  if (here === undefined) {
    return null;
  }
  if (key === "ArrowDown" || key === "ArrowUp") {
    const isDown = key === "ArrowDown";
    const inside = insideOf(reply, at);
    if (isDown && inside.length > 0) {
      return inside[0] ?? null;
    }
    const ends = reply.edges
      .filter(({ source, target }) => (isDown ? source : target) === at && source !== target)
      .map(({ source, target }) => (isDown ? target : source));
    // What was laid out above is gone up to, whichever way it flows.
    const along = ends.filter((end) => isDown === isBelow(nodes[end] as Rect, here));
    return nearest(nodes, along.length > 0 ? along : ends, here) ?? (isDown ? null : (reply.nodes[at]?.parent ?? null));
  }
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const parent = reply.nodes[at]?.parent;
    const beside = reply.nodes.flatMap((node, other) => {
      const rect = nodes[other] as Rect;
      const isThere = key === "ArrowLeft" ? rect.x + rect.width <= here.x : rect.x >= here.x + here.width;
      return node.parent === parent && isThere && overlapsInHeight(rect, here) ? [other] : [];
    });
    return nearest(nodes, beside, here);
  }
  return key === "Home" ? 0 : key === "End" ? reply.nodes.length - 1 : null;
}

/** The nodes directly in a box. */
export function insideOf(reply: GraphReply, box: number): number[] {
  return reply.nodes.flatMap(({ parent }, at) => (parent === box ? [at] : []));
}

/** Whether a node is a box, or in it. */
export function isWithin(reply: GraphReply, at: number, box: number): boolean {
  const parent = reply.nodes[at]?.parent;
  return at === box || (parent !== undefined && isWithin(reply, parent, box));
}

/** The module whose node is shown for a path: its own, else the innermost that it is in; of several calls the first. */
export function nodeOfPath(reply: GraphReply, path: string): number | null {
  let found: number | null = null;
  for (const [at, node] of reply.nodes.entries()) {
    const own = node.path;
    const isIn = own === path || (own !== undefined && path.startsWith(own) && ".[".includes(path.charAt(own.length)));
    if (isIn && (found === null || own.length > (reply.nodes[found]?.path?.length ?? 0))) {
      found = at;
    }
  }
  return found;
}

function isBelow(rect: Rect, here: Rect): boolean {
  return rect.y > here.y;
}

function overlapsInHeight(one: Rect, other: Rect): boolean {
  return one.y < other.y + other.height && other.y < one.y + one.height;
}

function nearest(nodes: readonly Rect[], among: readonly number[], here: Rect): number | null {
  const far = (at: number): number => {
    const { x, y, width } = nodes[at] as Rect;
    return Math.abs(x + width / 2 - here.x - here.width / 2) + Math.abs(y - here.y);
  };
  return among.length === 0 ? null : among.reduce((best, at) => (far(at) < far(best) ? at : best));
}
