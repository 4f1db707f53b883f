import { t, told } from "../../i18n/translate.ts";
import { bytesText, toNumber } from "../../lib/format.ts";
import type { RankState, RanksState } from "../../protocol/messages.ts";
import { rankText, stateOf } from "./silence.ts";

/** More ranks than this have dots without numbers. */
const MOST_NUMBERED = 16;

export interface RanksLineProps {
  readonly ranks: RanksState;
}

/** Who holds the model: how many, on which mesh, how each was when it was last asked and how much it holds. */
export function RanksLine({ ranks: { ranks, mesh, problem } }: RanksLineProps) {
  const nAnswered = ranks.filter(({ answered }) => answered).length;
  const most = Math.max(1, ...ranks.map(({ local_bytes }) => toNumber(local_bytes)));
  const silent = ranks.filter(({ answered, state }) => !answered || state === "stuck");
  return (
    <div class="nnw-ranks" role="group" aria-label={t("Ranks")}>
      <b>{t("{0} {0|rank|ranks}", ranks.length)}</b>
      {mesh.length === 0 ? null : (
        <span class="nnw-dim">· {mesh.map(({ name, size }) => `${name} ${size}`).join(" × ")}</span>
      )}
      <span class={silent.length > 0 ? "nnw-warn" : "nnw-dim"} role="status">
        · {t("{0} answered", nAnswered)}
      </span>
      <span class="nnw-dots">
        {ranks.map((each) => (
          <span
            key={each.rank}
            class={`nnw-rank nnw-rank-${each.state}`}
            role="img"
            aria-label={titleOf(each)}
            title={titleOf(each)}
          >
            <i style={{ "--nnw-held": `${(100 * toNumber(each.local_bytes)) / most}%` }} />
            {ranks.length > MOST_NUMBERED && each.state === "idle" ? null : each.rank}
          </span>
        ))}
      </span>
      {silent.length === 0 ? null : (
        <span class="nnw-warn nnw-silent">
          {silent.slice(0, 3).map(rankText).join(" · ")}
          {silent.length > 3 ? ` · +${silent.length - 3}` : ""}
        </span>
      )}
      {problem === null ? null : <span class="nnw-err">{told(problem)}</span>}
    </div>
  );
}

function titleOf(each: RankState): string {
  const { rank, host, local_bytes } = each;
  return [t("rank {0}", rank), ...stateOf(each), host, t("holds {0} of the model", bytesText(local_bytes))]
    .filter((each) => each !== "")
    .join(" · ");
}
