import { useLayoutEffect, useRef } from "preact/hooks";
import { t, word } from "../../i18n/translate.ts";
import { consumeEvent } from "../../lib/keyEvents.ts";
import type { Command } from "../../state/tree/keymap.ts";

export interface HelpProps {
  readonly onClose: () => void;
}

type Lines = readonly (readonly [string, string])[];

/** What the filter box understands, by example. */
export const WORDS: Lines = [
  ["attn", word("names and classes that hold this")],
  ["h.0.mlp  net.h[0].mlp", word("a path, or Python as it was copied")],
  ["h.*.attn  **.bias", word("a glob: * within a name, ** over any number of names")],
  ["Linear  Linear.weight", word("a class, or a tensor of each module of it")],
  ["shape:256x20  shape:256x*  768", word("a shape, or a size in any dimension")],
  ["dtype:bf16  device:cuda", word("the type, the device")],
  ["params>1e6  <1K", word("tensors by their number of elements")],
  ["frozen  trainable  tied", word("the state of tensors")],
  ["is:buffer  is:unregistered", word("buffers; tensors that state_dict() leaves out")],
  ["@Shard(0)  @rank:3", word("how a tensor is spread over ranks; what a rank has of a model over ranks")],
  ["!bias", word("tensors that the word doesn’t name")],
  ["h.0 !bias >100", word("all words hold; a name counts for what is below it too")],
];

/** Each command of the tree has its keys here: a command without would not compile. */
const KEYS: Readonly<Record<Command, readonly [string, string] | null>> = {
  down: ["↓ ↑", word("next row, the row before")],
  up: null,
  openOrChild: ["→ ←", word("open, or the first row below; close, or the row above")],
  closeOrParent: null,
  first: ["Home End", word("first row, last row")],
  last: null,
  pageDown: ["Page Down, Page Up", word("a screen down or up")],
  pageUp: null,
  inspect: ["Enter", word("to the inspector; Esc comes back")],
  unfold: ["Shift+Enter", word("all members of a fold as rows of their own")],
  filter: ["/", word("to the filter")],
  nextTied: ["t", word("next tensor tied to this one")],
  previousMember: ["[ ]", word("the same in the block before, in the next block")],
  nextMember: null,
  copy: ["c", word("copy Python that gives the row")],
  freeze: ["f", word("freeze or unfreeze")],
  undo: ["u, Ctrl+Z", word("undo the last change, anywhere in the view")],
  redo: ["Shift+U, Ctrl+Y", word("redo")],
  help: ["?", word("this list")],
};

const ELSEWHERE: Lines = [
  ["↓ ↑ → ←", word("in the heat map and the numbers: go on")],
  ["+ − 0", word("in the heat map: zoom in, out, the whole tensor")],
  ["Enter", word("on a number: type another, as a double-click does")],
  ["Ctrl+Enter", word("in Re-initialize: apply what is previewed")],
];

/** The words of the filter and the keys, over the tree until it is closed. */
export function Help({ onClose }: HelpProps) {
  const panel = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => panel.current?.focus(), []);
  const keys = Object.values(KEYS).filter((line) => line !== null);
  return (
    <div
      ref={panel}
      class="nnw-help"
      role="dialog"
      aria-label={t("Filter and keys")}
      tabIndex={-1}
      onKeyDown={(event) => {
        if (event.key === "Escape" || event.key === "?") {
          consumeEvent(event);
          onClose();
        }
      }}
    >
      <header>
        <h2>{t("Filter and keys")}</h2>
        <button type="button" class="nnw-button" onClick={onClose}>
          {t("Close")} <kbd>Esc</kbd>
        </button>
      </header>
      <div class="nnw-help-lists">
        <List title={t("In the filter")} lines={WORDS} />
        <List title={t("Keys in the tree")} lines={keys} />
        <List title={t("Keys elsewhere")} lines={ELSEWHERE} />
      </div>
    </div>
  );
}

/** Words and keys, each with what it means; two spaces part those that are of a kind. */
function List({ title, lines }: { readonly title: string; readonly lines: Lines }) {
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <dl>
        {lines.map(([shown, meaning]) => (
          <div key={shown + meaning}>
            <dt>
              {shown.split("  ").map((each) => (
                <code key={each}>{each}</code>
              ))}
            </dt>
            <dd>{t(meaning)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
