import { expect, test } from "vitest";
import { layOut, type PlacedGraph, type Rect } from "../../../src/state/graph/layout.ts";
import type { SizedGraph } from "../../../src/state/graph/levels.ts";

/** Nodes by the box that each is in, with edges from one to another. */
function sized(parents: readonly (number | null)[], edges: readonly (readonly [number, number])[]): SizedGraph {
  return {
    nodes: parents.map((parent) => ({ parent, width: 80, height: 40 })),
    edges: edges.map(([source, target]) => ({ source, target, width: 50, height: 12 })),
  };
}

function isWithin(inner: Rect, outer: Rect): boolean {
  return (
    inner.x >= outer.x &&
    inner.y >= outer.y &&
    inner.x + inner.width <= outer.x + outer.width &&
    inner.y + inner.height <= outer.y + outer.height
  );
}

function meet(one: Rect, other: Rect): boolean {
  return (
    one.x < other.x + other.width &&
    other.x < one.x + one.width &&
    one.y < other.y + other.height &&
    other.y < one.y + one.height
  );
}

/** Whether all is in its box, beside what else is there, and in the picture. */
function expectInPlace(graph: SizedGraph, placed: PlacedGraph): void {
  const whole = { x: 0, y: 0, width: placed.width, height: placed.height };
  for (const [at, { parent }] of graph.nodes.entries()) {
    const rect = placed.nodes[at] as Rect;
    expect(isWithin(rect, parent === null ? whole : (placed.nodes[parent] as Rect)), `node ${at}`).toBe(true);
    for (const [other, { parent: its }] of graph.nodes.entries()) {
      expect(other !== at && its === parent && meet(rect, placed.nodes[other] as Rect), `${at}, ${other}`).toBe(false);
    }
  }
}

test("boxes hold what is in them, nothing lies over another, and all flows downwards", async () => {
  // An input; a box with a layer, a box of two, and a sum; an output.
  const edges = [
    [0, 2],
    [0, 6],
    [2, 4],
    [4, 5],
    [5, 6],
    [6, 7],
  ] as const;
  const graph = sized([null, null, 1, 1, 3, 3, 1, null], edges);
  const placed = await layOut(graph);
  expectInPlace(graph, placed);
  for (const [source, target] of edges) {
    const [from, to] = [placed.nodes[source] as Rect, placed.nodes[target] as Rect];
    expect(from.y + from.height).toBeLessThan(to.y);
  }
  expect(placed.labels.filter((label) => label === null)).toHaveLength(1);
});

test("an edge is drawn in pieces that meet at the borders of boxes, and has its head where it ends", async () => {
  const placed = await layOut(sized([null, null, 1, 2], [[0, 3]]));
  expect(placed.lines).toHaveLength(3);
  const along = [...placed.lines].sort((one, other) => (one.points[0]?.y ?? 0) - (other.points[0]?.y ?? 0));
  expect(along.map(({ isLast }) => isLast)).toEqual([false, false, true]);
  for (const [at, { points }] of along.slice(0, -1).entries()) {
    const [end, next] = [points.at(-1), along[at + 1]?.points[0]];
    expect([end?.x, end?.y]).toEqual([next?.x, next?.y]);
    expect(end?.y).toBe(placed.nodes[at + 1]?.y);
  }
  const [from, to] = [placed.nodes[0] as Rect, placed.nodes[3] as Rect];
  expect(along[0]?.points[0]?.y).toBe(from.y + from.height);
  expect(along.at(-1)?.points.at(-1)?.y).toBe(to.y);
});

test("what goes to several in a box enters it once, and what goes to the next of those alike isn't drawn", async () => {
  const placed = await layOut(
    sized(
      [null, null, 1, 1, null],
      [
        [0, 2],
        [0, 3],
        [4, 4],
      ],
    ),
  );
  expect(placed.lines.map(({ edges }) => edges)).toContainEqual([0, 1]);
  expect(placed.lines).toHaveLength(3);
});

test("a box in which each takes what all before it gave is drawn too, most of it straight", async () => {
  const layers = Array.from({ length: 20 }, (_, at) => at);
  const edges = layers.flatMap((to) => layers.slice(0, to).map((from) => [from, to] as const));
  const graph = sized(
    layers.map(() => null),
    edges,
  );
  const placed = await layOut(graph);
  expectInPlace(graph, placed);
  expect(placed.lines).toHaveLength(edges.length);
  expect(placed.lines.every(({ points }) => points.length >= 2)).toBe(true);
});
