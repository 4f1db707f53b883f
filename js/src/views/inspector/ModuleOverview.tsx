import type { ComponentChildren } from "preact";
import { PathLink } from "../../components/PathText.tsx";
import { Section } from "../../components/Section.tsx";
import { t } from "../../i18n/translate.ts";
import { bytesText, countText, exactBytes, exactCount, toNumber } from "../../lib/format.ts";
import type { ModuleFacts, ModuleTensor, TraceCallBody } from "../../protocol/messages.ts";
import { Calls } from "./Trace.tsx";

interface ModuleOverviewProps {
  /** Where this is another name of a module: its first one. */
  readonly aliasOf: string | null;
  readonly module: ModuleFacts;
  readonly calls: readonly TraceCallBody[];
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

/** A module at a glance: its size, its settings, the tensors it holds itself, how it was called. */
export function ModuleOverview({ module, aliasOf, calls, alive, onNavigate }: ModuleOverviewProps) {
  return (
    <>
      {module.doc === "" ? null : <p class="nnw-doc">{module.doc}</p>}
      <Section title={t("Size")} caption={aliasOf === null ? null : t("counted at {0}", aliasOf || t("the model"))}>
        <dl class="nnw-figures">
          <Fact name={t("parameters")} title={exactCount(module.n_params)}>
            {countText(module.n_params)}
          </Fact>
          <Fact name={t("trainable")} title={exactCount(module.n_params_trainable)}>
            {countText(module.n_params_trainable)}
          </Fact>
          <Fact name={t("bytes")} title={exactBytes(module.size_bytes)}>
            {bytesText(module.size_bytes)}
          </Fact>
          <Fact name={t("modules")} title={exactCount(module.n_modules)}>
            {countText(module.n_modules)}
          </Fact>
          <Fact name={t("tensors")} title={exactCount(module.n_tensors)}>
            {countText(module.n_tensors)}
          </Fact>
          <Fact name={t("mode")}>
            {module.training === null ? t("not told") : module.training ? t("training") : t("eval")}
          </Fact>
        </dl>
      </Section>
      {module.extra === "" ? null : (
        <Section title={t("Settings")}>
          <p class="nnw-mono nnw-extra">{module.extra}</p>
        </Section>
      )}
      {module.tensors.length === 0 ? null : (
        <Section title={t("Own tensors")} caption={exactCount(module.tensors.length)}>
          <OwnTensors tensors={module.tensors} alive={alive} onNavigate={onNavigate} />
        </Section>
      )}
      {module.hooks.length === 0 ? null : (
        <Section title={t("Hooks")} caption={exactCount(module.hooks.length)}>
          <ul class="nnw-hooks">
            {module.hooks.map((hook) => (
              <li key={hook} class="nnw-mono">
                {hook}
              </li>
            ))}
          </ul>
        </Section>
      )}
      {calls.length === 0 ? null : (
        <Section
          title={t("Last trace")}
          caption={t(calls.length === 1 ? "called once" : "called {0} times", calls.length)}
        >
          <Calls calls={calls} withPath={false} failedAt={null} alive={alive} onNavigate={onNavigate} />
        </Section>
      )}
    </>
  );
}

interface FactProps {
  readonly name: string;
  readonly title?: string;
  readonly children: ComponentChildren;
}

function Fact({ name, title, children }: FactProps) {
  return (
    <div>
      <dt>{name}</dt>
      <dd title={title}>{children}</dd>
    </div>
  );
}

interface OwnTensorsProps {
  readonly tensors: readonly ModuleTensor[];
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

function OwnTensors({ tensors, alive, onNavigate }: OwnTensorsProps) {
  return (
    <ul class="nnw-own">
      {tensors.map((tensor) => (
        <li key={tensor.path}>
          <i
            class={`nnw-glyph nnw-glyph-${tensor.role}`}
            role="img"
            aria-label={t(tensor.role)}
            title={t(tensor.role)}
          />
          <PathLink path={tensor.path} text={tensor.name} onNavigate={onNavigate} alive={alive} />
          <span>{tensor.shape}</span>
          <span class="nnw-dim">{tensor.dtype}</span>
          <span class="nnw-dim nnw-count" title={t("{0} {0|value|values}", exactCount(tensor.n_elements))}>
            {toNumber(tensor.n_elements) === 0 ? t("empty") : countText(tensor.n_elements)}
          </span>
        </li>
      ))}
    </ul>
  );
}
