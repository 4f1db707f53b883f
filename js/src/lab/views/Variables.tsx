import { t } from "../../i18n/translate.ts";
import type { Variable, VariablesReply } from "../../protocol/messages.ts";

interface VariablesProps {
  readonly variables: VariablesReply;
  readonly shown: string | null;
  readonly onChoose: (name: string) => void;
}

/** The models among the kernel's variables, one of them on view, and its optimizers. */
export function Variables({ variables: { modules, optimizers }, shown, onChoose }: VariablesProps) {
  return (
    <div class="nnw-variables">
      {modules.length === 0 ? (
        <p class="nnw-panel-text">{t("No variable of this kernel holds a model yet. Run the cell that makes one.")}</p>
      ) : (
        <ul aria-label={t("Models")}>
          {modules.map((variable) => (
            <li key={variable.name}>
              <button
                type="button"
                class="nnw-variable"
                aria-pressed={variable.name === shown}
                title={t("Show {0} in the Explorer", variable.name)}
                onClick={() => onChoose(variable.name)}
              >
                <VariableName {...variable} />
              </button>
            </li>
          ))}
        </ul>
      )}
      {optimizers.length === 0 ? null : (
        <>
          <h3 id="nnw-optimizers">{t("Optimizers")}</h3>
          <ul aria-labelledby="nnw-optimizers">
            {optimizers.map((variable) => (
              <li key={variable.name} class="nnw-variable">
                <VariableName {...variable} />
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

function VariableName({ name, class_name }: Variable) {
  return (
    <>
      <span class="nnw-variable-name">{name}</span>
      <span class="nnw-variable-class">{class_name}</span>
    </>
  );
}
