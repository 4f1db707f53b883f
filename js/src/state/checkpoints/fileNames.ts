import { word } from "../../i18n/translate.ts";

const FORMATS: readonly (readonly [RegExp, string])[] = [
  [/\/$/, word("safetensors in shards, with an index")],
  [/\.safetensors$/i, "safetensors"],
];

/** The format that a save under this name has; over ranks a folder is what suits how they hold the model. */
export function formatOf(name: string, isOverRanks = false): string {
  if (isOverRanks && name.endsWith("/")) {
    return word("a folder of parts");
  }
  return FORMATS.find(([ending]) => ending.test(name))?.[1] ?? word("torch zip");
}

/** A path below a folder. */
export function within(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

/** Why a file can't be called so, or null; whether it is there already only the kernel knows. */
export function fileNameProblem(name: string): string | null {
  const plain = name.trim();
  if (plain === "" || plain === "/") {
    return word("Type a name, such as net.safetensors or net.pt.");
  }
  if (plain.startsWith("/") || plain.split("/").includes("..")) {
    return word("Type a name below this folder: no leading slash, no “..”.");
  }
  return null;
}

/** What a model of this name is saved as, unless the user says otherwise. */
export function defaultName(model: string): string {
  const plain = model.replace(/[^\w.-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "");
  return `${plain === "" ? "model" : plain}.safetensors`;
}

const FORMAT_WORDS: Readonly<Record<string, string>> = {
  "torch-zip": word("torch zip"),
  "torch-legacy": word("torch legacy"),
  safetensors: "safetensors",
  sharded: word("shards"),
  distributed: word("torch distributed"),
};

export function formatWords(format: string): string {
  return FORMAT_WORDS[format] ?? format;
}
