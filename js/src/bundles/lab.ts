import explorerCss from "style:main";
import panelCss from "style:panel";
import type { ShareScope } from "../lab/moduleFederation.ts";
import { plugin } from "../lab/plugin.ts";
import { takeHost } from "../lab/services.ts";

/** A container of webpack's module federation, as JupyterLab expects one of each prebuilt extension. */
interface Container {
  init(scope: ShareScope): void;
  get(module: string): Promise<() => unknown>;
}

declare global {
  interface Window {
    _JUPYTERLAB?: Record<string, Container>;
  }
}

let scope: ShareScope = {};

const container: Container = {
  init: (shared) => {
    scope = shared;
  },
  get: async (module) => {
    if (module !== "./extension") {
      throw new Error(`nnwidgets: there is no module ${module} in this extension.`);
    }
    const made = { __esModule: true, default: plugin(await takeHost(scope), [explorerCss, panelCss]) };
    return () => made;
  },
};

window._JUPYTERLAB = { ...window._JUPYTERLAB, nnwidgets: container };
