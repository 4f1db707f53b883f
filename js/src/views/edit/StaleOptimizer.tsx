import { Note } from "../../components/Note.tsx";
import { t, told } from "../../i18n/translate.ts";
import type { StaleState } from "../../protocol/messages.ts";

interface StaleOptimizerProps {
  readonly stale: readonly StaleState[];
  readonly clears: boolean;
  readonly isApplied: boolean;
  readonly onClears: (clears: boolean) => void;
}

/** What live optimizers remember of the old values, and whether to clear that too. */
export function StaleOptimizer({ stale, clears, isApplied, onClears }: StaleOptimizerProps) {
  if (stale.length === 0) {
    return null;
  }
  return (
    <Note kind="warning">
      {stale.map(({ optimizer, message }) => (
        <p key={optimizer + message}>{told(message)}</p>
      ))}
      {isApplied ? null : (
        <label class="nnw-check">
          <input type="checkbox" checked={clears} onChange={(event) => onClears(event.currentTarget.checked)} />{" "}
          {t("Clear them too")}
        </label>
      )}
    </Note>
  );
}
