import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../../../components/Icon.tsx";
import { useUniqueId } from "../../../hooks/useUniqueId.ts";
import { t, told, tx } from "../../../i18n/translate.ts";
import type { PageError } from "../../../lib/errors.ts";
import { shapeText } from "../../../lib/format.ts";
import type { PlanRow, Status } from "../../../protocol/messages.ts";
import { nameProblem } from "../../../state/checkpoints/renames.ts";
import { StatusMark } from "../StatusMark.tsx";
import { shortDtype, statusLabel } from "../statusLabels.tsx";
import { RenameInput } from "./RenameInput.tsx";

/** What a row may ask for. */
export interface RowActions {
  readonly canEdit: boolean;
  readonly accept: (source: string, path: string) => void;
  readonly refuse: (source: string) => void;
  /** Another name in the file for a path; gives what the kernel objects to. */
  readonly replace: (before: string | null, source: string, path: string) => Promise<PageError | null>;
}

const LINE = 26;
const EXPLAINED: ReadonlySet<Status> = new Set(["shape_mismatch", "missing", "renamed", "converted"]);

/** Rows that explain themselves are higher; on a narrow page each has its shape on a line of its own. */
export function rowHeight(status: Status, isNarrow: boolean): number {
  return LINE + (EXPLAINED.has(status) ? 22 : 0) + (isNarrow ? 18 : 0);
}

interface PlanRowProps {
  readonly row: PlanRow;
  readonly top: number;
  readonly position: number;
  readonly total: number;
  readonly isNarrow: boolean;
  readonly name: string;
  readonly actions: RowActions;
}

/** What becomes of one tensor. */
export function PlanRowView({ row, top, position, total, isNarrow, actions }: PlanRowProps) {
  const { path, source, status, suggestion } = row;
  const { word, icon, color, hint } = statusLabel(status);
  const [isEditing, setEditing] = useState(false);
  const label = path ?? source ?? "";
  const isExplained = EXPLAINED.has(status);
  return (
    <div
      class="nnw-entry"
      role="listitem"
      aria-posinset={position}
      aria-setsize={total}
      style={{ top: `${top}px`, height: `${rowHeight(status, isNarrow)}px`, "--nnw-kind": color }}
    >
      {icon}
      <span class="nnw-status" title={hint}>
        {word}
      </span>
      <span class="nnw-what nnw-mono" title={label}>
        {(status === "renamed" || status === "converted") && path !== null && path !== source && source !== null ? (
          <RenameInput source={source} path={path} />
        ) : (
          <>
            <bdi>{label}</bdi>
            {row.tied_to === null ? null : <span class="nnw-dim">{tx(" with {0}", <bdi>{row.tied_to}</bdi>)}</span>}
          </>
        )}
      </span>
      <span class="nnw-size nnw-mono">
        <Sizes row={row} />
      </span>
      {isExplained ? (
        <div class="nnw-why-line">
          {isEditing && path !== null ? (
            <NameField
              before={status === "renamed" ? source : null}
              path={path}
              initial={source ?? suggestion?.source ?? ""}
              actions={actions}
              onDone={() => setEditing(false)}
            />
          ) : (
            <Why row={row} actions={actions} onEdit={() => setEditing(true)} />
          )}
        </div>
      ) : null}
    </div>
  );
}

function Sizes({ row }: { readonly row: PlanRow }) {
  const { shape, source_shape, dtype, source_dtype, status } = row;
  if (status === "shape_mismatch" && shape !== null && source_shape !== null) {
    const isLike = shape.length === source_shape.length;
    const marked = (sizes: readonly number[], other: readonly number[], Tag: "del" | "ins") =>
      sizes.length === 0
        ? "()"
        : sizes.map((size, at) => [
            at > 0 ? " × " : "",
            isLike && size === other[at] ? size : <Tag key={at}>{size}</Tag>,
          ]);
    return (
      <>
        {marked(source_shape, shape, "del")} → {marked(shape, source_shape, "ins")}
      </>
    );
  }
  if (status === "dtype_cast" && dtype !== null && source_dtype !== null) {
    return (
      <>
        {shortDtype(source_dtype)} → {shortDtype(dtype)}
      </>
    );
  }
  return <>{shapeText(shape ?? source_shape)}</>;
}

interface WhyProps {
  readonly row: PlanRow;
  readonly actions: RowActions;
  readonly onEdit: () => void;
}

function Why({ row, actions, onEdit }: WhyProps) {
  const { path, source, status, suggestion } = row;
  const { canEdit, accept, refuse } = actions;
  const edit = (label: string, name: string) => (
    <button type="button" class="nnw-small-button" disabled={!canEdit} onClick={onEdit} aria-label={name}>
      <StatusMark name="pencil" /> {label}
    </button>
  );
  if (status === "shape_mismatch" || status === "converted") {
    const text = told(row.note) || t("The file’s is of another shape. Keeps its present values.");
    return <Reason text={text} />;
  }
  if (status === "renamed" && source !== null) {
    return (
      <>
        <label class="nnw-check">
          <input
            type="checkbox"
            checked
            disabled={!canEdit}
            onChange={() => refuse(source)}
            aria-label={t("Use {0} for {1}", source, path ?? "")}
          />
          {t("use")}
        </label>
        {edit(t("edit"), t("edit for {0}", path ?? ""))}
        <Reason text={told(suggestion?.reason ?? "")} />
      </>
    );
  }
  if (suggestion === null && path !== null && row.candidates.length > 0) {
    return <Candidates row={row} path={path} actions={actions} />;
  }
  if (suggestion === null || path === null) {
    const text = told(row.note) || t("Not in the file. Keeps its present values.");
    return (
      <>
        <Reason text={text} />
        {edit(t("name it"), t("name it for {0}", path ?? ""))}
      </>
    );
  }
  return (
    <>
      <label class="nnw-check">
        <input
          type="checkbox"
          checked={false}
          disabled={!canEdit}
          onChange={() => accept(suggestion.source, path)}
          aria-label={t("Use {0} for {1}", suggestion.source, path)}
        />
        {t("use")}
      </label>
      <bdi class="nnw-mono nnw-suggested" title={suggestion.source}>
        {suggestion.source}
      </bdi>
      {edit(t("edit"), t("edit for {0}", path ?? ""))}
      <Reason text={told(suggestion.reason)} />
    </>
  );
}

/** Why, on what is left of the line; whole on hover. */
function Reason({ text }: { readonly text: string }) {
  return (
    <span class="nnw-dim nnw-reason" title={text}>
      {text}
    </span>
  );
}

interface CandidatesProps {
  readonly row: PlanRow;
  readonly path: string;
  readonly actions: RowActions;
}

/** What a tensor may be in the file, with what speaks for each; none is taken but by the reader's choice. */
function Candidates({ row, path, actions }: CandidatesProps) {
  const [at, setAt] = useState(0);
  const chosen = row.candidates[Math.min(at, row.candidates.length - 1)];
  if (chosen === undefined) {
    return null;
  }
  return (
    <>
      <span class="nnw-tag">{t("perhaps")}</span>
      {row.candidates.length === 1 ? (
        <bdi class="nnw-mono nnw-suggested" title={chosen.source}>
          {chosen.source}
        </bdi>
      ) : (
        <select
          class="nnw-mono"
          value={at}
          disabled={!actions.canEdit}
          aria-label={t("Candidates for {0}", path)}
          onChange={(event) => setAt(Number(event.currentTarget.value))}
        >
          {row.candidates.map(({ source }, index) => (
            <option key={source} value={index}>
              {source}
            </option>
          ))}
        </select>
      )}
      <button
        type="button"
        class="nnw-small-button"
        disabled={!actions.canEdit}
        onClick={() => actions.accept(chosen.source, path)}
        aria-label={t("Use {0} for {1}", chosen.source, path)}
      >
        {t("use")}
      </button>
      <Reason text={told(chosen.reason)} />
    </>
  );
}

interface NameFieldProps {
  readonly before: string | null;
  readonly path: string;
  readonly initial: string;
  readonly actions: RowActions;
  readonly onDone: () => void;
}

/** The name in the file, typed; the kernel tells whether it is there. */
function NameField({ before, path, initial, actions, onDone }: NameFieldProps) {
  const [text, setText] = useState(initial);
  const [problem, setProblem] = useState<string | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const id = useUniqueId();
  useEffect(() => field.current?.select(), []);
  const take = async (): Promise<void> => {
    const name = text.trim();
    const wrong = nameProblem(name);
    if (wrong !== null) {
      setProblem(t(wrong));
      return;
    }
    const error = await actions.replace(before, name, path);
    if (error === null) {
      onDone();
    } else {
      setProblem(`${error.message} ${error.hint}`.trim());
    }
  };
  return (
    <form
      class="nnw-rename"
      onSubmit={(event) => {
        event.preventDefault();
        void take();
      }}
    >
      <input
        ref={field}
        type="text"
        value={text}
        aria-label={t("Name in the file for {0}", path)}
        aria-invalid={problem !== null}
        aria-describedby={problem === null ? undefined : id}
        spellcheck={false}
        autocomplete="off"
        disabled={!actions.canEdit}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setProblem(null);
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            event.preventDefault();
            onDone();
          }
        }}
      />
      <button type="submit" class="nnw-small-button" disabled={!actions.canEdit} aria-label={t("Use this name")}>
        <Icon name="check" /> {t("use")}
      </button>
      <button type="button" class="nnw-small-button" onClick={onDone} aria-label={t("Leave the name as it was")}>
        <Icon name="close" />
      </button>
      {problem === null ? null : (
        <span id={id} class="nnw-rename-problem" role="alert" title={problem}>
          {problem}
        </span>
      )}
    </form>
  );
}
