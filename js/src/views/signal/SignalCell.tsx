import { t } from "../../i18n/translate.ts";
import { countText, floatText, toNumber } from "../../lib/format.ts";
import type { Row } from "../../protocol/messages.ts";

/** Bars of a row's output and of the gradient there, each as long as its std is on a scale of all rows. */
export function SignalCell({ row: { signal } }: { readonly row: Pick<Row, "signal"> }) {
  if (signal === undefined) {
    return <div class="nnw-signal" role="gridcell" />;
  }
  const isBad = toNumber(signal.n_bad) > 0;
  const words = [
    t("std {0}", floatText(signal.std, 3)),
    signal.gradient === null ? "" : t("gradient’s std {0}", floatText(signal.gradient, 3)),
    isBad ? t("{0} NaN or infinite", countText(signal.n_bad)) : "",
  ]
    .filter(Boolean)
    .join(", ");
  return (
    <div class="nnw-signal" role="gridcell" aria-label={words} title={words}>
      {isBad ? (
        <b class="nnw-signal-bad">{Number.isNaN(toNumber(signal.std)) ? "NaN" : "inf"}</b>
      ) : (
        <>
          <i class="nnw-signal-std" style={{ width: `${100 * signal.level}%` }} />
          {signal.gradient_level === null ? null : (
            <i class="nnw-signal-gradient" style={{ width: `${100 * signal.gradient_level}%` }} />
          )}
        </>
      )}
    </div>
  );
}
