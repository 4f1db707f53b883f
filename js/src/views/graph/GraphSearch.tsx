import { useRef } from "preact/hooks";
import { Search } from "../../components/Search.tsx";
import { t } from "../../i18n/translate.ts";
import { countText } from "../../lib/format.ts";
import type { GraphFound } from "../../protocol/messages.ts";

interface GraphSearchProps {
  readonly text: string;
  readonly alive: boolean;
  /** What was found; null where nothing is to be, or isn't known yet. */
  readonly found: GraphFound | null;
  readonly onFind: (text: string) => void;
  /** Shows one of the boxes found, counted from zero; behind the last comes the first. */
  readonly onNth: (text: string, nth: number) => void;
}

/** Finds boxes by what stands in them; Enter goes from one to the next. */
export function GraphSearch({ text, alive, found, onFind, onNth }: GraphSearchProps) {
  const last = useRef(-1);
  const go = (of: string, by: number): void => {
    last.current = of === text ? last.current + by : 0;
    const n = found?.n ?? 0;
    if (of === text && n > 0) {
      last.current = (last.current + n) % n;
    }
    onNth(of, last.current);
  };
  const isAny = found !== null && found.n > 0;
  return (
    <span class="nnw-graph-search">
      <Search
        {...{ text, alive }}
        label={t("Find boxes")}
        placeholder={t("Name, class or shape")}
        onText={(next) => {
          last.current = -1;
          onFind(next);
        }}
        onEnter={(typed) => typed.trim() === "" || go(typed, 1)}
      />
      <span class="nnw-caption" role="status">
        {found === null ? "" : foundText(found)}
      </span>
      {isAny && found.n > 1 ? (
        <span class="nnw-graph-zoom">
          <button
            type="button"
            class="nnw-button-tiny"
            aria-label={t("The one before")}
            disabled={!alive}
            onClick={() => go(text, last.current < 0 ? 0 : -1)}
          >
            ‹
          </button>
          <button
            type="button"
            class="nnw-button-tiny"
            aria-label={t("The next")}
            disabled={!alive}
            onClick={() => go(text, 1)}
          >
            ›
          </button>
        </span>
      ) : null}
    </span>
  );
}

function foundText({ n, n_all, nth }: GraphFound): string {
  const boxes =
    nth === undefined
      ? t("{0} {0|box|boxes} found", countText(n))
      : t("{0} of {1} {1|box|boxes}", countText(nth + 1), countText(n));
  return n_all > n ? `${boxes}, ${t("{0} with those that repeat", countText(n_all))}` : boxes;
}
