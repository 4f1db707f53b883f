import type * as base from "@jupyter-widgets/base";
import { Widget } from "@lumino/widgets";
import { Manager } from "./manager.ts";
import { type ToFrame, type ToHost, WIDGET } from "./messages.ts";

/** One output's frame: it waits for its port, shows what comes, and says how high that is. */
const output = document.querySelector<HTMLElement>("#output") as HTMLElement;

addEventListener(
  "message",
  ({ ports: [port] }) => {
    if (port === undefined) {
      return;
    }
    const tell = (said: ToHost): void => port.postMessage(said);
    const manager = new Manager(tell);
    new ResizeObserver(() => tell({ height: output.scrollHeight })).observe(output);
    port.onmessage = ({ data: said }: MessageEvent<ToFrame>) => {
      if ("theme" in said) {
        document.documentElement.setAttribute("theme", said.theme);
      } else if ("show" in said) {
        show(said.show, manager).then(
          () => tell({ shown: true }),
          (error: unknown) => tell({ fault: String(error) }),
        );
      } else {
        manager.hear(said);
      }
    };
  },
  { once: true },
);

async function show(data: Readonly<Record<string, unknown>>, manager: Manager): Promise<void> {
  if (WIDGET in data) {
    const model = await manager.get_model((data[WIDGET] as { model_id: string }).model_id);
    const view = await manager.create_view<base.DOMWidgetView>(model);
    Widget.attach(view.luminoWidget, output);
  } else if ("text/html" in data) {
    output.innerHTML = String(data["text/html"]);
  } else {
    output.append(Object.assign(document.createElement("pre"), { textContent: data["text/plain"] }));
  }
}
