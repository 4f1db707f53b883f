import { useLayoutEffect, useState } from "preact/hooks";
import { setCatalogue, type Words } from "./translate.ts";

export type Language = "en" | "zh";

const ENGLISH: Words = [{}];

/** Under this name a choice is stored, and told to all that is on the page, whichever script drew it. */
const NAME = "nnwidgets-language";

let chosen = readStored();
let asked: Language | "" = "";
addEventListener(NAME, (event) => {
  chosen = (event as CustomEvent<Language | null>).detail;
});

/** What storage forbids is forgotten with the page. */
function readStored(): Language | null {
  try {
    return localStorage.getItem(NAME) as Language | null;
  } catch {
    return null;
  }
}

/** Writes the page in a language from now on; null leaves it to the page's own again. */
export function chooseLanguage(language: Language | null): void {
  try {
    localStorage.setItem(NAME, language ?? "");
  } catch {
    // The choice then lasts as long as the page.
  }
  dispatchEvent(new CustomEvent(NAME, { detail: language }));
}

/** Notes what the kernel of the newest view speaks: it stands above the page's language, below what was chosen here. */
export function followKernel(language: unknown): void {
  const wanted = language === "en" || language === "zh" ? language : "";
  if (wanted !== asked) {
    asked = wanted;
    dispatchEvent(new CustomEvent(NAME, { detail: chosen }));
  }
}

/** The language chosen, else the kernel's, else that of the page, else the browser's. */
export function currentLanguage(): Language {
  return chosen || asked || ((document.documentElement.lang || navigator.language).startsWith("zh") ? "zh" : "en");
}

/** Draws its component again once the page is to be in another language; `load` gets the words for it. */
export function useLanguage(load: () => Promise<Words>, alive: boolean): void {
  const [, redraw] = useState(0);
  useLayoutEffect(() => {
    const settle = async (): Promise<void> => {
      // Without a kernel no words come, and the page stays in English.
      const words = currentLanguage() === "en" ? ENGLISH : await load().catch(() => null);
      if (words !== null) {
        setCatalogue(...(currentLanguage() === "en" ? ENGLISH : words));
        redraw((count) => count + 1);
      }
    };
    void settle();
    addEventListener(NAME, settle);
    return () => removeEventListener(NAME, settle);
  }, [alive]);
}
