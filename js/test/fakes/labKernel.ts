import type {
  Comm,
  CommMessage,
  ExecuteContent,
  ExecuteReply,
  IopubMessage,
  Kernel,
  NotebookPanel,
  NotebookTracker,
  SessionContext,
  Signal,
} from "../../src/lab/jupyterTypes.ts";
import { type Variable, VERSION } from "../../src/protocol/messages.ts";

/** A signal as Lumino has them. */
export class Bell<Value = unknown> implements Signal<unknown, Value> {
  readonly #slots = new Set<(sender: unknown, value: Value) => void>();

  get nSlots(): number {
    return this.#slots.size;
  }

  connect(slot: (sender: unknown, value: Value) => void): void {
    this.#slots.add(slot);
  }

  disconnect(slot: (sender: unknown, value: Value) => void): void {
    this.#slots.delete(slot);
  }

  ring(value: Value): void {
    for (const slot of [...this.#slots]) {
      slot(null, value);
    }
  }
}

interface Sent {
  readonly id: string;
  readonly kind: string;
}

/** A comm whose kernel answers `variables`; one without nnwidgets closes it at once. */
class FakeComm implements Comm {
  isDisposed = false;
  onMsg: (message: CommMessage) => void = () => undefined;
  onClose: () => void = () => undefined;
  readonly #kernel: FakeKernel;

  constructor(kernel: FakeKernel) {
    this.#kernel = kernel;
  }

  open(): void {
    if (!this.#kernel.isLoaded) {
      queueMicrotask(() => {
        this.isDisposed = true;
        this.onClose();
      });
    }
  }

  send(data: unknown): void {
    const { id, kind } = data as Sent;
    this.#kernel.asked.push(kind);
    if (this.#kernel.isLoaded && !this.isDisposed) {
      const body = { modules: this.#kernel.modules, optimizers: [] };
      const reply = { v: VERSION, id, type: "reply", ok: true, body };
      queueMicrotask(() => this.onMsg({ content: { data: reply } }));
    }
  }

  close(): void {
    this.isDisposed = true;
  }
}

/** A kernel as JupyterLab gives it to an extension. */
export class FakeKernel implements Kernel {
  status = "idle";
  isDisposed = false;
  isLoaded = false;
  /** What `requestExecute` finds. */
  answers: Readonly<Record<string, unknown>> = {
    torch: { status: "ok", data: { "text/plain": "True" } },
    loaded: { status: "ok", data: { "text/plain": "None" } },
  };
  modules: Variable[] = [];
  readonly asked: string[] = [];
  readonly executed: ExecuteContent[] = [];
  readonly comms: FakeComm[] = [];
  readonly iopubMessage = new Bell<IopubMessage>();
  readonly info: Promise<{ language_info: { name: string } }>;

  constructor(language = "python") {
    this.info = Promise.resolve({ language_info: { name: language } });
  }

  createComm(): Comm {
    const comm = new FakeComm(this);
    this.comms.push(comm);
    return comm;
  }

  requestExecute(content: ExecuteContent): { readonly done: Promise<ExecuteReply> } {
    this.executed.push(content);
    const loaded = this.answers.loaded as { status: string };
    this.isLoaded = loaded.status === "ok";
    return { done: Promise.resolve({ content: { status: "ok", user_expressions: this.answers } }) };
  }

  /** A cell has run. */
  endCell(): void {
    this.iopubMessage.ring({
      header: { msg_type: "status" },
      parent_header: { msg_type: "execute_request" },
      content: { execution_state: "idle" },
    });
  }
}

/** A notebook with this kernel. */
export class FakeNotebook implements NotebookPanel {
  readonly sessionContext: SessionContext & { session: { kernel: FakeKernel | null } };
  readonly statusChanged = new Bell();
  readonly kernelChanged = new Bell();
  readonly context: { path: string };
  content: NotebookPanel["content"] = { activeCell: null };

  constructor(path: string, kernel: FakeKernel | null) {
    this.context = { path };
    const { statusChanged, kernelChanged } = this;
    this.sessionContext = { session: { kernel }, statusChanged, kernelChanged };
  }
}

/** Which notebook is active. */
export class FakeTracker implements NotebookTracker {
  currentWidget: FakeNotebook | null = null;
  readonly currentChanged = new Bell();

  activate(notebook: FakeNotebook | null): void {
    this.currentWidget = notebook;
    this.currentChanged.ring(null);
  }
}

/** Lets everything that is promised come. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await Promise.resolve();
  }
}
