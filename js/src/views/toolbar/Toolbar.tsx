import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Icon, type IconName } from "../../components/Icon.tsx";
import { Search } from "../../components/Search.tsx";
import { t, told, word } from "../../i18n/translate.ts";
import { bytesText, exactBytes, exactCount, shortCount } from "../../lib/format.ts";
import type { Chip, OpenReply } from "../../protocol/messages.ts";

const CHIPS: readonly { readonly chip: Chip; readonly glyph: IconName; readonly title: string }[] = [
  { chip: word("trainable"), glyph: "unlock", title: word("Only parameters that ask for gradients") },
  { chip: word("frozen"), glyph: "lock", title: word("Only parameters with requires_grad False") },
  { chip: word("tied"), glyph: "link", title: word("Only tensors that share bytes with another") },
  { chip: word("findings"), glyph: "warning", title: word("Only errors and warnings") },
  { chip: word("notes"), glyph: "info", title: word("Only notes") },
];

/** Why some of it is disabled for a model over ranks. */
const RUN_THERE = word("Do it on each rank.");

const OPENERS = [
  {
    of: "trace",
    glyph: "alias",
    label: word("Trace"),
    title: word("Run a forward: shapes, times and FLOPs of each call on the rows"),
  },
  { of: "table", glyph: "table", label: word("Table"), title: word("All tensors: sort, copy, compare") },
  {
    of: "checkpoints",
    glyph: "box",
    label: word("Checkpoints"),
    title: word("Save, browse, compare and load checkpoints"),
  },
] as const;

interface ToolbarProps {
  readonly open: OpenReply;
  readonly filter: string;
  readonly chips: readonly Chip[];
  readonly problem: string | null;
  readonly alive: boolean;
  readonly isBusy: boolean;
  readonly box: RefObject<HTMLInputElement | null>;
  readonly onFilter: (text: string) => void;
  readonly onChip: (chip: Chip) => void;
  readonly onHelp: () => void;
  readonly onPanel: (() => void) | undefined;
  /** The keyboard leaves the box for the tree. */
  readonly onLeave: () => void;
  /** Opens a view in place of the tree, or shows what runs a forward, and the last one. */
  readonly onOpen: (of: "trace" | "checkpoints" | "table") => void;
}

/** Filter box, chips and totals. */
export function Toolbar(props: ToolbarProps) {
  const { open, filter, chips, problem, alive, isBusy, box, onFilter, onChip, onHelp, onPanel, onLeave, onOpen } =
    props;
  const mustRunThere = (of: string) => open.ranks && (of === "trace" || (of !== "table" && !open.ranks.can_change));
  return (
    <div class="nnw-toolbar" role="group" aria-label={t("Filter and totals")}>
      <Search
        text={filter}
        label={t("Filter by path, glob or class")}
        placeholder={t("Path, glob or class")}
        {...{ alive, box, onLeave }}
        onText={onFilter}
        isForOthers
      >
        <kbd>/</kbd>
        <button
          type="button"
          class="nnw-icon-button"
          aria-label={t("What the filter understands, and keys")}
          title={t("What the filter understands, and keys")}
          disabled={!alive}
          onClick={onHelp}
        >
          ?
        </button>
      </Search>
      {CHIPS.filter(({ chip }) => open.chips[chip] > 0 || chips.includes(chip)).map(({ chip, glyph, title }) => (
        <button
          key={chip}
          type="button"
          class="nnw-chip"
          aria-pressed={chips.includes(chip)}
          title={t(title)}
          disabled={!alive}
          onClick={() => onChip(chip)}
        >
          <Icon name={glyph} class={chip === "findings" ? "nnw-warn" : "nnw-dim"} />
          {t(chip)} <b>{exactCount(open.chips[chip])}</b>
        </button>
      ))}
      <span class="nnw-space" />
      <Totals open={open} />
      {onPanel === undefined ? null : (
        <button
          type="button"
          class="nnw-icon-button"
          title={t("Open in the panel")}
          disabled={!alive}
          onClick={onPanel}
        >
          <Icon name="panel" />
        </button>
      )}
      <div class="nnw-openers">
        {OPENERS.map(({ of, glyph, label, title }) => (
          <button
            key={of}
            name={of}
            type="button"
            class="nnw-button nnw-opener"
            aria-label={t(label)}
            title={t(mustRunThere(of) ? RUN_THERE : title)}
            disabled={!alive || mustRunThere(of)}
            onClick={() => onOpen(of)}
          >
            <Icon name={glyph} />
            <span class="nnw-wide-only">{t(label)}</span>
          </button>
        ))}
      </div>
      {problem === null ? null : (
        <div class="nnw-problem" role="alert">
          <Icon name="warning" class="nnw-warn" /> {told(problem)}
        </div>
      )}
      <Busy isBusy={isBusy} />
    </div>
  );
}

function Totals({ open }: { readonly open: OpenReply }) {
  const { n_params, n_modules, n_tensors, size_bytes, why, n_params_trainable } = open.totals;
  const { value, unit } = shortCount(n_params);
  const hover = [
    t(
      "{0} {0|parameter|parameters}, {1} trainable, each element counted once",
      exactCount(n_params),
      exactCount(n_params_trainable),
    ),
    t("{0} {0|tensor|tensors}", exactCount(n_tensors)),
    why === null ? null : told(why),
  ];
  return (
    <div class="nnw-totals">
      <b class={why === null ? undefined : "nnw-hint"} title={hover.filter(Boolean).join(" · ")}>
        {value}
        {unit === "" ? "" : `\u00a0${unit}`}
      </b>
      <span class="nnw-wide-only">
        {" · "}
        {t("{0} {0|module|modules}", exactCount(n_modules))}
      </span>
      <span title={exactBytes(size_bytes)}> · {bytesText(size_bytes)}</span>
    </div>
  );
}

const PATIENCE_MS = 300;

/** A moving line for what takes longer than a moment. */
function Busy({ isBusy }: { readonly isBusy: boolean }) {
  const [isLong, setLong] = useState(false);
  useEffect(() => {
    if (!isBusy) {
      setLong(false);
      return;
    }
    const timer = setTimeout(() => setLong(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [isBusy]);
  return isLong ? <div class="nnw-busy" role="progressbar" aria-label={t("Waiting for the kernel")} /> : null;
}
