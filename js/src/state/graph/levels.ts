/** Height of an open box above what is in it. */
export const HEAD = 22;

/** A node with its size; of an open box the least width, since it is as large as what is in it. */
export interface SizedNode {
  readonly parent: number | null;
  readonly width: number;
  readonly height: number;
}

/** An edge with the size of its label. */
export interface SizedEdge {
  readonly source: number;
  readonly target: number;
  readonly width: number;
  readonly height: number;
}

export interface SizedGraph {
  readonly nodes: readonly SizedNode[];
  readonly edges: readonly SizedEdge[];
}

/** The part of an edge that is directly in one box: from a node in it or the box's top, to one in it or its foot. */
export interface Link {
  /** `n3` is a node; `in7` and `out7` are where what node 7 gave comes into the box, and leaves it. */
  readonly from: string;
  readonly to: string;
  readonly source: number;
  /** The edges that go this way. */
  readonly edges: number[];
  /** Which of them has its label here. */
  readonly labelled: number | null;
  readonly size: { readonly width: number; readonly height: number };
  /** How many nodes lie between, in the order they began. */
  readonly reach: number;
}

/** What is in no box is in this one. */
export const ROOT = -1;

/** What each box holds directly, and which ways lead through it: edges cut at the borders of boxes. */
export function levelsOf({ nodes, edges }: SizedGraph): {
  readonly children: ReadonlyMap<number, readonly number[]>;
  readonly links: ReadonlyMap<number, readonly Link[]>;
} {
  const children = new Map<number, number[]>();
  const parents = nodes.map(({ parent }) => parent ?? ROOT);
  for (const [at, parent] of parents.entries()) {
    const inside = children.get(parent) ?? [];
    children.set(parent, inside);
    inside.push(at);
  }
  const links = new Map<number, Map<string, Link>>();
  const add = (box: number, from: string, to: string, edge: number, isLabelled: boolean): void => {
    const { source, target, width, height } = edges[edge] as SizedEdge;
    const inBox = links.get(box) ?? new Map<string, Link>();
    links.set(box, inBox);
    const key = `${from} ${to} ${source}`;
    const known = inBox.get(key);
    if (known !== undefined) {
      known.edges.push(edge);
      return;
    }
    const size = isLabelled ? { width, height } : { width: 0, height: 0 };
    const labelled = isLabelled ? edge : null;
    inBox.set(key, { from, to, source, edges: [edge], labelled, size, reach: Math.abs(target - source) });
  };
  const around = (node: number): number[] => {
    const found = [node];
    for (let box = parents[node] ?? ROOT; box !== ROOT; box = parents[box] ?? ROOT) {
      found.push(box);
    }
    return found;
  };
  for (const [edge, { source, target }] of edges.entries()) {
    // What goes to the next of those that a node stands for leaves the picture and comes in again.
    if (source === target) {
      continue;
    }
    const [up, down] = [around(source), around(target)];
    while (up.length > 1 && down.length > 1 && up.at(-1) === down.at(-1)) {
      up.pop();
      down.pop();
    }
    for (const [at, node] of up.slice(0, -1).entries()) {
      add(up[at + 1] as number, `n${node}`, `out${source}`, edge, false);
    }
    add(parents[up.at(-1) as number] as number, `n${up.at(-1)}`, `n${down.at(-1)}`, edge, true);
    for (const [at, node] of down.slice(0, -1).entries()) {
      add(down[at + 1] as number, `in${source}`, `n${node}`, edge, false);
    }
  }
  return { children, links: new Map([...links].map(([box, inBox]) => [box, [...inBox.values()]])) };
}
