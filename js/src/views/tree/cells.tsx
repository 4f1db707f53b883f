import { Icon, type IconName } from "../../components/Icon.tsx";
import { TieBadge } from "../../components/TieBadge.tsx";
import { t, told, word } from "../../i18n/translate.ts";
import { bytesText, countText, exactCount, flopsText, secondsText, shortCount } from "../../lib/format.ts";
import type { Fold, Row } from "../../protocol/messages.ts";

const SHARE_WIDTH = 34;
/** More cells than this have no room between them. */
const MOST_APART = 20;
const LEAST_SHARE = 1.5;

interface ShapeCellProps {
  readonly row: Row;
  readonly onPick: (member: number) => void;
  readonly onNavigate: (path: string) => void;
}

/** Shape, input → output, the strip of a fold, or where an alias leads. */
export function ShapeCell({ row, onPick, onNavigate }: ShapeCellProps) {
  if (row.fold !== null && row.expanded && !row.fold.unfolded) {
    return <Strip fold={row.fold} onPick={onPick} />;
  }
  if (row.alias_of !== null) {
    const target = row.alias_of;
    return (
      <button
        type="button"
        class="nnw-link nnw-alias-of"
        tabIndex={-1}
        title={target === "" ? t("Go to the model itself") : t("Go to {0}", target)}
        onClick={(event) => {
          event.stopPropagation();
          onNavigate(target);
        }}
      >
        → <bdi>{target === "" ? t("the model") : target}</bdi>
      </button>
    );
  }
  if (row.trace !== null && row.trace.shape !== "") {
    const { n_calls, shape, seconds, flops = null, saved_bytes: kept = null } = row.trace;
    const times = t(n_calls === 1 ? "called once" : "called {0} times", exactCount(n_calls));
    return (
      <span
        class="nnw-traced"
        title={[
          t("Last trace"),
          times,
          seconds === null ? null : secondsText(seconds),
          flops === null ? null : flopsText(flops),
          kept === null ? null : t("autograd keeps {0}", bytesText(kept)),
          shape,
        ]
          .filter(Boolean)
          .join(" · ")}
      >
        {shape}
        {n_calls > 1 ? <span class="nnw-dim"> ×{n_calls}</span> : null}
        {flops === null || Number(flops) === 0 ? null : <span class="nnw-dim nnw-flops"> · {flopsText(flops)}</span>}
      </span>
    );
  }
  if (row.trace?.unused) {
    return <span class="nnw-traced nnw-dim">{t("not called")}</span>;
  }
  return (
    <span class={row.shape.includes("=") ? "nnw-dim" : undefined} title={row.shape}>
      {row.shape}
    </span>
  );
}

/** One cell for each member of a fold, or for several in a row; a click shows that member, or the first of them. */
function Strip({ fold, onPick }: { readonly fold: Fold; readonly onPick: (member: number) => void }) {
  const { per_cell, picked, members } = fold;
  const isClose = members.length > MOST_APART;
  const isDense = members.length > 2 * MOST_APART;
  return (
    <span class={`nnw-strip${isClose ? " nnw-strip-close" : ""}${isDense ? " nnw-strip-dense" : ""}`}>
      {members.map((member, cell) => {
        const at = cell * per_cell;
        const isOn = picked >= at && picked < at + per_cell;
        const words = [
          member.label,
          member.frozen === null ? null : t(member.frozen === "all" ? "frozen" : "partly frozen"),
          member.findings > 0 ? t("{0} {0|finding|findings}", member.findings) : null,
        ];
        return (
          <button
            key={member.path}
            type="button"
            tabIndex={-1}
            class={[
              "nnw-cell",
              isOn ? "nnw-cell-on" : "",
              member.frozen === null ? "" : `nnw-cell-${member.frozen}-frozen`,
              member.worst === null ? "" : `nnw-cell-${member.worst}`,
            ].join(" ")}
            aria-label={words.filter(Boolean).join(", ")}
            aria-pressed={isOn}
            title={words.filter(Boolean).join(" · ")}
            onClick={(event) => {
              event.stopPropagation();
              onPick(at);
            }}
          />
        );
      })}
      {per_cell === 1 ? null : (
        <span class="nnw-dim nnw-per-cell" title={t("{0} in a cell", per_cell)}>
          ×{per_cell}
        </span>
      )}
    </span>
  );
}

/** The parameter count with its unit in a slot of its own, and the share of the model's as a bar. */
export function CountCell({ row, why }: { readonly row: Row; readonly why: string | null }) {
  if (row.n_params === null) {
    const isLazy = row.kind === "tensor" && row.problem === null;
    return (
      <span class="nnw-num nnw-dim">
        <span>{isLazy ? t("not yet") : "–"}</span>
        <span class="nnw-unit" />
        <span class="nnw-share nnw-blank" />
      </span>
    );
  }
  const { value, unit } = shortCount(row.n_params);
  const hover = [
    exactCount(row.n_params),
    (row.note === null ? null : told(row.note)) ?? (row.counted ? null : t("counted once, at the first name")),
    why === null ? null : told(why),
  ];
  const width = row.share > 0 ? Math.max(LEAST_SHARE, SHARE_WIDTH * row.share) : 0;
  return (
    <span class={row.counted ? "nnw-num" : "nnw-num nnw-again"} title={hover.filter(Boolean).join(" · ")}>
      <span class={why === null ? undefined : "nnw-hint"}>{value}</span>
      <span class="nnw-unit">{unit}</span>
      <span class="nnw-share">
        <span style={{ width: `${width}px` }} />
      </span>
    </span>
  );
}

/** Three slots that stay where they are: tie, frozen or unregistered, finding. */
export function MarksCell({ row, onFreeze }: { readonly row: Row; readonly onFreeze: (() => void) | null }) {
  const inside = row.findings_inside;
  return (
    <>
      <span>
        {row.tie !== null ? <TieBadge letter={row.tie} /> : null}
        {row.tie === null && row.tie_inside !== null && row.level > 1 ? (
          <TieBadge letter={row.tie_inside} isInside />
        ) : null}
      </span>
      <span>{middleMark(row, onFreeze)}</span>
      <span>
        {row.trace?.failed ? <Mark icon="no" words={t("forward failed here")} tone="nnw-err" /> : null}
        {!row.trace?.failed && row.findings !== null ? (
          <Mark
            icon={row.findings === "note" ? "info" : "warning"}
            words={t("finding: {0}", t(row.findings))}
            tone={TONES[row.findings]}
          />
        ) : null}
        {!row.trace?.failed && row.findings === null && row.untrained ? (
          <Mark icon="no" words={t("in no optimizer that trains this model")} tone="nnw-warn" />
        ) : null}
        {!row.trace?.failed && row.findings === null && inside > 0 && !row.expanded ? (
          <Mark
            icon={row.worst_inside === "note" ? "info" : "warning"}
            words={t("{0} {0|finding|findings} inside", countText(inside))}
            tone="nnw-dim"
          />
        ) : null}
      </span>
    </>
  );
}

const FROZEN = {
  all: word("frozen: requires_grad is False"),
  some: word("partly frozen"),
  none: word("trainable"),
} as const;
const TONES = { error: "nnw-err", warning: "nnw-warn", note: "nnw-dim" } as const;

/** Whether a row has parameters of its own name that may be frozen. */
export function canFreeze(row: Row): boolean {
  return row.kind === "tensor"
    ? row.role === "parameter"
    : row.alias_of === null && row.kind !== "problem" && Number(row.n_params ?? 0) > 0;
}

function middleMark(row: Row, onFreeze: (() => void) | null) {
  if (row.role === "unregistered") {
    return <Mark icon="dashed" words={t("unregistered: state_dict() and .to() will not see it")} tone="nnw-dim" />;
  }
  if (onFreeze === null || !canFreeze(row)) {
    return row.frozen === null ? null : <Mark icon="lock" words={t(FROZEN[row.frozen])} tone="nnw-dim" />;
  }
  const words = t(FROZEN[row.frozen ?? "none"]);
  const isAll = row.frozen === "all";
  return (
    <button
      type="button"
      class={`nnw-lock${row.frozen === null ? " nnw-lock-off" : ""} ${row.frozen === "some" ? "nnw-faint" : "nnw-dim"}`}
      tabIndex={-1}
      aria-label={t(isAll ? "{0}: unfreeze" : "{0}: freeze", words)}
      title={
        row.fold === null
          ? t(isAll ? "{0}; unfreeze (f)" : "{0}; freeze (f)", words)
          : t(isAll ? "{0}; unfreeze all {1} (f)" : "{0}; freeze all {1} (f)", words, row.fold.count)
      }
      onClick={(event) => {
        event.stopPropagation();
        onFreeze();
      }}
      onDblClick={(event) => event.stopPropagation()}
    >
      <Icon name={row.frozen === null ? "unlock" : "lock"} />
    </button>
  );
}

function Mark({ icon, words, tone }: { readonly icon: IconName; readonly words: string; readonly tone: string }) {
  return (
    <span class={`nnw-mark ${tone}`} role="img" aria-label={words} title={words}>
      <Icon name={icon} />
    </span>
  );
}
