import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Icon } from "../../components/Icon.tsx";
import { Note } from "../../components/Note.tsx";
import { useChanges } from "../../hooks/useChanges.ts";
import { type Memory, useRemembered } from "../../hooks/useRemembered.ts";
import { t, tx, word } from "../../i18n/translate.ts";
import type { Client } from "../../protocol/client.ts";
import type { OpenReply } from "../../protocol/messages.ts";
import type { ChangesStore } from "../../state/changesStore.ts";
import { type Asked, CheckpointsStore } from "../../state/checkpoints/store.ts";
import { silence } from "../ranks/silence.ts";
import { Detail } from "./Detail.tsx";
import { Files } from "./Files.tsx";
import { Header } from "./Header.tsx";
import { ProgressBar } from "./ProgressBar.tsx";
import { SaveForm } from "./SaveForm.tsx";

export interface PanelProps {
  readonly client: Client;
  readonly changes: ChangesStore;
  /** Of a model over ranks, how they are. */
  readonly open: Pick<OpenReply, "ranks">;
  /** What the model is called. */
  readonly name: string;
  /** Whether there is a kernel to ask. */
  readonly alive: boolean;
  readonly memory?: Memory;
  readonly onClose: () => void;
}

/** Checkpoints: a folder's files on the left; what is in one, what a load would do and what differs on the right. */
export function Panel({ client, changes, open, name, alive, memory, onClose }: PanelProps) {
  const silent = silence(open, word("Saving and loading need every rank; {0}"));
  const isOverRanks = open.ranks !== undefined;
  const canWork = alive && silent === null;
  const store = useMemo(
    () => new CheckpointsStore(client, changes, memory?.get("asked") as Asked | undefined),
    [client, changes],
  );
  const [, redraw] = useState(0);
  useLayoutEffect(() => store.subscribe(() => redraw((count) => count + 1)), [store]);
  useEffect(() => {
    void store.resume();
    return () => store.dispose();
  }, [store]);
  // What a cell, an undo or another view has changed can change the plan.
  useEffect(() => client.onEvent((event) => event.event === "changed" && store.refresh()), [client, store]);
  const { history } = useChanges(changes);

  memory?.set("asked", store.asked);
  const [isSaving, setSaving] = useRemembered(memory, "isSaving", false);
  const back = useRef<HTMLButtonElement>(null);
  const saver = useRef<HTMLButtonElement>(null);
  // Before anything is painted: a key pressed at the first sight of the panel is for the panel.
  useLayoutEffect(() => back.current?.focus(), []);
  const closeForm = (): void => {
    memory?.delete("saveAs");
    setSaving(false);
    saver.current?.focus();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape goes back to the model.
    <div
      class="nnw-checkpoints"
      onKeyDown={(event) => {
        if (event.key === "Escape" && !event.defaultPrevented && store.work === null) {
          event.preventDefault();
          onClose();
        }
      }}
    >
      <div class="nnw-toolbar" role="group" aria-label={t("Checkpoints")}>
        <button ref={back} type="button" class="nnw-button nnw-button-quiet" onClick={onClose}>
          <Icon name="back" /> {t("Model")}
        </button>
        <h2 class="nnw-title">{t("Checkpoints")}</h2>
        <span class="nnw-space" />
        <button
          ref={saver}
          type="button"
          class="nnw-button"
          aria-expanded={isSaving}
          disabled={!canWork || store.work !== null}
          onClick={() => setSaving(!isSaving)}
        >
          {tx("Save {0} as…", <bdi>{name}</bdi>)}
        </button>
      </div>
      {silent === null ? null : (
        <Note kind="warning" role="status">
          {silent}
        </Note>
      )}
      {isSaving ? <SaveForm {...{ memory, store, name, isOverRanks }} alive={canWork} onDone={closeForm} /> : null}
      <ProgressBar
        store={store}
        changes={changes}
        canUndo={history?.undo?.startsWith("load ") === true}
        alive={canWork}
      />
      <div class="nnw-shelves">
        <div class="nnw-shelf">
          <Files store={store} alive={alive} />
          <Header store={store} />
        </div>
        <Detail {...{ store, name, isOverRanks, alive, canWork }} />
      </div>
    </div>
  );
}
