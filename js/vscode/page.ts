import { dress, forbid, type Theme } from "./conditions.ts";
import { Extension } from "./extension.ts";
import { Webview } from "./webview.ts";

/** One cell: where its outputs are shown, and how to take them away. */
interface Cell {
  readonly element: HTMLElement;
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

  async start(nCells: number, kernel: string): Promise<void> {
    for (let index = 0; index < nCells; index += 1) {
      const element = document.createElement("div");
      element.className = "cell_container";
      element.dataset.testCell = String(index);
      this.#cells.push({ element, shown: [], isRunning: false });
      document.querySelector("#container")?.append(element);
    }
    await this.#extension.start(kernel);
  }

  /** Runs a cell to its end, until all it gave is on the page. */
  async run(index: number, code: string): Promise<unknown> {
    const cell = this.#cell(index);
    await this.clear(index);
    cell.isRunning = true;
    try {
      const reply = await this.#extension.run(`cell:${index}`, code, ({ data }) => {
        const output = document.createElement("div");
        output.className = "output";
        cell.element.append(output);
        cell.shown.push(this.#webview.show(data, output));
      });
      await Promise.all(cell.shown);
      return reply.content;
    } finally {
      cell.isRunning = false;
    }
  }

  isRunning(index: number): boolean {
    return this.#cell(index).isRunning;
  }

  async clear(index: number): Promise<void> {
    const { element, shown } = this.#cell(index);
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
