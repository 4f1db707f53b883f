import type { ComponentChild } from "preact";
import { useQuery } from "../../hooks/useQuery.ts";
import { type Memory, useRemembered } from "../../hooks/useRemembered.ts";
import { t } from "../../i18n/translate.ts";
import type { Client } from "../../protocol/client.ts";
import type { ForwardBody, TensorVariable } from "../../protocol/messages.ts";
import { InputFields } from "../inspector/InputFields.tsx";

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
    <InputFields
      {...{ value, size }}
      tensors={tensors ?? []}
      ownSize={OWN_SIZE}
      last={last === null ? null : { value: LAST, words: t("of the last run · {0}", last) }}
      disabled={!alive || isBusy}
      onChoose={setChosen}
      onSize={setSize}
    />
  );
  const isReady = tensors !== null && known !== null && (value !== OWN_SIZE || size.trim() !== "");
  return { fields, body: isReady ? body : null, tensors: tensors ?? [] };
}
