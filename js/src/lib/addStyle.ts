const MARK = "data-nnwidgets";

/** Puts the style sheet where the view is: the document's head or its shadow root, once in each. */
export function addStyle(element: HTMLElement, css: string): void {
  const root = element.getRootNode();
  const home = root instanceof ShadowRoot ? root : element.ownerDocument.head;
  const digest = `${css.length}`;
  if (home.querySelector(`style[${MARK}="${digest}"]`) === null) {
    const style = element.ownerDocument.createElement("style");
    style.setAttribute(MARK, digest);
    style.textContent = css;
    home.append(style);
  }
}
