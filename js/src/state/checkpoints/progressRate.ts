import { t } from "../../i18n/translate.ts";

/** How far a piece of work is, and how fast it goes. */
export interface ProgressRate {
  readonly done: number;
  readonly total: number;
  /** Units a second, over the last few seconds; null before there is anything to measure by. */
  readonly rate: number | null;
  /** Seconds that remain at that rate. */
  readonly remaining: number | null;
  readonly samples: readonly { readonly at: number; readonly done: number }[];
}

export const NOT_BEGUN: ProgressRate = { done: 0, total: 0, rate: null, remaining: null, samples: [] };

const SECONDS_LOOKED_BACK = 3;
const LEAST_SECONDS = 0.25;

/** What is known once a piece of work has told how far it is, at `at` seconds on any clock. */
export function updateRate(before: ProgressRate, done: number, total: number, at: number): ProgressRate {
  // Work that begins a new stage, to check what it has read say, may count from the start again.
  const kept = done < before.done || total !== before.total ? [] : before.samples;
  const samples = [...kept.filter((sample) => at - sample.at <= SECONDS_LOOKED_BACK), { at, done }];
  const first = samples[0];
  const seconds = first === undefined ? 0 : at - first.at;
  const rate = first === undefined || seconds < LEAST_SECONDS ? null : (done - first.done) / seconds;
  const remaining = rate === null || rate <= 0 ? null : Math.max(0, total - done) / rate;
  return { done, total, rate, remaining, samples };
}

/** "4 s left", "about 3 min left". */
export function remainingText(seconds: number | null): string {
  if (seconds === null) {
    return "";
  }
  if (seconds < 90) {
    return t("{0} s left", Math.max(1, Math.ceil(seconds)));
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? t("about {0} min left", minutes) : t("about {0} h left", Math.round(minutes / 60));
}
