import { t } from "../../i18n/translate.ts";
import type { Window } from "../../lib/matrixView.ts";
import type { MatrixBox, ValuesReply } from "../../protocol/messages.ts";

export interface BordersProps {
  readonly about: ValuesReply;
  readonly view: Window;
  readonly width: number;
  readonly height: number;
}

/** A part must be this many pixels wide and high for its ranks to be written on it. */
const LEAST_LABELLED = [34, 16] as const;

/** Over the heat map: where each rank's part ends, and hatched what none has that answered. */
export function Borders({ about, view, width, height }: BordersProps) {
  const place = (box: MatrixBox) => {
    const [across, down] = [width / view.columns, height / view.rows];
    const left = Math.max(0, (box.column - view.column) * across);
    const top = Math.max(0, (box.row - view.row) * down);
    const right = Math.min(width, (box.column + box.columns - view.column) * across);
    const bottom = Math.min(height, (box.row + box.rows - view.row) * down);
    return { left, top, wide: right - left, high: bottom - top };
  };
  const shards = about.shards ?? [];
  return (
    <div class="nnw-borders" aria-hidden={(about.absent ?? []).length === 0}>
      {(about.absent ?? []).map((box) => {
        const { left, top, wide, high } = place(box);
        return wide <= 0 || high <= 0 ? null : (
          <span
            key={`${box.row} ${box.column}`}
            class="nnw-absent"
            role="img"
            aria-label={t("rows {0} to {1}: no rank that answered has them", box.row, box.row + box.rows - 1)}
            style={{ left: `${left}px`, top: `${top}px`, width: `${wide}px`, height: `${high}px` }}
          />
        );
      })}
      {shards.length < 2 && (about.absent ?? []).length === 0
        ? null
        : shards.map((box) => {
            const { left, top, wide, high } = place(box);
            return wide <= 0 || high <= 0 ? null : (
              <span
                key={`${box.row} ${box.column}`}
                class="nnw-shard"
                style={{ left: `${left}px`, top: `${top}px`, width: `${wide}px`, height: `${high}px` }}
              >
                {wide < LEAST_LABELLED[0] || high < LEAST_LABELLED[1] ? null : <b>{box.ranks.join(", ")}</b>}
              </span>
            );
          })}
    </div>
  );
}
