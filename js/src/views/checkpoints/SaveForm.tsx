import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Note } from "../../components/Note.tsx";
import { type Memory, useRemembered } from "../../hooks/useRemembered.ts";
import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { t, tx } from "../../i18n/translate.ts";
import { bytesText } from "../../lib/format.ts";
import { defaultName, fileNameProblem, formatOf, within } from "../../state/checkpoints/fileNames.ts";
import type { CheckpointsStore } from "../../state/checkpoints/store.ts";
import { dateText } from "./statusLabels.tsx";

interface SaveFormProps {
  readonly store: CheckpointsStore;
  readonly name: string;
  /** Whether ranks save it together. */
  readonly isOverRanks: boolean;
  readonly alive: boolean;
  readonly memory?: Memory | undefined;
  readonly onDone: () => void;
}

/** Under which name to save the model; what is there already is replaced only after asking. */
export function SaveForm({ store, name, isOverRanks, alive, memory, onDone }: SaveFormProps) {
  const id = useUniqueId();
  const [file, setFile] = useRemembered(memory, "saveAs", defaultName(name));
  const [verify, setVerify] = useState(true);
  const [optimizer, setOptimizer] = useState(false);
  const [isTaken, setTaken] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const keep = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => {
    const input = field.current;
    input?.focus();
    const dot = input?.value.lastIndexOf(".") ?? -1;
    input?.setSelectionRange(0, dot > 0 ? dot : (input.value.length ?? 0));
  }, []);
  useLayoutEffect(() => {
    if (isTaken) {
      keep.current?.focus();
    }
  }, [isTaken]);
  const problem = fileNameProblem(file);
  const path = within(store.asked.folder, file.trim());
  const there = store.folder?.entries.find((entry) => entry.path === path);
  const facts = [
    ...(there?.size_bytes == null ? [] : [bytesText(there.size_bytes)]),
    ...(there?.size_bytes == null || there.modified === null ? [] : [dateText(there.modified)]),
  ];
  const isBusy = store.work !== null;
  const save = async (overwrite: boolean): Promise<void> => {
    if (problem !== null || isBusy || !alive) {
      return;
    }
    setTaken(false);
    if (await store.save({ path, overwrite, verify, optimizer })) {
      if (store.outcome?.what === "save") {
        onDone();
      }
    } else {
      setTaken(true);
    }
  };
  return (
    <form
      class="nnw-save"
      aria-label={t("Save {0}", name)}
      onSubmit={(event) => {
        event.preventDefault();
        void save(false);
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape" && !isBusy) {
          event.preventDefault();
          if (isTaken) {
            setTaken(false);
            field.current?.focus();
          } else {
            onDone();
          }
        }
      }}
    >
      <div class="nnw-save-line">
        <label for={id}>
          {/* The folder in sight is where it goes. */}
          <bdi class="nnw-dim nnw-mono">{store.asked.folder === "" ? "" : `${store.asked.folder}/`}</bdi>
          <span class="nnw-hidden">{t("File name")}</span>
        </label>
        <input
          ref={field}
          id={id}
          type="text"
          value={file}
          aria-invalid={problem !== null}
          aria-describedby={`${id}-note`}
          spellcheck={false}
          autocomplete="off"
          disabled={!alive || isBusy}
          onInput={(event) => {
            setFile(event.currentTarget.value);
            setTaken(false);
          }}
        />
        <button type="submit" class="nnw-button nnw-primary" disabled={!alive || isBusy || problem !== null}>
          {t("Save")}
        </button>
        <button type="button" class="nnw-button" disabled={isBusy} onClick={onDone}>
          {t("Close")}
        </button>
      </div>
      <div class="nnw-save-line nnw-small">
        <span id={`${id}-note`} class={problem === null ? "nnw-dim" : "nnw-err"} role="status">
          {problem === null ? t("as {0}", t(formatOf(file.trim(), isOverRanks))) : t(problem)}
        </span>
        <label class="nnw-check">
          <input type="checkbox" checked={verify} onChange={(event) => setVerify(event.currentTarget.checked)} />
          {t("read back and compare")}
        </label>
        {isOverRanks ? null : (
          <label class="nnw-check">
            <input
              type="checkbox"
              checked={optimizer}
              onChange={(event) => setOptimizer(event.currentTarget.checked)}
            />
            {t("with the optimizer")}
          </label>
        )}
      </div>
      {isTaken ? (
        <Note kind="warning" role="alert">
          <p>
            {tx(
              facts.length === 0 ? "{0} is there already." : "{0} is there already ({1}).",
              <bdi class="nnw-mono">{path}</bdi>,
              facts.join(", "),
            )}{" "}
            {t("The old file stays until the new one is whole.")}
          </p>
          <div class="nnw-actions">
            <button
              ref={keep}
              type="button"
              class="nnw-button"
              onClick={() => {
                setTaken(false);
                field.current?.focus();
              }}
            >
              {t("Keep it")}
            </button>
            <button type="button" class="nnw-button" disabled={!alive || isBusy} onClick={() => save(true)}>
              {t("Replace it")}
            </button>
          </div>
        </Note>
      ) : null}
    </form>
  );
}
