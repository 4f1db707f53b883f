import type { FunctionComponent } from "preact";
import type { Client } from "../protocol/client.ts";
import type { PanelProps } from "../views/checkpoints/Panel.tsx";
import type { Catalogue } from "../words/words.ts";
import { SHARED } from "./shared.ts";

/** The panel of checkpoints, once it is here, and the style it needs. */
export interface Part {
  readonly Panel: FunctionComponent<PanelProps>;
  readonly style: string;
}

/** One for all Explorers of the page, as this module is. */
let coming: Promise<Part> | null = null;
let words: Promise<Catalogue> | null = null;

/** Has the kernel send the panel of checkpoints when it is first opened; later ones have it at once. */
export function checkpointsPart(client: Client): Promise<Part> {
  coming ??= imported(client).catch((error: unknown) => {
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

async function imported(client: Client): Promise<Part> {
  const { code, style } = (await client.request("part", { name: "checkpoints" })).body;
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  try {
    const made = (await import(url)) as { default: (shared: typeof SHARED) => Part["Panel"] };
    return { Panel: made.default(SHARED), style };
  } finally {
    URL.revokeObjectURL(url);
  }
}
