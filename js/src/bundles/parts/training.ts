import { h } from "preact";
import type { Row, TickedBody } from "../../protocol/messages.ts";
import { Alarm, type AlarmProps } from "../../views/training/Alarm.tsx";
import { TrainingHistory } from "../../views/training/history.ts";
import { SparklineCell } from "../../views/training/SparklineCell.tsx";

/** What one view keeps and draws of a training. */
export default function training() {
  const history = new TrainingHistory();
  return {
    add: (body: TickedBody): void => history.add(body),
    Cell: ({ row }: { readonly row: Pick<Row, "path" | "id" | "fold"> }) =>
      h(SparklineCell, { history, path: row.fold === null ? row.path : row.id }),
    Alarm: (props: AlarmProps) => h(Alarm, { history, ...props }),
  };
}
