import { Graph, layout } from "@dagrejs/dagre";
import { HEAD, type Link, levelsOf, ROOT, type SizedGraph } from "./levels.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Rect extends Point {
  readonly width: number;
  readonly height: number;
}

/** A way that one or several edges take, from border to border. */
export interface Line {
  readonly points: readonly Point[];
  readonly edges: readonly number[];
  /** Whether it ends at what takes it, and not at a box around that. */
  readonly isLast: boolean;
}

/** Where all is, from the left and from the top. */
export interface PlacedGraph {
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly Rect[];
  readonly lines: readonly Line[];
  /** The middle of each edge's label; null where another edge's says it. */
  readonly labels: readonly (Point | null)[];
}

/** Lays a graph out; what is sized and what is placed can be sent to a worker and back. */
export type LayOut = (graph: SizedGraph) => Promise<PlacedGraph>;

const MARGIN = 12;
/** Of a box with more between its nodes, the rest is drawn straight: laying it out would take seconds. */
const MOST_ROUTED = 160;

/** What is in a box, from its own corner. */
interface Level {
  readonly width: number;
  readonly height: number;
  readonly places: ReadonlyMap<string, Rect>;
  readonly lines: readonly { readonly link: Link; readonly points: Point[]; readonly label: Point | null }[];
}

/** Boxes from the innermost outwards, each by itself: a box is as large as what is in it. */
export async function layOut(graph: SizedGraph, pause: () => Promise<void> = async () => {}): Promise<PlacedGraph> {
  const { links, children } = levelsOf(graph);
  const levels = new Map<number, Level>();
  const sizes = graph.nodes.map(({ width, height }) => ({ width, height }));
  for (let box = graph.nodes.length - 1; box >= ROOT; box--) {
    const inside = children.get(box);
    if (inside !== undefined) {
      const level = placeLevel(inside, links.get(box) ?? [], sizes, levels, box === ROOT ? MARGIN : HEAD);
      levels.set(box, level);
      if (box !== ROOT) {
        sizes[box] = { width: Math.max(level.width, sizes[box]?.width ?? 0), height: level.height };
      }
      await pause();
    }
  }
  return put(graph, sizes, levels);
}

/** All of it, from one corner. */
function put(graph: SizedGraph, sizes: readonly { width: number; height: number }[], levels: Map<number, Level>) {
  const nodes: Rect[] = [];
  for (const [at, { parent }] of graph.nodes.entries()) {
    const around = parent === null ? { x: 0, y: 0 } : (nodes[parent] as Rect);
    const place = levels.get(parent ?? ROOT)?.places.get(`n${at}`) as Rect;
    nodes.push({ ...(sizes[at] as Rect), x: around.x + place.x, y: around.y + place.y });
  }
  const lines: Line[] = [];
  const labels: (Point | null)[] = graph.edges.map(() => null);
  for (const [box, level] of levels) {
    const { x, y } = box === ROOT ? { x: 0, y: 0 } : (nodes[box] as Rect);
    const shift = (point: Point): Point => ({ x: point.x + x, y: point.y + y });
    for (const { link, points, label } of level.lines) {
      const isLast = link.edges.some((edge) => link.to === `n${graph.edges[edge]?.target}`);
      lines.push({ points: points.map(shift), edges: link.edges, isLast });
      if (label !== null && link.labelled !== null) {
        labels[link.labelled] = shift(label);
      }
    }
  }
  const whole = levels.get(ROOT);
  return { width: whole?.width ?? 0, height: whole?.height ?? 0, nodes, lines, labels };
}

function placeLevel(
  children: readonly number[],
  links: readonly Link[],
  sizes: readonly { readonly width: number; readonly height: number }[],
  levels: ReadonlyMap<number, Level>,
  head: number,
): Level {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: "TB", nodesep: 16, ranksep: 20, edgesep: 12 });
  for (const child of children) {
    graph.setNode(`n${child}`, { ...sizes[child] });
  }
  const ports = new Set(links.flatMap(({ from, to }) => [from, to]).filter((end) => !end.startsWith("n")));
  for (const port of ports) {
    graph.setNode(port, { width: 4, height: 0 });
    // What comes in begins at the top, what goes out ends at the foot.
    const [from, to] = port.startsWith("in") ? ["top", port] : [port, "foot"];
    graph.setNode(from === port ? to : from, { width: 0, height: 0 });
    graph.setEdge(from, to, { weight: 40, minlen: 1, width: 0, height: 0 }, port);
  }
  const byReach = [...links].sort((one, other) => one.reach - other.reach);
  const routed = new Set(byReach.slice(0, MOST_ROUTED));
  for (const [at, link] of links.entries()) {
    if (routed.has(link)) {
      graph.setEdge(
        link.from,
        link.to,
        { ...link.size, labelpos: "r", labeloffset: 4, minlen: 1, weight: 1 },
        `l${at}`,
      );
    }
  }
  layout(graph);

  const rects = new Map<string, Rect>();
  for (const id of graph.nodes()) {
    if (id !== "top" && id !== "foot") {
      const { x = 0, y = 0, width, height } = graph.node(id) as Rect;
      rects.set(id, { x: x - width / 2, y: y - height / 2, width, height });
    }
  }
  const routes = links.map((link, at) => {
    const route = routed.has(link)
      ? (graph.edge(link.from, link.to, `l${at}`) as Partial<Rect> & { points: Point[] })
      : null;
    const hasLabel = route !== null && link.labelled !== null && link.size.width > 0;
    const { x = 0, y = 0 } = route ?? {};
    return { link, points: route?.points ?? [], label: hasLabel ? { x, y } : null };
  });
  const ends = [
    ...rects.values(),
    ...routes.flatMap(({ points, label, link }) => [
      ...points.map((point) => ({ ...point, width: 0, height: 0 })),
      ...(label === null
        ? []
        : [{ ...link.size, x: label.x - link.size.width / 2, y: label.y - link.size.height / 2 }]),
    ]),
  ];
  const [left, top] = [Math.min(...ends.map(({ x }) => x)), Math.min(...ends.map(({ y }) => y))];
  const width = Math.max(...ends.map((end) => end.x + end.width)) - left + 2 * MARGIN;
  const height = Math.max(...ends.map((end) => end.y + end.height)) - top + head + MARGIN;
  const [dx, dy] = [MARGIN - left, head - top];
  const places = new Map([...rects].map(([id, rect]) => [id, { ...rect, x: rect.x + dx, y: rect.y + dy }]));
  const lines = routes.map(({ link, points, label }) => ({
    link,
    points: joined(
      points.map(({ x, y }) => ({ x: x + dx, y: y + dy })),
      endOf(link, "from", places, levels, height),
      endOf(link, "to", places, levels, height),
    ),
    label: label && { x: label.x + dx, y: label.y + dy },
  }));
  return { width, height, places, lines };
}

interface End {
  readonly left: number;
  readonly right: number;
  readonly y: number;
}

/** Where a line leaves or reaches something: a box at its port, another node anywhere above or below it. */
function endOf(
  { from, to, source }: Link,
  side: "from" | "to",
  places: ReadonlyMap<string, Rect>,
  levels: ReadonlyMap<number, Level>,
  height: number,
): End {
  const id = side === "from" ? from : to;
  const rect = places.get(id) as Rect;
  if (!id.startsWith("n")) {
    const x = rect.x + rect.width / 2;
    return { left: x, right: x, y: side === "from" ? 0 : height };
  }
  const y = side === "from" ? rect.y + rect.height : rect.y;
  const port = levels.get(Number(id.slice(1)))?.places.get(`${side === "from" ? "out" : "in"}${source}`);
  if (port !== undefined) {
    const x = rect.x + port.x + port.width / 2;
    return { left: x, right: x, y };
  }
  const inset = Math.min(10, rect.width / 2);
  return { left: rect.x + inset, right: rect.x + rect.width - inset, y };
}

/** A way downwards begins and ends where the line's ends say; one back up goes as it was laid. */
function joined(points: readonly Point[], from: End, to: End): Point[] {
  if (to.y <= from.y && points.length > 0) {
    return [...points];
  }
  const between = points.slice(1, -1);
  const clamp = (x: number, { left, right }: End): number => Math.max(left, Math.min(right, x));
  const [first, last] = [between[0]?.x ?? (to.left + to.right) / 2, between.at(-1)?.x ?? (from.left + from.right) / 2];
  return [{ x: clamp(first, from), y: from.y }, ...between, { x: clamp(last, to), y: to.y }];
}
