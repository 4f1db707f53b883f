import { type Kernel, KernelManager, KernelMessage, ServerConnection } from "@jupyterlab/services";
import { ask, follow } from "./cells.ts";
import type { Message, Theme } from "./messages.ts";
import { Models } from "./models.ts";
import { Output } from "./output.ts";

interface Cell {
  readonly element: HTMLElement;
  readonly outputs: Output[];
  isRunning: boolean;
}

const BACKGROUNDS = { light: "white", dark: "#1e1e1e" };

/** What the test drives: the page that has the kernel, and one frame for each output. */
class Host {
  readonly #models = new Models();
  readonly #cells: Cell[] = [];
  readonly #kernels = new KernelManager({
    serverSettings: ServerConnection.makeSettings({
      baseUrl: `${location.origin}/`,
      token: new URLSearchParams(location.search).get("token") ?? "",
      appendToken: true,
    }),
  });
  #theme: Theme = "light";
  #kernel: Kernel.IKernelConnection | null = null;

  async start(nCells: number, kernel: string): Promise<void> {
    for (let index = 0; index < nCells; index += 1) {
      const element = document.createElement("div");
      element.dataset.testCell = String(index);
      this.#cells.push({ element, outputs: [], isRunning: false });
      document.querySelector("#cells")?.append(element);
    }
    this.#kernel = await this.#kernels.startNew({ name: kernel }, { handleComms: false });
    await this.#kernel.info;
    this.#models.follow(this.#kernel);
  }

  /** Runs a cell to its end, until all it gave is in its frames. */
  async run(index: number, code: string): Promise<unknown> {
    const cell = this.#cell(index);
    for (const output of cell.outputs.splice(0)) {
      output.remove();
    }
    cell.isRunning = true;
    try {
      const shown: Promise<void>[] = [];
      const metadata = { colab: { cell_id: `cell${index}` } };
      const future = this.kernel.requestExecute({ code, stop_on_error: true }, true, metadata);
      const content = await follow(future, ({ data, metadata }) => {
        const output = new Output(cell.element, this.#models, (id, message) => this.#send(id, message));
        output.dress(this.#theme);
        cell.outputs.push(output);
        shown.push(output.show(data, metadata));
      });
      await Promise.all(shown);
      return content;
    } finally {
      cell.isRunning = false;
    }
  }

  isRunning(index: number): boolean {
    return this.#cell(index).isRunning;
  }

  dress(theme: Theme): void {
    document.documentElement.style.background = BACKGROUNDS[theme];
    this.#theme = theme;
    for (const output of this.#cells.flatMap(({ outputs }) => outputs)) {
      output.dress(theme);
    }
  }

  ask(code: string, expressions: Record<string, string>): Promise<unknown> {
    return ask(this.kernel, code, expressions);
  }

  get kernel(): Kernel.IKernelConnection {
    if (this.#kernel === null) {
      throw new Error("There is no kernel.");
    }
    return this.#kernel;
  }

  #send(id: string, { data, buffers }: Message): void {
    const message = KernelMessage.createMessage<KernelMessage.ICommMsgMsg<"shell">>({
      msgType: "comm_msg",
      channel: "shell",
      username: this.kernel.username,
      session: this.kernel.clientId,
      content: { comm_id: id, data: data as KernelMessage.ICommMsgMsg["content"]["data"] },
      buffers: [...buffers],
    });
    this.kernel.sendShellMessage(message, false, false);
  }

  #cell(index: number): Cell {
    const cell = this.#cells[index];
    if (cell === undefined) {
      throw new Error(`There is no cell ${index}.`);
    }
    return cell;
  }
}

Object.assign(window, { colab: new Host() });
