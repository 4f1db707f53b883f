import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ErrorNote } from "../../components/Note.tsx";
import { Section } from "../../components/Section.tsx";
import type { Memory } from "../../hooks/useRemembered.ts";
import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { useWidth } from "../../hooks/useWidth.ts";
import { useWork } from "../../hooks/useWork.ts";
import { t, told } from "../../i18n/translate.ts";
import { floatText, toNumber } from "../../lib/format.ts";
import { bandPath, linePath, logScale } from "../../lib/logScale.ts";
import type { Client } from "../../protocol/client.ts";
import type { Bodies, CandidateBody, Compared, CompareInitsReply } from "../../protocol/messages.ts";
import { LEFT, ScaleLines } from "./ScaleLines.tsx";
import { useInputs } from "./useInputs.tsx";
import { Working } from "./Working.tsx";

const HEIGHT = 96;
const START_WIDTH = 380;
const N_HUES = 5;
const WAYS = ["forward", "backward"] as const;

export interface CompareInitsProps {
  readonly client: Client;
  readonly path: string;
  /** What is to be filled, as the wire has it. */
  readonly target: Bodies["freeze"];
  readonly candidates: readonly CandidateBody[];
  readonly seed: string;
  readonly alive: boolean;
  readonly memory: Memory;
  readonly generation: number;
  /** Takes a candidate over into the form, with its seed. */
  readonly onTake: (candidate: CandidateBody, seed: string) => void;
}

/** Candidates on data, before one is chosen: their curves over each other, what each does, and the one to apply. */
export function CompareInits(props: CompareInitsProps) {
  const { client, path, target, candidates, seed, alive, memory, generation, onTake } = props;
  // Which target it is about, and of which state of the model.
  const about = JSON.stringify(target);
  const asked = useRef(about);
  const latest = useRef(generation);
  latest.current = generation;
  const [found, setFound] = useState<{
    readonly reply: CompareInitsReply;
    readonly about: string;
    readonly generation: number;
  } | null>(null);
  // The kernel has the model read again before it replies: that is no change.
  const work = useWork(client, "compare_inits", (reply) =>
    setFound({ reply, about: asked.current, generation: latest.current }),
  );
  const { fields, body } = useInputs({ client, alive, memory, generation, isBusy: work.isRunning });
  const first = /^\d{1,15}$/.test(seed.trim()) ? Number(seed.trim()) : 0;
  const start = (): void => {
    if (body !== null) {
      asked.current = about;
      work.run({ ...target, ...body, candidates: [...candidates], seed: first });
    }
  };
  return (
    <Section title={t("Compare on data")} caption={t("three seeds, nothing is changed")}>
      <form
        class="nnw-forward nnw-signal-form"
        aria-label={t("Compare on data")}
        onSubmit={(event) => {
          event.preventDefault();
          start();
        }}
      >
        {fields}
        <button type="submit" class="nnw-button" disabled={!alive || work.isRunning || body === null}>
          {work.isRunning ? t("Comparing …") : t("Compare on data")}
        </button>
        {work.isRunning ? (
          <Working label={t("Compare on data")} progress={work.progress} onCancel={work.cancel} />
        ) : null}
      </form>
      {work.error === null ? null : (
        <ErrorNote error={work.error} {...{ path, alive }} what={t("These can’t be compared.")} onRetry={start} />
      )}
      {found === null || found.about !== about ? null : (
        <>
          {found.generation === generation ? null : (
            <p class="nnw-dim nnw-quiet">{t("Compared before the model last changed.")}</p>
          )}
          <Comparison reply={found.reply} onTake={(candidate) => onTake(candidate, String(found.reply.seed))} />
        </>
      )}
    </Section>
  );
}

interface ComparisonProps {
  readonly reply: CompareInitsReply;
  readonly onTake: (candidate: CandidateBody) => void;
}

function Comparison({ reply, onTake }: ComparisonProps) {
  const [taken, setTaken] = useState<string | null>(null);
  const [pointed, setPointed] = useState<string | null>(null);
  const id = useUniqueId();
  const lit = pointed ?? taken;
  const list = useRef<HTMLFieldSetElement | null>(null);
  // Dependencies: of each comparison none is taken, and it comes into sight, with the curves above its list.
  useEffect(() => {
    setTaken(null);
    list.current?.scrollIntoView?.({ block: "nearest" });
  }, [reply]);
  return (
    <>
      {WAYS.filter((of) => reply.candidates.some((each) => each[of].some((band) => band !== null))).map((of) => (
        <Curves key={of} {...{ reply, of, lit }} label={of === "forward" ? t("output") : t("gradient")} />
      ))}
      <fieldset ref={list} class="nnw-signal-candidates" onMouseLeave={() => setPointed(null)}>
        <legend class="nnw-hidden">{t("The candidate to apply")}</legend>
        {reply.candidates.map((each, at) => (
          <label key={each.name} onMouseEnter={() => setPointed(each.name)}>
            <input
              type="radio"
              name={id}
              checked={taken === each.name}
              disabled={each.how === "" || each.error !== null}
              onClick={() => {
                setTaken(each.name);
                onTake({ how: each.how, kwargs: each.kwargs });
              }}
            />
            <Swatch at={at} />
            <span>
              <b>{each.how === "" ? t("as it is") : each.name}</b>{" "}
              <span class={each.error === null ? "nnw-dim" : "nnw-err"}>{each.error ?? endsOf(each)}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <p class="nnw-signal-verdict">{told(reply.verdict)}</p>
    </>
  );
}

/** Where a candidate's curves begin and end. */
function endsOf({ forward, backward }: Compared): string {
  return [
    [t("output"), forward],
    [t("gradient"), backward],
  ]
    .map(([what, bands]) => {
      const means = (bands as Compared["forward"]).flatMap((band) => (band === null ? [] : [toNumber(band[0] ?? 0)]));
      return means.length === 0 ? "" : `${what} ${floatText(means[0] ?? 0, 2)} → ${floatText(means.at(-1) ?? 0, 2)}`;
    })
    .filter(Boolean)
    .join(" · ");
}

function Swatch({ at }: { readonly at: number }) {
  return (
    <svg class={`nnw-signal-hue-${at % N_HUES}`} viewBox="0 0 18 8" width={18} height={8} aria-hidden="true">
      <path class="nnw-signal-line" d="M0 4H18" />
    </svg>
  );
}

interface CurvesProps {
  readonly reply: CompareInitsReply;
  readonly of: (typeof WAYS)[number];
  /** The candidate that stands out. */
  readonly lit: string | null;
  readonly label: string;
}

/** All candidates' curves over each other, each with the band of its seeds. */
function Curves({ reply: { candidates, points, verdict }, of, lit, label }: CurvesProps) {
  const frame = useRef<HTMLDivElement | null>(null);
  const width = useWidth(frame, START_WIDTH);
  const step = (width - LEFT) / Math.max(1, points.length);
  const x = (at: number): number => LEFT + (at + 0.5) * step;
  const scale = useMemo(
    () =>
      logScale(
        candidates.flatMap((each) => each[of].flatMap((band) => band?.map(toNumber) ?? [])),
        HEIGHT,
      ),
    [candidates, of],
  );
  const places = (each: Compared, part: 0 | 1 | 2): (number | null)[] =>
    each[of].map((band) => (band === null ? null : scale.y(toNumber(band[part] ?? Number.NaN))));
  return (
    <div class="nnw-signal-curves" ref={frame} role="img" aria-label={`${label}: ${told(verdict)}`}>
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} width={width} height={HEIGHT} aria-hidden="true" focusable="false">
        <ScaleLines {...{ scale, width }} />
        {candidates.map((each, at) => (
          <g
            key={each.name}
            class={`nnw-signal-hue-${at % N_HUES}${lit !== null && lit !== each.name ? " nnw-signal-faint" : ""}`}
          >
            <path class="nnw-signal-band" d={bandPath(x, places(each, 2), places(each, 1))} />
            <path class="nnw-signal-line" d={linePath(x, places(each, 0))} />
            {points.length > 1 ? null : <Dot x={x(0)} y={places(each, 0)[0] ?? null} />}
            {each.bad.map((bad) => (
              <text key={bad} class="nnw-signal-nan" x={x(bad)} y={11}>
                !
              </text>
            ))}
          </g>
        ))}
        <text class="nnw-signal-name" x={LEFT + 4} y={HEIGHT - 9}>
          {label}
        </text>
      </svg>
    </div>
  );
}

function Dot({ x, y }: { readonly x: number; readonly y: number | null }) {
  return y === null ? null : <circle class="nnw-signal-dot" cx={x} cy={y} r={3} />;
}
