import { useUniqueId } from "../../hooks/useUniqueId.ts";
import { t } from "../../i18n/translate.ts";
import type { InitializerBody, ParameterBody } from "../../protocol/messages.ts";
import { type FormAction, type InitForm, textOf } from "../../state/initForm.ts";

interface ParametersProps {
  readonly initializer: InitializerBody;
  readonly form: InitForm;
  readonly problems: Readonly<Record<string, string>>;
  readonly onChange: (action: FormAction) => void;
}

/** A field for each of the initializer's own parameters; what is wrong with one is said under it. */
export function Parameters({ initializer, form, problems, onChange }: ParametersProps) {
  return (
    <div class="nnw-parameters">
      {initializer.parameters.map((parameter) => (
        <Field
          key={`${initializer.name} ${parameter.name}`}
          parameter={parameter}
          text={textOf(form, parameter)}
          problem={problems[parameter.name]}
          onText={(text) => onChange({ type: "typed", name: parameter.name, text })}
        />
      ))}
    </div>
  );
}

interface FieldProps {
  readonly parameter: ParameterBody;
  readonly text: string;
  readonly problem: string | undefined;
  readonly onText: (text: string) => void;
}

function Field({ parameter, text, problem, onText }: FieldProps) {
  const id = useUniqueId();
  const { name, type, required } = parameter;
  const choices = type === "bool" ? ["False", "True"] : parameter.choices;
  return (
    <div class="nnw-field">
      <label for={id}>{name}</label>
      {choices.length > 0 ? (
        <select id={id} value={text} onChange={(event) => onText(event.currentTarget.value)}>
          {choices.map((choice) => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </select>
      ) : (
        <input
          id={id}
          type="text"
          inputMode={type === "float" || type === "int" ? "decimal" : "text"}
          autocomplete="off"
          spellcheck={false}
          value={text}
          placeholder={required ? t("needed") : t("default")}
          aria-invalid={problem !== undefined}
          aria-describedby={problem === undefined ? undefined : `${id}-problem`}
          onInput={(event) => onText(event.currentTarget.value)}
        />
      )}
      {problem === undefined ? null : (
        <span id={`${id}-problem`} class="nnw-err nnw-problem">
          {t(problem)}
        </span>
      )}
    </div>
  );
}
