import type { ComponentChildren } from "preact";
import { bytesText, countText, exactBytes, exactCount, toNumber } from "../../lib/format.ts";
import type { ModuleFacts, ModuleTensor, TraceCallBody } from "../../protocol/messages.ts";
import { PathLink } from "./PathText.tsx";
import { Section } from "./Section.tsx";
import { Calls } from "./Trace.tsx";

interface ModuleOverviewProps {
  readonly module: ModuleFacts;
  readonly calls: readonly TraceCallBody[];
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

/** A module at a glance: its size, its settings, the tensors it holds itself, how it was called. */
export function ModuleOverview({ module, calls, alive, onNavigate }: ModuleOverviewProps) {
  return (
    <>
      {module.doc === "" ? null : <p class="nnw-doc">{module.doc}</p>}
      <Section title="Size">
        <dl class="nnw-figures">
          <Fact name="parameters" title={exactCount(module.n_params)}>
            {countText(module.n_params)}
          </Fact>
          <Fact name="trainable" title={exactCount(module.n_params_trainable)}>
            {countText(module.n_params_trainable)}
          </Fact>
          <Fact name="bytes" title={exactBytes(module.size_bytes)}>
            {bytesText(module.size_bytes)}
          </Fact>
          <Fact name="modules" title={exactCount(module.n_modules)}>
            {countText(module.n_modules)}
          </Fact>
          <Fact name="tensors" title={exactCount(module.n_tensors)}>
            {countText(module.n_tensors)}
          </Fact>
          <Fact name="mode">{module.training === null ? "not told" : module.training ? "training" : "eval"}</Fact>
        </dl>
      </Section>
      {module.extra === "" ? null : (
        <Section title="Settings">
          <p class="nnw-mono nnw-extra">{module.extra}</p>
        </Section>
      )}
      {module.tensors.length === 0 ? null : (
        <Section title="Own tensors" caption={exactCount(module.tensors.length)}>
          <OwnTensors tensors={module.tensors} alive={alive} onNavigate={onNavigate} />
        </Section>
      )}
      {module.hooks.length === 0 ? null : (
        <Section title="Hooks" caption={exactCount(module.hooks.length)}>
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
        <Section title="Last trace" caption={calls.length === 1 ? "called once" : `called ${calls.length} times`}>
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
          <i class={`nnw-glyph nnw-glyph-${tensor.role}`} role="img" aria-label={tensor.role} title={tensor.role} />
          <PathLink path={tensor.path} text={tensor.name} onNavigate={onNavigate} alive={alive} />
          <span>{tensor.shape}</span>
          <span class="nnw-dim">{tensor.dtype}</span>
          <span class="nnw-dim nnw-count" title={`${exactCount(tensor.n_elements)} values`}>
            {toNumber(tensor.n_elements) === 0 ? "empty" : countText(tensor.n_elements)}
          </span>
        </li>
      ))}
    </ul>
  );
}
