import type { Kernel, KernelMessage } from "@jupyterlab/services";
import type { Message, ModelState } from "./messages.ts";

interface Opened {
  readonly state: Record<string, unknown>;
  readonly listeners: Set<Listener>;
}

export interface Listener {
  hear(id: string, message: Message): void;
  closed(id: string): void;
}

type Update = { readonly state?: Record<string, unknown>; readonly buffer_paths?: (string | number)[][] };

/** What the host keeps of the kernel's widgets: the state of each, brought up to date, and which frames hear of it. */
export class Models {
  readonly #opened = new Map<string, Opened>();

  /** Listens to a kernel until another is followed. */
  follow(kernel: Kernel.IKernelConnection): void {
    this.#opened.clear();
    kernel.iopubMessage.connect((_, message) => this.#receive(message));
  }

  /** The state of a model, and from now on what is said of it. */
  state(id: string, listener: Listener): ModelState | null {
    const opened = this.#opened.get(id);
    opened?.listeners.add(listener);
    return opened === undefined ? null : { state: opened.state, isLive: true };
  }

  leave(listener: Listener): void {
    for (const { listeners } of this.#opened.values()) {
      listeners.delete(listener);
    }
  }

  /** Takes note of a change that a frame has sent: the kernel doesn't repeat it. */
  note(id: string, { data, buffers }: Message): void {
    const opened = this.#opened.get(id);
    if (opened !== undefined) {
      update(opened.state, data as Update, buffers);
    }
  }

  #receive({ header, content, buffers = [] }: KernelMessage.IIOPubMessage): void {
    const { comm_id: id, data } = content as unknown as { comm_id: string; data: Update };
    const message = { data, buffers: buffers.map(copied) };
    if (header.msg_type === "comm_open") {
      const state = {};
      update(state, data, message.buffers);
      this.#opened.set(id, { state, listeners: new Set() });
    } else if (header.msg_type === "comm_msg") {
      this.note(id, message);
      for (const listener of this.#opened.get(id)?.listeners ?? []) {
        listener.hear(id, message);
      }
    } else if (header.msg_type === "comm_close") {
      const listeners = this.#opened.get(id)?.listeners ?? [];
      this.#opened.delete(id);
      for (const listener of listeners) {
        listener.closed(id);
      }
    }
  }
}

function update(state: Record<string, unknown>, change: Update, buffers: readonly ArrayBuffer[]): void {
  Object.assign(state, structuredClone(change.state ?? {}));
  for (const [index, path] of (change.buffer_paths ?? []).entries()) {
    const name = path.at(-1) ?? "";
    const within = path.slice(0, -1).reduce((at, key) => at[key] as Record<string, unknown>, state);
    within[name] = buffers[index];
  }
}

function copied(buffer: ArrayBuffer | ArrayBufferView): ArrayBuffer {
  const bytes = ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer);
  return bytes.slice().buffer;
}
