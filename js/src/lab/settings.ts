import type { Language } from "../i18n/language.ts";

/** What the settings of the extension say; `js/lab/schema.json` documents them. */
export interface Settings {
  /** Pixels of the Explorer; 0 fills the panel. */
  readonly height: number;
  readonly colours: "host" | "light" | "dark";
  readonly autoDisplay: boolean;
  /** Of the panel and of every Explorer on the page; "host" leaves it to JupyterLab's, or what was chosen in one. */
  readonly language: "host" | Language;
}

export const DEFAULTS: Settings = { height: 0, colours: "host", autoDisplay: true, language: "host" };

/** Settings as the host has them, each of a wrong type left at its default. */
export function settingsOf(composite: Readonly<Record<string, unknown>>): Settings {
  const { height, colours, autoDisplay, language } = composite;
  return {
    height: typeof height === "number" && height >= 0 ? height : DEFAULTS.height,
    colours: colours === "light" || colours === "dark" ? colours : DEFAULTS.colours,
    autoDisplay: typeof autoDisplay === "boolean" ? autoDisplay : DEFAULTS.autoDisplay,
    language: language === "en" || language === "zh" ? language : DEFAULTS.language,
  };
}
