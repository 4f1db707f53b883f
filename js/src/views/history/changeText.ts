import { t, told } from "../../i18n/translate.ts";
import type { HistoryEntry } from "../../protocol/messages.ts";

/** "14:02", the reader's own time of day. */
export function timeText(seconds: number): string {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** What was done, in the reader's words where they are not the user's own. */
export function labelText({ label, kind }: HistoryEntry): string {
  return kind === "function" ? label : told(label);
}

/** Which tensors, the first ones by name. */
export function whereText({ paths, n_paths }: HistoryEntry): string {
  const more = n_paths - paths.length;
  return more > 0 ? t("{0} and {1} more", paths.join(", "), more) : paths.join(", ");
}
