/** What the host and a frame say to each other, over a port of their own. */

export const WIDGET = "application/vnd.jupyter.widget-view+json";

export interface Message {
  readonly data: unknown;
  readonly buffers: readonly ArrayBuffer[];
}

/** A widget's model as the host knows it; binary parts of the state are `ArrayBuffer`s. */
export interface ModelState {
  readonly state: Readonly<Record<string, unknown>>;
  readonly isLive: boolean;
}

export type Theme = "light" | "dark";

export type ToFrame =
  | { readonly theme: Theme }
  | { readonly show: Readonly<Record<string, unknown>> }
  | { readonly model: string; readonly is: ModelState | null }
  | { readonly comm: string; readonly message: Message }
  | { readonly comm: string; readonly closed: true }
  | { readonly sent: number };

export type ToHost =
  | { readonly height: number }
  | { readonly shown: true }
  | { readonly fault: string }
  | { readonly wanted: string }
  | { readonly comm: string; readonly message: Message; readonly number: number };
