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
    const wide = Math.min(width, (box.column + box.columns - view.column) * across) - left;
    const high = Math.min(height, (box.row + box.rows - view.row) * down) - top;
    const style = { left: `${left}px`, top: `${top}px`, width: `${wide}px`, height: `${high}px` };
    return { key: `${box.row} ${box.column}`, wide, high, style };
  };
  const inSight = <T extends MatrixBox>(boxes: readonly T[]) =>
    boxes.map((box) => ({ ...place(box), box })).filter(({ wide, high }) => wide > 0 && high > 0);
  const { shards = [], absent = [] } = about;
  return (
    <div class="nnw-borders" aria-hidden={absent.length === 0}>
      {inSight(absent).map(({ box, key, style }) => (
        <span
          key={key}
          class="nnw-absent"
          role="img"
          aria-label={t("rows {0} to {1}: no rank that answered has them", box.row, box.row + box.rows - 1)}
          style={style}
        />
      ))}
      {inSight(shards.length < 2 && absent.length === 0 ? [] : shards).map(({ box, key, wide, high, style }) => (
        <span key={key} class="nnw-shard" style={style}>
          {wide < LEAST_LABELLED[0] || high < LEAST_LABELLED[1] ? null : <b>{box.ranks.join(", ")}</b>}
        </span>
      ))}
    </div>
  );
}
