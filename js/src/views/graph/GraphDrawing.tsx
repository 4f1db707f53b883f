import type { RefObject } from "preact";
import { useRef } from "preact/hooks";
import { countText, toNumber } from "../../lib/format.ts";
import type { GraphNode, GraphReply } from "../../protocol/messages.ts";
import type { Line, PlacedGraph, Point, Rect } from "../../state/graph/layout.ts";
import { HEAD } from "../../state/graph/levels.ts";
import { LABEL_LINE, LINE, labelOf, linesOf, PAD, usualDtype } from "./nodeText.ts";

export type Colouring = "class" | "time" | "activations";

interface GraphDrawingProps {
  readonly reply: GraphReply;
  /** All of each node in words. */
  readonly words: readonly string[];
  readonly placed: PlacedGraph;
  readonly zoom: number;
  readonly colouring: Colouring;
  readonly current: number;
  /** The node of the row that is selected, and of the one under the pointer. */
  readonly selected: number | null;
  readonly lit: number | null;
  readonly svg: RefObject<SVGSVGElement | null>;
  readonly onPoint: (at: number | null) => void;
  readonly onSelect: (at: number) => void;
  readonly onToggle: (at: number) => void;
}

const N_COLOURS = 6;
/** So much of a colour leaves what is written on it easy to read. */
const MOST_TINT = 0.2;

/** The graph as one picture, each node of which can have the focus. */
export function GraphDrawing(props: GraphDrawingProps) {
  const { reply, placed, zoom, colouring, current, svg, onPoint } = props;
  const usual = usualDtype(reply);
  const paint = colouring === "class" ? classColours(reply) : null;
  const most = Math.max(0, ...reply.nodes.map((node) => (node.is_open ? 0 : (node.seconds ?? 0))));
  // What comes under a pointer that stays where it is isn't pointed at.
  const pointer = useRef("");
  const onMove = (event: MouseEvent): boolean => {
    const before = pointer.current;
    pointer.current = `${event.clientX} ${event.clientY}`;
    return pointer.current !== before;
  };
  const isNear = (edges: readonly number[]): boolean =>
    edges.some((edge) => [reply.edges[edge]?.source, reply.edges[edge]?.target].includes(current));
  return (
    // biome-ignore lint/a11y/noSvgWithoutTitle: the frame around it has its name.
    <svg
      ref={svg}
      class="nnw-graph"
      viewBox={`0 0 ${placed.width} ${placed.height}`}
      width={placed.width * zoom}
      height={placed.height * zoom}
      onMouseMove={onMove}
      onMouseLeave={() => onPoint(null)}
    >
      {reply.nodes.map((node, at) =>
        isBox(node) ? <rect key={node.key} class="nnw-graph-ground" {...(placed.nodes[at] as Rect)} rx={4} /> : null,
      )}
      {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: none of it takes the focus, and the nodes say all of it. */}
      <g aria-hidden="true">
        {placed.lines.map((line, at) => (
          <Way
            key={at}
            {...{ line }}
            isNear={isNear(line.edges)}
            isToNext={line.edges.every((edge) => reply.edges[edge]?.is_to_next)}
          />
        ))}
        {reply.edges.map((edge, at) => {
          const place = placed.labels[at];
          const lines = labelOf(edge, usual);
          return place == null ? null : (
            <text
              key={at}
              class={isNear([at]) ? "nnw-graph-label nnw-graph-near" : "nnw-graph-label"}
              x={place.x}
              y={place.y}
            >
              {lines.map((line, row) => (
                <tspan
                  key={line}
                  class={row > 0 ? "nnw-graph-through" : undefined}
                  x={place.x}
                  y={place.y + (row - lines.length / 2) * LABEL_LINE + 9}
                >
                  {line}
                </tspan>
              ))}
            </text>
          );
        })}
      </g>
      {reply.nodes.map((node, at) => {
        const colour = isBox(node) ? undefined : paint?.get(node.class_name ?? "");
        return (
          <Node
            key={node.key}
            {...props}
            {...{ node, at, onMove }}
            {...(colour === undefined ? {} : { colour })}
            share={isBox(node) ? 0 : shareOf(node, colouring, most)}
          />
        );
      })}
    </svg>
  );
}

function isBox({ is_open, kind }: GraphNode): boolean {
  return is_open === true || kind === "row";
}

/** How much of a node is painted: of the longest time, or of the scale of activations. */
function shareOf({ seconds, signal }: GraphNode, colouring: Colouring, longest: number): number {
  if (colouring === "time") {
    return (seconds ?? 0) / (longest || 1);
  }
  return colouring === "activations" ? (signal?.level ?? 0) : 0;
}

/** Classes by how often they are there; of more than there are colours, the rest has none. */
function classColours({ nodes }: GraphReply): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { class_name, is_open } of nodes) {
    if (class_name !== undefined && is_open !== true) {
      counts.set(class_name, (counts.get(class_name) ?? 0) + 1);
    }
  }
  const classes = [...counts].sort(([, one], [, other]) => other - one).slice(0, N_COLOURS);
  return new Map(classes.map(([name], at) => [name, at]));
}

interface WayProps {
  readonly line: Line;
  readonly isNear: boolean;
  readonly isToNext: boolean;
}

/** A line that leaves and arrives straight where it goes down, with its head where it ends. */
function Way({ line: { points, isLast }, isNear, isToNext }: WayProps) {
  const [first, ...rest] = points;
  const [before, end] = points.slice(-2);
  if (first === undefined || before === undefined || end === undefined) {
    return null;
  }
  const isDown = end.y > first.y;
  const steps = rest.map(({ x, y }, at) => {
    const from = points[at] as Point;
    const middle = (from.y + y) / 2;
    return isDown ? `C${from.x} ${middle} ${x} ${middle} ${x} ${y}` : `L${x} ${y}`;
  });
  const angle = isDown ? Math.PI / 2 : Math.atan2(end.y - before.y, end.x - before.x);
  const wing = (turn: number): string =>
    `${(end.x - 6 * Math.cos(angle + turn)).toFixed(1)} ${(end.y - 6 * Math.sin(angle + turn)).toFixed(1)}`;
  const names = ["nnw-graph-way", isNear ? "nnw-graph-near" : "", isToNext ? "nnw-graph-next" : ""];
  return (
    <g class={names.filter(Boolean).join(" ")}>
      <path d={`M${first.x} ${first.y}${steps.join("")}`} />
      {isLast ? <path class="nnw-graph-head" d={`M${wing(0.5)}L${end.x} ${end.y}L${wing(-0.5)}Z`} /> : null}
    </g>
  );
}

interface NodeProps extends GraphDrawingProps {
  /** Whether a pointer was moved. */
  readonly onMove: (event: MouseEvent) => boolean;
  readonly node: GraphNode;
  readonly at: number;
  readonly colour?: number;
  /** Of the longest time, or of the scale of activations. */
  readonly share: number;
}

/** A node or an open box: a button with a name that says all of it. */
function Node({ node, at, colour, share, words, placed, current, selected, lit, ...rest }: NodeProps) {
  const { onPoint, onSelect, onToggle, onMove } = rest;
  const { x, y, width, height } = placed.nodes[at] as Rect;
  const lines = linesOf(node);
  const [first = "", ...others] = lines;
  const box = isBox(node);
  const isBad = rest.colouring === "activations" && toNumber(node.signal?.n_bad ?? 0) > 0;
  const isEnd = node.kind === "input" || node.kind === "output";
  const classes = [
    "nnw-graph-node",
    `nnw-graph-${box ? "box" : node.kind}`,
    node.failed ? "nnw-graph-failed" : "",
    at === selected ? "nnw-graph-selected" : "",
    at === lit ? "nnw-graph-lit" : "",
    node.n_found === undefined ? "" : "nnw-graph-found",
    at === rest.reply.shown ? "nnw-graph-shown" : "",
    node.can_open && !node.is_open ? "nnw-graph-closed" : "",
  ];
  return (
    <g
      class={classes.filter(Boolean).join(" ")}
      data-key={node.key}
      transform={`translate(${x} ${y})`}
      role="button"
      tabIndex={at === current ? 0 : -1}
      aria-label={words[at]}
      aria-expanded={node.can_open ? node.is_open === true : undefined}
      aria-pressed={node.path === undefined ? undefined : at === selected}
      onFocus={() => onPoint(at)}
      onMouseEnter={(event) => onMove(event) && onPoint(at)}
      onClick={() => onSelect(at)}
      onDblClick={() => onToggle(at)}
    >
      {(node.n_repeats ?? 1) > 1 && !box ? (
        <rect class="nnw-graph-behind" x={4} y={4} {...{ width, height }} rx={4} />
      ) : null}
      <rect class="nnw-graph-frame" {...{ width, height }} rx={isEnd || node.kind === "operator" ? 9 : 4} />
      {colour === undefined ? null : (
        <rect class={`nnw-graph-tone nnw-graph-tone-${colour}`} x={3} y={5} width={4} height={height - 10} rx={2} />
      )}
      {share === 0 ? null : (
        <g class={isBad ? "nnw-graph-bad" : `nnw-graph-by-${rest.colouring}`}>
          <rect class="nnw-graph-tint" {...{ width, height }} rx={4} fill-opacity={share * MOST_TINT} />
          <rect
            class="nnw-graph-share"
            x={4}
            y={height - 4}
            width={Math.max(1, (width - 8) * share)}
            height={3}
            rx={1}
          />
        </g>
      )}
      <text x={box ? PAD : width / 2} y={box ? HEAD - 7 : PAD / 2 + 10}>
        {first}
        {box && others.length > 0 ? <tspan class="nnw-graph-dim"> {others.join(" ")}</tspan> : null}
      </text>
      {box
        ? null
        : others.map((line, row) => (
            <text key={line} class="nnw-graph-dim" x={width / 2} y={PAD / 2 + 10 + (row + 1) * LINE}>
              {line}
            </text>
          ))}
      <Marks {...{ node, width }} />
    </g>
  );
}

interface MarksProps {
  readonly node: GraphNode;
  readonly width: number;
}

/** What the tree marks too: ties by their letter, findings; how many were found in it, and what can be opened. */
function Marks({ node: { tie, findings, can_open, is_open, n_found = 0 }, width }: MarksProps) {
  const signs = [
    n_found < 2 ? null : (["found", countText(n_found)] as const),
    tie === undefined ? null : (["tie", tie] as const),
    findings === undefined || findings === "note" ? null : ([findings, "!"] as const),
    can_open ? (["sign", is_open ? "−" : "+"] as const) : null,
  ].filter((sign) => sign !== null);
  return signs.map(([kind, text], at) => (
    <text
      key={kind}
      class={`nnw-graph-mark nnw-graph-mark-${kind}`}
      x={width - 9 - 12 * (signs.length - 1 - at)}
      y={12}
    >
      {text}
    </text>
  ));
}
