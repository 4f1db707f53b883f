import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { ExtraCell } from "../../bundles/lazyParts.ts";
import { Icon } from "../../components/Icon.tsx";
import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { type Block, drawnRows, scrollToRow, useVirtualRows } from "../../hooks/useVirtualRows.ts";
import { t, tx, word } from "../../i18n/translate.ts";
import { copyText } from "../../lib/clipboard.ts";
import { exactCount } from "../../lib/format.ts";
import { keyOf } from "../../lib/keyEvents.ts";
import type { Client } from "../../protocol/client.ts";
import type { Row } from "../../protocol/messages.ts";
import type { ChangesStore } from "../../state/changesStore.ts";
import { commandFor } from "../../state/tree/keymap.ts";
import { isFiltered, pathOf, rowsOf } from "../../state/tree/treeState.ts";
import type { TreeStore } from "../../state/tree/treeStore.ts";
import { canFreeze } from "./cells.tsx";
import { type Handlers, runCommand } from "./commands.ts";
import { ROW_HEIGHT, type RowActions, RowView } from "./RowView.tsx";
import { Ruler } from "./Ruler.tsx";

const HEADER_HEIGHT = 24;
const ACTIVE_ROW = '[role="row"][tabindex="0"]';
const COLUMNS = [
  [word("Name"), "name"],
  [word("Class"), "class"],
  [word("Shape"), "shape"],
  [word("Params"), "count"],
  [word("Type"), "dtype"],
  [word("Training"), "pulse"],
  [word("Signal"), "signal"],
  [word("Marks"), "marks"],
] as const;

interface TreeGridProps {
  readonly store: TreeStore;
  readonly client: Client;
  /** Null where nothing can be changed. */
  readonly changes: ChangesStore | null;
  readonly name: string;
  readonly onSelect: (path: string) => void;
  readonly onInspect: () => void;
  readonly onFilter: () => void;
  readonly onHelp: () => void;
  readonly onStep: (step: -1 | 1) => void;
  /** Whether rows that are not here yet will come. */
  readonly alive: boolean;
  /** A column for the course of a training, or for what a run through the layers gave. */
  readonly extra: ExtraColumn | null;
}

export interface ExtraColumn {
  readonly kind: "pulse" | "signal";
  readonly Cell: ExtraCell;
  /** Shuts it, where it can be. */
  readonly shut?: () => void;
}

/** The tree of modules and tensors: as many rows in the page as there are in sight. */
export function TreeGrid({
  store,
  client,
  changes,
  name,
  onSelect,
  onInspect,
  onFilter,
  onHelp,
  onStep,
  alive,
  extra,
}: TreeGridProps) {
  const state = store.state;
  const id = useUniqueId();
  const frame = useRef<HTMLDivElement>(null);
  const sight = useVirtualRows(frame, blocksOf(state.total), HEADER_HEIGHT);

  useEffect(() => store.look(sight.first, sight.last), [store, sight.first, sight.last]);
  // After the rows are drawn: only then is the frame as high as the new ones need.
  useLayoutEffect(() => {
    if (state.reveal.turn > 0 && frame.current !== null) {
      scrollToRow(frame.current, blocksOf(state.total), state.reveal.index, HEADER_HEIGHT, true);
    }
  }, [state.reveal]);
  // Drawing may replace the focused row; the focus stays in the tree if it was there, on the active row.
  const hadFocus = focusedIn(frame.current) !== null;
  useLayoutEffect(() => {
    const row = frame.current?.querySelector<HTMLElement>(ACTIVE_ROW);
    if (hadFocus && row != null && !row.contains(focusedIn(frame.current))) {
      row.focus({ preventScroll: true });
    }
  });

  const actions = useMemo<RowActions>(() => {
    const select = (row: Row, index: number): void =>
      store.dispatch({ type: "selected", id: row.id, path: pathOf(row), index });
    return {
      select,
      setOpen: (row, isOpen, index) => {
        store.dispatch({ type: "moved", index });
        store.setOpen(row, isOpen);
      },
      pick: (row, member, index) => {
        store.dispatch({ type: "moved", index });
        void store.pick(row, member);
      },
      freeze:
        changes &&
        ((row) => {
          if (canFreeze(row)) {
            const scope = row.fold === null ? {} : ({ scope: "fold" } as const);
            void changes.freeze({ path: pathOf(row), ...scope }, row.frozen === "all");
          }
        }),
      navigate: onSelect,
      glow: (tie) => store.dispatch({ type: "glowed", tie }),
      inspect: onInspect,
      code: async (row) => {
        try {
          const { body } = await client.request("inspect", { path: pathOf(row) });
          return body.code[0]?.code ?? null;
        } catch {
          return null;
        }
      },
    };
  }, [store, client, changes, onSelect, onInspect]);

  const move = (index: number): void => {
    const to = Math.max(0, Math.min(index, store.state.total - 1));
    if (frame.current !== null) {
      scrollToRow(frame.current, blocksOf(store.state.total), to, HEADER_HEIGHT);
    }
    const row = store.state.rows.get(to);
    if (row === undefined) {
      store.dispatch({ type: "moved", index: to });
    } else {
      actions.select(row, to);
    }
  };

  const handlers: Handlers = {
    move,
    pageRows: Math.max(1, Math.floor(((frame.current?.clientHeight ?? 480) - HEADER_HEIGHT) / ROW_HEIGHT) - 1),
    setOpen: actions.setOpen,
    unfold: (row) => store.unfold(row),
    inspect: () => {
      const row = store.state.rows.get(store.state.active);
      if (row !== undefined) {
        actions.select(row, store.state.active);
      }
      onInspect();
    },
    filter: onFilter,
    step: onStep,
    nextTied: async (row) => {
      const letter = row.tie ?? row.tie_inside;
      const next = letter === null ? null : await store.nextTied(row.path, letter);
      if (next !== null) {
        onSelect(next);
      }
    },
    freeze: (row) => actions.freeze?.(row),
    turn: (turn) => void changes?.turn(turn),
    help: onHelp,
    copy: async (row) => {
      const code = await actions.code(row);
      if (code !== null && frame.current !== null) {
        await copyText(code, frame.current);
      }
    },
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const command = commandFor(event, keyOf(event));
    if (command === null || event.defaultPrevented) {
      return;
    }
    event.preventDefault();
    runCommand(command, store.state, handlers);
  };

  const columns = COLUMNS.filter(([, kind]) => (kind !== "pulse" && kind !== "signal") || kind === extra?.kind);
  const lit = useMemo(() => rowsOf(state.rows, state.glow.paths), [state.rows, state.glow.paths]);
  const letter = state.glow.tie ?? state.rows.get(state.active)?.tie ?? null;
  return (
    // Without a kernel none of the buttons in it has anything to say.
    <fieldset class="nnw-left" role="presentation" disabled={!alive}>
      <div
        ref={frame}
        class="nnw-grid"
        role="treegrid"
        aria-label={t("Modules and tensors of {0}", name)}
        aria-rowcount={state.total + 1}
        aria-colcount={columns.length}
        tabIndex={-1}
        onKeyDown={onKeyDown}
        onMouseLeave={() => store.dispatch({ type: "glowed" })}
      >
        <div class="nnw-row nnw-head" role="row" aria-rowindex={1}>
          {columns.map(([column, kind]) => (
            <div key={column} class={`nnw-${kind}`} role="columnheader">
              {t(column)}
              {kind !== "signal" || extra?.shut === undefined ? null : (
                <button
                  type="button"
                  class="nnw-icon-button"
                  aria-label={t("Shut this column")}
                  title={t("Shut this column")}
                  onClick={extra.shut}
                >
                  <Icon name="close" />
                </button>
              )}
            </div>
          ))}
        </div>
        <div class="nnw-rows" role="rowgroup" style={{ height: `${sight.height}px` }}>
          {drawnRows(sight, state.active).map((index) => {
            const row = state.rows.get(index);
            if (row === undefined) {
              return <Waiting key={`w${index}`} index={index} isActive={index === state.active} alive={alive} />;
            }
            return (
              <RowView
                key={row.id}
                id={`${id}-${index}`}
                row={row}
                index={index}
                isSelected={row.id === state.selectedId}
                isActive={index === state.active}
                isLit={(row.tie !== null && row.tie === letter) || lit.has(row.id)}
                why={row.path === "" && row.level === 1 ? store.open.totals.why : null}
                actions={actions}
                Extra={extra?.Cell ?? null}
              />
            );
          })}
        </div>
        {state.total === 1 && !isFiltered(state.question) && !state.rows.get(0)?.expandable ? <Empty /> : null}
        {isFiltered(state.question) && state.nMatches === 0 && state.problem === null ? (
          <div class="nnw-empty">
            {tx(
              "Nothing matches. Try a path, a glob ({0}, {1}) or a class ({2}); ? tells more.",
              <code>h.*.attn</code>,
              <code>**.bias</code>,
              <code>Linear.weight</code>,
            )}
          </div>
        ) : null}
      </div>
      <Ruler marks={state.ruler} total={state.total} lit={letter} onJump={onSelect} />
      <div class="nnw-hidden" role="status">
        {isFiltered(state.question) ? t("{0} {0|match|matches}", exactCount(state.nMatches)) : ""}
      </div>
    </fieldset>
  );
}

function blocksOf(total: number): Block[] {
  return [{ count: total, height: ROW_HEIGHT }];
}

interface WaitingProps {
  readonly index: number;
  readonly isActive: boolean;
  readonly alive: boolean;
}

/** A row that is to come, or that never came. */
function Waiting({ index, isActive, alive }: WaitingProps) {
  return (
    <div
      class="nnw-row nnw-waiting"
      role="row"
      aria-rowindex={index + 2}
      aria-busy={alive}
      tabIndex={isActive ? 0 : -1}
      style={{ top: `${index * ROW_HEIGHT}px` }}
    >
      <div class="nnw-name nnw-dim" role="gridcell">
        {alive ? <span class="nnw-bone" role="img" aria-label={t("loading")} /> : t("not read")}
      </div>
    </div>
  );
}

function Empty() {
  return (
    <div class="nnw-empty">
      {t("No submodules and no tensors yet.")}
      <br />
      {tx(
        "Layers kept in a plain list or dict don’t register. Use {0} or {1}.",
        <code>nn.ModuleList</code>,
        <code>nn.ModuleDict</code>,
      )}
    </div>
  );
}

/** What has the focus within the frame, also in a shadow root. */
function focusedIn(frame: HTMLElement | null): Element | null {
  const focused = (frame?.getRootNode() as Document | ShadowRoot | undefined)?.activeElement ?? null;
  return frame?.contains(focused) ? focused : null;
}
