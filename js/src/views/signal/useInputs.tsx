import type { ComponentChild } from "preact";
import { useQuery } from "../../hooks/useQuery.ts";
import { type Memory, useRemembered } from "../../hooks/useRemembered.ts";
import { t } from "../../i18n/translate.ts";
import type { Client } from "../../protocol/client.ts";
import type { ForwardBody, TensorVariable } from "../../protocol/messages.ts";

const LAST = "= last";
const OWN_SIZE = "= size";

interface InputsProps {
  readonly client: Client;
  readonly alive: boolean;
  readonly memory: Memory;
  /** Goes up when the variables may have changed. */
  readonly generation: number;
  readonly isBusy: boolean;
}

export interface Inputs {
  readonly fields: ComponentChild;
  /** What a request says of its inputs; null while that isn't known. */
  readonly body: Pick<ForwardBody, "inputs" | "size"> | null;
  readonly tensors: readonly TensorVariable[];
}

/** Which inputs to run on: those of the last run, a tensor among the variables, or made ones of a size. */
export function useInputs({ client, alive, memory, generation, isBusy }: InputsProps): Inputs {
  const asked = { generation, alive };
  const tensors = useQuery(client, "tensors", {}, asked).answer?.body.tensors ?? null;
  const known = useQuery(client, "last_inputs", {}, asked).answer ?? null;
  const last = known?.body.inputs ?? null;
  const [chosen, setChosen] = useRemembered<string | null>(memory, "signal input", null);
  const [size, setSize] = useRemembered(memory, "signal size", "");
  const names = tensors?.map(({ name }) => name) ?? [];
  const isThere =
    chosen === OWN_SIZE || (chosen === LAST && last !== null) || (chosen !== null && names.includes(chosen));
  const value = isThere && chosen !== null ? chosen : last !== null ? LAST : (names[0] ?? OWN_SIZE);
  const body = value === LAST ? {} : value === OWN_SIZE ? { size: size.trim() } : { inputs: [value] };
  const fields = (
    <>
      <label>
        <span class="nnw-dim">{t("Input")}</span>
        <select value={value} disabled={!alive || isBusy} onChange={(event) => setChosen(event.currentTarget.value)}>
          {last === null ? null : <option value={LAST}>{t("of the last run · {0}", last)}</option>}
          {tensors?.map((each) => (
            <option key={each.name} value={each.name}>
              {`${each.name} · ${each.shape} ${each.dtype}`}
            </option>
          ))}
          <option value={OWN_SIZE}>{t("of a size …")}</option>
        </select>
      </label>
      {value === OWN_SIZE ? (
        <label>
          <span class="nnw-dim">{t("Size")}</span>
          <input
            type="text"
            value={size}
            placeholder="2,20"
            title={t("Batch included: 2,20, or 2,20:int64 with the dtype. Random values; integers are zero.")}
            spellcheck={false}
            autocomplete="off"
            disabled={!alive || isBusy}
            onInput={(event) => setSize(event.currentTarget.value)}
          />
        </label>
      ) : null}
    </>
  );
  const isReady = tensors !== null && known !== null && (value !== OWN_SIZE || size.trim() !== "");
  return { fields, body: isReady ? body : null, tensors: tensors ?? [] };
}
