import { useState } from "preact/hooks";
import { ErrorNote } from "../../components/Note.tsx";
import { useQuery } from "../../hooks/useQuery.ts";
import { type Memory, useRemembered } from "../../hooks/useRemembered.ts";
import { t } from "../../i18n/translate.ts";
import { type PageError, toPageError } from "../../lib/errors.ts";
import type { Client } from "../../protocol/client.ts";
import { InputFields } from "./InputFields.tsx";

interface ForwardFormProps {
  readonly client: Client;
  readonly alive: boolean;
  readonly memory: Memory;
  /** Goes up when the variables may have changed. */
  readonly generation: number;
  /** Whether there is a trace to clear. */
  readonly hasTrace: boolean;
}

const OWN_SIZE = "";

/** Runs a forward on a tensor among the variables, or on an input of a size, and shows it on the rows. */
export function ForwardForm({ client, alive, memory, generation, hasTrace }: ForwardFormProps) {
  const { answer } = useQuery(client, "tensors", {}, { generation, alive });
  const tensors = answer?.body.tensors ?? [];
  const [chosen, setChosen] = useRemembered<string | null>(memory, "input", null);
  const [size, setSize] = useRemembered(memory, "size", "");
  const [isRunning, setRunning] = useState(false);
  const [error, setError] = useState<PageError | null>(null);
  const name = tensors.some((each) => each.name === chosen) ? (chosen as string) : (tensors[0]?.name ?? OWN_SIZE);
  const isOwn = chosen === OWN_SIZE || name === OWN_SIZE;
  const ask = async (request: () => Promise<unknown>): Promise<void> => {
    setRunning(true);
    setError(null);
    try {
      await request();
    } catch (failure) {
      setError(toPageError(failure));
    } finally {
      setRunning(false);
    }
  };
  const run = (): void => void ask(() => client.request("forward", isOwn ? { size: size.trim() } : { inputs: [name] }));
  return (
    <form
      class="nnw-forward"
      onSubmit={(event) => {
        event.preventDefault();
        run();
      }}
    >
      <InputFields
        {...{ tensors, size }}
        value={isOwn ? OWN_SIZE : name}
        ownSize={OWN_SIZE}
        disabled={!alive || isRunning}
        onChoose={setChosen}
        onSize={setSize}
      />
      <button type="submit" class="nnw-button" disabled={!alive || isRunning || (isOwn && size.trim() === "")}>
        {isRunning ? t("Running …") : t("Run a forward")}
      </button>
      {hasTrace ? (
        <button
          type="button"
          class="nnw-button"
          disabled={!alive || isRunning}
          title={t("Rows show the shapes that layers were made with again")}
          onClick={() => void ask(() => client.request("clear_trace", {}))}
        >
          {t("Clear")}
        </button>
      ) : null}
      {error === null ? null : (
        <ErrorNote error={error} path="" what={t("The forward was not run.")} alive={alive} onRetry={run} />
      )}
    </form>
  );
}
