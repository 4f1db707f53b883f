import { type Message, type Theme, type ToFrame, type ToHost, WIDGET } from "./messages.ts";
import type { Listener, Models } from "./models.ts";

/** What Colab lets an output do, less what could not be seen: no dialogs, and no clipboard but by the user's own key. */
const SANDBOX = "allow-downloads allow-forms allow-pointer-lock allow-popups allow-same-origin allow-scripts";

/** Another origin than the page's: the test answers what is asked of it. */
const FRAMES = "https://outputs.test/";

/** One output: a sandboxed frame of another origin, and the host's end of what the two say to each other. */
export class Output implements Listener {
  readonly #element = document.createElement("iframe");
  readonly #models: Models;
  readonly #send: (id: string, message: Message) => void;
  #theme: Theme = "light";
  #port: MessagePort | null = null;

  constructor(cell: HTMLElement, models: Models, send: (id: string, message: Message) => void) {
    this.#models = models;
    this.#send = send;
    this.#element.setAttribute("sandbox", SANDBOX);
    this.#element.src = `${FRAMES}frame.html`;
    cell.append(this.#element);
  }

  /** Shows an output in the frame, which then has the height of what it holds. */
  async show(data: Readonly<Record<string, unknown>>, metadata: Readonly<Record<string, unknown>>): Promise<void> {
    const manager = (metadata[WIDGET] as { colab?: { custom_widget_manager?: object } } | undefined)?.colab;
    if (WIDGET in data && manager?.custom_widget_manager === undefined) {
      throw new Error("Colab's own manager has no widgets but ipywidgets': the output names no other.");
    }
    await new Promise((resolve) => this.#element.addEventListener("load", resolve, { once: true }));
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const shown = new Promise<void>((resolve, reject) => {
      port1.onmessage = ({ data }: MessageEvent<ToHost>) => {
        if ("shown" in data) {
          resolve();
        } else if ("fault" in data) {
          reject(new Error(data.fault));
        } else {
          this.#receive(data);
        }
      };
    });
    this.#element.contentWindow?.postMessage(null, "*", [port2]);
    this.#tell({ theme: this.#theme });
    this.#tell({ show: data });
    await shown;
  }

  dress(theme: Theme): void {
    this.#theme = theme;
    this.#tell({ theme });
  }

  hear(comm: string, message: Message): void {
    this.#tell({ comm, message });
  }

  closed(comm: string): void {
    this.#tell({ comm, closed: true });
  }

  remove(): void {
    this.#models.leave(this);
    this.#port?.close();
    this.#element.remove();
  }

  #receive(said: Exclude<ToHost, { shown: true } | { fault: string }>): void {
    if ("height" in said) {
      this.#element.style.height = `${said.height}px`;
    } else if ("wanted" in said) {
      this.#tell({ model: said.wanted, is: this.#models.state(said.wanted, this) });
    } else {
      this.#models.note(said.comm, said.message);
      this.#send(said.comm, said.message);
      this.#tell({ sent: said.number });
    }
  }

  #tell(message: ToFrame): void {
    this.#port?.postMessage(message);
  }
}
