import type { Variable } from "../protocol/messages.ts";
import type { Kernel, NotebookPanel, NotebookTracker } from "./jupyterTypes.ts";
import { KernelConnection } from "./kernelConnection.ts";

/** A model on view, of the kernel that it is, or was, in. */
export interface Shown {
  readonly connection: KernelConnection;
  readonly variable: Variable;
}

const ENDED = new Set(["starting", "restarting", "autorestarting", "dead", "terminating"]);
const READY = new Set(["idle", "busy"]);

/** Follows the active notebook: its kernel, that kernel's life, and which model of it is on view. */
export class ActiveModel {
  readonly #tracker: NotebookTracker;
  readonly #listeners = new Set<() => void>();
  /** What each notebook had on view when another became active. */
  readonly #chosen = new WeakMap<NotebookPanel, string>();
  #notebook: NotebookPanel | null = null;
  #connection: KernelConnection | null = null;
  #shown: Shown | null = null;
  #isVisible = false;
  #isWanted = false;
  #isAutomatic = true;

  constructor(tracker: NotebookTracker) {
    this.#tracker = tracker;
    tracker.currentChanged.connect(() => this.#follow());
    this.#follow();
  }

  get notebook(): NotebookPanel | null {
    return this.#notebook;
  }

  get connection(): KernelConnection | null {
    return this.#connection;
  }

  get shown(): Shown | null {
    return this.#shown;
  }

  get kernel(): Kernel | null {
    return this.#notebook?.sessionContext.session?.kernel ?? null;
  }

  /** Hears that something changed; returns how to stop. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether a model shows by itself where none was chosen. */
  set isAutomatic(isAutomatic: boolean) {
    this.#isAutomatic = isAutomatic;
    this.#notify();
  }

  /** The panel came into sight or went out of it. */
  setVisible(isVisible: boolean): void {
    this.#isVisible = isVisible;
    this.#connection?.show(isVisible);
  }

  /** The user opened the panel, or asked for it: nnwidgets may be loaded into the active notebook's kernel. */
  load(): void {
    this.#isWanted = this.#connection === null;
    void this.#connection?.load();
  }

  /** Shows the model of this name; before it is listed, once it is. */
  choose(name: string): void {
    if (this.#notebook !== null) {
      this.#chosen.set(this.#notebook, name);
      this.#notify();
    }
  }

  #follow(): void {
    const next = this.#tracker.currentWidget;
    if (next === this.#notebook) {
      return;
    }
    for (const signal of this.#signals()) {
      signal.disconnect(this.#watchKernel);
    }
    this.#connection?.leave();
    this.#connection = null;
    this.#shown = null;
    this.#isWanted = false;
    this.#notebook = next;
    for (const signal of this.#signals()) {
      signal.connect(this.#watchKernel);
    }
    this.#watchKernel();
    this.#notify();
  }

  #signals() {
    const context = this.#notebook?.sessionContext;
    return context === undefined ? [] : [context.statusChanged, context.kernelChanged];
  }

  readonly #watchKernel = (): void => {
    const kernel = this.kernel;
    const connection = this.#connection;
    if (connection !== null && (kernel !== connection.kernel || kernel.isDisposed || ENDED.has(kernel.status))) {
      this.#connection = null;
      connection.end();
    }
    if (this.#connection === null && kernel !== null && READY.has(kernel.status)) {
      const next = new KernelConnection(kernel, () => this.#notify());
      this.#connection = next;
      next.show(this.#isVisible);
      if (this.#isWanted) {
        this.load();
      }
    }
    this.#notify();
  };

  /** What is on view follows the listing: a name bound anew is another model, a name that is gone leaves what was seen. */
  #chooseShown(): void {
    const connection = this.#connection;
    if (connection === null || connection.stage.at !== "live" || this.#notebook === null) {
      return;
    }
    const { modules } = connection.stage.variables;
    const name = this.#chosen.get(this.#notebook) ?? (this.#isAutomatic ? modules[0]?.name : undefined);
    const found = modules.find((variable) => variable.name === name);
    if (found === undefined) {
      return;
    }
    this.#chosen.set(this.#notebook, found.name);
    const { connection: before, variable } = this.#shown ?? {};
    if (before !== connection || variable?.name !== found.name || variable.identity !== found.identity) {
      this.#shown = { connection, variable: found };
    }
  }

  #notify(): void {
    this.#chooseShown();
    for (const listener of [...this.#listeners]) {
      listener();
    }
  }
}
