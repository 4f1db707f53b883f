import checkpointsCss from "style:checkpoints";
import graphCss from "style:graph";
import helpCss from "style:help";
import pulseCss from "style:pulse";
import ranksCss from "style:ranks";
import tableCss from "style:table";
import { type FunctionComponent, h } from "preact";
import { withStyle } from "../bundles/lazily.tsx";
import type { RanksPart, SignalPart, TrainingPart, ViewPart, ViewProps } from "../bundles/lazyParts.ts";
import ranks from "../bundles/parts/ranks.ts";
import signal from "../bundles/parts/signal.ts";
import training from "../bundles/parts/training.ts";
import type { Client } from "../protocol/client.ts";
import type { TickedBody } from "../protocol/messages.ts";
import { type LayOut, layOut } from "../state/graph/layout.ts";
import { Panel } from "../views/checkpoints/Panel.tsx";
import { Reinitialize } from "../views/edit/Reinitialize.tsx";
import { GraphTab, type GraphTabProps } from "../views/graph/GraphTab.tsx";
import { Help } from "../views/help/Help.tsx";
import { AcrossBlocks } from "../views/inspector/stats/AcrossBlocks.tsx";
import { TablePanel } from "../views/table/TablePanel.tsx";

export { chinese } from "./chinese.ts";

const VIEWS: { readonly [Name in keyof ViewProps]: ViewPart<Name> } = {
  checkpoints: { View: Panel, style: checkpointsCss },
  table: { View: TablePanel, style: tableCss },
  help: { View: Help, style: helpCss },
};

/** The extension has the views with it: what a kernel would send may be of another version. */
export async function viewPart<Name extends keyof ViewProps>(_client: Client, name: Name): Promise<ViewPart<Name>> {
  return VIEWS[name];
}

/** So it has what draws a training, a run through the layers and a model over ranks, what fills tensors anew, and the words of Chinese. */
export async function pulsePart(
  _client: Client,
  _body: TickedBody,
  style: (css: string) => void,
): Promise<TrainingPart> {
  style(pulseCss);
  return training();
}

export async function ranksPart(): Promise<{ readonly part: RanksPart; readonly style: string }> {
  return { part: ranks, style: ranksCss };
}

export async function signalPart(): Promise<SignalPart> {
  return signal;
}

export async function graphPart(): Promise<FunctionComponent<GraphTabProps>> {
  return withStyle((props) => h(GraphTab, { ...props, loadLayout }), graphCss);
}

/** In turns with whatever else the page does. */
async function loadLayout(): Promise<LayOut> {
  return (graph) => layOut(graph, () => new Promise((resolve) => setTimeout(resolve)));
}

export async function depthPart(): Promise<typeof AcrossBlocks> {
  return AcrossBlocks;
}

export async function reinitializePart(): Promise<typeof Reinitialize> {
  return Reinitialize;
}
