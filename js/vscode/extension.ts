import { type Kernel, KernelManager, ServerConnection } from "@jupyterlab/services";
import { ask, follow, type Output } from "../colab/cells.ts";
import type { Webview } from "./webview.ts";

/** What a webview needs to act for the same client of the same kernel. */
export interface KernelOptions {
  readonly clientId: string;
  readonly username: string;
  readonly model: Kernel.IModel;
  /** Of the socket: how messages are written. */
  readonly protocol: string;
}

/**
 * The side that has the kernel: runs cells, and relays between its socket and the webview whatever either sends. The
 * webview has no socket of its own.
 */
export class Extension {
  readonly #kernels: KernelManager;
  readonly #webview: Webview;
  #kernel: Kernel.IKernelConnection | null = null;
  #socket: WebSocket | null = null;

  constructor(webview: Webview) {
    this.#webview = webview;
    webview.onSend = (data) => this.#socket?.send(data);
    const opened = (socket: WebSocket): void => {
      this.#socket = socket;
    };
    class Relayed extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols);
        opened(this);
        this.addEventListener("message", ({ data }) => webview.receive(data));
      }
    }
    const settings = ServerConnection.makeSettings({
      baseUrl: `${location.origin}/`,
      token: new URLSearchParams(location.search).get("token") ?? "",
      appendToken: true,
      WebSocket: Relayed,
    });
    this.#kernels = new KernelManager({ serverSettings: settings });
  }

  get kernel(): Kernel.IKernelConnection {
    if (this.#kernel === null) {
      throw new Error("There is no kernel.");
    }
    return this.#kernel;
  }

  async start(name: string): Promise<void> {
    this.#kernel = await this.#kernels.startNew({ name }, { handleComms: false });
    await this.#kernel.info;
    this.#join();
  }

  /** Takes up a kernel that runs already, as a window does that was loaded anew. */
  async take(id: string): Promise<void> {
    await this.#kernels.ready;
    this.#kernel = this.#kernels.connectTo({ model: { id, name: "" }, handleComms: false });
    await this.#kernel.info;
    this.#join();
  }

  /** Has the webview start anew with this kernel. */
  #join(): void {
    const { clientId, username, model } = this.kernel;
    this.#webview.join({ clientId, username, model, protocol: this.#socket?.protocol ?? "" });
  }

  /** Runs a cell to its end; `show` gets each output as it comes. */
  async run(cell: string, code: string, show: (output: Output) => void): Promise<unknown> {
    const future = this.kernel.requestExecute({ code, stop_on_error: true }, true, { cellId: cell });
    // The webview hears the kernel's answer to a request that it never made: it is told of it first.
    this.#webview.mirror(future.msg);
    return await follow(future, show);
  }

  /** Evaluates expressions in the kernel after `code`, in no cell. */
  async ask(code: string, expressions: Record<string, string>): Promise<unknown> {
    return await ask(this.kernel, code, expressions);
  }

  async restart(): Promise<void> {
    await this.kernel.restart();
    await this.kernel.info;
    this.#webview.leave();
    this.#join();
  }

  async shutDown(): Promise<void> {
    await this.kernel.shutdown();
    this.#webview.leave();
  }
}
