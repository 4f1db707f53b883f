import type { FunctionComponent } from "preact";
import type { Client } from "../protocol/client.ts";
import type { PartReply, TickedBody } from "../protocol/messages.ts";
import type { PanelProps } from "../views/checkpoints/Panel.tsx";
import type { Catalogue } from "../words/words.ts";
import { SHARED } from "./shared.ts";

/** The panel of checkpoints, once it is here, and the style it needs. */
export interface Part {
  readonly Panel: FunctionComponent<PanelProps>;
  readonly style: string;
}

/** What one view hears and draws of a training. */
export interface Pulse {
  readonly hear: (body: TickedBody) => void;
  readonly Cell: FunctionComponent<{ readonly path: string }>;
}

/** One for all Explorers of the page, as this module is. */
let coming: Promise<Part> | null = null;
let words: Promise<Catalogue> | null = null;

/** Has the kernel send the panel of checkpoints when it is first opened; later ones have it at once. */
export function checkpointsPart(client: Client): Promise<Part> {
  coming ??= client
    .request("part", { name: "checkpoints" })
    .then(async ({ body }) => ({ Panel: await made<Part["Panel"]>(body), style: body.style }))
    .catch((error: unknown) => {
      coming = null;
      throw error;
    });
  return coming;
}

/** Has the kernel send the words of Chinese when they are first needed. */
export function chinese(client: Client): Promise<Catalogue> {
  words ??= client.request("part", { name: "zh" }).then(
    ({ body }) => JSON.parse(body.code) as Catalogue,
    (error: unknown) => {
      words = null;
      throw error;
    },
  );
  return words;
}

/** What draws a training, from its first event, or asked for where that was not heard; `style` gets its style. */
export async function pulsePart(client: Client, body: TickedBody, style: (css: string) => void): Promise<Pulse> {
  const part = body.part ?? (await client.request("part", { name: "pulse" })).body;
  style(part.style);
  return (await made<() => Pulse>(part))();
}

/** What a part's script makes from what the page shares. */
async function made<Made>({ code }: PartReply): Promise<Made> {
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  try {
    return ((await import(url)) as { default: (shared: typeof SHARED) => Made }).default(SHARED);
  } finally {
    URL.revokeObjectURL(url);
  }
}
