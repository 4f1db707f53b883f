import type { HistoryEntry } from "../../protocol/messages.ts";

/** "14:02", the reader's own time of day. */
export function timeText(seconds: number): string {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** Which tensors, the first ones by name. */
export function whereText({ paths, n_paths }: HistoryEntry): string {
  const more = n_paths - paths.length;
  return paths.join(", ") + (more > 0 ? ` and ${more} more` : "");
}
