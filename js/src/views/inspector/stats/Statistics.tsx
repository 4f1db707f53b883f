import type { ComponentChildren } from "preact";
import { CopyAs } from "../../../components/CopyAs.tsx";
import { ErrorNote } from "../../../components/Note.tsx";
import { Section } from "../../../components/Section.tsx";
import { t } from "../../../i18n/translate.ts";
import { countText, exactCount, exactFloat, floatText, meanText, percentText, toNumber } from "../../../lib/format.ts";
import type { StatsReply } from "../../../protocol/messages.ts";
import type { Stats } from "./useStats.ts";

interface StatisticsProps {
  readonly stats: Stats;
  readonly path: string;
  /** Statistics of complex values are of their magnitudes. */
  readonly isComplex: boolean;
  readonly alive: boolean;
}

/** The numbers in a grid: sampled ones marked as such, then the exact ones, with progress and Cancel when it takes. */
export function Statistics({ stats, path, isComplex, alive }: StatisticsProps) {
  const { reply, error, phase, isCurrent } = stats;
  return (
    <Section
      title={t("Statistics")}
      caption={reply === null ? null : <Source reply={reply} isComplex={isComplex} />}
      isStale={!isCurrent}
    >
      {reply === null ? <Skeleton /> : <Grid reply={reply} isSample={isSample(reply, phase === "done")} />}
      {error === null ? null : (
        <ErrorNote
          error={error}
          path={path}
          what={reply?.is_exact ? t("Values can’t be read again now.") : t("The exact statistics can’t be had now.")}
          alive={alive}
          onRetry={stats.resume}
        />
      )}
      {phase === "exact" && stats.isSlow && isCurrent ? <Progress stats={stats} /> : null}
      {phase === "cancelled" && isCurrent && reply?.is_exact === false ? (
        <div class="nnw-progress-line">
          <span class="nnw-dim">{t("Cancelled; these are from the sample.")}</span>
          <span class="nnw-space" />
          <button type="button" class="nnw-button" disabled={!alive} onClick={stats.resume}>
            {t("Read all values")}
          </button>
        </div>
      ) : null}
    </Section>
  );
}

const COPIED = ["mean", "std", "min", "max", "norm", "n_zero", "n_nan", "n_inf"] as const;

/** Whether what is shown is from some of the values; all of a shard's, or of codes, come last and aren't the tensor's. */
function isSample(reply: StatsReply, isDone: boolean): boolean {
  return !reply.is_exact && !(isDone && reply.of !== undefined);
}

function Source({ reply, isComplex }: { readonly reply: StatsReply; readonly isComplex: boolean }) {
  if (reply.is_exact) {
    return (
      <span title={t("{0} {0|value|values}", exactCount(reply.n_total))}>
        {t(
          isComplex ? "{0} {0|magnitude|magnitudes} · exact" : "{0} {0|value|values} · exact",
          countText(reply.n_total),
        )}
      </span>
    );
  }
  if (reply.of !== undefined) {
    return <span class="nnw-warn">{t("of {0}", reply.of)}</span>;
  }
  return (
    <span class="nnw-warn" title={t("{0} of {1} {1|value|values}", exactCount(reply.n), exactCount(reply.n_total))}>
      {t(
        isComplex ? "≈ from {0} of {1} {1|magnitude|magnitudes}" : "≈ from {0} of {1} {1|value|values}",
        exactCount(reply.n),
        countText(reply.n_total),
      )}
    </span>
  );
}

function Progress({ stats }: { readonly stats: Stats }) {
  const { progress } = stats;
  const share = progress === null || progress.total <= 0 ? 0 : Math.min(1, progress.done / progress.total);
  const text = progress === null ? t("Exact: reading all values") : t("Exact: {0} %", Math.floor(share * 100));
  return (
    <div>
      <div
        class="nnw-progress"
        role="progressbar"
        aria-label={t("Exact statistics")}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.floor(share * 100)}
      >
        <b style={{ width: `${share * 100}%` }} />
      </div>
      <div class="nnw-progress-line">
        <span class="nnw-dim">{text}</span>
        <span class="nnw-space" />
        <button type="button" class="nnw-button" aria-keyshortcuts="Escape" onClick={stats.cancel}>
          {t("Cancel")} <kbd>Esc</kbd>
        </button>
      </div>
    </div>
  );
}

interface FigureProps {
  readonly name: string;
  readonly children: ComponentChildren;
  readonly title?: string | undefined;
  readonly isBad?: boolean;
}

function Figure({ name, children, title, isBad = false }: FigureProps) {
  return (
    <div>
      <dt>{name}</dt>
      <dd title={title} class={isBad ? "nnw-err" : undefined}>
        {children}
      </dd>
    </div>
  );
}

const UNKNOWN = "…";

/** Eight figures, to be copied in full. What a sample can't tell waits as an ellipsis, so that nothing moves when the exact ones come. */
function Grid({ reply, isSample }: { readonly reply: StatsReply; readonly isSample: boolean }) {
  const isEmpty = toNumber(reply.n) === 0 || [reply.min, reply.max].every((end) => Number.isNaN(toNumber(end)));
  const about = isSample ? "≈ " : "";
  const value = (text: string, sign = about): string => (isEmpty ? "–" : `${sign}${text}`);
  const exact = (number: number | string): string | undefined =>
    isEmpty ? undefined : isSample ? t("in the sample: {0}", exactFloat(number)) : exactFloat(number);
  const isOdd = Number.isNaN(toNumber(reply.std));
  const figures = [
    [t("mean"), value(meanText(reply.mean, reply.std)), exact(reply.mean)],
    [t("std"), isOdd ? "–" : value(floatText(reply.std)), exact(reply.std)],
    [t("min"), value(floatText(reply.min), isSample ? "≤ " : ""), exact(reply.min)],
    [t("max"), value(floatText(reply.max), isSample ? "≥ " : ""), exact(reply.max)],
    [t("L2 norm"), isSample ? UNKNOWN : floatText(reply.norm), isSample ? undefined : exact(reply.norm)],
  ] as const;
  const rows = [COPIED, COPIED.map(() => "---:"), COPIED.map((name) => reply[name])];
  const copies = {
    markdown: rows.map((row) => `| ${row.join(" | ")} |`),
    csv: [rows[0], rows[2]],
  };
  return (
    <>
      <dl class="nnw-figures">
        {figures.map(([name, shown, title]) => (
          <Figure key={name} name={name} title={title}>
            {shown}
          </Figure>
        ))}
        <Tally name={t("zeros")} count={reply.n_zero} {...{ reply, isSample }} />
        <Tally name="NaN" count={reply.n_nan} {...{ reply, isSample }} isBad />
        <Tally name="inf" count={reply.n_inf} {...{ reply, isSample }} isBad />
      </dl>
      <div class="nnw-actions">
        <CopyAs text={(kind) => copies[kind].join("\n")} disabled={isSample} />
      </div>
    </>
  );
}

interface TallyProps {
  readonly name: string;
  readonly count: number | string;
  readonly reply: StatsReply;
  readonly isSample: boolean;
  readonly isBad?: boolean;
}

function Tally({ name, count, reply, isSample, isBad = false }: TallyProps) {
  const number = toNumber(count);
  const share = toNumber(reply.n) > 0 && number > 0 ? ` · ${percentText(number / toNumber(reply.n))}` : "";
  const sampled = number > 0 ? `≥ ${countText(count)}` : UNKNOWN;
  return (
    <Figure name={name} title={`${exactCount(count)}${share}`} isBad={isBad && number > 0}>
      {isSample ? sampled : countText(count)}
    </Figure>
  );
}

function Skeleton() {
  return (
    <div class="nnw-figures nnw-skeleton" aria-hidden="true">
      {Array.from({ length: 8 }, (_, i) => (
        <div key={i}>
          <i />
          <i />
        </div>
      ))}
    </div>
  );
}
