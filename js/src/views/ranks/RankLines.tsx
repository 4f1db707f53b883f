import { Section } from "../../components/Section.tsx";
import { t } from "../../i18n/translate.ts";
import { countText, exactCount, exactFloat, floatText, toNumber } from "../../lib/format.ts";
import type { RankFigures, StatsReply } from "../../protocol/messages.ts";

export interface RankLinesProps {
  readonly reply: StatsReply;
  readonly isStale: boolean;
}

const MOST_SHOWN = 64;

/** What each rank holds of a tensor, a line each, and who didn't say. */
export function RankLines({ reply, isStale }: RankLinesProps) {
  const lines = reply.by_rank ?? [];
  const missing = (reply.missing ?? []).filter((rank) => lines.every((line) => line.rank !== rank));
  const hasParts = lines.some(({ part }) => part.length > 0);
  return (
    <Section title={t("By rank")} isStale={isStale}>
      <div class="nnw-rank-lines">
        <table>
          <thead>
            <tr>
              <th scope="col">{t("rank")}</th>
              {hasParts ? <th scope="col">{t("part")}</th> : null}
              <th scope="col" class="nnw-rank-n">
                {t("values")}
              </th>
              <th scope="col">{t("min")}</th>
              <th scope="col">{t("mean")}</th>
              <th scope="col">{t("max")}</th>
              <th scope="col">{t("L2 norm")}</th>
              <th scope="col">NaN</th>
            </tr>
          </thead>
          <tbody>
            {lines.slice(0, MOST_SHOWN).map((line) => (
              <Line key={line.rank} line={line} hasParts={hasParts} />
            ))}
            {missing.map((rank) => (
              <tr key={rank} class="nnw-rank-missing">
                <th scope="row">{rank}</th>
                <td colSpan={hasParts ? 7 : 6}>{t("no answer; what it holds isn’t in these numbers")}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {lines.length > MOST_SHOWN ? <p class="nnw-dim">+{lines.length - MOST_SHOWN}</p> : null}
      </div>
    </Section>
  );
}

function Line({ line, hasParts }: { readonly line: RankFigures; readonly hasParts: boolean }) {
  const isEmpty = toNumber(line.n) === 0;
  const nBad = toNumber(line.n_nan) + toNumber(line.n_inf);
  return (
    <tr>
      <th scope="row">{line.rank}</th>
      {hasParts ? <td>{line.part.length === 0 ? t("all") : line.part.join(", ")}</td> : null}
      <td class="nnw-rank-n" title={exactCount(line.n)}>
        {countText(line.n)}
      </td>
      {([line.min, line.mean, line.max, line.norm] as const).map((value, at) => (
        <td key={at} title={isEmpty ? undefined : exactFloat(value)}>
          {isEmpty ? "–" : floatText(value, 3)}
        </td>
      ))}
      <td
        class={nBad > 0 ? "nnw-err" : undefined}
        title={t("{0} NaN, {1} inf", exactCount(line.n_nan), exactCount(line.n_inf))}
      >
        {nBad > 0 ? countText(nBad) : "0"}
      </td>
    </tr>
  );
}
