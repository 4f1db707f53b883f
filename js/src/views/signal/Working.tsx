import { useEffect, useState } from "preact/hooks";
import type { Progress } from "../../hooks/useWork.ts";
import { t } from "../../i18n/translate.ts";

const PATIENCE_MS = 300;

interface WorkingProps {
  /** What is under way, for who doesn't see the bar. */
  readonly label: string;
  readonly progress: Progress | null;
  readonly onCancel: () => void;
}

/** How far work is, and how to call it off; nothing for what takes but a moment. */
export function Working({ label, progress, onCancel }: WorkingProps) {
  const [isLong, setLong] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLong(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  if (!isLong) {
    return null;
  }
  const share = progress === null || progress.total <= 0 ? 0 : Math.min(1, progress.done / progress.total);
  return (
    <div class="nnw-signal-working">
      <div
        class="nnw-progress"
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.floor(share * 100)}
      >
        <b style={{ width: `${share * 100}%` }} />
      </div>
      <button type="button" class="nnw-button" onClick={onCancel}>
        {t("Cancel")}
      </button>
    </div>
  );
}
