/** What hosts offer of a widget manager; JupyterLab's also has the kernel. */
export interface WidgetManager {
  get_model(id: string): Promise<LiveModel>;
  readonly kernel?: KernelConnection | null;
}

interface LiveModel {
  readonly comm_live?: boolean;
  on?(event: string, listener: () => void): void;
  off?(event: string, listener: () => void): void;
}

/** The Explorer's own model. */
interface ViewModel {
  get(name: string): unknown;
  on(event: string, listener: () => void): void;
  off(event: string, listener: () => void): void;
}

interface Signal<Slot = () => void> {
  connect(slot: Slot): unknown;
  disconnect(slot: Slot): unknown;
}

/** What is used of a message that tells whether the kernel is busy, and with which request. */
interface StatusMessage {
  readonly parent_header: { readonly msg_type?: string };
  readonly content: { readonly execution_state?: string };
}

interface KernelConnection {
  readonly status?: string;
  readonly connectionStatus?: string;
  readonly isDisposed?: boolean;
  /** Whether widgets' messages pass a running cell by. */
  readonly supportsSubshells?: boolean;
  readonly iopubMessage?: Signal<(sender: unknown, message: StatusMessage) => void>;
  readonly statusChanged?: Signal;
  readonly connectionStatusChanged?: Signal;
  readonly disposed?: Signal;
}

/** Whether there is a kernel, and word of when that changes. */
export interface KernelWatch {
  isAlive(): boolean;
  /** Whether a cell runs, and nothing is answered before it ends. */
  isTaken(): boolean;
  onChange(listener: () => void): () => void;
  /** A message could not be sent. */
  onUnreached(): void;
}

const GONE = new Set(["dead", "terminating", "restarting", "autorestarting"]);
const PREFIX = "IPY_MODEL_";
const MUST_WAIT = "_must_wait";

/** A kernel of which no model tells, as in marimo: gone once a message can't reach it, and not there in an export. */
export function unwatchedKernel(): KernelWatch {
  let isReached = !("__MARIMO_STATIC__" in globalThis);
  const listeners = new Set<() => void>();
  return {
    isAlive: () => isReached,
    isTaken: () => false,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onUnreached: () => {
      isReached = false;
      for (const listener of listeners) {
        listener();
      }
    },
  };
}

/**
 * Watches the kernel through the hidden bundle's model, which lives and dies with it, and through the connection where
 * the host shows it. Where it doesn't, the view's model tells whether a cell keeps the kernel.
 */
export async function watchKernel(manager: WidgetManager, bundle: string, view: ViewModel): Promise<KernelWatch> {
  const model = await manager.get_model(bundle.slice(PREFIX.length));
  const connection = manager.kernel ?? null;
  let hasRestarted = false;
  let isCellRunning = connection?.status === "busy";
  const note = (): void => {
    hasRestarted ||= connection !== null && GONE.has(connection.status ?? "");
  };
  return {
    isAlive: () => {
      note();
      // A restarted kernel is another one: it knows nothing of this view.
      return model.comm_live !== false && !hasRestarted && connection?.isDisposed !== true;
    },
    isTaken: () =>
      connection === null ? view.get(MUST_WAIT) === true : isCellRunning && !connection.supportsSubshells,
    onUnreached: () => {},
    onChange: (listener) => {
      const follow = (_: unknown, { parent_header, content }: StatusMessage): void => {
        const isCell = parent_header.msg_type === "execute_request";
        // Other requests are answered beside a running cell; that one of ours is, says that none runs.
        if (content.execution_state && (isCell || parent_header.msg_type === "comm_msg")) {
          isCellRunning = isCell && content.execution_state === "busy";
          listener();
        }
      };
      connection?.iopubMessage?.connect(follow);
      const heard = (): void => {
        note();
        listener();
      };
      const signals = [connection?.statusChanged, connection?.disposed];
      model.on?.("comm_live_update", heard);
      view.on(`change:${MUST_WAIT}`, heard);
      for (const signal of signals) {
        signal?.connect(heard);
      }
      return () => {
        model.off?.("comm_live_update", heard);
        view.off(`change:${MUST_WAIT}`, heard);
        connection?.iopubMessage?.disconnect(follow);
        for (const signal of signals) {
          signal?.disconnect(heard);
        }
      };
    },
  };
}
