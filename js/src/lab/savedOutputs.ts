import { t } from "../i18n/translate.ts";
import type { DrawingPanel, MimeModel, Renderer } from "./jupyterTypes.ts";

/** What an Explorer's output also has: it ranks before the widget, where this extension is. */
const EXPLORER = "application/vnd.nnwidgets.explorer+json";
const WIDGET = "application/vnd.jupyter.widget-view+json";
const HTML = "text/html";
/** Widgets have -10. */
const RANK = -20;
/** What the host's renderer of widgets gets when it has given up. */
const FAILED = "jupyter-widgets";
/** What the host draws for a widget whose script it can't load, or that failed in it. */
const ERROR = ".jupyter-widgets-error-widget";
/** A kernel that is there is connected to sooner. */
const PATIENCE_MS = 3_000;

/** Has a notebook show the live view of an Explorer where there is one, and else its tree as HTML. */
export function showSavedOutputs(
  { content: { rendermime }, sessionContext }: DrawingPanel,
  openPanel: () => void,
): void {
  rendermime.addFactory(
    {
      safe: false,
      mimeTypes: [EXPLORER],
      createRenderer: (options) => {
        const make = (mimeType: string): Renderer | undefined =>
          rendermime.getFactory(mimeType)?.createRenderer({ ...options, mimeType });
        const view = make(WIDGET);
        if (view !== undefined) {
          fallBack(view, () => make(HTML), sessionContext, openPanel);
        }
        return (view ?? make(HTML)) as Renderer;
      },
    },
    RANK,
  );
}

/** Has the host's own renderer of a widget show something else whenever it finds no widget, or has no kernel to ask. */
function fallBack(
  view: Renderer,
  makeOther: () => Renderer | undefined,
  context: DrawingPanel["sessionContext"],
  openPanel: () => void,
): void {
  const render = view.renderModel.bind(view);
  view.renderModel = async (model: MimeModel): Promise<void> => {
    // Of a notebook that was closed there is nothing to ask.
    const isEmpty = (): boolean => !view.isDisposed && view.widgets.length === 0;
    const showOther = async (): Promise<void> => {
      const other = makeOther();
      await other?.renderModel(model);
      if (other !== undefined && isEmpty()) {
        view.node.replaceChildren(other.node);
      }
    };
    // Without a kernel it waits for one forever, and no one tells that there is none.
    setTimeout(() => isEmpty() && !context.session?.kernel && showOther(), PATIENCE_MS);
    await render(model);
    if (view.hasClass(FAILED)) {
      await showOther();
    } else if (!view.isDisposed && view.node.querySelector(ERROR) !== null) {
      const other = makeOther();
      await other?.renderModel(model);
      view.node.prepend(noView(openPanel), ...(other === undefined ? [] : [other.node]));
    }
  };
}

/** Says in the place of a view that there is none, and opens the panel, which needs no anywidget. */
function noView(openPanel: () => void): HTMLElement {
  const [words, button] = [document.createElement("p"), document.createElement("button")];
  words.append(
    `${t("This JupyterLab can’t show the live view here: the error below the tree says why.")} `,
    `${t("Where it names two versions of anywidget, install one for JupyterLab and the kernel, and load the page again.")} `,
    button,
  );
  button.className = "jp-mod-styled";
  button.textContent = t("Show the live view in the panel");
  button.onclick = openPanel;
  return words;
}
