import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { lazily } from "../../bundles/lazily.tsx";
import { depthPart } from "../../bundles/lazyParts.ts";
import { Histogram } from "../../components/Histogram.tsx";
import { ErrorNote, Note } from "../../components/Note.tsx";
import { Section } from "../../components/Section.tsx";
import { t, word } from "../../i18n/translate.ts";
import type { Theme } from "../../lib/colormap.ts";
import { countText, floatText, toNumber } from "../../lib/format.ts";
import type { Client } from "../../protocol/client.ts";
import type { StatsReply, TensorFacts } from "../../protocol/messages.ts";
import { useRanks } from "../ranks/ranksContext.ts";
import { HeatMap } from "./heatmap/HeatMap.tsx";
import type { PrefetchedValues } from "./heatmap/useHeatMap.ts";
import { Statistics } from "./stats/Statistics.tsx";
import { type Stats, useStats } from "./stats/useStats.ts";

const LazyDepth = lazily(depthPart, word("The other blocks can’t be read now."));

interface TensorOverviewProps {
  readonly client: Client;
  readonly path: string;
  readonly tensor: TensorFacts;
  /** Sampled statistics, where they came with the facts. */
  readonly sampled: StatsReply | undefined;
  /** In a fold: the same tensor in the other blocks can be compared. */
  readonly isInFold: boolean;
  readonly generation: number;
  readonly alive: boolean;
  readonly theme: Theme;
  readonly along: PrefetchedValues;
  readonly onNavigate: (path: string) => void;
  /** Told what Escape should cancel, while there is something. */
  readonly onCancellable: (cancel: (() => void) | null) => void;
}

/** A tensor at a glance: figures, distribution, gradient, values, and the same tensor across depth. */
export function TensorOverview(props: TensorOverviewProps) {
  const { client, path, tensor, isInFold, generation, alive, theme, along, onNavigate } = props;
  const isWhole = useRanks() === null;
  const depth =
    isInFold && isWhole ? (
      <LazyDepth client={client} path={path} generation={generation} alive={alive} onNavigate={onNavigate} />
    ) : null;
  if (tensor.readable !== null) {
    return (
      <>
        <Note kind="note">
          <b>{t("No values to show.")}</b>
          <p>{sentence(tensor.readable)}</p>
        </Note>
        {depth}
      </>
    );
  }
  if (toNumber(tensor.n_elements) === 0) {
    return <p class="nnw-dim nnw-quiet">{t("No values: the tensor is empty.")}</p>;
  }
  if (toNumber(tensor.n_elements) === 1) {
    return (
      <>
        <HeatMap
          {...{ client, path, generation, alive, theme, along }}
          shape={tensor.shape}
          hasGrad={tensor.has_grad}
        />
        {depth}
      </>
    );
  }
  return <Readable {...props}>{depth}</Readable>;
}

function sentence(text: string): string {
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

/** Statistics, the two histograms, the heat map. The gradient's exact figures wait until the values' are done. */
function Readable(props: TensorOverviewProps & { readonly children: ComponentChildren }) {
  const { client, path, tensor, sampled, generation, alive, theme, along, onCancellable, children } = props;
  const [isLog, setIsLog] = useState(false);
  const Lines = useRanks()?.part?.Lines;
  const stats = useStats(client, path, "value", { generation, alive, sampled });
  const isSettled = stats.phase !== "sampling" && stats.phase !== "exact";
  const [gradPath, setGradPath] = useState<string | null>(null);
  useEffect(() => {
    if (!tensor.has_grad) {
      setGradPath(null);
    } else if (isSettled && stats.isCurrent) {
      setGradPath(path);
    }
  }, [tensor.has_grad, isSettled, stats.isCurrent, path]);
  const grad = useStats(client, gradPath, "grad", { generation, alive });

  const isCancellable = stats.phase === "exact" && stats.isSlow;
  // Dependencies: `cancel` is made anew at each drawing and means the same.
  useEffect(() => {
    onCancellable(isCancellable ? stats.cancel : null);
    return () => onCancellable(null);
  }, [isCancellable, onCancellable]);

  if (stats.error !== null && !stats.isCurrent) {
    return (
      <>
        <ErrorNote
          error={stats.error}
          path={path}
          what={t("Values can’t be read now.")}
          alive={alive}
          onRetry={stats.resume}
        />
        {children}
      </>
    );
  }
  const isGradStale = tensor.has_grad && grad.reply !== null && grad.replyOf?.path !== path;
  return (
    <>
      <Statistics stats={stats} path={path} isComplex={tensor.dtype.startsWith("complex")} alive={alive} />
      <div class="nnw-two">
        <Section
          title={t("Values")}
          caption={caption(stats)}
          isStale={!stats.isCurrent}
          tools={<LogSwitch isLog={isLog} onChange={setIsLog} />}
        >
          {stats.reply === null ? (
            <Waiting />
          ) : (
            <Histogram reply={stats.reply} label={t("Histogram of the values")} hue="value" isLog={isLog} />
          )}
        </Section>
        <Section title={t("Gradient")} caption={tensor.has_grad ? gradientCaption(grad) : null} isStale={isGradStale}>
          <Gradient tensor={tensor} grad={grad} path={path} alive={alive} isLog={isLog} />
        </Section>
      </div>
      {Lines === undefined || stats.reply?.by_rank === undefined ? null : (
        <Lines reply={stats.reply} isStale={!stats.isCurrent} />
      )}
      <HeatMap {...{ client, path, generation, alive, theme, along }} shape={tensor.shape} hasGrad={tensor.has_grad} />
      {children}
    </>
  );
}

function caption({ reply }: Stats): string | null {
  if (reply === null || Number.isNaN(toNumber(reply.std))) {
    return null;
  }
  return t(reply.is_exact ? "std {0}" : "std ≈ {0}", floatText(reply.std, 3));
}

/** Its spread, and what of it is not finite, which no histogram shows. */
function gradientCaption(grad: Stats): ComponentChildren {
  const { reply } = grad;
  const tallies =
    reply === null
      ? []
      : ([
          ["NaN", reply.n_nan],
          ["inf", reply.n_inf],
        ] as const);
  const bad = tallies.filter(([, count]) => toNumber(count) > 0);
  if (bad.length === 0) {
    return caption(grad);
  }
  const about = reply?.is_exact ? "" : "≥ ";
  return (
    <>
      {caption(grad)}
      {bad.map(([name, count]) => (
        <b key={name} class="nnw-err">
          {` ${about}${countText(count)} ${name}`}
        </b>
      ))}
    </>
  );
}

function Waiting() {
  return <div class="nnw-skeleton nnw-skeleton-plot" aria-hidden="true" />;
}

interface GradientProps {
  readonly tensor: TensorFacts;
  readonly grad: Stats;
  readonly path: string;
  readonly alive: boolean;
  readonly isLog: boolean;
}

function Gradient({ tensor, grad, path, alive, isLog }: GradientProps) {
  if (!tensor.has_grad) {
    return (
      <p class="nnw-dim nnw-quiet">
        {t(
          tensor.requires_grad
            ? "No gradient: none before backward(), nor after zero_grad()."
            : "No gradient: requires_grad is False.",
        )}
      </p>
    );
  }
  if (grad.error !== null && grad.reply === null) {
    return (
      <ErrorNote
        error={grad.error}
        path={path}
        what={t("The gradient can’t be read now.")}
        alive={alive}
        onRetry={grad.resume}
      />
    );
  }
  return grad.reply === null ? (
    <Waiting />
  ) : (
    <Histogram reply={grad.reply} label={t("Histogram of the gradient")} hue="grad" isLog={isLog} />
  );
}

function LogSwitch({ isLog, onChange }: { readonly isLog: boolean; readonly onChange: (isLog: boolean) => void }) {
  return (
    <button
      type="button"
      class="nnw-button-tiny"
      aria-pressed={isLog}
      aria-label={t("log scale of counts")}
      title={t("Counts on a log scale: thin tails show")}
      onClick={() => onChange(!isLog)}
    >
      {t("log")}
    </button>
  );
}
