import type { RefObject } from "preact";
import { useCallback, useEffect, useImperativeHandle, useMemo, useRef, useState } from "preact/hooks";
import { lazily } from "../../bundles/lazily.tsx";
import { graphPart, reinitializePart, signalPart } from "../../bundles/lazyParts.ts";
import { CodePanel } from "../../components/Code.tsx";
import { ErrorNote, Note } from "../../components/Note.tsx";
import { PathLink } from "../../components/PathText.tsx";
import { type Tab, Tabs, tabIds } from "../../components/Tabs.tsx";
import { type Answer, useQuery } from "../../hooks/useQuery.ts";
import { useRemembered } from "../../hooks/useRemembered.ts";
import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { t, told, tx, word } from "../../i18n/translate.ts";
import type { Theme } from "../../lib/colormap.ts";
import { plainText, toNumber } from "../../lib/format.ts";
import { consumeEvent, isModified } from "../../lib/keyEvents.ts";
import type { Client } from "../../protocol/client.ts";
import type { InspectReply, ValuesBody } from "../../protocol/messages.ts";
import { type Editing, EditingContext } from "../edit/editingContext.ts";
import { useRanks } from "../ranks/ranksContext.ts";
import type { SignalColumn } from "../signal/SignalTab.tsx";
import { Findings } from "./Findings.tsx";
import { ForwardForm } from "./ForwardForm.tsx";
import { Header } from "./Header.tsx";
import type { PrefetchedValues } from "./heatmap/useHeatMap.ts";
import { ModuleOverview } from "./ModuleOverview.tsx";
import { OptimizerSection } from "./OptimizerSection.tsx";
import { BINS } from "./stats/statsRequest.ts";
import { TensorOverview } from "./TensorOverview.tsx";
import { Ties } from "./Ties.tsx";
import { WholeTrace } from "./Trace.tsx";
import { useTraced } from "./useTraced.ts";

const LazySignal = lazily((client) => signalPart(client).then(({ Tab }) => Tab), word("The signal can’t be shown."));
const LazyCompare = lazily(
  (client) => signalPart(client).then(({ Compare }) => Compare),
  word("These can’t be compared."),
);
const LazyGraph = lazily(graphPart, word("The graph can’t be drawn now."));
const LazyReinitialize = lazily(reinitializePart, word("This can’t be re-initialized."));

/** What the tree may ask of the inspector. */
export interface InspectorHandle {
  /** Puts the keyboard focus on the selected tab. */
  readonly focus: () => void;
  /** Shows the tab of forward passes, which the model's own row has. */
  readonly showTrace: () => void;
}

export interface InspectorProps {
  readonly client: Client;
  /** "" is the model itself. */
  readonly path: string;
  /** The model's. */
  readonly name: string;
  /** Goes up when the model may have changed: what is shown is read again. */
  readonly generation: number;
  readonly onNavigate: (path: string) => void;
  /** Paths of the tie group under the pointer, or null when it leaves. */
  readonly onHover: (paths: readonly string[] | null) => void;
  readonly theme: Theme;
  /** Whether there is a kernel to ask. Without one what was read stays, and what needs it is disabled. */
  readonly alive: boolean;
  readonly handle?: RefObject<InspectorHandle | null>;
  /** Goes up when the user comes back to the view. */
  readonly touched?: number;
  /** What it takes to change the model; without it the view only shows. */
  readonly editing?: Editing;
  /** Which run through the layers the rows tell of, and their column. */
  readonly signal?: SignalColumn & { readonly run: number };
}

/** So many findings come with a row at most; the model's own row can ask for all. */
const MOST_INSPECTED = 50;

type TabId = "overview" | "init" | "ties" | "code" | "findings" | "trace" | "graph" | "signal";

/** Everything about the selected row. */
export function Inspector(props: InspectorProps) {
  const { client, path, name, onNavigate, onHover, theme, alive, handle, editing = null, touched = 0, signal } = props;
  const id = useUniqueId();
  const traced = useTraced(client, editing?.memory);
  const [unannounced, setUnannounced] = useState(0);
  const generation = props.generation + unannounced;
  const asked = { generation: generation + traced + touched, alive };
  const along = useRef<PrefetchedValues>({ asked: [], came: [] }).current;
  const windows = useRef<readonly ValuesBody[]>([]);
  const inspect = useQuery(
    client,
    "inspect",
    { path, bins: BINS },
    {
      ...asked,
      beside: () => {
        // What is in sight already is read anew by itself.
        windows.current = inspect.isCurrent ? [] : along.asked.map((body) => ({ ...body, path }));
        return { windows: windows.current.map(({ path: _, ...window }) => window) };
      },
    },
  );
  along.came = useMemo(() => valuesAlong(inspect.answer, windows.current), [inspect.answer]);
  const trace = useQuery(client, "trace", path === "" ? {} : null, { generation: traced, alive });
  const reply = inspect.answer?.body ?? null;

  // Code that runs in no cell announces nothing: when the view is touched, the version counter tells.
  const seen = useRef<readonly unknown[]>([]);
  useEffect(() => {
    const [seenPath, seenGeneration, version] = seen.current;
    const now = reply?.tensor?.version;
    seen.current = [reply?.path, generation, now];
    if (seenPath === reply?.path && seenGeneration === generation && version !== now) {
      setUnannounced((count) => count + 1);
    }
  }, [reply]);

  const isUnread = !alive && !inspect.isCurrent && inspect.error === null;
  const lastTrace = trace.error === null ? trace.answer : null;
  // What several processes hold is run by all of them.
  const canRun = useRanks() === null && editing !== null;
  const tabs = tabsFor(reply, path === "" && (canRun || lastTrace !== null), editing !== null, canRun);
  const [wanted, setWanted] = useRemembered<TabId>(editing?.memory, "tab", "overview");
  const selected = tabs.some((tab) => tab.id === wanted) ? wanted : "overview";
  const hasMore = path === "" && selected === "findings" && (reply?.findings.length ?? 0) >= MOST_INSPECTED;
  const allFindings = useQuery(client, "findings", hasMore ? {} : null, { generation, alive });

  const form = canRun ? (
    <ForwardForm
      {...{ client, alive }}
      memory={editing.memory}
      generation={generation + touched}
      hasTrace={lastTrace !== null}
    />
  ) : null;

  const list = useRef<HTMLDivElement | null>(null);
  const focus = useCallback(() => list.current?.querySelector<HTMLElement>("[aria-selected=true]")?.focus(), []);
  useImperativeHandle(handle ?? null, () => ({ focus, showTrace: () => setWanted("trace") }), [focus]);
  const cancel = useRef<(() => void) | null>(null);
  const onCancellable = useCallback((next: (() => void) | null) => {
    cancel.current = next;
  }, []);
  // Dependencies: another selection ends the glow of the one before.
  useEffect(() => () => onHover(null), [path]);

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || isModified(event)) {
      return;
    }
    if ((event.target as HTMLElement).closest("input, select") !== null) {
      return;
    }
    const siblings = inspect.isCurrent && alive ? reply?.siblings : null;
    const to = event.key === "[" ? siblings?.previous : event.key === "]" ? siblings?.next : null;
    if (to != null) {
      consumeEvent(event);
      onNavigate(to);
    } else if (event.key === "Escape" && cancel.current !== null) {
      consumeEvent(event);
      cancel.current();
    }
  };
  return (
    <EditingContext.Provider value={editing}>
      <section class="nnw-inspector" aria-label={t("Inspector")} onKeyDown={onKeyDown} onCopy={copyPlain}>
        <Header
          path={path}
          reply={isUnread ? null : reply}
          isCurrent={inspect.isCurrent}
          alive={alive}
          onNavigate={onNavigate}
          headingId={`${id}-heading`}
        />
        <Tabs tabs={tabs} selected={selected} onSelect={setWanted} label={t("Inspector")} prefix={id} listRef={list} />
        <div
          class="nnw-pane"
          role="tabpanel"
          id={tabIds(id, selected).panel}
          aria-labelledby={tabIds(id, selected).tab}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a panel that scrolls must be reachable.
          tabIndex={0}
        >
          {inspect.error === null ? null : (
            <ErrorNote
              error={inspect.error}
              path={path}
              what={t("This can’t be inspected now.")}
              alive={alive}
              onRetry={inspect.retry}
            />
          )}
          {isUnread ? <p class="nnw-dim">{t("Not read while there was a kernel.")}</p> : null}
          {isUnread || reply === null || (inspect.error !== null && !inspect.isCurrent) ? null : (
            <div class={inspect.isCurrent ? "nnw-panel" : "nnw-panel nnw-stale"} aria-busy={!inspect.isCurrent}>
              {selected === "overview" ? (
                <Overview
                  {...{
                    client,
                    path: reply.path,
                    reply,
                    generation,
                    alive: alive && inspect.isCurrent,
                    theme,
                    along,
                    onNavigate,
                    onCancellable,
                  }}
                />
              ) : null}
              {selected === "init" && editing !== null ? (
                <LazyReinitialize
                  {...{ client, path: reply.path, editing, generation, onNavigate }}
                  alive={alive && inspect.isCurrent}
                  Compare={canRun ? LazyCompare : null}
                  onCancel={() => {
                    setWanted("overview");
                    focus();
                  }}
                />
              ) : null}
              {selected === "ties" ? (
                <Ties
                  ties={reply.tie === null ? reply.ties_inside : [reply.tie]}
                  own={reply.tensor === null ? null : reply.path}
                  {...{ alive, onNavigate, onHover }}
                />
              ) : null}
              {selected === "code" ? <CodePanel lines={reply.code} /> : null}
              {selected === "findings" ? (
                <Findings
                  findings={allFindings.answer?.body.findings ?? reply.findings}
                  at={reply.path}
                  {...{ alive, onNavigate }}
                />
              ) : null}
              {selected === "signal" && editing !== null && signal !== undefined ? (
                <LazySignal
                  {...{ client, path: reply.path, onNavigate, onHover }}
                  alive={alive && inspect.isCurrent}
                  memory={editing.memory}
                  generation={generation + touched}
                  run={signal.run}
                  column={signal}
                />
              ) : null}
              {selected === "graph" && editing !== null ? (
                <LazyGraph
                  {...{ client, path, traced, onNavigate, onHover }}
                  run={signal?.run ?? 0}
                  name={name}
                  alive={alive}
                  memory={editing.memory}
                >
                  {form}
                </LazyGraph>
              ) : null}
              {selected === "trace" ? form : null}
              {selected === "trace" && lastTrace !== null ? (
                <WholeTrace reply={lastTrace.body} {...{ alive, onNavigate }} />
              ) : null}
            </div>
          )}
        </div>
      </section>
    </EditingContext.Provider>
  );
}

/** The windows that came with the facts, as answers to what would have asked for them. */
function valuesAlong(answer: Answer<"inspect"> | null, asked: readonly ValuesBody[]): Answer<"values">[] {
  return (answer?.body.windows ?? []).flatMap((body, at) =>
    body === null ? [] : [{ key: JSON.stringify(asked[at]), body, buffers: answer?.buffers ?? [] }],
  );
}

function tabsFor(reply: InspectReply | null, hasTrace: boolean, canEdit: boolean, canRun: boolean): Tab<TabId>[] {
  const nTies = reply?.tie?.members.length ?? reply?.ties_inside.length ?? 0;
  const nFindings = reply?.findings.length ?? 0;
  const hasInside = reply?.findings.some((finding) => finding.path !== reply.path) ?? false;
  return [
    { id: "overview", label: t("Overview") },
    ...(canEdit && hasValues(reply) ? [{ id: "init", label: t("Re-initialize") } as const] : []),
    ...(nTies > 0 ? [{ id: "ties", label: t("Ties"), count: String(nTies) } as const] : []),
    ...(hasInside ? [{ id: "findings", label: t("Findings"), count: countOf(nFindings) } as const] : []),
    ...(hasTrace ? [{ id: "trace", label: t("Trace") } as const] : []),
    ...(canRun && reply?.module != null && reply.alias_of === null
      ? [{ id: "graph", label: t("Graph") } as const, { id: "signal", label: t("Signal") } as const]
      : []),
    { id: "code", label: t("Code") },
  ];
}

function hasValues(reply: InspectReply | null): boolean {
  return toNumber(reply?.tensor?.n_elements ?? reply?.module?.n_params ?? 0) > 0 && reply?.alias_of === null;
}

function countOf(n: number): string {
  return n >= MOST_INSPECTED ? `${MOST_INSPECTED}+` : String(n);
}

interface OverviewProps
  extends Pick<InspectorProps, "client" | "path" | "generation" | "alive" | "theme" | "onNavigate"> {
  readonly reply: InspectReply;
  readonly along: PrefetchedValues;
  readonly onCancellable: (cancel: (() => void) | null) => void;
}

function Overview({ reply, onCancellable, ...rest }: OverviewProps) {
  const { alive, onNavigate } = rest;
  return (
    <>
      <Findings
        findings={reply.findings.filter((finding) => finding.path === reply.path)}
        at={reply.path}
        {...{ alive, onNavigate }}
      />
      {reply.problem === null ? null : (
        <Note kind="error">
          <b>{t("Part of this can’t be read.")}</b>
          <p>{told(reply.problem)}</p>
        </Note>
      )}
      {reply.alias_of === null ? null : (
        <p class="nnw-alias">
          {tx(
            reply.kind === "cycle" ? "A way back to {0}" : "The same module as {0}",
            <PathLink path={reply.alias_of} {...{ alive, onNavigate }} />,
          )}
        </p>
      )}
      {reply.tensor === null ? null : (
        <TensorOverview
          {...rest}
          tensor={reply.tensor}
          sampled={reply.stats}
          isInFold={reply.siblings !== null}
          onCancellable={onCancellable}
        />
      )}
      {reply.optimizers === undefined ? null : <OptimizerSection places={reply.optimizers} />}
      {reply.module === null ? null : (
        <ModuleOverview module={reply.module} aliasOf={reply.alias_of} calls={reply.trace} {...{ alive, onNavigate }} />
      )}
    </>
  );
}

/** Numbers leave the page as plain ASCII; code leaves it as it is. */
function copyPlain(event: ClipboardEvent): void {
  const target = event.target as HTMLElement;
  if (target.closest("pre, input, textarea") !== null) {
    return;
  }
  const text = target.ownerDocument.getSelection()?.toString() ?? "";
  if (text !== "" && event.clipboardData !== null) {
    event.clipboardData.setData("text/plain", plainText(text));
    event.preventDefault();
  }
}
