const MARK = "nnwidgetsPanel";
const ASK = "nnwidgets:show-in-panel";

/** Says on the page that the host has a panel, which shows the model of a variable. */
export function offerPanel(page: Document, show: (variable: string) => void): void {
  page.documentElement.dataset[MARK] = "";
  page.addEventListener(ASK, (event) => show(String((event as CustomEvent<unknown>).detail)));
}

/** What shows a variable's model in the host's panel; undefined where it has none. */
export function panelOpener(page: Document, variable: string): (() => void) | undefined {
  return page.documentElement.dataset[MARK] === undefined
    ? undefined
    : () => void page.dispatchEvent(new CustomEvent(ASK, { detail: variable }));
}
