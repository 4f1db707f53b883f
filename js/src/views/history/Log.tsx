import { Icon } from "../../components/Icon.tsx";
import { t, told, word } from "../../i18n/translate.ts";
import { exactCount } from "../../lib/format.ts";
import type { HistoryEntry, HistoryReply } from "../../protocol/messages.ts";
import { labelText, timeText, whereText } from "./changeText.ts";

const STATES = {
  done: "",
  undone: word("undone"),
  kept: word("can’t be undone: its copy was dropped"),
} as const;

/** All changes, the newest first. */
export function Log({ history }: { readonly history: HistoryReply }) {
  const { entries, first } = history;
  return (
    <ol
      class="nnw-log"
      aria-label={t("Log of changes, the newest first")}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a list that scrolls must be reachable.
      tabIndex={0}
    >
      {entries.map((entry, at) => <Line key={first + at} entry={entry} />).reverse()}
      {first > 0 ? <li class="nnw-dim">{t("and {0} before these", exactCount(first))}</li> : null}
    </ol>
  );
}

function Line({ entry }: { readonly entry: HistoryEntry }) {
  const { seed, time, state, warnings, paths } = entry;
  const label = labelText(entry);
  const where = whereText(entry);
  const marks = [state === "done" && warnings.length > 0 ? warnings.map(told).join(" ") : "", t(STATES[state])];
  return (
    <li
      class={state === "undone" ? "nnw-undone" : undefined}
      title={[`${label} → ${where}`, ...marks].join("\n").trim()}
    >
      <span class="nnw-dim">{timeText(time)}</span>
      <Icon name={state === "undone" ? "redo" : warnings.length > 0 ? "warning" : "check"} />
      <span class="nnw-what nnw-ellipsis">
        <bdi>{label}</bdi>
        {label.startsWith(paths[0] ?? " ") ? null : (
          <>
            {" → "}
            <bdi>{where}</bdi>
          </>
        )}
      </span>
      <span class="nnw-dim">{t(STATES[state]) || (seed === null ? "" : t("seed {0}", seed))}</span>
    </li>
  );
}
