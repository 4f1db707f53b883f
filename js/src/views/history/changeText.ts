import { t } from "../../i18n/translate.ts";
import type { HistoryEntry } from "../../protocol/messages.ts";

/** "14:02", the reader's own time of day. */
export function timeText(seconds: number): string {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** Which tensors, the first ones by name. */
export function whereText({ paths, n_paths }: HistoryEntry): string {
  const more = n_paths - paths.length;
  return more > 0 ? t("{0} and {1} more", paths.join(", "), more) : paths.join(", ");
}
