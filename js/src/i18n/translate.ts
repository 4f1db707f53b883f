import type { ComponentChild } from "preact";

/** From the English of the sources to another language. */
export type Catalogue = Readonly<Record<string, string>>;

/** What tells the kernel's sentences in the language of the catalogue. */
type Teller = (english: string) => string;

/** A language: its words, and what reads the kernel's sentences by them, which English needs none for. */
export type Words = readonly [catalogue: Catalogue, tell?: Teller];

let catalogue: Catalogue = {};
let teller: Teller | undefined;

/** Has the page write what a catalogue says from its next drawing on; an empty one is English. */
export function setCatalogue(...[next, tell]: Words): void {
  catalogue = next;
  teller = tell;
}

/** What the kernel said in the reader's language; names and numbers stay, and so does what it has no words for. */
export function told(english: string): string {
  return teller?.(english) ?? english;
}

/** What the page writes now; another catalogue is another language. */
export function currentCatalogue(): Catalogue {
  return catalogue;
}

/** `english` in the reader's language: `{0}`, `{1}` … become numbers and names, `{0|row|rows}` one or many of it. */
export function t(english: string, ...values: readonly (string | number)[]): string {
  return tx(english, ...values).join("");
}

/** The same where some of what replaces `{0}`, `{1}` … are elements. */
export function tx(english: string, ...values: readonly ComponentChild[]): readonly ComponentChild[] {
  return (catalogue[english] ?? english)
    .split(/\{(\d(?:\|[^|}]*){0,2})\}/)
    .map((piece, at) => (at % 2 === 0 ? piece : valueAt(piece, values)));
}

function valueAt(place: string, values: readonly ComponentChild[]): ComponentChild {
  const [at, one, many] = place.split("|");
  const value = values[Number(at)];
  return many === undefined ? value : String(value) === "1" ? one : many;
}

/** Marks English that stands in a table: `t` is called on it where it is shown. */
export function word<const Text extends string>(english: Text): Text {
  return english;
}
