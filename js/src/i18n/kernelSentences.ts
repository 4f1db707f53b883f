import { type Catalogue, currentCatalogue, t } from "./translate.ts";

/** Begins, in a catalogue, what the kernel writes in sentences; of those that fit the one of most words is taken. */
const MARK = "§";

interface Sentence {
  readonly key: string;
  readonly pattern: RegExp;
  /** Its longest words between places: what lacks them can't fit. */
  readonly needs: string;
  /** Which place each group of the pattern stands for. */
  readonly places: readonly number[];
}

interface Read {
  readonly of: Catalogue;
  readonly sentences: readonly Sentence[];
  /** What was told of late: rows are drawn again and again. */
  readonly known: Map<string, string | undefined>;
}

let read: Read = { of: {}, sentences: [], known: new Map() };
const MOST_KNOWN = 1000;

/** What the kernel said in the reader's language, where the catalogue has its like; names and numbers stay, and so does what it hasn't. */
export function tellSentence(english: string): string {
  const catalogue = currentCatalogue();
  if (read.of !== catalogue) {
    const keys = Object.keys(catalogue).filter((key) => key.startsWith(MARK));
    const words = (key: string): number => key.replace(/\{[^}]*\}/g, "").length;
    const sentences = keys.sort((one, other) => words(other) - words(one)).map(sentenceOf);
    read = { of: catalogue, sentences, known: new Map() };
  }
  return known(english) ?? fitted(english) ?? english;
}

/** What all of is known: by one sentence, by several one after the other, or behind a name. */
function known(english: string): string | undefined {
  if (read.known.has(english)) {
    return read.known.get(english);
  }
  const said = fitted(english, true) ?? inParts(english) ?? ended(english) ?? behindName(english);
  if (read.known.size >= MOST_KNOWN) {
    read.known.clear();
  }
  read.known.set(english, said);
  return said;
}

/** By the sentence that fits; `isSure`, by one of whose places none reaches over the end of a clause. */
function fitted(english: string, isSure = false): string | undefined {
  for (const { key, pattern, needs, places } of read.sentences) {
    const found = english.includes(needs) ? pattern.exec(english) : null;
    if (found !== null && !(isSure && reachesOver(found, key))) {
      const values: string[] = [];
      for (const [at, place] of places.entries()) {
        values[place] = tellSentence(found[at + 1] ?? "");
      }
      return t(key, ...values);
    }
  }
  return undefined;
}

/** Whether a place has more in it than part of a clause and is no sentence that is known, or has whose it is. */
function reachesOver([, ...values]: readonly string[], key: string): boolean {
  const isFirst = /^§\{\d\}/.test(key);
  return values.some((value, at) => {
    const isMore = /[.;] |\.$/.test(value) || (at === 0 && isFirst && value.includes(": "));
    const isSentence = value.endsWith(".") && fitted(value, true) !== undefined;
    return isMore && !isSentence;
  });
}

/** What fits with a full stop behind it. */
function ended(english: string): string | undefined {
  const said = english.endsWith(".") ? fitted(english.slice(0, -1), true) : undefined;
  return said === undefined ? undefined : `${said}。`;
}

/** Sentences or clauses one after the other, where each is known. */
function inParts(english: string): string | undefined {
  for (const [between, end, joined] of [
    [". ", ".", ""],
    ["; ", "", "；"],
  ] as const) {
    const parts = english.split(between);
    const said =
      parts.length < 2 ? [undefined] : parts.map((part, at) => known(at < parts.length - 1 ? part + end : part));
    if (!said.includes(undefined)) {
      return said.join(joined);
    }
  }
  return undefined;
}

/** What is known, with whose it is before it: `xavier_normal_: …`. */
function behindName(english: string): string | undefined {
  for (let at = english.indexOf(": "); at >= 0; at = english.indexOf(": ", at + 1)) {
    const said = known(english.slice(at + 2));
    if (said !== undefined) {
      return `${tellSentence(english.slice(0, at))}：${said}`;
    }
  }
  return undefined;
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
  const words = pieces.filter((_, at) => at % 2 === 0).sort((one, other) => other.length - one.length);
  return { key, pattern: new RegExp(`^${pattern.join("")}$`, "s"), needs: words[0] ?? "", places };
}
