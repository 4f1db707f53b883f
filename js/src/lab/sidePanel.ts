import { render as draw, h } from "preact";
import { t } from "../i18n/translate.ts";
import { addStyle } from "../lib/addStyle.ts";
import type { ActiveModel } from "./activeModel.ts";
import type { Host, HostWidget } from "./services.ts";
import type { Settings } from "./settings.ts";
import { Panel } from "./views/Panel.tsx";

export const PANEL_ID = "nnwidgets-panel";

/** Less, and the tree's names have no room. */
const MIN_WIDTH = "400px";

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" width="16">
<g class="jp-icon3" stroke="#616161" fill="none" stroke-width="1.2">
<path d="M3.5 4.500 12 8 3.500 11.500M3.500 4.500v7"/></g>
<g class="jp-icon3" fill="#616161"><circle cx="3.500" cy="4" r="2"/><circle cx="3.500" cy="12" r="2"/>
<circle cx="12.500" cy="8" r="2"/></g></svg>`;

/** The panel as a widget of the host's right side. */
export interface SidePanel extends HostWidget {
  paint(settings: Settings): void;
}

/** Makes the panel; `onShown` and `onHidden` hear of its coming into sight and going out of it. */
export function sidePanel(
  { Widget, LabIcon }: Host,
  activeModel: ActiveModel,
  styles: readonly string[],
  onShown: () => void,
): SidePanel {
  class NeuralNetwork extends Widget implements SidePanel {
    constructor() {
      super();
      this.id = PANEL_ID;
      this.title.caption = t("Neural network");
      this.title.icon = new LabIcon({ name: "nnwidgets:panel", svgstr: ICON });
      // JupyterLab's layout reads it before the style sheets are there.
      this.node.style.minWidth = MIN_WIDTH;
    }

    onAfterAttach(): void {
      for (const css of styles) {
        addStyle(this.node, css);
      }
    }

    onAfterShow(): void {
      widen(this, MIN_WIDTH);
      activeModel.setVisible(true);
      onShown();
    }

    onAfterHide(): void {
      widen(this, "");
      activeModel.setVisible(false);
    }

    paint(settings: Settings): void {
      draw(h(Panel, { activeModel, settings }), this.node);
    }
  }
  return new NeuralNetwork();
}

/** Gives the side of the host that holds a widget this width at least: Notebook 7 does not look at a widget's own. */
function widen(widget: HostWidget, minWidth: string): void {
  for (let side = widget; side.parent !== null; side = side.parent) {
    if ("setRelativeSizes" in side.parent) {
      side.node.style.minWidth = minWidth;
      side.parent.fit();
      return;
    }
  }
}
