import type { Channel } from "../protocol/client.ts";
import { asDataView } from "../protocol/codec.ts";
import type { Comm, Kernel } from "./jupyterTypes.ts";

const TARGET = "nnwidgets";

/** The wire over a comm of its own. */
export class CommChannel implements Channel {
  readonly #comm: Comm;
  readonly #listeners = new Set<(message: unknown, buffers: DataView[]) => void>();
  #isOpen = true;

  /** `model` names the variable meant where a request names none; `onClosed` hears that the kernel closed the comm. */
  constructor(kernel: Kernel, { model, onClosed }: { readonly model?: string; readonly onClosed?: () => void } = {}) {
    this.#comm = kernel.createComm(TARGET);
    this.#comm.onMsg = ({ content, buffers = [] }) => {
      for (const listener of [...this.#listeners]) {
        listener(content.data, buffers.map(asDataView));
      }
    };
    this.#comm.onClose = () => {
      this.#isOpen = false;
      onClosed?.();
    };
    this.#comm.open(model === undefined ? {} : { model });
  }

  send(message: unknown): void {
    this.#comm.send(message);
  }

  listen(listener: (message: unknown, buffers: DataView[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  isAlive(): boolean {
    return this.#isOpen && !this.#comm.isDisposed;
  }

  /** The kernel at the other end has gone: nothing is sent any more. */
  lose(): void {
    this.#isOpen = false;
  }

  close(): void {
    if (this.isAlive()) {
      this.#isOpen = false;
      this.#comm.close();
    }
  }
}
