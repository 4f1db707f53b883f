import { Histogram } from "../../components/Histogram.tsx";
import { ErrorNote } from "../../components/Note.tsx";
import { Section } from "../../components/Section.tsx";
import { useQuery } from "../../hooks/useQuery.ts";
import { t } from "../../i18n/translate.ts";
import { floatText } from "../../lib/format.ts";
import type { Client } from "../../protocol/client.ts";
import type { SignalPoint, StatsReply } from "../../protocol/messages.ts";
import { pointName } from "./pointWords.ts";

interface PointDetailProps {
  readonly client: Client;
  readonly run: number;
  readonly point: SignalPoint;
  readonly alive: boolean;
}

/** What one call gave and the gradient that arrived there, as histograms. */
export function PointDetail({ client, run, point, alive }: PointDetailProps) {
  const { answer, isCurrent, error, retry } = useQuery(
    client,
    "signal_point",
    { run, at: point.at },
    { generation: 0, alive },
  );
  const name = pointName(point);
  if (error !== null) {
    return (
      <ErrorNote
        {...{ error, alive }}
        path={point.path}
        what={t("The histograms can’t be read now.")}
        onRetry={retry}
      />
    );
  }
  const reply = answer?.body ?? null;
  return (
    <div class="nnw-two">
      <Part title={t("Output of {0}", name)} stats={reply?.values ?? null} hue="value" isStale={!isCurrent} />
      <Part
        title={t("Gradient at {0}", name)}
        stats={reply?.gradient ?? null}
        hue="grad"
        isStale={!isCurrent}
        isMissing={reply?.gradient === null}
      />
    </div>
  );
}

interface PartProps {
  readonly title: string;
  readonly stats: StatsReply | null;
  readonly hue: "value" | "grad";
  readonly isStale: boolean;
  readonly isMissing?: boolean;
}

function Part({ title, stats, hue, isStale, isMissing = false }: PartProps) {
  return (
    <Section title={title} isStale={isStale && stats !== null} caption={stats && t("std {0}", floatText(stats.std, 3))}>
      {isMissing ? (
        <p class="nnw-dim nnw-quiet">{t("No gradient came here.")}</p>
      ) : stats === null ? (
        <div class="nnw-skeleton nnw-skeleton-plot" aria-hidden="true" />
      ) : stats.hist_counts.length === 0 ? (
        <p class="nnw-dim nnw-quiet">
          {t("No histogram was made: of a run, the first 4 000 outputs and gradients have one.")}
        </p>
      ) : (
        <Histogram reply={stats} label={title} hue={hue} isLog={false} />
      )}
    </Section>
  );
}
