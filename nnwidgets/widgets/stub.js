// The whole page module of one Explorer: finds the bundle that all share in a hidden widget, and imports it once.
const loaded = (globalThis.__nnwidgets ??= new Map());

const text = (bytes) => new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();

async function page(model) {
  const bundle = await model.widget_manager.get_model(model.get("_bundle").slice("IPY_MODEL_".length));
  const digest = bundle.get("digest");
  if (!loaded.has(digest)) {
    const read = async () => {
      const [code, style] = await Promise.all(["code", "style"].map((name) => text(bundle.get(name))));
      const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
      const entry = await import(url).finally(() => URL.revokeObjectURL(url));
      return { page: entry.default, style };
    };
    loaded.set(digest, read());
    loaded.get(digest).catch(() => loaded.delete(digest));
  }
  return loaded.get(digest);
}

async function call(name, context) {
  const { page: hooks, style } = await page(context.model);
  return hooks[name]?.({ ...context, style });
}

export default {
  initialize: (context) => call("initialize", context),
  async render(context) {
    try {
      return await call("render", context);
    } catch (error) {
      const text = `The Explorer can't start: ${error}. Run the cell again; if it stays, restart the kernel.`;
      context.el.replaceChildren(Object.assign(document.createElement("pre"), { textContent: text }));
    }
  },
};
