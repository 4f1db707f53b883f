import { ErrorNote } from "../../components/Note.tsx";
import { type Memory, useRemembered } from "../../hooks/useRemembered.ts";
import { useWork } from "../../hooks/useWork.ts";
import { t } from "../../i18n/translate.ts";
import type { Client } from "../../protocol/client.ts";
import { useInputs } from "./useInputs.tsx";
import { Working } from "./Working.tsx";

interface RunFormProps {
  readonly client: Client;
  readonly alive: boolean;
  readonly memory: Memory;
  readonly generation: number;
}

const NONE = "= none";
const NOISE = "= noise";

/** Runs a forward and a backward on a tensor among the variables; every view of the model shows it. */
export function RunForm({ client, alive, memory, generation }: RunFormProps) {
  const [wanted, setLoss] = useRemembered(memory, "signal loss", NOISE);
  const { isRunning, progress, error, run, cancel } = useWork(client, "activations", () => {});
  const { fields, body, tensors } = useInputs({ client, alive, memory, generation, isBusy: isRunning });
  const loss = [NONE, NOISE].includes(wanted) || tensors.some(({ name }) => name === wanted) ? wanted : NOISE;
  const start = (): void => {
    if (body !== null) {
      run({
        ...body,
        ...(loss === NONE ? { loss: "none" } : loss === NOISE ? { loss: "noise" } : { loss: "target", target: loss }),
      });
    }
  };
  return (
    <form
      class="nnw-forward nnw-signal-form"
      aria-label={t("Run through the layers")}
      onSubmit={(event) => {
        event.preventDefault();
        start();
      }}
    >
      {fields}
      <label>
        <span class="nnw-dim">{t("Loss")}</span>
        <select
          value={loss}
          disabled={!alive || isRunning}
          title={t("Against a target: cross entropy where it holds integers, else the mean squared error.")}
          onChange={(event) => setLoss(event.currentTarget.value)}
        >
          <option value={NOISE}>{t("noise from the output")}</option>
          <option value={NONE}>{t("none: forward alone")}</option>
          {tensors.map(({ name, shape, dtype }) => (
            <option key={name} value={name}>
              {t("target {0}", `${name} · ${shape} ${dtype}`)}
            </option>
          ))}
        </select>
      </label>
      <button type="submit" class="nnw-button" disabled={!alive || isRunning || body === null}>
        {isRunning ? t("Running …") : t("Run")}
      </button>
      {isRunning ? <Working label={t("Run through the layers")} progress={progress} onCancel={cancel} /> : null}
      {error === null ? null : <ErrorNote {...{ error, alive }} path="" what={t("Nothing was run.")} onRetry={start} />}
    </form>
  );
}
