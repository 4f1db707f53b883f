import { render as draw, h } from "preact";
import type { Memory } from "../hooks/useRemembered.ts";
import { followKernel } from "../i18n/language.ts";
import { addStyle } from "../lib/addStyle.ts";
import { gunzip } from "../lib/gunzip.ts";
import { panelOpener } from "../lib/hostPanel.ts";
import { type Channel, ChannelClient } from "../protocol/client.ts";
import { asDataView } from "../protocol/codec.ts";
import { holdingChanges } from "../protocol/heldChanges.ts";
import { type KernelWatch, unwatchedKernel, type WidgetManager, watchKernel } from "../protocol/kernelStatus.ts";
import type { OpenReply } from "../protocol/messages.ts";
import { App } from "../views/App.tsx";

/** What the host gives of a widget's model. */
interface WidgetModel {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  /** marimo promises that it was sent. */
  send(content: unknown): unknown;
  on(event: string, listener: (...values: never[]) => void): void;
  off(event: string, listener: (...values: never[]) => void): void;
  readonly widget_manager: WidgetManager;
}

interface RenderContext {
  readonly model: WidgetModel;
  readonly el: HTMLElement;
  /** Absent where the host has put it in place. */
  readonly style?: string;
}

/** What was typed in an Explorer, by what it first showed: a host may take its view away and draw it anew. */
const memories = new WeakMap<object, Memory>();

/** What was selected is asked about first, and told to Python after that: the kernel does one thing at a time. */
const TELL_AFTER_MS = 100;

/** Draws one view of one Explorer; returns how to take it away. */
async function render({ model, el, style }: RenderContext): Promise<() => void> {
  followKernel(model.get("_language"));
  const bundle = model.get("_bundle") as string;
  const kernel = bundle === "" ? unwatchedKernel() : await watchKernel(model.widget_manager, bundle);
  const packed = model.get("_first") as DataView<ArrayBuffer>;
  const first = JSON.parse(await gunzip(packed)) as OpenReply;
  const memory: Memory = memories.get(packed) ?? new Map();
  memories.set(packed, memory);
  // Another tab's views hear the replies to this one's requests: counted ids would be theirs too.
  const client = new ChannelClient(holdingChanges(channelOf(model, kernel), kernel), `${Math.random()}.`);
  if (style !== undefined) {
    addStyle(el, style);
  }
  const host = el.appendChild(el.ownerDocument.createElement("div"));

  const traits = ["selected", "filter", "_height"] as const;
  const setTrait = (name: string, value: string): void => {
    if (model.get(name) !== value) {
      model.set(name, value);
      model.save_changes();
    }
  };
  let telling: ReturnType<typeof setTimeout> | undefined;
  const onSelected = (path: string): void => {
    clearTimeout(telling);
    telling = setTimeout(() => setTrait("selected", path), TELL_AFTER_MS);
  };
  const onFilter = (text: string): void => setTrait("filter", text);
  let isOver = false;
  const paint = (): void =>
    draw(
      h(App, {
        client,
        first,
        seen: String(model.get("_seen")),
        height: (model.get("_height") as number | null) ?? null,
        selected: String(model.get("selected")),
        filter: String(model.get("filter")),
        onSelected,
        onFilter,
        alive: kernel.isAlive(),
        isWaiting: client.nWaiting > 0 && kernel.isTaken(),
        onPanel: panelOpener(el.ownerDocument, first.name),
        memory,
      }),
      host,
    );
  // Traits change while the view is drawn, too, and a drawing must not begin within another.
  let isDue = false;
  const redraw = (): void => {
    if (!isDue) {
      isDue = true;
      queueMicrotask(() => {
        isDue = false;
        if (!isOver) {
          paint();
        }
      });
    }
  };
  for (const trait of traits) {
    model.on(`change:${trait}`, redraw);
  }
  client.onTurn = () => kernel.isTaken() && redraw();
  const stopWatching = kernel.onChange(() => {
    if (!kernel.isAlive()) {
      client.failWaiting();
    }
    redraw();
  });
  paint();
  return () => {
    isOver = true;
    clearTimeout(telling);
    for (const trait of traits) {
      model.off(`change:${trait}`, redraw);
    }
    stopWatching();
    client.close();
    draw(null, host);
    host.remove();
  };
}

function channelOf(model: WidgetModel, { isAlive, onUnreached: unreached }: KernelWatch): Channel {
  return {
    send: (message) => void Promise.resolve(model.send(message)).catch(unreached),
    isAlive,
    listen: (listener) => {
      const hear = (message: unknown, buffers: readonly (ArrayBuffer | ArrayBufferView)[] = []): void =>
        listener(message, buffers.map(asDataView));
      model.on("msg:custom", hear as (...values: never[]) => void);
      return () => model.off("msg:custom", hear as (...values: never[]) => void);
    },
  };
}

export default { render };
