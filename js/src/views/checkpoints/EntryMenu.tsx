import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { t, told } from "../../i18n/translate.ts";
import { exactCount } from "../../lib/format.ts";
import type { CheckpointsStore } from "../../state/checkpoints/store.ts";

interface EntryMenuProps {
  readonly store: CheckpointsStore;
  readonly alive: boolean;
}

const BEST = " best";

/** Which of a file's state dicts is meant: the one that fits best, or one that is named. */
export function EntryMenu({ store, alive }: EntryMenuProps) {
  const id = useUniqueId();
  const entries = store.contents.reply?.entries ?? [];
  if (entries.length === 0) {
    return null;
  }
  const { entry } = store.asked;
  const taken = store.plan.reply?.entry;
  return (
    <div class="nnw-strip">
      <label for={id}>{t("State dict")}</label>
      <select
        id={id}
        value={entry ?? BEST}
        disabled={!alive || store.work !== null}
        onChange={(event) => {
          const chosen = event.currentTarget.value;
          void store.chooseEntry(chosen === BEST ? null : chosen);
        }}
      >
        <option value={BEST} title={taken === undefined ? undefined : told(taken.why)}>
          {entry === null && taken !== undefined
            ? t("{0}, which fits best", taken.name === "" ? t("the whole file") : taken.name)
            : t("the one that fits best")}
        </option>
        {entries.map(({ name, n_tensors }) => (
          <option key={name} value={name}>
            {name === "" ? t("the whole file") : name} · {t("{0} {0|tensor|tensors}", exactCount(n_tensors))}
          </option>
        ))}
      </select>
    </div>
  );
}
