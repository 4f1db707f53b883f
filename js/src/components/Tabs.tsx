import type { RefObject } from "preact";
import { useRef } from "preact/hooks";
import { consumeEvent, isModified, keyOf } from "../lib/keyEvents.ts";

export interface Tab<Id extends string> {
  readonly id: Id;
  readonly label: string;
  /** How many there are, after the label. */
  readonly count?: string;
}

interface TabsProps<Id extends string> {
  readonly tabs: readonly Tab<Id>[];
  readonly selected: Id;
  readonly onSelect: (id: Id) => void;
  readonly label: string;
  /** Makes tab and panel ids unique in the page. */
  readonly prefix: string;
  readonly listRef?: RefObject<HTMLDivElement | null>;
}

const STEPS: Readonly<Record<string, (index: number, count: number) => number>> = {
  ArrowRight: (index, count) => (index + 1) % count,
  ArrowLeft: (index, count) => (index - 1 + count) % count,
  Home: () => 0,
  End: (_index, count) => count - 1,
};

/** Ids that tie a tab to its panel. */
export function tabIds(prefix: string, id: string): { readonly tab: string; readonly panel: string } {
  return { tab: `${prefix}-tab-${id}`, panel: `${prefix}-panel-${id}` };
}

/** A tab list: one stop for the Tab key, arrows move and select. */
export function Tabs<Id extends string>({ tabs, selected, onSelect, label, prefix, listRef }: TabsProps<Id>) {
  const own = useRef<HTMLDivElement | null>(null);
  const list = listRef ?? own;
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = STEPS[keyOf(event)];
    if (step === undefined || isModified(event)) {
      return;
    }
    const at = step(
      tabs.findIndex((tab) => tab.id === selected),
      tabs.length,
    );
    const next = tabs[at];
    if (next !== undefined) {
      consumeEvent(event);
      onSelect(next.id);
      list.current?.querySelectorAll<HTMLElement>("[role=tab]").item(at)?.focus();
    }
  };
  return (
    <div class="nnw-tabs" role="tablist" aria-label={label} ref={list} onKeyDown={onKeyDown}>
      {tabs.map(({ id, label: words, count }) => (
        <button
          key={id}
          type="button"
          role="tab"
          id={tabIds(prefix, id).tab}
          aria-controls={id === selected ? tabIds(prefix, id).panel : undefined}
          aria-selected={id === selected}
          tabIndex={id === selected ? 0 : -1}
          onClick={() => onSelect(id)}
        >
          {words}
          {count === undefined ? null : ` ${count}`}
        </button>
      ))}
    </div>
  );
}
