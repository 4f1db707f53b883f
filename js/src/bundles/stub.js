// The whole page module of one Explorer: finds the bundle that all share in a hidden widget, and imports it once.
globalThis.__nnwidgets ??= new Map();
const loaded = globalThis.__nnwidgets;

const text = (bytes) => new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();

const say = (el, words) => el.replaceChildren(Object.assign(document.createElement("pre"), { textContent: words }));

async function bundleOf(model, el) {
  const find = async () => {
    const bundle = await model.widget_manager.get_model(model.get("_bundle").slice("IPY_MODEL_".length));
    return bundle ?? Promise.reject(new Error("the page's code is not here"));
  };
  return find().catch(async () => {
    // A page that was loaded anew, in a host that asks the kernel for no models: the kernel is to tell of it again.
    const words =
      "The Explorer waits for the kernel: until the running cell has ended, or until the cell is run again.";
    const late = setTimeout(() => say(el, words), 500);
    await new Promise((told) => {
      const hear = (message) => {
        if (message.told === "bundle") {
          model.off("msg:custom", hear);
          told();
        }
      };
      model.on("msg:custom", hear);
      model.send({ tell: "bundle" });
    });
    clearTimeout(late);
    el.replaceChildren();
    return find();
  });
}

async function page(model, el) {
  const bundle = await bundleOf(model, el);
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

export default {
  async render(context) {
    try {
      const { page: hooks, style } = await page(context.model, context.el);
      return await hooks.render({ ...context, style });
    } catch (error) {
      say(context.el, `The Explorer can't start: ${error}. Run the cell again; if it stays, restart the kernel.`);
    }
  },
};
