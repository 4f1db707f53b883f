import { useState } from "preact/hooks";
import { CopyAs } from "../../components/CopyAs.tsx";
import { Icon } from "../../components/Icon.tsx";
import { Search } from "../../components/Search.tsx";
import { VirtualList, WaitingRow } from "../../components/VirtualList.tsx";
import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { t } from "../../i18n/translate.ts";
import { exactCount, floatText, shapeText, toNumber } from "../../lib/format.ts";
import type { DiffRow } from "../../protocol/messages.ts";
import type { CheckpointsStore } from "../../state/checkpoints/store.ts";
import { Bar, Chips } from "./Chips.tsx";
import { DIFFERENCES, differenceLabel, type StatusLabel, shortDtype } from "./statusLabels.tsx";

const ROW_HEIGHT = 26;

interface DiffProps {
  readonly store: CheckpointsStore;
  readonly name: string;
  readonly alive: boolean;
}

/** How the file differs from the live model, or from another file; all of both is read, so it is begun by a button. */
export function Diff({ store, name, alive }: DiffProps) {
  const id = useUniqueId();
  const { asked, diff, folder } = store;
  const [against, setAgainst] = useState<string>(asked.other ?? "");
  const others = (folder?.entries ?? []).filter(
    ({ kind, path, refused }) => kind === "file" && path !== asked.path && refused === null,
  );
  const { reply } = diff;
  const lookOf = (kind: DiffRow["kind"]): StatusLabel => differenceLabel(kind, reply?.a ?? "", reply?.b ?? "");
  return (
    <div class="nnw-plan">
      <div class="nnw-plan-head">
        <div class="nnw-strip">
          <label class="nnw-against" for={id}>
            {t("against")}
          </label>
          <select
            id={id}
            value={against}
            disabled={!alive || store.work !== null}
            onChange={(event) => setAgainst(event.currentTarget.value)}
          >
            <option value="">{t("{0}, the live model", name)}</option>
            {others.map(({ path, name: file }) => (
              <option key={path} value={path}>
                {file}
              </option>
            ))}
          </select>
          <button
            type="button"
            class="nnw-button"
            disabled={!alive || store.work !== null}
            onClick={() => store.compare(against === "" ? null : against)}
          >
            {t("Compare")}
          </button>
          <span class="nnw-space" />
          {reply === null ? null : (
            <>
              <CopyAs text={(kind) => store.copyDiff(kind)} disabled={!alive || store.work !== null} />
              <Search
                text={asked.text}
                label={t("Find in the differences")}
                alive={alive}
                onText={(text) => store.search(text)}
              />
            </>
          )}
        </div>
        {reply === null ? null : (
          <>
            <p class="nnw-sides">
              <bdi>{reply.a}</bdi> → <bdi>{reply.b}</bdi>
              {reply.is_equal ? (
                <span class="nnw-tag nnw-ok">
                  <Icon name="check" /> {t("bit for bit the same")}
                </span>
              ) : null}
            </p>
            <Bar kinds={DIFFERENCES} counts={reply.counts} lookOf={lookOf} />
            <Chips
              label={t("Keep only")}
              kinds={DIFFERENCES}
              counts={reply.counts}
              kept={asked.kinds}
              lookOf={lookOf}
              alive={alive}
              onToggle={(kind) => store.toggleKind(kind)}
            />
          </>
        )}
      </div>
      {reply === null ? (
        <p class="nnw-empty">
          {store.work?.what === "diff"
            ? t("Comparing…")
            : t("Compare reads both sides whole, and tells which tensors differ and by how much.")}
        </p>
      ) : (
        <VirtualList
          class="nnw-plan-rows"
          label={t("Differences, the greatest first")}
          of={`${asked.path} ${asked.other} ${asked.text} ${asked.kinds.join()}`}
          blocks={[{ count: reply.total, height: ROW_HEIGHT }]}
          onLook={(first, last) => diff.look(first, last)}
        >
          {(index, top) => {
            const row = diff.row(index);
            return row === undefined ? (
              <WaitingRow key={index} top={top} />
            ) : (
              <DiffRowView
                key={row.path}
                {...{ row, top }}
                look={lookOf(row.kind)}
                position={index + 1}
                total={reply.total}
              />
            );
          }}
        </VirtualList>
      )}
    </div>
  );
}

interface DiffRowProps {
  readonly row: DiffRow;
  readonly top: number;
  readonly look: StatusLabel;
  readonly position: number;
  readonly total: number;
}

function DiffRowView({ row, top, look, position, total }: DiffRowProps) {
  const { word, icon, color, hint } = look;
  return (
    <div
      class="nnw-entry"
      role="listitem"
      aria-posinset={position}
      aria-setsize={total}
      style={{ top: `${top}px`, height: `${ROW_HEIGHT}px`, "--nnw-kind": color }}
    >
      {icon}
      <span class="nnw-status" title={hint}>
        {word}
      </span>
      <span class="nnw-what nnw-mono" title={row.path}>
        <bdi>{row.path}</bdi>
      </span>
      <span class="nnw-size nnw-mono" title={measureTitle(row)}>
        {measureText(row)}
      </span>
    </div>
  );
}

function measureText({ kind, shapes, dtypes, max_abs_difference, relative_norm }: DiffRow): string {
  const [a, b] = shapes;
  const [from, to] = dtypes;
  if (kind === "shape" && a !== undefined && b !== undefined) {
    return `${shapeText(a)} → ${shapeText(b)}`;
  }
  const cast =
    kind === "dtype" && from !== undefined && to !== undefined ? `${shortDtype(from)} → ${shortDtype(to)}` : "";
  const size = max_abs_difference === null ? "" : t("max {0}", floatText(max_abs_difference, 3));
  const norm = relative_norm === null ? "" : relativeText(relative_norm, max_abs_difference);
  return [cast, size, norm].filter(Boolean).join(" · ");
}

/** The norm of the difference over that of the first; of what began at zero there is none. */
export function relativeText(norm: number | string, greatest: number | string | null): string {
  const isFromZero = toNumber(norm) === Number.POSITIVE_INFINITY && Number.isFinite(toNumber(greatest ?? 0));
  return isFromZero ? t("from 0") : t("rel {0}", floatText(norm, 3));
}

function measureTitle({ max_abs_difference, relative_norm, n_different }: DiffRow): string | undefined {
  return max_abs_difference === null
    ? undefined
    : [
        t("greatest difference {0}", max_abs_difference),
        relative_norm === null ? "" : t("norm of the difference over that of the first {0}", relative_norm),
        n_different === null ? "" : t("{0} {0|element differs|elements differ}", exactCount(n_different)),
      ]
        .filter(Boolean)
        .join(" · ");
}
