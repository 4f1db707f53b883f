import type { Kernel, KernelMessage } from "@jupyterlab/services";
import { ServerConnection } from "@jupyterlab/services";
import { KernelConnection } from "@jupyterlab/services/lib/kernel/default";
import type { KernelOptions } from "./extension.ts";

const WIDGET = "application/vnd.jupyter.widget-view+json";

type Data = string | ArrayBuffer;

interface View {
  readonly luminoWidget: { dispose(): void };
}

interface Manager {
  get_model(id: string): Promise<object> | undefined;
  create_view(model: object, options: object): Promise<View>;
  display_view(message: unknown, view: View, options: { node: HTMLElement }): Promise<{ dispose(): void }>;
  dispose(): void;
}

/** How VS Code lends its bundle the scripts of widgets that are not ipywidgets' own. */
interface ScriptLoader {
  readonly widgetsRegisteredInRequireJs: Set<string>;
  loadWidgetScript(module: string, version: string): Promise<void>;
  successHandler(className: string, module: string, version: string): void;
  errorHandler(className: string, module: string, version: string, error: unknown): void;
}

declare global {
  interface Window {
    readonly requirejs: { config(options: { paths: Record<string, string> }): void };
    /** Once the bundle of VS Code is loaded. */
    readonly vscIPyWidgets: {
      WidgetManager: new (
        kernel: Kernel.IKernelConnection,
        element: HTMLElement | undefined,
        scripts: ScriptLoader,
        log: (message: string) => void,
      ) => Manager;
    };
    readonly vscIPyWidgets8: { load(): void };
  }
}

/** The side that shows widgets: VS Code's widget manager on a kernel connection whose socket leads to the extension. */
export class Webview {
  /** Takes what the webview sends to the kernel. */
  onSend: (data: Data) => void = () => {};
  readonly #announcements = new Map<string, Promised>();
  #manager: Manager | null = null;
  #kernel: KernelConnection | null = null;
  #socket: RelaySocket | null = null;

  /** Starts a manager for a kernel. */
  join({ clientId, username, model, protocol }: KernelOptions): void {
    const socket = new RelaySocket(protocol, (data) => this.onSend(data));
    class Socket {
      constructor() {
        // biome-ignore lint/correctness/noConstructorReturn: a kernel connection makes its socket itself
        return socket;
      }
    }
    const settings = ServerConnection.makeSettings({ WebSocket: Socket as unknown as typeof WebSocket });
    this.#socket = socket;
    this.#kernel = new KernelConnection({ serverSettings: settings, clientId, username, model, handleComms: true });
    // Never asked about itself, as in VS Code: what the kernel could do, subshells for one, stays unknown.
    const info = this.#kernel.requestKernelInfo;
    this.#kernel.requestKernelInfo = () => Promise.resolve(undefined);
    socket.onopen?.({ target: socket });
    this.#kernel.requestKernelInfo = info;
    this.#kernel.iopubMessage.connect((_, { content }) => {
      const widget = "data" in content && (content.data as Readonly<Record<string, unknown>>)?.[WIDGET];
      if (widget) {
        this.#announced((widget as { model_id: string }).model_id).keep();
      }
    });
    const scripts: ScriptLoader = {
      widgetsRegisteredInRequireJs: new Set(),
      loadWidgetScript: async (module) => {
        window.requirejs.config({ paths: { [module]: `${new URL(`nbextensions/${module}/index`, location.href)}` } });
      },
      successHandler: () => {},
      errorHandler: (className, module, version, error) => {
        throw new Error(`${module} ${version} has no ${className}: ${error}`);
      },
    };
    this.#manager = new window.vscIPyWidgets.WidgetManager(this.#kernel, undefined, scripts, () => {});
  }

  /** Ends the manager, as when its kernel has gone; what it has drawn stays. */
  leave(): void {
    this.#manager?.dispose();
    this.#kernel?.dispose();
    this.#manager = null;
    this.#kernel = null;
    this.#socket = null;
  }

  /** Takes what the kernel has sent. */
  receive(data: Data): void {
    this.#socket?.onmessage?.({ target: this.#socket, data });
  }

  /** Takes note of a request to run a cell that the extension is about to make. */
  mirror(request: KernelMessage.IExecuteRequestMsg): void {
    if (this.#socket !== null && this.#kernel !== null) {
      this.#socket.isOpen = false;
      this.#kernel.sendShellMessage(request, false, false);
      this.#socket.isOpen = true;
    }
  }

  /** Shows an output in the richest way there is, as a widget where there is a kernel; gives how to take it away. */
  async show(data: Readonly<Record<string, unknown>>, container: HTMLElement): Promise<() => void> {
    if (WIDGET in data && this.#manager !== null) {
      return await this.#showWidget((data[WIDGET] as { model_id: string }).model_id, container);
    }
    if ("text/html" in data) {
      container.innerHTML = String(data["text/html"]);
    } else {
      container.append(Object.assign(document.createElement("pre"), { textContent: data["text/plain"] }));
    }
    return () => {};
  }

  /** Kept once this side, too, has come to the message that shows a widget, and so to all that made it. */
  #announced(id: string): Promised {
    const found = this.#announcements.get(id) ?? new Promised();
    this.#announcements.set(id, found);
    return found;
  }

  async #showWidget(id: string, container: HTMLElement): Promise<() => void> {
    const background = document.createElement("div");
    background.className = "cell-output-ipywidget-background";
    const output = document.createElement("div");
    output.className = "cell-output cell-output";
    background.append(output);
    container.append(background);
    const manager = this.#manager;
    await this.#announced(id).promise;
    const model = await manager?.get_model(id);
    if (manager == null || model === undefined) {
      throw new Error(`There is no widget ${id}.`);
    }
    const view = await manager.create_view(model, { el: background });
    const shown = await manager.display_view(undefined, view, { node: background });
    return () => shown.dispose();
  }
}

/** A promise that is kept from outside. */
class Promised {
  keep = (): void => {};
  readonly promise = new Promise<void>((resolve) => {
    this.keep = resolve;
  });
}

/** What a kernel connection takes for its socket. */
class RelaySocket {
  onopen: ((event: { target: unknown }) => void) | null = null;
  onmessage: ((event: { target: unknown; data: Data }) => void) | null = null;
  isOpen = true;
  readonly protocol: string;
  readonly #onSend: (data: Data) => void;

  constructor(protocol: string, onSend: (data: Data) => void) {
    this.protocol = protocol;
    this.#onSend = onSend;
  }

  close(): void {}

  send(data: Data): void {
    if (this.isOpen) {
      this.#onSend(data);
    }
  }
}
