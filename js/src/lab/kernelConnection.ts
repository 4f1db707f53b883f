import { word } from "../i18n/translate.ts";
import { type PageError, toPageError } from "../lib/errors.ts";
import { ChannelClient } from "../protocol/client.ts";
import type { VariablesReply } from "../protocol/messages.ts";
import { CommChannel } from "./channel.ts";
import type { IopubMessage, Kernel } from "./jupyterTypes.ts";
import { loadIntoKernel, type Obstacle } from "./kernelBootstrap.ts";

/** How far one kernel is. */
export type Stage =
  | { readonly at: "asking" }
  | { readonly at: "foreign"; readonly language: string }
  | { readonly at: "unloaded" }
  | { readonly at: "loading" }
  | { readonly at: "obstacle"; readonly obstacle: Obstacle }
  | { readonly at: "live"; readonly variables: VariablesReply; readonly error: PageError | null };

/**
 * One kernel from its start to its end: whether nnwidgets is in it, and what its variables hold.
 *
 * To find out, a comm is opened, which runs nothing: a kernel without nnwidgets closes it. Only `load` runs anything.
 */
export class KernelConnection {
  readonly kernel: Kernel;
  readonly #onChange: () => void;
  #stage: Stage = { at: "asking" };
  #line: { readonly channel: CommChannel; readonly client: ChannelClient } | null = null;
  #isOver = false;
  #wasLoadedHere = false;
  #isWanted = false;
  #isAsking = false;
  #isDue = false;
  #isShown = false;
  readonly #atEnd = new Set<() => void>();

  constructor(kernel: Kernel, onChange: () => void) {
    this.kernel = kernel;
    this.#onChange = onChange;
    kernel.iopubMessage.connect(this.#onMessage);
  }

  get stage(): Stage {
    return this.#stage;
  }

  /** Whether the kernel has ended, or begun anew. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether this panel, rather than the user, loaded nnwidgets. */
  get wasLoadedHere(): boolean {
    return this.#wasLoadedHere;
  }

  /** While the panel is hidden, nothing is asked. */
  show(isShown: boolean): void {
    const isNew = isShown && !this.#isShown;
    this.#isShown = isShown;
    if (isNew) {
      void (this.#line === null && this.#stage.at === "asking" ? this.#begin() : this.refresh());
    }
  }

  /** Loads nnwidgets, now or once it is known that it isn't there. */
  async load(): Promise<void> {
    this.#isWanted = true;
    if (this.#stage.at === "unloaded" || this.#stage.at === "obstacle") {
      await this.#load();
    }
  }

  /** Lists the variables anew; what is asked while an answer is on its way is asked once after it. */
  async refresh(): Promise<void> {
    if (this.#line === null || !this.#isShown) {
      return;
    }
    if (this.#isAsking) {
      this.#isDue = true;
      return;
    }
    this.#isAsking = true;
    const line = this.#line;
    try {
      const { body } = await line.client.request("variables", {});
      this.#setStageOf(line, { at: "live", variables: body, error: null });
    } catch (error) {
      // A comm that the kernel closed is told by `#closed`.
      if (line.channel.isAlive() && this.#stage.at === "live") {
        this.#setStageOf(line, { ...this.#stage, error: toPageError(error) });
      }
    }
    this.#isAsking = false;
    if (this.#isDue) {
      this.#isDue = false;
      await this.refresh();
    }
  }

  /** The kernel is gone, or another one in its place. */
  end(): void {
    if (!this.#isOver) {
      this.#isOver = true;
      this.kernel.iopubMessage.disconnect(this.#onMessage);
      this.#line?.channel.lose();
      this.#line?.client.failWaiting();
      for (const listener of [...this.#atEnd]) {
        listener();
      }
      this.#onChange();
    }
  }

  /** Hears of the end; returns how to stop. */
  onEnd(listener: () => void): () => void {
    this.#atEnd.add(listener);
    return () => this.#atEnd.delete(listener);
  }

  /** Lets go of a kernel that lives on. */
  leave(): void {
    this.#line?.channel.close();
    this.end();
  }

  async #begin(): Promise<void> {
    const { language_info } = await this.kernel.info;
    if (this.#isOver) {
      return;
    }
    if (language_info.name !== "python") {
      this.#setStage({ at: "foreign", language: language_info.name });
      return;
    }
    await this.#open();
  }

  async #open(): Promise<void> {
    const channel = new CommChannel(this.kernel, { onClosed: () => this.#onClosed(channel) });
    this.#line = { channel, client: new ChannelClient(channel) };
    await this.refresh();
  }

  #onClosed(channel: CommChannel): void {
    if (this.#line?.channel !== channel || this.#isOver) {
      return;
    }
    this.#line.client.failWaiting();
    this.#line = null;
    this.#isAsking = false;
    this.#isDue = false;
    if (this.#wasLoadedHere && this.#stage.at === "loading") {
      this.#setStage({ at: "obstacle", obstacle: UNANSWERED });
      return;
    }
    this.#setStage({ at: "unloaded" });
    if (this.#isWanted) {
      void this.#load();
    }
  }

  async #load(): Promise<void> {
    this.#setStage({ at: "loading" });
    const obstacle = await loadIntoKernel(this.kernel).catch(() => INTERRUPTED);
    if (this.#isOver) {
      return;
    }
    this.#isWanted = false;
    if (obstacle !== null) {
      this.#setStage({ at: "obstacle", obstacle });
      return;
    }
    this.#wasLoadedHere = true;
    await this.#open();
  }

  #setStageOf(line: { readonly channel: CommChannel }, stage: Stage): void {
    if (this.#line === line && !this.#isOver) {
      this.#setStage(stage);
    }
  }

  #setStage(stage: Stage): void {
    this.#stage = stage;
    this.#onChange();
  }

  /** Whoever ran a cell, in whatever window: its end is told to all. */
  readonly #onMessage = (_sender: unknown, { header, parent_header, content }: IopubMessage): void => {
    const isEnd = header.msg_type === "status" && "execution_state" in content && content.execution_state === "idle";
    if (isEnd && parent_header.msg_type === "execute_request") {
      void this.refresh();
    }
  };
}

const UNANSWERED: Obstacle = {
  message: word("nnwidgets is loaded, but this kernel does not answer it."),
  hint: word("The kernel's log says why. Restart the kernel, then try again."),
};

const INTERRUPTED: Obstacle = {
  message: word("The kernel ended before nnwidgets was loaded."),
  hint: word("Once it is back, try again."),
};
