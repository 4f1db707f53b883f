import { t } from "../../i18n/translate.ts";
import type { TensorVariable } from "../../protocol/messages.ts";

interface InputFieldsProps {
  readonly tensors: readonly TensorVariable[];
  /** What is chosen: a tensor's name, `ownSize`, or `last.value`. */
  readonly value: string;
  /** Stands for an input that is made, of a size. */
  readonly ownSize: string;
  readonly size: string;
  /** Those of an earlier run, where they are still there. */
  readonly last?: { readonly value: string; readonly words: string } | null;
  readonly disabled: boolean;
  readonly onChoose: (value: string) => void;
  readonly onSize: (size: string) => void;
}

/** What a forward is run on: a tensor among the variables, or one of a size that is typed. */
export function InputFields(props: InputFieldsProps) {
  const { tensors, value, ownSize, size, last, disabled, onChoose, onSize } = props;
  return (
    <>
      <label>
        <span class="nnw-dim">{t("Input")}</span>
        <select value={value} disabled={disabled} onChange={(event) => onChoose(event.currentTarget.value)}>
          {last ? <option value={last.value}>{last.words}</option> : null}
          {tensors.map((each) => (
            <option key={each.name} value={each.name}>
              {`${each.name} · ${each.shape} ${each.dtype}`}
            </option>
          ))}
          <option value={ownSize}>{t("of a size …")}</option>
        </select>
      </label>
      {value === ownSize ? (
        <label>
          <span class="nnw-dim">{t("Size")}</span>
          <input
            type="text"
            value={size}
            placeholder="2,20"
            title={t("Batch included: 2,20, or 2,20:int64 with the dtype. Random values; integers are zero.")}
            spellcheck={false}
            autocomplete="off"
            disabled={disabled}
            onInput={(event) => onSize(event.currentTarget.value)}
          />
        </label>
      ) : null}
    </>
  );
}
