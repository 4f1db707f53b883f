import { useMemo, useState } from "preact/hooks";
import { Ticks } from "../../components/Histogram.tsx";
import { PathLink } from "../../components/PathText.tsx";
import { Section } from "../../components/Section.tsx";
import { TieBadge } from "../../components/TieBadge.tsx";
import { t } from "../../i18n/translate.ts";
import { countText, exactCount, exactFloat, floatText, meanText } from "../../lib/format.ts";
import { overlayPaths, zeroAt } from "../../lib/histogram.ts";
import type { ChangedTensor, Figures, InitReply, Overlay } from "../../protocol/messages.ts";

const WIDTH = 378;
const HEIGHT = 64;

interface PreviewProps {
  readonly reply: InitReply;
  readonly isStale: boolean;
  readonly isApplied: boolean;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

/** Before and after of one of the tensors, and the list of all that change. */
export function Preview({ reply, isStale, isApplied, alive, onNavigate }: PreviewProps) {
  const [wanted, setWanted] = useState("");
  const shown = reply.tensors.find(({ path }) => path === wanted) ?? reply.tensors[0];
  const hasSeveral = reply.tensors.filter(({ overlay }) => overlay !== null).length > 1;
  if (shown === undefined) {
    return <p class="nnw-dim nnw-quiet">{t("It changes nothing.")}</p>;
  }
  const isSampled = [shown.before, shown.after].some((each) => each !== null && !each.is_exact);
  return (
    <>
      <Section
        title={isApplied ? t("Applied") : t("Preview")}
        isStale={isStale}
        caption={
          <>
            {isSampled ? (
              <span class="nnw-warn">{t("≈ from a sample of {0} ", countText(shown.before?.n_total ?? 0))}</span>
            ) : null}
            {reply.tensors.length > 1 ? <bdi>{shown.path}</bdi> : null}
          </>
        }
        tools={
          <span class="nnw-key">
            <i class="nnw-key-before" />
            {t("before")}
            <i class="nnw-key-after" />
            {t("after")}
          </span>
        }
      >
        {shown.overlay === null ? null : <OverlayPlot overlay={shown.overlay} tensor={shown} />}
        <Table tensor={shown} />
      </Section>
      <Section
        title={t(
          isApplied ? "{0} {0|tensor|tensors} changed" : "{0} {0|tensor changes|tensors change}",
          exactCount(reply.n_tensors),
        )}
        caption={t(
          reply.tensors.some(({ how }) => how !== "target")
            ? "{0} {0|value|values}, each storage filled once"
            : "{0} {0|value|values}",
          countText(reply.n_elements),
        )}
        isStale={isStale}
      >
        <ul class="nnw-changes">
          {reply.tensors.map((tensor) => (
            <ChangedTensorLine
              key={tensor.path}
              tensor={tensor}
              isShown={tensor === shown}
              onShow={hasSeveral && tensor.overlay !== null ? () => setWanted(tensor.path) : null}
              {...{ alive, onNavigate }}
            />
          ))}
          {reply.n_tensors > reply.tensors.length ? (
            <li class="nnw-dim">{t("and {0} more", exactCount(reply.n_tensors - reply.tensors.length))}</li>
          ) : null}
        </ul>
      </Section>
    </>
  );
}

interface ChangedProps {
  readonly tensor: ChangedTensor;
  readonly isShown: boolean;
  readonly onShow: (() => void) | null;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

function ChangedTensorLine({ tensor, isShown, onShow, alive, onNavigate }: ChangedProps) {
  const { path, shape, tie, how } = tensor;
  return (
    <li>
      {tie === null ? <i class="nnw-glyph nnw-glyph-parameter" /> : <TieBadge letter={tie} />}
      {onShow === null ? (
        <PathLink path={path} {...{ alive, onNavigate }} />
      ) : (
        <button
          type="button"
          class="nnw-link nnw-ellipsis"
          title={t("Show {0} above", path)}
          aria-pressed={isShown}
          onClick={onShow}
        >
          <bdi>{path}</bdi>
        </button>
      )}
      <span class="nnw-dim nnw-how">{how === "target" && tie === null ? shape : t(how)}</span>
    </li>
  );
}

function OverlayPlot({ overlay, tensor }: { readonly overlay: Overlay; readonly tensor: ChangedTensor }) {
  const { bars, outline } = useMemo(() => overlayPaths(overlay, WIDTH, HEIGHT), [overlay]);
  const bins = { counts: overlay.after, edges: overlay.edges.map(Number) };
  const zero = zeroAt(bins);
  const std = (figures: Figures | null): string => floatText(figures?.std ?? Number.NaN, 3);
  return (
    <div class="nnw-histogram nnw-histogram-value">
      <div
        class="nnw-plot"
        role="img"
        aria-label={t(
          "Histogram of {0} before and after: standard deviation {1}, then {2}",
          tensor.path,
          std(tensor.before),
          std(tensor.after),
        )}
      >
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
          <path class="nnw-bars" d={bars} />
          <path class="nnw-outline" d={outline} />
        </svg>
        {zero === null ? null : <i class="nnw-zero" style={{ left: `${zero * 100}%` }} />}
      </div>
      <Ticks bins={bins} />
    </div>
  );
}

const FIGURES = ["mean", "std", "min", "max", "norm"] as const;

/** A line for each figure: side by side, five of them would touch where the inspector is narrow. */
function Table({ tensor }: { readonly tensor: ChangedTensor }) {
  const value = (figures: Figures | null, name: (typeof FIGURES)[number]) => (
    <td title={figures === null ? undefined : exactFloat(figures[name])}>
      {figures === null ? "–" : cell(figures, name)}
    </td>
  );
  return (
    <table class="nnw-figure-table" aria-label={t("Statistics of {0}", tensor.path)}>
      <thead>
        <tr>
          <td />
          <th scope="col">{t("before")}</th>
          <th scope="col">{t("after")}</th>
        </tr>
      </thead>
      <tbody>
        {FIGURES.map((name) => (
          <tr key={name}>
            <th scope="row">{t(name === "norm" ? "L2 norm" : name)}</th>
            {value(tensor.before, name)}
            {value(tensor.after, name)}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A sample can't tell the norm, and its ends are not the tensor's. */
function cell(figures: Figures, name: (typeof FIGURES)[number]): string {
  const text = name === "mean" ? meanText(figures.mean, figures.std) : floatText(figures[name]);
  if (figures.is_exact) {
    return text;
  }
  return { mean: "≈", std: "≈", min: "≤", max: "≥", norm: "" }[name] + (name === "norm" ? "…" : text);
}
