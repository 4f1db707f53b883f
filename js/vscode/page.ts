import type { Output } from "../colab/cells.ts";
import { dress, forbid, type Theme } from "./conditions.ts";
import { Extension } from "./extension.ts";
import { Webview } from "./webview.ts";

/** One cell: where its outputs are shown, and how to take them away. */
interface Cell {
  readonly element: HTMLElement;
  readonly outputs: Output["data"][];
  readonly shown: Promise<() => void>[];
  isRunning: boolean;
}

/** What the test drives. */
class Page {
  readonly #webview = new Webview();
  readonly #extension = new Extension(this.#webview);
  readonly #cells: Cell[] = [];
  /** Keys that reached the window, where VS Code's editor picks them up. */
  readonly keys: string[] = [];

  constructor() {
    forbid();
    dress("light");
    window.vscIPyWidgets8.load();
    window.addEventListener("keydown", ({ key }) => this.keys.push(key));
  }

  dress(theme: Theme): void {
    dress(theme);
  }

  open(nCells: number): void {
    for (let index = 0; index < nCells; index += 1) {
      const element = document.createElement("div");
      element.className = "cell_container";
      element.dataset.testCell = String(index);
      this.#cells.push({ element, outputs: [], shown: [], isRunning: false });
      document.querySelector("#container")?.append(element);
    }
  }

  /** Starts a kernel; gives its id. */
  async start(name: string): Promise<string> {
    await this.#extension.start(name);
    return this.#extension.kernel.id;
  }

  take(kernel: string): Promise<void> {
    return this.#extension.take(kernel);
  }

  /** Adds one output to a cell, as a run gave it or a file holds it. */
  show(index: number, data: Output["data"]): void {
    const cell = this.#cell(index);
    const output = document.createElement("div");
    output.className = "output";
    cell.element.append(output);
    cell.outputs.push(data);
    cell.shown.push(this.#webview.show(data, output));
  }

  /** What a file would hold of a cell's outputs. */
  outputs(index: number): readonly Output["data"][] {
    return this.#cell(index).outputs;
  }

  /** Runs a cell to its end, until all it gave is on the page. */
  async run(index: number, code: string): Promise<unknown> {
    const cell = this.#cell(index);
    await this.clear(index);
    cell.isRunning = true;
    try {
      const content = await this.#extension.run(`cell:${index}`, code, ({ data }) => this.show(index, data));
      await Promise.all(cell.shown);
      return content;
    } finally {
      cell.isRunning = false;
    }
  }

  isRunning(index: number): boolean {
    return this.#cell(index).isRunning;
  }

  async clear(index: number): Promise<void> {
    const { element, outputs, shown } = this.#cell(index);
    outputs.length = 0;
    for (const takeAway of await Promise.all(shown.splice(0))) {
      takeAway();
    }
    element.replaceChildren();
  }

  ask(code: string, expressions: Record<string, string>): Promise<unknown> {
    return this.#extension.ask(code, expressions);
  }

  restart(): Promise<void> {
    return this.#extension.restart();
  }

  shutDown(): Promise<void> {
    return this.#extension.shutDown();
  }

  #cell(index: number): Cell {
    const cell = this.#cells[index];
    if (cell === undefined) {
      throw new Error(`There is no cell ${index}.`);
    }
    return cell;
  }
}

// VS Code's own bundle, which is no part of ours.
const bundle = `${new URL("ipywidgets.js", location.href)}`;
const { activate } = (await import(bundle)) as { activate: () => void };
activate();
Object.assign(window, { vscode: new Page() });
