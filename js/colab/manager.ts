import * as base from "@jupyter-widgets/base";
import { ManagerBase } from "@jupyter-widgets/base-manager";
import type { Message, ModelState, ToFrame, ToHost } from "./messages.ts";

type WidgetClass = typeof base.WidgetModel | typeof base.WidgetView;

type Require = (
  names: string[],
  resolve: (module: Readonly<Record<string, WidgetClass>>) => void,
  reject: (error: Error) => void,
) => void;

declare global {
  interface Window {
    readonly define: (name: string, make: () => unknown) => void;
  }
}

window.define("@jupyter-widgets/base", () => base);

/** The frame's own manager: it knows no kernel, asks the host for each model, and loads widgets' scripts by itself. */
export class Manager extends ManagerBase {
  readonly #tell: (said: ToHost) => void;
  readonly #wanted = new Map<string, (is: ModelState | null) => void>();
  readonly #comms = new Map<string, FrameComm>();
  readonly #sending = new Map<number, () => void>();
  #nSent = 0;

  constructor(tell: (said: ToHost) => void) {
    super();
    this.#tell = tell;
  }

  hear(said: Exclude<ToFrame, { show: unknown } | { theme: unknown }>): void {
    if ("model" in said) {
      this.#wanted.get(said.model)?.(said.is);
    } else if ("sent" in said) {
      this.#sending.get(said.sent)?.();
      this.#sending.delete(said.sent);
    } else if ("closed" in said) {
      this.#comms.get(said.comm)?.end();
    } else {
      this.#comms.get(said.comm)?.hear(said.message);
    }
  }

  override get_model(id: string): Promise<base.WidgetModel> {
    if (!this.has_model(id)) {
      const asked = new Promise<ModelState | null>((resolve) => this.#wanted.set(id, resolve));
      this.register_model(
        id,
        asked.then((is) => this.#made(id, is)),
      );
      this.#tell({ wanted: id });
    }
    return super.get_model(id);
  }

  #made(id: string, is: ModelState | null): Promise<base.WidgetModel> {
    if (is === null) {
      throw new Error(`The host knows no widget ${id}.`);
    }
    const { state, isLive } = is;
    const comm = new FrameComm(id, (message) => this.#send(id, message));
    this.#comms.set(id, comm);
    return this._make_model(
      {
        model_id: id,
        model_name: String(state._model_name),
        model_module: String(state._model_module),
        model_module_version: String(state._model_module_version),
        ...(isLive ? { comm } : {}),
      },
      state,
    );
  }

  #send(comm: string, message: Message): Promise<void> {
    this.#nSent += 1;
    const number = this.#nSent;
    this.#tell({ comm, message, number });
    return new Promise((resolve) => this.#sending.set(number, resolve));
  }

  protected override async loadClass(name: string, module: string): Promise<WidgetClass> {
    window.requirejs.config({ paths: { anywidget: `${new URL("nbextensions/anywidget/index", location.href)}` } });
    return await new Promise((resolve, reject) => {
      const requirejs = window.requirejs as unknown as Require;
      requirejs([module], (loaded) => resolve(loaded[name] as WidgetClass), reject);
    });
  }

  protected override _create_comm(): Promise<base.IClassicComm> {
    return Promise.reject(new Error("A frame opens no comm by itself."));
  }

  protected override _get_comm_info(): Promise<object> {
    return Promise.reject(new Error("A frame has no kernel."));
  }
}

type Hear = (message: unknown) => void;
type Callbacks = { readonly iopub?: { readonly status?: Hear } } | undefined;

/** A comm by way of the host; what comes before anybody listens waits. */
class FrameComm implements base.IClassicComm {
  readonly comm_id: string;
  readonly target_name = "";
  readonly #send: (message: Message) => Promise<void>;
  readonly #early: Message[] = [];
  #onMessage: Hear | null = null;
  #onClose: Hear = () => {};

  constructor(id: string, send: (message: Message) => Promise<void>) {
    this.comm_id = id;
    this.#send = send;
  }

  hear(message: Message): void {
    if (this.#onMessage === null) {
      this.#early.push(message);
    } else {
      const buffers = message.buffers.map((buffer) => new Uint8Array(buffer));
      this.#onMessage({ content: { comm_id: this.comm_id, data: message.data }, buffers });
    }
  }

  end(): void {
    this.#onClose(undefined);
  }

  on_msg(callback: Hear): void {
    this.#onMessage = callback;
    for (const message of this.#early.splice(0)) {
      this.hear(message);
    }
  }

  on_close(callback: Hear): void {
    this.#onClose = callback;
  }

  send(
    data: unknown,
    callbacks: Callbacks,
    _metadata?: object,
    buffers: (ArrayBuffer | ArrayBufferView)[] = [],
  ): string {
    const bytes = buffers.map(
      (buffer) => new Uint8Array(ArrayBuffer.isView(buffer) ? buffer.buffer : buffer).slice().buffer,
    );
    void this.#send({ data, buffers: bytes }).then(() =>
      callbacks?.iopub?.status?.({ content: { execution_state: "idle" } }),
    );
    return "";
  }

  open(): string {
    throw new Error("A frame opens no comm by itself.");
  }

  close(): string {
    return "";
  }
}
