// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { MimeModel, Renderer, RendererFactory } from "../../src/lab/jupyterTypes.ts";
import { showSavedOutputs } from "../../src/lab/savedOutputs.ts";

const WIDGET = "application/vnd.jupyter.widget-view+json";
const EXPLORER = "application/vnd.nnwidgets.explorer+json";
const MODEL = { data: { "text/html": "<b>Stack</b>" } };

/** A renderer that writes `text`, and draws a view, gives up or waits, as JupyterLab's of widgets does. */
class FakeRenderer implements Renderer {
  readonly node = document.createElement("div");
  /** As JupyterLab's, which has none once it is disposed of. */
  get widgets(): unknown[] {
    if (this.isDisposed) {
      throw new TypeError("Cannot read properties of null (reading 'widgets')");
    }
    return this.#widgets;
  }
  isDisposed = false;
  readonly #widgets: unknown[] = [];
  readonly #draw: (renderer: FakeRenderer, model: MimeModel) => Promise<void> | void;

  constructor(draw: (renderer: FakeRenderer, model: MimeModel) => Promise<void> | void) {
    this.#draw = draw;
  }

  hasClass(name: string): boolean {
    return this.node.classList.contains(name);
  }

  async renderModel(model: MimeModel): Promise<void> {
    await this.#draw(this, model);
  }
}

const drawn = (renderer: FakeRenderer): void => {
  renderer.node.textContent = "live";
  renderer.widgets.push({});
};
const failed = (renderer: FakeRenderer): void => {
  renderer.node.textContent = "Error displaying widget: model not found";
  renderer.node.classList.add("jupyter-widgets");
};
const waiting = (renderer: FakeRenderer): Promise<void> => {
  renderer.node.textContent = "Loading widget...";
  return new Promise(() => {});
};

/** The Explorer's output as a notebook with these renderers draws it. */
function output(draw: (renderer: FakeRenderer) => Promise<void> | void, kernel: object | null = {}): HTMLElement {
  const factories = new Map<string, RendererFactory>();
  const ranks = new Map<string, number>([[WIDGET, -10]]);
  const add = (mimeType: string, write: ConstructorParameters<typeof FakeRenderer>[0]): void => {
    factories.set(mimeType, { safe: false, mimeTypes: [mimeType], createRenderer: () => new FakeRenderer(write) });
  };
  add("text/html", ({ node }, { data }) => node.replaceChildren(`the tree: ${data["text/html"]}`));
  const rendermime = {
    getFactory: (mimeType: string) => factories.get(mimeType),
    addFactory: (factory: RendererFactory, rank: number) => {
      factories.set(EXPLORER, factory);
      ranks.set(EXPLORER, rank);
    },
  };
  showSavedOutputs({ content: { rendermime }, sessionContext: { session: kernel && { kernel } } }, openPanel);
  // The widget manager may come after this extension.
  add(WIDGET, draw);
  expect(ranks.get(EXPLORER)).toBeLessThan(ranks.get(WIDGET) ?? 0);
  const renderer = factories.get(EXPLORER)?.createRenderer({ mimeType: EXPLORER }) as Renderer;
  void renderer.renderModel(MODEL);
  return renderer.node;
}

const openPanel = vi.fn();
beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a live view is drawn by the host alone, whether or not a kernel is connected by then", async () => {
  for (const kernel of [{}, null]) {
    const node = output(drawn, kernel);
    await vi.runAllTimersAsync();
    expect(node.textContent).toBe("live");
  }
});

test("where the host finds no widget, its tree as HTML stands in the place of the host's words", async () => {
  const node = output(failed);
  await vi.advanceTimersByTimeAsync(0);
  expect(node.textContent).toBe("the tree: <b>Stack</b>");
});

test("while a kernel may still tell of the widget nothing else is shown, and without a kernel the tree soon is", async () => {
  const [connected, none] = [output(waiting), output(waiting, null)];
  await vi.advanceTimersByTimeAsync(100);
  expect(none.textContent).toBe("Loading widget...");
  await vi.runAllTimersAsync();
  expect(connected.textContent).toBe("Loading widget...");
  expect(none.textContent).toBe("the tree: <b>Stack</b>");
});

test("of a notebook that is closed meanwhile nothing is asked any more", async () => {
  const dispose = (renderer: FakeRenderer): Promise<void> => {
    renderer.isDisposed = true;
    return waiting(renderer);
  };
  const node = output(dispose, null);
  await vi.runAllTimersAsync();
  expect(node.textContent).toBe("Loading widget...");
});

test("where the host shows that a widget failed, the tree stands above its error, with what opens the panel", async () => {
  const node = output((renderer) => {
    drawn(renderer);
    renderer.node.innerHTML = "<div class='jupyter-widgets-error-widget'>Click to show javascript error.</div>";
  });
  await vi.advanceTimersByTimeAsync(0);
  expect([...node.children].map(({ textContent }) => textContent)).toEqual([
    expect.stringContaining("This JupyterLab can’t show the live view here"),
    "the tree: <b>Stack</b>",
    "Click to show javascript error.",
  ]);
  node.querySelector("button")?.click();
  expect(openPanel).toHaveBeenCalledOnce();
});
