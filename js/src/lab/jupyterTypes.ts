/** What this extension uses of Jupyter's own objects, and no more: any version that has it will do. */
export interface Signal<Sender, Value> {
  connect(slot: (sender: Sender, value: Value) => void): unknown;
  disconnect(slot: (sender: Sender, value: Value) => void): unknown;
}

export interface CommMessage {
  readonly content: { readonly data: unknown };
  readonly buffers?: readonly (ArrayBuffer | ArrayBufferView)[];
}

export interface Comm {
  readonly isDisposed: boolean;
  onMsg: (message: CommMessage) => void;
  onClose: () => void;
  open(data: unknown): unknown;
  send(data: unknown): unknown;
  close(): unknown;
}

export interface IopubMessage {
  readonly header: { readonly msg_type: string };
  readonly parent_header: { readonly msg_type?: string };
  readonly content: object;
}

export interface ExecuteContent {
  readonly code: string;
  readonly silent: boolean;
  readonly store_history: boolean;
  readonly allow_stdin: boolean;
  readonly stop_on_error: boolean;
  readonly user_expressions: Readonly<Record<string, string>>;
}

export interface ExecuteReply {
  readonly content: { readonly status: string; readonly user_expressions?: Readonly<Record<string, unknown>> };
}

export interface Kernel {
  readonly status: string;
  readonly isDisposed: boolean;
  readonly info: Promise<{ readonly language_info: { readonly name: string } }>;
  readonly iopubMessage: Signal<unknown, IopubMessage>;
  createComm(target: string): Comm;
  requestExecute(content: ExecuteContent): { readonly done: Promise<ExecuteReply> };
}

export interface SessionContext {
  readonly session: { readonly kernel: Kernel | null } | null;
  readonly statusChanged: Signal<unknown, unknown>;
  readonly kernelChanged: Signal<unknown, unknown>;
}

export interface Editor {
  getCursorPosition(): { readonly line: number; readonly column: number };
  getLine(line: number): string | undefined;
}

export interface NotebookPanel {
  readonly sessionContext: SessionContext;
  readonly context: { readonly path: string };
  readonly content: { readonly activeCell: { readonly editor: Editor | null } | null };
}

export interface NotebookTracker {
  readonly currentWidget: NotebookPanel | null;
  readonly currentChanged: Signal<unknown, unknown>;
}

export interface MimeModel {
  readonly data: Readonly<Record<string, unknown>>;
}

/** Draws one output; that of widgets holds the view as its child. */
export interface Renderer {
  readonly node: HTMLElement;
  readonly isDisposed: boolean;
  readonly widgets: readonly unknown[];
  hasClass(name: string): boolean;
  renderModel(model: MimeModel): Promise<void>;
}

export interface RendererFactory {
  readonly safe: boolean;
  readonly mimeTypes: readonly string[];
  createRenderer(options: { readonly mimeType: string }): Renderer;
}

/** A notebook as what draws outputs: the kind of the lowest rank first. */
export interface DrawingPanel {
  readonly content: {
    readonly rendermime: {
      getFactory(mimeType: string): RendererFactory | undefined;
      addFactory(factory: RendererFactory, rank: number): void;
    };
  };
  readonly sessionContext: { readonly session: { readonly kernel: unknown } | null };
}

/** All notebooks of the page, and each that is opened. */
export interface Notebooks extends NotebookTracker {
  forEach(each: (panel: DrawingPanel) => void): void;
  readonly widgetAdded: Signal<unknown, DrawingPanel>;
}
