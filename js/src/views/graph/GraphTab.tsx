import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ErrorNote, Note } from "../../components/Note.tsx";
import { PathLink } from "../../components/PathText.tsx";
import { Pending } from "../../components/Pending.tsx";
import { useQuery } from "../../hooks/useQuery.ts";
import { type Memory, useRemembered } from "../../hooks/useRemembered.ts";
import { t, tx } from "../../i18n/translate.ts";
import { type PageError, toPageError } from "../../lib/errors.ts";
import type { Client } from "../../protocol/client.ts";
import type { GraphReply } from "../../protocol/messages.ts";
import type { LayOut, PlacedGraph } from "../../state/graph/layout.ts";
import { GraphFrame } from "./GraphFrame.tsx";
import { GraphSearch } from "./GraphSearch.tsx";
import { sizedGraph } from "./nodeText.ts";

export interface GraphTabProps {
  readonly client: Client;
  /** The row that is selected. */
  readonly path: string;
  readonly name: string;
  /** Goes up with each trace. */
  readonly traced: number;
  /** The last run of `activations`; 0 where there was none. */
  readonly run: number;
  readonly alive: boolean;
  readonly memory: Memory;
  readonly onNavigate: (path: string) => void;
  readonly onHover: (paths: readonly string[] | null) => void;
  /** The form for another forward. */
  readonly children: ComponentChildren;
}

interface WithLayout extends GraphTabProps {
  readonly loadLayout: (client: Client) => Promise<LayOut>;
}

/** A graph with where all of it is: what is drawn stays until the next is laid out. */
interface Drawn {
  readonly reply: GraphReply;
  readonly placed: PlacedGraph;
}

/** What is asked of the graph of a trace. */
interface Asked {
  readonly traced: number;
  /** In the order they were opened. */
  readonly opened: readonly string[];
  readonly show?: string;
  /** Which of the boxes found. */
  readonly nth?: number;
}

/** Letters of the fonts that code is shown in are as wide, or less. */
const LETTER = 6.7;
const COMMAND = "%nn graph net X";

/** What flows through the last forward, as a graph whose boxes open. */
export function GraphTab(props: WithLayout) {
  const { client, path, traced, run, alive, memory, loadLayout, children, onNavigate } = props;
  const [asked, setAsked] = useRemembered<Asked | null>(memory, "graph opened", null);
  // Boxes of another trace have other keys.
  const [find, setFind] = useRemembered(memory, "graph find", "");
  const { opened, ...what } = asked?.traced === traced ? asked : {};
  const { traced: _, ...shown }: Partial<Asked> = what;
  const body = {
    ...(opened === undefined ? {} : { opened: [...opened] }),
    ...shown,
    ...(find === "" ? {} : { find }),
  };
  const { answer, isCurrent, error, retry } = useQuery(client, "graph", body, { generation: traced + run, alive });
  const reply = answer?.body ?? null;
  const [drawn, setDrawn] = useState<Drawn | null>(null);
  const [failure, setFailure] = useState<PageError | null>(null);
  const placing = useRef<{ readonly key: string; readonly placed: Promise<PlacedGraph> } | null>(null);
  const lay = (): (() => void) => {
    let isOver = false;
    if (reply !== null) {
      const sized = sizedGraph(reply, LETTER);
      const key = JSON.stringify(sized);
      if (placing.current?.key !== key) {
        placing.current = { key, placed: loadLayout(client).then((layOut) => layOut(sized)) };
      }
      placing.current.placed.then(
        (placed) => {
          if (!isOver) {
            setFailure(null);
            setDrawn({ reply, placed });
          }
        },
        (error: unknown) => {
          placing.current = null;
          if (!isOver) {
            setFailure(toPageError(error));
          }
        },
      );
    }
    return () => {
      isOver = true;
    };
  };
  useEffect(lay, [reply, loadLayout]);
  const isOpen = drawn?.reply.opened ?? [];
  const inOrder = [...new Set([...(opened ?? []).filter((key) => isOpen.includes(key)), ...isOpen])];
  const isMissing = error?.code === "not-traced";
  const wrong = isMissing ? null : (error ?? failure);
  return (
    <>
      {children}
      {wrong === null ? null : (
        <ErrorNote error={wrong} {...{ path, alive }} what={t("The graph can’t be drawn now.")} onRetry={retry} />
      )}
      {isMissing ? (
        <p class="nnw-dim nnw-quiet">
          {tx(
            "No forward was traced yet: its graph shows which layer takes what another gave. Run one here, or {0} in a cell.",
            <code>{COMMAND}</code>,
          )}
        </p>
      ) : drawn === null ? (
        wrong === null && <Pending error={null} what="" onRetry={retry} {...{ path, alive }} />
      ) : (
        <>
          <Remarks reply={drawn.reply} {...{ alive, onNavigate }} />
          <GraphFrame
            {...props}
            {...drawn}
            isStale={!isCurrent || drawn.reply !== reply}
            opened={inOrder}
            onOpened={(next) => setAsked({ traced, opened: next })}
            onShow={(next) => setAsked({ traced, opened: inOrder, show: next })}
            search={
              <GraphSearch
                text={find}
                alive={alive}
                found={drawn.reply.found ?? null}
                onFind={(next) => {
                  setFind(next);
                  setAsked(opened === undefined ? null : { traced, opened: inOrder });
                }}
                onNth={(text, nth) => {
                  setFind(text);
                  setAsked({ traced, opened: inOrder, nth });
                }}
              />
            }
          />
        </>
      )}
    </>
  );
}

interface RemarksProps {
  readonly reply: GraphReply;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

/** Where the forward ended, and what had to be closed. */
function Remarks({ reply: { failed_at, error, n_closed }, alive, onNavigate }: RemarksProps) {
  return (
    <>
      {error === null ? null : (
        <Note kind="error">
          <p>
            <b>{t("Forward failed")}</b>
            {failed_at === null ? null : tx(" at {0}", <PathLink path={failed_at} {...{ alive, onNavigate }} />)}
          </p>
          <p>{error}</p>
        </Note>
      )}
      {n_closed === 0 ? null : (
        <p class="nnw-dim nnw-quiet" role="status">
          {t("{0} {0|box was|boxes were} closed to keep the graph small enough to be drawn.", n_closed)}
        </p>
      )}
    </>
  );
}
