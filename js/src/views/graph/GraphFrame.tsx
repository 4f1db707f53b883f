import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { CopyButton } from "../../components/CopyButton.tsx";
import { useRemembered } from "../../hooks/useRemembered.ts";
import { useRowUnderPointer } from "../../hooks/useRowUnderPointer.ts";
import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { currentCatalogue, t, tx } from "../../i18n/translate.ts";
import { countText, floatText, toNumber } from "../../lib/format.ts";
import { consumeEvent, keyOf } from "../../lib/keyEvents.ts";
import type { GraphNode, GraphReply } from "../../protocol/messages.ts";
import type { PlacedGraph, Rect } from "../../state/graph/layout.ts";
import { insideOf, isWithin, nextNode, nodeOfPath } from "../../state/graph/walk.ts";
import { standaloneSvg } from "./exportSvg.ts";
import { type Colouring, GraphDrawing } from "./GraphDrawing.tsx";
import type { GraphTabProps } from "./GraphTab.tsx";
import { describeNodes, usualDtype } from "./nodeText.ts";
import { useDrag } from "./useDrag.ts";

interface GraphFrameProps extends Omit<GraphTabProps, "children" | "traced"> {
  readonly reply: GraphReply;
  readonly placed: PlacedGraph;
  readonly isStale: boolean;
  /** Keys of the boxes that are open, in the order they were opened. */
  readonly opened: readonly string[];
  readonly onOpened: (opened: readonly string[]) => void;
  /** Opens what a module is in. */
  readonly onShow: (path: string) => void;
  readonly search: ComponentChildren;
}

const [LEAST, MOST, STEP] = [0.1, 3, 1.25];
/** At first, letters are not smaller than this. */
const LEAST_FITTED = 0.7;

/** The drawing in a frame that scrolls, with what moves about in it, and what is said of the node that one is at. */
export function GraphFrame(props: GraphFrameProps) {
  const {
    client,
    path,
    name,
    run,
    reply,
    placed,
    isStale,
    opened,
    alive,
    memory,
    onNavigate,
    onHover,
    onOpened,
    onShow,
    search,
  } = props;
  const id = useUniqueId();
  const frame = useRef<HTMLDivElement | null>(null);
  const svg = useRef<SVGSVGElement | null>(null);
  const [zoom, setZoom] = useRemembered<number | null>(memory, "graph zoom", null);
  const [wanted, setColouring] = useRemembered<Colouring>(memory, "graph colours", "class");
  const colouring = wanted === "activations" && run === 0 ? "class" : wanted;
  const [key, setKey] = useRemembered<string>(memory, "graph node", "");
  const under = useRowUnderPointer(frame);
  const current = Math.max(
    0,
    reply.nodes.findIndex((node) => node.key === key),
  );
  const selected = path === "" ? null : nodeOfPath(reply, path);
  const isDrawn = selected !== null && reply.nodes[selected]?.path === path;
  const words = useMemo(() => describeNodes(reply), [reply, currentCatalogue()]);
  const [fitted, setFitted] = useState(1);
  const scale = zoom ?? fitted;

  useDrag(frame);
  const scaleFor = (least: number): number => {
    const { clientWidth: width = 0, clientHeight: height = 0 } = frame.current ?? {};
    const whole = least > LEAST ? width / placed.width : Math.min(width / placed.width, height / placed.height);
    return width === 0 ? 1 : Math.max(least, Math.min(1, whole));
  };
  useLayoutEffect(() => {
    setFitted(scaleFor(LEAST_FITTED));
  }, [placed]);
  // What was in the middle stays there.
  const middle = useRef({ x: 0.5, y: 0 });
  useLayoutEffect(() => {
    const box = frame.current;
    if (box !== null) {
      box.scrollLeft = middle.current.x * box.scrollWidth - box.clientWidth / 2;
      box.scrollTop = middle.current.y * box.scrollHeight - box.clientHeight / 2;
    }
  }, [scale]);
  const zoomTo = (next: number | null): void => {
    const box = frame.current;
    if (box !== null) {
      middle.current = {
        x: (box.scrollLeft + box.clientWidth / 2) / box.scrollWidth,
        y: (box.scrollTop + box.clientHeight / 2) / box.scrollHeight,
      };
    }
    setZoom(next === null ? null : Math.max(LEAST, Math.min(MOST, next)));
  };
  const latest = useRef({ zoomTo, scale });
  latest.current = { zoomTo, scale };
  useEffect(() => {
    const onWheel = (event: WheelEvent): void => {
      // The wheel alone scrolls.
      if (event.ctrlKey || event.metaKey) {
        consumeEvent(event);
        latest.current.zoomTo(latest.current.scale * (event.deltaY < 0 ? STEP : 1 / STEP));
      }
    };
    frame.current?.addEventListener("wheel", onWheel, { passive: false });
    return () => frame.current?.removeEventListener("wheel", onWheel);
  }, []);

  const elementOf = (to: number): SVGGElement | null =>
    frame.current?.querySelector<SVGGElement>(`[data-key="${reply.nodes[to]?.key}"]`) ?? null;
  const bringIntoView = (to: number): void => {
    const box = frame.current;
    const { x, y, width, height } = placed.nodes[to] as Rect;
    if (box !== null) {
      box.scrollLeft = within(box.scrollLeft, box.clientWidth, x * scale, width * scale);
      box.scrollTop = within(box.scrollTop, box.clientHeight, y * scale, Math.min(height, 60) * scale);
    }
  };
  const goTo = (to: number): void => {
    setKey((reply.nodes[to] as GraphNode).key);
    elementOf(to)?.focus({ preventScroll: true });
    bringIntoView(to);
  };
  const entering = useRef(false);
  useLayoutEffect(() => {
    const to = reply.shown ?? current;
    if (reply.shown !== null) {
      setKey((reply.nodes[to] as GraphNode).key);
      bringIntoView(to);
    }
    if (entering.current) {
      entering.current = false;
      goTo(insideOf(reply, current)[0] ?? current);
    }
  }, [reply]);

  const toggle = (to: number, isByKey = false): void => {
    const box = reply.nodes[to] as GraphNode;
    if (alive && box.can_open && !isStale) {
      setKey(box.key);
      entering.current = isByKey;
      // With it what is open in it.
      const closed = new Set(reply.nodes.flatMap(({ key }, at) => (isWithin(reply, at, to) ? [key] : [])));
      onOpened(box.is_open ? opened.filter((each) => !closed.has(each)) : [...opened, box.key]);
    }
  };
  const select = (to: number): void => {
    const chosen = reply.nodes[to] as GraphNode;
    setKey(chosen.key);
    if (chosen.path !== undefined && alive) {
      onNavigate(chosen.path);
    }
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) {
      return;
    }
    // What has the focus: the pointer may be at another.
    const focused = (event.target as Element).closest<SVGGElement>("[data-key]")?.dataset.key;
    const isOnNode = focused !== undefined;
    const at = isOnNode ? reply.nodes.findIndex((each) => each.key === focused) : current;
    const pressed = keyOf(event);
    const { parent, can_open } = reply.nodes[at] as GraphNode;
    const to = isOnNode ? nextNode(reply, placed, at, pressed) : null;
    const zooms: Readonly<Record<string, () => void>> = {
      "+": () => zoomTo(scale * STEP),
      "=": () => zoomTo(scale * STEP),
      "-": () => zoomTo(scale / STEP),
      "0": () => zoomTo(null),
    };
    if (to !== null) {
      goTo(to);
    } else if (zooms[pressed] !== undefined) {
      zooms[pressed]?.();
    } else if (pressed === "Enter") {
      if (!isOnNode) {
        goTo(at);
      } else if (can_open) {
        toggle(at, true);
      } else {
        select(at);
      }
    } else if (isOnNode && pressed === " ") {
      select(at);
    } else if (isOnNode && pressed === "Escape" && parent !== undefined) {
      goTo(parent);
    } else if (!isOnNode || !pressed.startsWith("Arrow")) {
      return;
    }
    consumeEvent(event);
  };
  // Dependencies: what is lit goes with the drawing.
  useEffect(() => () => onHover(null), []);

  const mermaid = async (): Promise<string> =>
    (await client.request("graph", { opened: reply.opened, widest: reply.widest, mermaid: true })).body.mermaid ?? "";
  const save = (): void => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([standaloneSvg(svg.current as SVGSVGElement)], { type: "image/svg+xml" }));
    link.download = `${name.replace(/[^\w.-]+/g, "_")}.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  return (
    <section class="nnw-section" aria-label={t("Graph")} aria-busy={isStale}>
      <div class="nnw-graph-tools">{search}</div>
      <div class="nnw-graph-tools">
        <span class="nnw-caption">
          {t("{0} {0|node|nodes}", countText(reply.nodes.length))} · {usualDtype(reply)}
        </span>
        <label>
          <span class="nnw-dim">{t("Colours")}</span>{" "}
          <select value={colouring} onChange={(event) => setColouring(event.currentTarget.value as Colouring)}>
            <option value="class">{t("by class")}</option>
            <option value="time">{t("by time")}</option>
            <option value="activations" disabled={run === 0}>
              {run === 0 ? t("by activations: no run yet") : t("by activations")}
            </option>
          </select>
        </label>
        {colouring === "activations" ? <span class="nnw-caption">{scaleText(reply)}</span> : null}
        <span class="nnw-graph-zoom">
          <button type="button" class="nnw-button-tiny" aria-label={t("Smaller")} onClick={() => zoomTo(scale / STEP)}>
            −
          </button>
          <button type="button" class="nnw-button-tiny" aria-label={t("Larger")} onClick={() => zoomTo(scale * STEP)}>
            +
          </button>
          <button type="button" class="nnw-button-tiny" onClick={() => zoomTo(scaleFor(LEAST))}>
            {t("Fit")}
          </button>
        </span>
        {path === "" || isDrawn ? null : (
          <button type="button" class="nnw-button-tiny" disabled={!alive} onClick={() => onShow(path)}>
            {tx("Show {0}", <code>{path}</code>)}
          </button>
        )}
      </div>
      <p id={id} class="nnw-hidden">
        {t(
          "Arrows go along edges and into boxes; Enter opens or closes a box, Space selects the module, Escape leaves the box; + and − zoom.",
        )}
      </p>
      <div
        ref={frame}
        class={isStale ? "nnw-graph-frame-outer nnw-stale" : "nnw-graph-frame-outer"}
        role="group"
        aria-label={t("Graph of {0}, {1} {1|node|nodes}", name, reply.nodes.length)}
        aria-describedby={id}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable.
        tabIndex={0}
        onKeyDown={onKeyDown}
      >
        <GraphDrawing
          {...{ reply, words, placed, colouring, svg, selected }}
          zoom={scale}
          current={current}
          lit={under === null ? null : nodeOfPath(reply, under)}
          onPoint={(to) => {
            const pointed = to === null ? undefined : reply.nodes[to];
            if (pointed !== undefined) {
              setKey(pointed.key);
            }
            onHover(pointed?.path === undefined ? null : [pointed.path]);
          }}
          onSelect={select}
          onToggle={toggle}
        />
      </div>
      <p class="nnw-graph-reading">{words[current]}</p>
      <p class="nnw-graph-tools">
        <CopyButton text={mermaid} label={t("Copy as {0}", "Mermaid")} words="Mermaid" disabled={!alive} />
        <CopyButton
          text={() => standaloneSvg(svg.current as SVGSVGElement)}
          label={t("Copy as {0}", "SVG")}
          words="SVG"
        />
        <button type="button" class="nnw-button nnw-button-quiet" onClick={save}>
          {t("Save as {0}", "SVG")}
        </button>
      </p>
    </section>
  );
}

/** Between which stds the nodes lie. */
function scaleText({ nodes }: GraphReply): string {
  const stds = nodes
    .flatMap(({ signal }) => (signal === undefined ? [] : [toNumber(signal.std)]))
    .filter(Number.isFinite);
  return stds.length === 0
    ? ""
    : t("std {0} to {1}, log scale", floatText(Math.min(...stds), 2), floatText(Math.max(...stds), 2));
}

/** How far to scroll so that what is there comes into sight, with some room around it. */
function within(scrolled: number, seen: number, from: number, size: number): number {
  const room = 24;
  if (from - room < scrolled) {
    return from - room;
  }
  return from + size + room > scrolled + seen ? Math.min(from - room, from + size + room - seen) : scrolled;
}
