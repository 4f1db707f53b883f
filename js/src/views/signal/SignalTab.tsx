import { useEffect, useRef, useState } from "preact/hooks";
import { ErrorNote, Note } from "../../components/Note.tsx";
import { PathLink } from "../../components/PathText.tsx";
import { Section } from "../../components/Section.tsx";
import { useQuery } from "../../hooks/useQuery.ts";
import type { Memory } from "../../hooks/useRemembered.ts";
import { useRowUnderPointer } from "../../hooks/useRowUnderPointer.ts";
import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { t, tx } from "../../i18n/translate.ts";
import { countText, exactCount, floatText } from "../../lib/format.ts";
import type { Client } from "../../protocol/client.ts";
import type { SignalPoint, SignalReply } from "../../protocol/messages.ts";
import { Findings } from "../inspector/Findings.tsx";
import { PointDetail } from "./PointDetail.tsx";
import { badWords, describe, placesOf, pointName, pointWords } from "./pointWords.ts";
import { RunForm } from "./RunForm.tsx";
import { SignalChart } from "./SignalChart.tsx";

const COMMAND = "%nn activations net X --loss y";

/** The column of the rows' bars, which can be shut. */
export interface SignalColumn {
  readonly isShown: boolean;
  readonly show: (isShown: boolean) => void;
}

export interface SignalTabProps {
  readonly client: Client;
  readonly path: string;
  readonly generation: number;
  /** The number of the run that the rows tell of; 0 where there is none. */
  readonly run: number;
  readonly alive: boolean;
  readonly memory: Memory;
  readonly column: SignalColumn;
  readonly onNavigate: (path: string) => void;
  readonly onHover: (paths: readonly string[] | null) => void;
}

/** What a run brought to each call within a module: curves, findings, and the form for another run. */
export function SignalTab(props: SignalTabProps) {
  const { client, path, generation, run, alive, memory } = props;
  const { answer, isCurrent, error, retry } = useQuery(client, "signal", { path }, { generation: run, alive });
  const reply = answer?.body ?? null;
  return (
    <>
      <RunForm {...{ client, alive, memory, generation }} />
      {error === null ? null : (
        <ErrorNote {...{ error, path, alive }} what={t("The last run can’t be read now.")} onRetry={retry} />
      )}
      {reply === null || error !== null ? null : reply.run === 0 ? (
        <p class="nnw-dim nnw-quiet nnw-signal-empty">
          {tx(
            "No run yet: a forward and a backward show how the signal fares through the layers. Run one here, or {0} in a cell.",
            <code>{COMMAND}</code>,
          )}
        </p>
      ) : (
        <Run key={`${reply.run} ${path}`} {...props} reply={reply} isStale={!isCurrent} />
      )}
    </>
  );
}

interface RunProps extends SignalTabProps {
  readonly reply: SignalReply;
  readonly isStale: boolean;
}

function Run({ client, path, alive, column, reply, isStale, onNavigate, onHover }: RunProps) {
  const { points } = reply;
  const id = useUniqueId();
  const [current, setCurrent] = useState(0);
  const [opened, setOpened] = useState<number | null>(null);
  const body = useRef<HTMLDivElement | null>(null);
  const lit = useRowUnderPointer(body);
  const at = points[current] === undefined ? 0 : current;
  const point = points[at];
  // One point has the room.
  const detailed = points.length === 1 ? points[0] : opened === null ? undefined : points[opened];
  // Dependencies: what is lit goes with the chart.
  useEffect(() => () => onHover(null), []);
  return (
    <div ref={body} class="nnw-signal-run">
      {reply.error === null ? null : <Failure {...{ reply, alive, onNavigate }} />}
      <Findings findings={reply.findings} at={path} {...{ alive, onNavigate }} isShort />
      {reply.n_findings > reply.findings.length ? (
        <p class="nnw-dim nnw-quiet">{t("and {0} more", exactCount(reply.n_findings - reply.findings.length))}</p>
      ) : null}
      <Section
        title={t("Std through depth")}
        caption={caption(reply)}
        isStale={isStale}
        tools={
          <button
            type="button"
            class="nnw-button-tiny"
            aria-pressed={column.isShown}
            title={t("Bars of each row’s output and gradient, in the tree")}
            onClick={() => column.show(!column.isShown)}
          >
            {t("on the rows")}
          </button>
        }
      >
        {point === undefined ? (
          <p class="nnw-dim nnw-quiet">
            {path === ""
              ? t("No call gave a tensor of floating point.")
              : t("Nothing in here was called in the last run.")}
          </p>
        ) : (
          <>
            <Legend points={points} />
            {points.length === 1 ? null : (
              <>
                <p id={id} class="nnw-hidden">
                  {describe(reply)}
                </p>
                <SignalChart
                  {...{ points, alive }}
                  current={at}
                  describedBy={id}
                  isLit={(each) => lit !== null && isWithin(each.path, lit)}
                  onCurrent={setCurrent}
                  onPoint={(each) => onHover(each === null ? null : [each.path])}
                  onSelect={(each) => onNavigate(each.path)}
                />
              </>
            )}
            <p class="nnw-signal-reading">
              <PathLink path={point.path} text={pointName(point)} {...{ alive, onNavigate }} />
              <span class={badWords(point) === "" ? "nnw-dim" : "nnw-err"}>{pointWords(point)}</span>
            </p>
            {detailed === point ? null : (
              <button type="button" class="nnw-button" disabled={!alive} onClick={() => setOpened(at)}>
                {t("Histograms of {0}", pointName(point))}
              </button>
            )}
          </>
        )}
      </Section>
      {detailed === undefined ? null : <PointDetail {...{ client, alive }} run={reply.run} point={detailed} />}
      {path === "" ? null : (
        <p class="nnw-quiet nnw-dim">{tx("All calls: {0}", <PathLink path="" {...{ alive, onNavigate }} />)}</p>
      )}
    </div>
  );
}

function caption({ n_calls, points, loss }: SignalReply): string {
  return [
    t("{0} {0|call|calls}", countText(n_calls)),
    points.length < n_calls ? t("{0} {0|point|points}", points.length) : "",
    loss === null ? "" : t("loss {0}", floatText(loss, 3)),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** What a curve is, and where it begins and ends. */
function Legend({ points }: { readonly points: readonly SignalPoint[] }) {
  const curves = [
    ["std", t("output"), placesOf(points, "std")],
    ["gradient", t("gradient"), placesOf(points, "gradient")],
  ] as const;
  return (
    <p class="nnw-signal-legend" aria-hidden="true">
      {curves.map(([of, words, places]) => {
        const ends = [places[0], places.at(-1)].map((place) => floatText(place?.value ?? 0, 2));
        return places.length === 0 ? null : (
          <span key={of}>
            <i class={`nnw-signal-${of}`} />
            {words} <b>{places.length === 1 ? ends[0] : `${ends[0]} → ${ends[1]}`}</b>
          </span>
        );
      })}
    </p>
  );
}

interface FailureProps {
  readonly reply: SignalReply;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

function Failure({ reply: { failed_in, failed_at, error }, alive, onNavigate }: FailureProps) {
  return (
    <Note kind="error">
      <p>
        <b>
          {failed_in === "forward"
            ? t("Forward failed")
            : failed_in === "loss"
              ? t("The loss failed")
              : t("Backward failed")}
        </b>
        {failed_at === null ? null : tx(" at {0}", <PathLink path={failed_at} {...{ alive, onNavigate }} />)}
      </p>
      <p>{error}</p>
    </Note>
  );
}

/** Whether a path is another, or below it. */
function isWithin(path: string, ancestor: string): boolean {
  return ancestor === "" || (path.startsWith(ancestor) && ["", ".", "["].includes(path.charAt(ancestor.length)));
}
