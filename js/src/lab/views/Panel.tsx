import { useLayoutEffect, useState } from "preact/hooks";
import { useLanguage } from "../../i18n/language.ts";
import { t } from "../../i18n/translate.ts";
import type { ActiveModel } from "../activeModel.ts";
import { chinese } from "../chinese.ts";
import type { Settings } from "../settings.ts";
import { Message } from "./Message.tsx";
import { ModelView } from "./ModelView.tsx";
import { wordsFor } from "./panelWords.ts";
import { Variables } from "./Variables.tsx";

interface PanelProps {
  readonly activeModel: ActiveModel;
  readonly settings: Settings;
}

/** The whole panel: which notebook, its models, and the Explorer of one of them. */
export function Panel({ activeModel, settings }: PanelProps) {
  const [, redraw] = useState(0);
  useLayoutEffect(() => activeModel.subscribe(() => redraw((count) => count + 1)), [activeModel]);
  useLanguage(chinese, true);
  const { notebook, connection, shown } = activeModel;
  const words = wordsFor(activeModel);
  const stage = connection?.stage;
  return (
    <section class="nnw-side" lang={t("en-GB")} data-colours={settings.colours} aria-label={t("Neural network")}>
      <header class="nnw-panel-head">
        <h2>{t("Neural network")}</h2>
        {notebook === null ? null : <span title={notebook.context.path}>{nameOf(notebook.context.path)}</span>}
      </header>
      {words !== null ? <Message words={words} onAction={() => activeModel.load()} /> : null}
      {stage?.at === "live" ? (
        <>
          {stage.error === null ? null : (
            <Message
              words={{ title: stage.error.message, text: stage.error.hint, action: t("Try again"), isError: true }}
              onAction={() => void connection?.refresh()}
            />
          )}
          {connection?.wasLoadedHere ? (
            <p class="nnw-panel-said" role="status">
              {t("nnwidgets was loaded into this kernel.")}
            </p>
          ) : null}
          <Variables
            variables={stage.variables}
            shown={shown?.variable.name ?? null}
            onChoose={(name) => activeModel.choose(name)}
          />
        </>
      ) : null}
      {shown === null ? null : (
        // Each model, and each kernel's life, has a view of its own; other colours are read when it is drawn.
        <ModelView key={keyOf(shown, settings)} shown={shown} settings={settings} />
      )}
    </section>
  );
}

const lives = new WeakMap<object, number>();
let nLives = 0;

function keyOf({ connection, variable }: NonNullable<ActiveModel["shown"]>, { colours }: Settings): string {
  const life = lives.get(connection) ?? ++nLives;
  lives.set(connection, life);
  return `${life} ${variable.identity} ${variable.name} ${colours}`;
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
