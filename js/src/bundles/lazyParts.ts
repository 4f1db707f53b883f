import type { FunctionComponent } from "preact";
import type { tellSentence } from "../i18n/kernelSentences.ts";
import type { Catalogue, Words } from "../i18n/translate.ts";
import type { Client, RequestOptions } from "../protocol/client.ts";
import type { PartBody, PartReply, Row, TickedBody } from "../protocol/messages.ts";
import type { PanelProps } from "../views/checkpoints/Panel.tsx";
import type { ReinitializeProps } from "../views/edit/Reinitialize.tsx";
import type { GraphTabProps } from "../views/graph/GraphTab.tsx";
import type { HelpProps } from "../views/help/Help.tsx";
import type { DepthProps } from "../views/inspector/stats/AcrossBlocks.tsx";
import type { BordersProps } from "../views/ranks/Borders.tsx";
import type { RankLinesProps } from "../views/ranks/RankLines.tsx";
import type { RanksLineProps } from "../views/ranks/RanksLine.tsx";
import type { CompareInitsProps } from "../views/signal/CompareInits.tsx";
import type { SignalTabProps } from "../views/signal/SignalTab.tsx";
import type { TablePanelProps } from "../views/table/TablePanel.tsx";
import type { AlarmProps } from "../views/training/Alarm.tsx";
import { withStyle } from "./lazily.tsx";
import * as shared from "./sharedModules.ts";

/** What stands in place of the tree, or over it: what each takes. */
export interface ViewProps {
  readonly checkpoints: PanelProps;
  readonly table: TablePanelProps;
  readonly help: HelpProps;
}

/** Such a view, once it is here, and the style it needs. */
export interface ViewPart<Name extends keyof ViewProps> {
  readonly View: FunctionComponent<ViewProps[Name]>;
  readonly style: string;
}

/** Draws a row's cell in a column that is there for as long as there is something to draw in it. */
export type ExtraCell = FunctionComponent<{ readonly row: Pick<Row, "path" | "id" | "fold" | "signal"> }>;

/** What one view hears and draws of a training. */
export interface TrainingPart {
  readonly add: (body: TickedBody) => void;
  readonly Cell: ExtraCell;
  /** Where NaN and infinities came in. */
  readonly Alarm: FunctionComponent<AlarmProps>;
}

/** What draws a run of `activations`. */
export interface SignalPart {
  readonly Tab: FunctionComponent<SignalTabProps>;
  readonly Compare: FunctionComponent<CompareInitsProps>;
  readonly Cell: ExtraCell;
}

/** What draws a model over ranks. */
export interface RanksPart {
  /** Who holds it and how they are. */
  readonly Line: FunctionComponent<RanksLineProps>;
  /** What each rank has of a tensor. */
  readonly Lines: FunctionComponent<RankLinesProps>;
  /** Where their parts of it end. */
  readonly Borders: FunctionComponent<BordersProps>;
}

/** What the kernel has sent or is sending, one for all Explorers of the page, as this module is. */
const coming = new Map<PartBody["name"], Promise<unknown>>();

/** Has the kernel send a part when it is first needed; later ones have it at once, and what failed is asked for anew. */
function fetchOnce<Made>(
  client: Client,
  name: PartBody["name"],
  make: (part: PartReply) => Made | Promise<Made>,
  options: RequestOptions = {},
): Promise<Made> {
  const found =
    coming.get(name) ??
    client
      .request("part", { name }, options)
      .then(({ body }) => make(body))
      .catch((error: unknown) => {
        coming.delete(name);
        throw error;
      });
  coming.set(name, found);
  return found as Promise<Made>;
}

/** A view in place of the tree, or over it. */
export function viewPart<Name extends keyof ViewProps>(client: Client, name: Name): Promise<ViewPart<Name>> {
  return fetchOnce(client, name, async (part) => ({
    View: await evaluate<ViewPart<Name>["View"]>(part),
    style: part.style,
  }));
}

/** The same tensor in every block. */
export function depthPart(client: Client): Promise<FunctionComponent<DepthProps>> {
  return fetchOnce(client, "depth", evaluate<FunctionComponent<DepthProps>>);
}

/** What fills tensors anew. */
export function reinitializePart(client: Client): Promise<FunctionComponent<ReinitializeProps>> {
  return fetchOnce(client, "reinitialize", evaluate<FunctionComponent<ReinitializeProps>>);
}

/** What draws a run of `activations`. */
export function signalPart(client: Client): Promise<SignalPart> {
  return fetchOnce(client, "signal", evaluate<SignalPart>);
}

/** What draws the graph of a forward, with its style. */
export function graphPart(client: Client): Promise<FunctionComponent<GraphTabProps>> {
  return fetchOnce(client, "graph", async (part) =>
    withStyle(await evaluate<FunctionComponent<GraphTabProps>>(part), part.style),
  );
}

/** What draws a model over ranks, and the style it needs. */
export function ranksPart(client: Client): Promise<{ readonly part: RanksPart; readonly style: string }> {
  return fetchOnce(client, "ranks", async (sent) => ({ part: await evaluate<RanksPart>(sent), style: sent.style }));
}

/** The words of Chinese, and what reads sentences by them. */
export function chinese(client: Client): Promise<Words> {
  const isUnasked = { isUnasked: true };
  return Promise.all([
    fetchOnce(client, "zh", ({ code }) => JSON.parse(code) as Catalogue, isUnasked),
    fetchOnce(client, "sentences", evaluate<typeof tellSentence>, isUnasked),
  ]);
}

/** What draws a training, from its first event, or asked for where that was not heard; `style` gets its style. */
export async function pulsePart(client: Client, body: TickedBody, style: (css: string) => void): Promise<TrainingPart> {
  const part = body.part ?? (await client.request("part", { name: "pulse" }, { isUnasked: true })).body;
  style(part.style);
  return (await evaluate<() => TrainingPart>(part))();
}

/** What a part's script makes from what the page shares. */
async function evaluate<Made>({ code }: PartReply): Promise<Made> {
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  try {
    return ((await import(url)) as { default: (page: typeof shared) => Made }).default(shared);
  } finally {
    URL.revokeObjectURL(url);
  }
}
