import type { FunctionComponent } from "preact";
import { useEffect, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";
import { Code } from "../../components/Code.tsx";
import { Icon } from "../../components/Icon.tsx";
import { ErrorNote, Note } from "../../components/Note.tsx";
import { Pending } from "../../components/Pending.tsx";
import { useChanges } from "../../hooks/useChanges.ts";
import { useDebounced } from "../../hooks/useDebounced.ts";
import { useQuery } from "../../hooks/useQuery.ts";
import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { t, told, tx } from "../../i18n/translate.ts";
import { type PageError, toPageError } from "../../lib/errors.ts";
import { stdHint } from "../../lib/initGain.ts";
import { consumeEvent } from "../../lib/keyEvents.ts";
import type { Client } from "../../protocol/client.ts";
import type { InitializersReply, Only, Scope } from "../../protocol/messages.ts";
import { candidatesFor, choiceOf } from "../../state/initCandidates.ts";
import {
  bodyOf,
  type ChangeTarget,
  checkForm,
  drawSeed,
  type InitForm,
  reduceForm,
  startingForm,
  suggestion,
  targetOf,
  textOf,
} from "../../state/initForm.ts";
import type { CompareInitsProps } from "../signal/CompareInits.tsx";
import type { Editing } from "./editingContext.ts";
import { Parameters } from "./Parameters.tsx";
import { Preview } from "./Preview.tsx";
import { StaleOptimizer } from "./StaleOptimizer.tsx";

export interface ReinitializeProps {
  readonly client: Client;
  readonly path: string;
  readonly editing: Editing;
  readonly generation: number;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
  /** Leaves the panel. */
  readonly onCancel: () => void;
  /** Runs candidates on data, where there is a kernel that can. */
  readonly Compare: FunctionComponent<CompareInitsProps> | null;
}

/** Which tensors are meant, of what was selected. */
interface Chosen {
  readonly at: string;
  readonly scope: Scope;
  readonly only: Only;
}

interface Remembered {
  readonly form: InitForm;
  readonly chosen: Chosen;
}

const NO_PROBLEMS: Readonly<Record<string, string>> = {};

/** Fills a tensor, a module, a fold or the filter's rows anew: chosen, previewed, applied. */
export function Reinitialize(props: ReinitializeProps) {
  const { client, path, editing, generation, alive, onNavigate, onCancel, Compare } = props;
  const { changes, filter, chips, isFold, memory, silent } = editing;
  // Held with what it was chosen for: it never aims at what is selected next, nor is taken back a moment later.
  const start: Chosen = { at: path + isFold, scope: isFold ? "fold" : "here", only: "all" };
  const before = memory.get("form") as Remembered | undefined;
  const last = before?.chosen.at === start.at ? before : undefined;
  const [form, change] = useReducer(reduceForm, last?.form, (form) => form ?? startingForm());
  const [chosen, choose] = useState(last?.chosen ?? start);
  memory.set("form", { form, chosen } satisfies Remembered);
  const isMeant = chosen.at === start.at;
  const { scope, only } = isMeant ? chosen : start;
  if (!isMeant) {
    choose(start);
  }
  const [error, setError] = useState<PageError | null>(null);
  const aim: ChangeTarget = { path, scope, only, filter, chips };
  const question = { ...targetOf(aim), ...(filter !== "" || chips.length > 0 ? { filter, chips } : {}) };
  const offered = useQuery(client, "initializers", question, { generation: 0, alive });
  const offer = offered.answer?.body ?? null;
  const isOffered = offer !== null && offered.isCurrent;

  // What was chosen stays for the next tensor where it can fill that too; else what is suggested there, before anyone
  // can choose among what is offered.
  const known = useRef<InitializersReply | null>(null);
  useLayoutEffect(() => {
    if (isOffered && offer !== known.current) {
      const before = known.current;
      known.current = offer;
      const wanted = offer.initializers.find(({ name }) => name === form.how);
      const isOtherKind =
        (before !== null && before.suggested !== offer.suggested && offer.suggested === "reset") ||
        // A constant that a bias was given is for weights only if asked for.
        (wanted?.is_constant && before?.n_weights === 0 && offer.n_weights > 0);
      if (isOtherKind || wanted?.refused !== null) {
        change(suggestion(offer));
      }
    }
  }, [offer, isOffered]);

  const initializer = offer?.initializers.find(({ name }) => name === form.how);
  const problems = initializer === undefined ? NO_PROBLEMS : checkForm(form, initializer).problems;
  const body = isOffered && offer.problem === null ? bodyOf(aim, form, initializer) : null;
  const key = JSON.stringify(body);
  useEffect(() => setError(null), [key]);
  const { applied, isBusy } = useChanges(changes);
  const isApplied = applied !== null && applied.key === key;
  const settled = useDebounced(body, key);
  const preview = useQuery(client, "preview", isApplied ? null : settled, { generation, alive });
  const reply = isApplied ? applied.reply : body === null ? null : (preview.answer?.body ?? null);
  const isCurrent = isApplied || (preview.isCurrent && JSON.stringify(settled) === key);
  const canApply = alive && body !== null && !isBusy && !isApplied && silent === null;

  const apply = (): void => {
    if (canApply) {
      setError(null);
      changes.apply(body, key).catch((error: unknown) => setError(toPageError(error)));
    }
  };
  const cancel = (): void => {
    memory.delete("form");
    onCancel();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      consumeEvent(event);
      apply();
    }
  };
  const id = useUniqueId();
  if (offer === null) {
    return (
      <Pending
        error={offered.error}
        onRetry={offered.retry}
        what={t("This can’t be re-initialized.")}
        {...{ path, alive }}
      />
    );
  }
  const { fan } = offer;
  const value = (name: string): string => {
    const parameter = initializer?.parameters.find((each) => each.name === name);
    return parameter ? textOf(form, parameter) : "";
  };
  const failed = error ?? offered.error ?? preview.error;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Ctrl+Enter applies from any field.
    <div class="nnw-reinit" data-applies onKeyDown={onKeyDown}>
      <Targets {...{ offer, scope, only }} onChoose={(part) => choose({ ...start, scope, only, ...part })} />
      <div class="nnw-line">
        <label for={`${id}-how`}>{t("Initializer")}</label>
        <select
          id={`${id}-how`}
          value={form.how}
          title={initializer?.doc}
          onChange={(event) => change({ type: "chosen", how: event.currentTarget.value })}
        >
          {offer.initializers.map(({ name, refused }) => (
            <option key={name} value={name}>
              {refused === null ? name : t("{0} (can’t fill this)", name)}
            </option>
          ))}
        </select>
      </div>
      {initializer?.parameters.length ? (
        <div class="nnw-line">
          <span />
          <Parameters {...{ initializer, form, problems }} onChange={change} />
        </div>
      ) : null}
      {initializer?.draws ? (
        <div class="nnw-line">
          <label for={`${id}-seed`}>{t("Seed")}</label>
          <div class="nnw-seed">
            <input
              id={`${id}-seed`}
              type="text"
              inputMode="numeric"
              autocomplete="off"
              value={form.seed}
              aria-invalid={problems.seed !== undefined}
              onInput={(event) => change({ type: "seeded", seed: event.currentTarget.value })}
            />
            <button
              type="button"
              class="nnw-icon-button"
              aria-label={t("Draw another seed")}
              title={t("Draw another seed")}
              onClick={() => change({ type: "seeded", seed: drawSeed() })}
            >
              <Icon name="dice" />
            </button>
            {problems.seed === undefined ? (
              <span class="nnw-caption">
                {fan === null || form.how === "reset" ? "" : stdHint(form.how, value, fan)}
              </span>
            ) : (
              <span class="nnw-err nnw-problem">{t(problems.seed)}</span>
            )}
          </div>
        </div>
      ) : null}
      {offer.problem === null ? null : (
        <Note kind="error">
          <b>{t("This can’t be re-initialized.")}</b>
          <p>{told(offer.problem)}</p>
        </Note>
      )}
      {offer.problem === null && initializer?.refused ? (
        <Note kind="error">
          <b>{t("{0} can’t fill this.", initializer.name)}</b>
          <p>{told(initializer.refused)}</p>
        </Note>
      ) : null}
      {fan !== null && (fan.note !== "" || fan.activation !== null) ? (
        <Note kind="note">
          {told(fan.note)}
          {fan.activation === null ? null : (
            <>
              {" "}
              {tx(
                "{0} follows ({1}): gain {2}.",
                <span class="nnw-mono">{fan.activation}</span>,
                <bdi>{fan.activation_path}</bdi>,
                Number(fan.gain).toPrecision(4),
              )}
            </>
          )}
        </Note>
      ) : null}
      {offer.problem === null && isOffered && Compare !== null ? (
        <Compare
          {...{ client, path, generation, alive, memory }}
          target={targetOf(aim)}
          candidates={candidatesFor(offer, form)}
          seed={form.seed}
          onTake={(candidate, seed) => {
            change(choiceOf(offer, candidate));
            change({ type: "seeded", seed });
          }}
        />
      ) : null}
      {failed === null ? null : (
        <ErrorNote
          error={failed}
          path={path}
          what={error === null ? t("This can’t be previewed.") : t("Nothing was changed.")}
          alive={alive}
          onRetry={error !== null ? apply : offered.error !== null ? offered.retry : preview.retry}
        />
      )}
      {reply === null && body !== null && failed === null ? (
        <div class="nnw-skeleton nnw-skeleton-map" aria-hidden="true" />
      ) : null}
      {reply === null || failed !== null ? null : (
        <>
          <Preview {...{ reply, isApplied, alive, onNavigate }} isStale={!isCurrent} />
          {reply.warnings.map((warning) => (
            <Note key={warning} kind="warning">
              {told(warning)}
            </Note>
          ))}
          <StaleOptimizer
            stale={reply.stale}
            clears={form.clears}
            isApplied={isApplied}
            onClears={(clears) => change({ type: "clearing", clears })}
          />
          <Code code={reply.code} label={t("Copy the code")} scrolls />
        </>
      )}
      <footer class="nnw-apply">
        <button
          type="button"
          class="nnw-button nnw-primary"
          aria-keyshortcuts="Control+Enter"
          // Not disabled: the focus would be lost with it.
          aria-disabled={!canApply}
          onClick={apply}
        >
          {t("Apply")} <kbd>Ctrl ↵</kbd>
        </button>
        <button type="button" class="nnw-button" onClick={() => (isApplied ? changes.turn("undo") : cancel())}>
          {isApplied ? t("Undo") : t("Cancel")}
        </button>
        <span class="nnw-space" />
        <span class="nnw-caption" role="status">
          {isBusy ? t("applying …") : isApplied ? t("applied") : (silent ?? t("nothing is written until Apply"))}
        </span>
      </footer>
    </div>
  );
}

interface TargetsProps {
  readonly offer: InitializersReply;
  readonly scope: Scope;
  readonly only: Only;
  readonly onChoose: (part: Partial<Chosen>) => void;
}

/** What it is aimed at, where there is a choice. */
function Targets({ offer, scope, only, onChoose }: TargetsProps) {
  const id = useUniqueId();
  const { scopes, n_weights, n_vectors } = offer;
  const hasKinds = n_weights > 0 && n_vectors > 0;
  if (scopes.length < 2 && !hasKinds && only === "all") {
    return null;
  }
  const count = (n: number): string => t("{0} {0|tensor|tensors}", n);
  return (
    <div class="nnw-line">
      <label for={`${id}-scope`}>{t("Target")}</label>
      <div class="nnw-targets">
        <select
          id={`${id}-scope`}
          value={scope}
          onChange={(event) => onChoose({ scope: event.currentTarget.value as Scope })}
        >
          {scopes.map((each) => (
            <option key={each.scope} value={each.scope}>
              {t(each.label)}
            </option>
          ))}
        </select>
        {hasKinds || only !== "all" ? (
          <select
            aria-label={t("Which tensors of it")}
            value={only}
            onChange={(event) => onChoose({ only: event.currentTarget.value as Only })}
          >
            <option value="all">{count(n_weights + n_vectors)}</option>
            <option value="weights">{t("{0} of 2 or more dimensions", n_weights)}</option>
            <option value="vectors">{t("{0} {0|vector|vectors}", n_vectors)}</option>
          </select>
        ) : null}
      </div>
    </div>
  );
}
