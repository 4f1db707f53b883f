import { t, told, word } from "../../i18n/translate.ts";
import type { OpenReply, RankState } from "../../protocol/messages.ts";

const STATES = {
  idle: word("answered"),
  busy: word("busy"),
  stuck: word("stuck"),
  missing: word("no answer"),
  dead: word("gone"),
} as const;

const CHANGE: string = word("A change needs every rank; {0}");

/** How a rank is, and what it does, as far as that is known. */
export function stateOf(each: RankState): string[] {
  const doing = told(each.doing);
  return isTold(each) ? [doing] : [t(STATES[each.state]), doing].filter((text) => text !== "");
}

/** Which rank it is and how: "rank 3 hasn't answered for 5.0 s". */
export function rankText(each: RankState): string {
  return [t("rank {0}", each.rank), ...stateOf(each)].join(isTold(each) ? " " : ", ");
}

/** Why nothing can be changed, or what `why` says: a rank that doesn't answer; null where all do, or one process has all. */
export function silence({ ranks }: Pick<OpenReply, "ranks">, why = CHANGE): string | null {
  const silent = ranks?.ranks.find(({ answered }) => !answered);
  return silent === undefined ? null : t(why, rankText(silent));
}

/** Of a silent one, what the kernel says: "hasn't answered for 5.0 s". What others are doing stands beside their state. */
function isTold({ state, doing }: RankState): boolean {
  return (state === "missing" || state === "dead") && doing !== "";
}
