import type { ComponentChildren } from "preact";
import type { Difference, Status } from "../../protocol/messages.ts";
import { Glyph } from "../tree/Glyph.tsx";
import { Mark } from "./Mark.tsx";

/** How a status or a difference is shown: an icon, a word, a colour's token. */
export interface Look {
  readonly word: string;
  readonly icon: ComponentChildren;
  readonly color: string;
  readonly hint: string;
}

export const STATUSES: readonly Status[] = [
  "match",
  "renamed",
  "dtype_cast",
  "tied",
  "shape_mismatch",
  "missing",
  "unexpected",
];

export const DIFFERENCES: readonly Difference[] = ["values", "shape", "dtype", "removed", "added", "equal"];

export function statusLook(status: Status): Look {
  switch (status) {
    case "match":
      return look("match", <Glyph name="check" />, "ok", "Same name, shape and dtype: will be loaded");
    case "renamed":
      return look("renamed", <Mark name="swap" />, "info", "Under another name in the file: will be loaded");
    case "dtype_cast":
      return look("dtype cast", <Mark name="waves" />, "t3", "Another dtype in the file: will be loaded and cast");
    case "tied":
      return look("tied", <Glyph name="link" />, "t0", "Its bytes come with another name");
    case "shape_mismatch":
      return look("shape mismatch", <Mark name="unequal" />, "err", "Another shape in the file: keeps its values");
    case "missing":
      return look("missing", <Mark name="hollow" />, "warn", "Not in the file: keeps its values");
    case "unexpected":
      return look("unexpected", <Glyph name="plus" />, "dim", "Only in the file: left alone");
  }
}

export function differenceLook(kind: Difference, a: string, b: string): Look {
  switch (kind) {
    case "values":
      return look("values", <Mark name="delta" />, "warn", "Same shape and dtype, other values");
    case "shape":
      return look("shape", <Mark name="unequal" />, "err", "Another shape on either side");
    case "dtype":
      return look("dtype", <Mark name="waves" />, "t3", "Another dtype on either side");
    case "removed":
      return look("only first", <Glyph name="minus" />, "info", `Only in ${a}`);
    case "added":
      return look("only second", <Glyph name="plus" />, "info", `Only in ${b}`);
    case "equal":
      return look("equal", <Mark name="equal" />, "ok", "Bit for bit the same");
  }
}

function look(word: string, icon: ComponentChildren, token: string, hint: string): Look {
  return { word, icon, color: `var(--nnw-${token})`, hint };
}

const DAY_SECONDS = 86_400;

/** "today 13:41", "yesterday 18:20", "20 Nov", "20 Nov 2024". */
export function dateText(seconds: number, now = new Date()): string {
  const date = new Date(seconds * 1000);
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const day = (at: Date): number => new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime() / 1000;
  const days = Math.round((day(now) - day(date)) / DAY_SECONDS);
  if (days === 0) {
    return `today ${time}`;
  }
  if (days === 1) {
    return `yesterday ${time}`;
  }
  const isThisYear = date.getFullYear() === now.getFullYear();
  const year = isThisYear ? {} : ({ year: "numeric" } as const);
  return date.toLocaleDateString("en-GB", { day: "numeric", month: "short", ...year });
}

/** "float32" → "f32", "bfloat16" → "bf16", "int64" → "i64". */
export function shortDtype(dtype: string): string {
  return dtype
    .replace(/^bfloat/, "bf")
    .replace(/^float/, "f")
    .replace(/^uint/, "u")
    .replace(/^int/, "i")
    .replace(/^complex/, "c");
}
