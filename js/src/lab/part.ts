import checkpointsCss from "style:checkpoints";
import type { Part } from "../entries/part.ts";
import { Panel } from "../views/checkpoints/Panel.tsx";
import type { Catalogue } from "../words/words.ts";
import zh from "../words/zh.json";

/** The extension has the panel of checkpoints with it: what a kernel would send may be of another version. */
export async function checkpointsPart(): Promise<Part> {
  return { Panel, style: checkpointsCss };
}

export async function chinese(): Promise<Catalogue> {
  return zh;
}
