import { useLayoutEffect, useState } from "preact/hooks";
import { useLanguage } from "../../i18n/language.ts";
import { t } from "../../i18n/translate.ts";
import zh from "../../i18n/zh.json";
import type { Follower } from "../activeModel.ts";
import type { Settings } from "../settings.ts";
import { Message } from "./Message.tsx";
import { ModelView } from "./ModelView.tsx";
import { wordsFor } from "./panelWords.ts";
import { Variables } from "./Variables.tsx";

interface PanelProps {
  readonly follower: Follower;
  readonly settings: Settings;
}

/** The whole panel: which notebook, its models, and the Explorer of one of them. */
export function Panel({ follower, settings }: PanelProps) {
  const [, redraw] = useState(0);
  useLayoutEffect(() => follower.subscribe(() => redraw((count) => count + 1)), [follower]);
  useLanguage(async () => zh, true);
  const { notebook, link, shown } = follower;
  const words = wordsFor(follower);
  const stage = link?.stage;
  return (
    <section class="nnw-side" lang={t("en-GB")} data-colours={settings.colours} aria-label={t("Neural network")}>
      <header class="nnw-panel-head">
        <h2>{t("Neural network")}</h2>
        {notebook === null ? null : <span title={notebook.context.path}>{nameOf(notebook.context.path)}</span>}
      </header>
      {words !== null ? <Message words={words} onAction={() => follower.load()} /> : null}
      {stage?.at === "live" ? (
        <>
          {stage.fault === null ? null : (
            <Message
              words={{ title: stage.fault.message, text: stage.fault.hint, action: t("Try again"), isError: true }}
              onAction={() => void link?.refresh()}
            />
          )}
          {link?.wasLoadedHere ? (
            <p class="nnw-panel-said" role="status">
              {t("nnwidgets was loaded into this kernel.")}
            </p>
          ) : null}
          <Variables
            variables={stage.variables}
            shown={shown?.variable.name ?? null}
            onChoose={(name) => follower.choose(name)}
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

function keyOf({ link, variable }: NonNullable<Follower["shown"]>, { colours }: Settings): string {
  const life = lives.get(link) ?? ++nLives;
  lives.set(link, life);
  return `${life} ${variable.identity} ${variable.name} ${colours}`;
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
