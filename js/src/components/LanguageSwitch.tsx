import { chooseLanguage, currentLanguage } from "../i18n/language.ts";
import { t } from "../i18n/translate.ts";

/** Leads to the other language, in its own words. */
export function LanguageSwitch({ alive }: { readonly alive: boolean }) {
  const [other, name] = currentLanguage() === "en" ? (["zh", "中文"] as const) : (["en", "English"] as const);
  return (
    <button
      type="button"
      class="nnw-button nnw-button-quiet"
      lang={other}
      title={t("Language")}
      disabled={!alive}
      onClick={() => chooseLanguage(other)}
    >
      {name}
    </button>
  );
}
