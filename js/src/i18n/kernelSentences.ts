import { type Catalogue, currentCatalogue, t } from "./translate.ts";

/** Begins, in a catalogue, what the kernel writes in sentences; of those that fit the one of most words is taken. */
const MARK = "§";

interface Sentence {
  readonly key: string;
  readonly pattern: RegExp;
  /** Which place each group of the pattern stands for. */
  readonly places: readonly number[];
}

interface Read {
  readonly of: Catalogue;
  readonly sentences: readonly Sentence[];
  /** What was told of late: rows are drawn again and again. */
  readonly known: Map<string, string>;
}

let read: Read = { of: {}, sentences: [], known: new Map() };
const MOST_KNOWN = 1000;

/** What the kernel said in the reader's language, where the catalogue has its like; names and numbers stay, and so does what it hasn't. */
export function told(english: string): string {
  const catalogue = currentCatalogue();
  if (read.of !== catalogue) {
    const keys = Object.keys(catalogue).filter((key) => key.startsWith(MARK));
    const words = (key: string): number => key.replace(/\{[^}]*\}/g, "").length;
    const sentences = keys.sort((one, other) => words(other) - words(one)).map(sentenceOf);
    read = { of: catalogue, sentences, known: new Map() };
  }
  let said = read.known.get(english);
  if (said === undefined) {
    said = worded(english, read.sentences);
    if (read.known.size >= MOST_KNOWN) {
      read.known.clear();
    }
    read.known.set(english, said);
  }
  return said;
}

function worded(english: string, sentences: readonly Sentence[]): string {
  for (const { key, pattern, places } of sentences) {
    const found = pattern.exec(english);
    if (found !== null) {
      const values: string[] = [];
      for (const [at, place] of places.entries()) {
        values[place] = told(found[at + 1] ?? "");
      }
      return t(key, ...values);
    }
  }
  return english;
}

/** `{0}` stands for anything, `{0|row|rows}` for either. */
function sentenceOf(key: string): Sentence {
  const places: number[] = [];
  const pieces = key.slice(MARK.length).split(/\{(\d(?:\|[^|}]*){0,2})\}/);
  const pattern = pieces.map((piece, at) => {
    const [place = "", one, many] = piece.split("|");
    if (at % 2 === 0) {
      return piece.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    }
    if (many !== undefined) {
      return `(?:${many}|${one})`;
    }
    places.push(Number(place));
    return "(.*?)";
  });
  return { key, pattern: new RegExp(`^${pattern.join("")}$`, "s"), places };
}
