import type { FunctionComponent } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  chinese,
  pulsePart,
  ranksPart,
  type SignalPart,
  signalPart,
  type TrainingPart,
  type ViewPart,
  viewPart,
} from "../bundles/lazyParts.ts";
import { Banner } from "../components/Banner.tsx";
import { LanguageSwitch } from "../components/LanguageSwitch.tsx";
import type { Memory } from "../hooks/useRemembered.ts";
import { useLanguage } from "../i18n/language.ts";
import { t } from "../i18n/translate.ts";
import { addStyle } from "../lib/addStyle.ts";
import type { Theme } from "../lib/colormap.ts";
import { type PageError, toPageError } from "../lib/errors.ts";
import { isForView, isTextField } from "../lib/keyEvents.ts";
import { watchTheme } from "../lib/theme.ts";
import type { Client } from "../protocol/client.ts";
import type { OpenReply, TickedBody } from "../protocol/messages.ts";
import { ChangesStore } from "../state/changesStore.ts";
import { commandFor } from "../state/tree/keymap.ts";
import { isFiltered } from "../state/tree/treeState.ts";
import { TreeStore } from "../state/tree/treeStore.ts";
import type { PanelProps } from "./checkpoints/Panel.tsx";
import type { Editing } from "./edit/editingContext.ts";
import { HistoryBar } from "./history/HistoryBar.tsx";
import { Inspector, type InspectorHandle } from "./inspector/Inspector.tsx";
import { type OverRanks, RanksContext } from "./ranks/ranksContext.ts";
import { silence } from "./ranks/silence.ts";
import type { TablePanelProps } from "./table/TablePanel.tsx";
import { Toolbar } from "./toolbar/Toolbar.tsx";
import { type ExtraColumn, TreeGrid } from "./tree/TreeGrid.tsx";

export interface AppProps {
  readonly client: Client;
  /** What came with the widget, so that the first picture needs no round trip. */
  readonly first: OpenReply;
  /** When it was read, as an ISO time. */
  readonly seen: string;
  readonly height: number | null;
  readonly selected: string;
  readonly filter: string;
  readonly onSelected: (path: string) => void;
  readonly onFilter: (text: string) => void;
  /** Whether there is a kernel to ask. */
  readonly alive: boolean;
  /** Whether something was asked that the kernel answers only when the running cell has ended. */
  readonly isWaiting?: boolean;
  /** Shows the model in the host's panel, where it has one. */
  readonly onPanel?: (() => void) | undefined;
  /** Of what was typed, where the host may draw the view anew. */
  readonly memory?: Memory;
}

/** A view in place of the tree; each takes some of this. */
interface AnyPanel {
  readonly View: FunctionComponent<PanelProps & TablePanelProps>;
}

const DEFAULT_HEIGHT = 560;
const NO_SHORTCUTS = "data-lm-suppress-shortcuts";

/** The whole Explorer. */
export function App({
  client,
  first,
  seen,
  height,
  selected,
  filter,
  onSelected,
  onFilter,
  alive,
  isWaiting,
  onPanel,
  memory: given,
}: AppProps) {
  const memory = useMemo(() => given ?? new Map(), [given]);
  const store = useMemo(() => new TreeStore(client, first), [client, first]);
  const [, redraw] = useState(0);
  useLanguage(() => chinese(client), alive);
  const changes = useMemo(() => new ChangesStore(client), [client]);
  useLayoutEffect(() => store.subscribe(() => redraw((count) => count + 1)), [store]);
  useEffect(() => () => store.dispose(), [store]);

  const root = useRef<HTMLDivElement>(null);
  const [theme, setTheme] = useState<Theme>("light");
  useLayoutEffect(() => (root.current === null ? undefined : watchTheme(root.current, setTheme)), []);

  const isOverRanks = first.ranks !== undefined;
  const canChange = first.ranks?.can_change ?? true;
  const silent = silence(store.open);
  const loadChanges = (): void => {
    if (canChange) {
      void changes.load();
    }
  };
  const [overRanks, setOverRanks] = useState<OverRanks | null>(isOverRanks ? { part: null } : null);
  useEffect(() => {
    if (alive && isOverRanks) {
      ranksPart(client).then(
        ({ part, style }) => {
          if (root.current !== null) {
            addStyle(root.current, style);
            setOverRanks({ part });
          }
        },
        (error) => setMissing(toPageError(error)),
      );
    }
  }, [alive, client]);

  const [ended, setEnded] = useState<string | null>(null);
  const [lastSeen, setLastSeen] = useState(() => new Date(seen));
  const [training, setTraining] = useState<TrainingPart | null>(null);
  const pulse = useRef<Promise<TrainingPart> | null>(null);
  useEffect(
    () =>
      client.onEvent((event) => {
        if (event.event === "closed") {
          setEnded(typeof event.body.message === "string" ? event.body.message : t("The view was closed."));
        } else if (event.event === "ticked") {
          const body = event.body as unknown as TickedBody;
          pulse.current ??= pulsePart(client, body, (css) => root.current && addStyle(root.current, css));
          void pulse.current.then(
            (part) => {
              part.add(body);
              setTraining(part);
              setColumn("pulse");
            },
            () => {
              pulse.current = null;
            },
          );
        } else {
          setLastSeen(new Date());
          void store.refresh(event.event !== "changed" || event.body.structure !== false);
          loadChanges();
        }
      }),
    [client, store, changes],
  );
  // Of a training and a run through the layers, what came last has the column.
  const run = store.open.run ?? 0;
  const [signal, setSignal] = useState<SignalPart | null>(null);
  const [column, setColumn] = useState<ExtraColumn["kind"] | null>(null);
  useEffect(() => {
    if (alive && run > 0) {
      signalPart(client).then(
        (part) => {
          setSignal(part);
          setColumn("signal");
        },
        (error) => setMissing(toPageError(error)),
      );
    }
  }, [alive, client, run]);
  const showSignal = (isShown: boolean): void => setColumn(isShown ? "signal" : training && "pulse");
  const extra: ExtraColumn | null =
    column === "signal" && signal !== null
      ? { kind: column, Cell: signal.Cell, shut: () => showSignal(false) }
      : column === "pulse" && training !== null
        ? { kind: column, Cell: training.Cell }
        : null;
  // A view that is shown again, after the page was reloaded say, starts from what came with the widget: read anew.
  useEffect(() => {
    if (alive) {
      void store.refresh(true);
      loadChanges();
    }
  }, [alive, store, changes]);

  const isLive = alive && ended === null;
  const path = store.state.selectedPath;
  const select = useCallback((next: string) => store.reveal(next), [store]);
  // What this view told comes back, and what it was told it tells no one: views of one model must not answer each other.
  const told = useRef<string[]>([]);
  const followed = useRef<string[]>([]);
  const lastPath = useRef(path);
  useEffect(() => {
    if (lastPath.current === path) {
      return;
    }
    lastPath.current = path;
    if (!dropThrough(followed.current, path)) {
      if (path !== selected) {
        told.current.push(path);
      }
      onSelected(path);
    }
  }, [path, onSelected]);
  useEffect(() => {
    if (!dropThrough(told.current, selected) && selected !== store.state.selectedPath) {
      followed.current.push(selected);
      void store.reveal(selected);
    }
  }, [selected, store]);
  useEffect(() => store.setFilter(filter), [filter, store]);
  useEffect(() => {
    store.onFilterCleared = () => onFilter("");
  }, [store, onFilter]);

  // JupyterLab looks for its mark before the key gets here.
  useEffect(() => {
    const view = root.current?.ownerDocument.defaultView;
    const mark = (event: KeyboardEvent): void => {
      const path = event.composedPath();
      if (root.current !== null && path.includes(root.current)) {
        for (const element of [root.current, path[0] as HTMLElement]) {
          element.toggleAttribute(NO_SHORTCUTS, isForView(event));
        }
      }
    };
    view?.addEventListener("keydown", mark, true);
    return () => view?.removeEventListener("keydown", mark, true);
  }, []);

  const [touched, setTouched] = useState(0);
  const touch = (event: MouseEvent | FocusEvent): void => {
    if (event.type === "focusin") {
      // Jupyter looks for its mark from the focused element outwards, and at that element's own shortcuts before.
      (event.target as HTMLElement).setAttribute(NO_SHORTCUTS, "true");
    }
    // Coming in from outside counts, moving about within doesn't.
    if (!root.current?.contains(event.relatedTarget as Node | null)) {
      setTouched((count) => count + 1);
    }
  };

  const { question, selectedId } = store.state;
  const editing: Editing = {
    changes,
    ...(isFiltered(question) ? { filter: question.filter, chips: question.chips } : { filter: "", chips: [] }),
    isFold: selectedId.startsWith("f:"),
    alive: isLive,
    memory,
    silent,
  };

  const box = useRef<HTMLInputElement>(null);
  const inspector = useRef<InspectorHandle | null>(null);
  const focusTree = useCallback(
    () => root.current?.querySelector<HTMLElement>('[role="treegrid"] [role="row"][tabindex="0"]')?.focus(),
    [],
  );
  const focusInspector = useCallback(() => inspector.current?.focus(), []);
  // One after the other, so that keys pressed faster than the kernel answers all count.
  const steps = useRef<Promise<void>>(Promise.resolve());
  const step = useCallback(
    (by: -1 | 1): void => {
      steps.current = steps.current.then(() => store.step(by));
    },
    [store],
  );

  const [panel, setPanel] = useState<{ readonly of: "checkpoints" | "table"; readonly part: AnyPanel } | null>(null);
  const [missing, setMissing] = useState<PageError | null>(null);
  useEffect(() => {
    if (memory.get("panel") !== undefined) {
      openPanel(memory.get("panel") as "checkpoints" | "table");
    }
  }, []);
  const [help, setHelp] = useState<ViewPart<"help"> | null>(null);
  const tryAgain = useRef(() => {});
  const open = async <Name extends "checkpoints" | "table" | "help">(
    name: Name,
    show: (part: ViewPart<Name>) => void,
  ): Promise<void> => {
    tryAgain.current = () => void open(name, show);
    setMissing(null);
    try {
      const made = await viewPart(client, name);
      if (root.current !== null) {
        addStyle(root.current, made.style);
        show(made);
      }
    } catch (error) {
      setMissing(toPageError(error));
    }
  };
  const openHelp = (): void => void open("help", setHelp);
  const openPanel = (of: "checkpoints" | "table"): void =>
    void open(of, (part) => {
      memory.set("panel", of);
      setPanel({ of, part });
    });
  const closePanel = (): void => {
    memory.delete("panel");
    memory.delete("asked");
    setPanel(null);
  };
  // The button that opened it gets the focus back.
  const opener = useRef("");
  useLayoutEffect(() => {
    if (panel === null && opener.current !== "") {
      root.current?.querySelector<HTMLElement>(`.nnw-opener[name=${opener.current}]`)?.focus();
    }
    opener.current = panel?.of ?? "";
  }, [panel]);
  const changeFilter = (text: string): void => {
    store.setFilter(text);
    onFilter(text);
  };

  return (
    <div
      ref={root}
      class="nnw-explorer"
      role="region"
      lang={t("en-GB")}
      aria-label={t("nnwidgets Explorer: {0}, {1}", first.name, first.class_name)}
      data-tone={theme}
      {...{ [NO_SHORTCUTS]: "true" }}
      onKeyDown={(event) => {
        const target = event.target as HTMLElement;
        if (event.key === "Escape" && !event.defaultPrevented && target.closest(".nnw-inspector") !== null) {
          event.preventDefault();
          focusTree();
        }
        const command = event.ctrlKey || event.metaKey ? commandFor(event) : null;
        const isTurn = (command === "undo" || command === "redo") && canChange;
        if (isLive && !event.defaultPrevented && !isTextField(target) && isTurn) {
          event.preventDefault();
          void changes.turn(command);
        }
        keep(event);
      }}
      onMouseEnter={touch}
      onFocusIn={touch}
      onKeyUp={keep}
      onKeyPress={keep}
    >
      <div class="nnw-frame" style={{ "--nnw-height": `${height ?? DEFAULT_HEIGHT}px` }}>
        {panel === null ? (
          <Toolbar
            open={store.open}
            filter={filter}
            chips={store.state.question.chips}
            problem={store.state.problem}
            alive={isLive}
            isBusy={store.nPending > 0}
            box={box}
            onFilter={changeFilter}
            onChip={(chip) => store.toggleChip(chip)}
            onLeave={focusTree}
            onHelp={openHelp}
            onPanel={onPanel}
            onOpen={(of) => {
              if (of !== "trace") {
                openPanel(of);
                return;
              }
              select("");
              inspector.current?.showTrace();
            }}
          />
        ) : null}
        {overRanks?.part && store.open.ranks ? <overRanks.part.Line ranks={store.open.ranks} /> : null}
        <Notices store={store} alive={alive} ended={ended} lastSeen={lastSeen} />
        {training === null ? null : <training.Alarm onNavigate={select} alive={isLive} />}
        {missing === null ? null : (
          <Banner
            glyph="warning"
            title={missing.message}
            text={missing.hint}
            isError
            action={{ label: t("Try again"), run: () => tryAgain.current() }}
          />
        )}
        {panel === null ? null : (
          <panel.part.View
            {...{ client, changes, memory }}
            open={store.open}
            name={first.name}
            alive={isLive}
            kept={question}
            onFilter={changeFilter}
            onSelect={(next) => {
              opener.current = "";
              closePanel();
              void store.reveal(next);
            }}
            onClose={closePanel}
          />
        )}
        <div class="nnw-body" hidden={panel !== null}>
          <TreeGrid
            extra={extra}
            store={store}
            client={client}
            changes={canChange && silent === null ? changes : null}
            name={first.name}
            onSelect={select}
            onInspect={focusInspector}
            onFilter={() => box.current?.focus()}
            onHelp={openHelp}
            onStep={step}
            alive={isLive}
          />
          <RanksContext.Provider value={overRanks}>
            <Inspector
              client={client}
              path={path}
              name={first.name}
              generation={store.valuesGeneration}
              onNavigate={select}
              onHover={(paths) => store.dispatch({ type: "glowed", paths })}
              theme={theme}
              alive={isLive}
              handle={inspector}
              {...(canChange ? { editing } : {})}
              touched={touched}
              signal={{ run, isShown: extra?.kind === "signal", show: showSignal }}
            />
          </RanksContext.Provider>
        </div>
        {help === null || panel !== null ? null : (
          <help.View
            onClose={() => {
              setHelp(null);
              focusTree();
            }}
          />
        )}
        {isWaiting && isLive ? (
          <div class="nnw-banner nnw-taken" role="status">
            {t("The kernel is busy: it answers when the running cell has ended.")}
          </div>
        ) : null}
        {canChange ? (
          <HistoryBar changes={changes} alive={isLive && silent === null} onLeave={focusTree}>
            <LanguageSwitch alive={isLive} />
          </HistoryBar>
        ) : (
          <div class="nnw-history nnw-bar">
            <span class="nnw-dim nnw-last nnw-ellipsis">{t("Looked at here; change it on every rank.")}</span>
            <LanguageSwitch alive={isLive} />
          </div>
        )}
      </div>
    </div>
  );
}

/** Keeps a key of the view's from the notebook. */
function keep(event: KeyboardEvent): void {
  if (isForView(event)) {
    event.stopPropagation();
  }
}

/** Takes the first `item` of a list off it, and all before; whether there was one. */
function dropThrough(list: string[], item: string): boolean {
  const at = list.indexOf(item);
  list.splice(0, at + 1);
  return at >= 0;
}

interface NoticesProps {
  readonly store: TreeStore;
  readonly alive: boolean;
  readonly ended: string | null;
  readonly lastSeen: Date;
}

function Notices({ store, alive, ended, lastSeen }: NoticesProps) {
  // A kernel that ends takes its models with it: that it is gone says more.
  if (!alive) {
    const text = Number.isNaN(lastSeen.getTime())
      ? t("Run the cell again to go on.")
      : t("Seen at {0}. Run the cell again to go on.", lastSeen.toLocaleString("sv"));
    return <Banner glyph="plug" title={t("No kernel.")} text={text} />;
  }
  if (ended !== null) {
    return <Banner glyph="plug" title={ended} text={t("What was read stays. Run the cell again to go on.")} />;
  }
  if (store.error !== null) {
    const { message, hint } = store.error;
    const action = { label: t("Try again"), run: () => store.retry() };
    return <Banner glyph="warning" title={message} text={hint} isError action={action} />;
  }
  return null;
}
