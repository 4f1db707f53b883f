import { tieColor } from "../../components/TieBadge.tsx";
import { t } from "../../i18n/translate.ts";
import type { RulerMark } from "../../protocol/messages.ts";

interface RulerProps {
  readonly marks: readonly RulerMark[];
  readonly total: number;
  /** Letter of the group that glows: its ticks stand out. */
  readonly lit: string | null;
  readonly onJump: (path: string) => void;
}

/** Ticks at the tree's edge for tie members and findings, also those out of sight. The keyboard has `t` for them. */
export function Ruler({ marks, total, lit, onJump }: RulerProps) {
  return (
    <div class="nnw-ruler" aria-hidden="true">
      {marks.map((mark) => {
        const color = mark.tie === null ? SEVERITY[mark.severity ?? "note"] : tieColor(mark.tie);
        const isLit = lit !== null && mark.tie === lit;
        return (
          // biome-ignore lint/a11y/useKeyWithClickEvents lint/a11y/noStaticElementInteractions: for the mouse; keys have `t`.
          <b
            key={`${mark.index} ${mark.path}`}
            class={isLit ? "nnw-tick nnw-tick-lit" : "nnw-tick"}
            style={{ top: `${((mark.index + 0.5) / Math.max(1, total)) * 100}%`, "--nnw-tie": color }}
            title={mark.tie === null ? `${t(mark.severity ?? "note")}: ${mark.path}` : `${mark.tie}: ${mark.path}`}
            onClick={() => onJump(mark.path)}
          />
        );
      })}
    </div>
  );
}

const SEVERITY = { error: "var(--nnw-err)", warning: "var(--nnw-warn)", note: "var(--nnw-dim)" } as const;
