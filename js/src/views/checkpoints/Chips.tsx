import { exactCount } from "../../lib/format.ts";
import type { StatusLabel } from "./statusLabels.tsx";

interface ChipsProps<Kind extends string> {
  readonly label: string;
  readonly kinds: readonly Kind[];
  readonly counts: Readonly<Record<string, number>>;
  readonly kept: readonly Kind[];
  readonly lookOf: (kind: Kind) => StatusLabel;
  readonly alive: boolean;
  readonly onToggle: (kind: Kind) => void;
}

/** How many rows are of each kind; each chip keeps only its own. */
export function Chips<Kind extends string>(props: ChipsProps<Kind>) {
  const { label, kinds, counts, kept, lookOf, alive, onToggle } = props;
  const there = kinds.filter((kind) => (counts[kind] ?? 0) > 0);
  return (
    <div class="nnw-kinds" role="group" aria-label={label}>
      {there.map((kind) => {
        const { word, icon, color, hint } = lookOf(kind);
        return (
          <button
            key={kind}
            type="button"
            class="nnw-chip"
            aria-pressed={kept.includes(kind)}
            title={hint}
            disabled={!alive}
            onClick={() => onToggle(kind)}
          >
            <span class="nnw-tint" style={{ color }}>
              {icon}
            </span>
            {word} <b>{exactCount(counts[kind] ?? 0)}</b>
          </button>
        );
      })}
    </div>
  );
}

/** The same counts as one bar; the chips say them in words. */
export function Bar<Kind extends string>({
  kinds,
  counts,
  lookOf,
}: Pick<ChipsProps<Kind>, "kinds" | "counts" | "lookOf">) {
  return (
    <div class="nnw-sums" aria-hidden="true">
      {kinds.map((kind) =>
        (counts[kind] ?? 0) > 0 ? (
          <i key={kind} style={{ flexGrow: counts[kind], background: lookOf(kind).color }} />
        ) : null,
      )}
    </div>
  );
}
