import { toNumber } from "../../lib/format.ts";
import type { NotFinite, TickedBody } from "../../protocol/messages.ts";

/** What is followed of each row, in the order of the wire. */
export const SERIES = ["norm", "gradient", "update"] as const;

/** What is followed of the signal through each module, in the order of the wire. */
export const SIGNAL = ["mean", "std", "gradient"] as const;

const MOST_VALUES = 40;

/** The last values of one series of one row, the latest last; null where a beat had none. */
export type Course = readonly (number | null)[];

/** The steps between which something became no finite number, as far as the page heard of them. */
export interface Since {
  readonly step: number;
  readonly lastClean: number | null;
}

/** The last beats of each row, and who wants to hear of more. */
export class TrainingHistory {
  readonly #rows = new Map<string, (number | null)[][]>();
  readonly #signals = new Map<string, (number | null)[][]>();
  /** By series and row: the step first heard of with no finite number, and the last one before with one. */
  readonly #broken = new Map<string, Since>();
  readonly #clean = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  /** How far rows have moved since a mark; null where only that they did is known. */
  moved: ReadonlyMap<string, number | null> = new Map();
  /** Where something that isn't finite came in; null while all is. */
  broken: NotFinite | null = null;

  add({ step, beats, broken, moved, signals }: TickedBody): void {
    if (moved !== undefined) {
      this.moved = new Map(Object.entries(moved).map(([path, by]) => [path, by === null ? null : toNumber(by)]));
    } else {
      this.broken = broken;
    }
    for (const [path, values] of Object.entries(signals ?? {})) {
      grown(this.#signals, path, values);
    }
    for (const [path, values] of Object.entries(beats)) {
      grown(this.#rows, path, values).forEach((number, at) => {
        const key = `${at} ${path}`;
        if (number === null || Number.isFinite(number)) {
          this.#broken.delete(key);
          this.#clean.set(key, step);
        } else if (!this.#broken.has(key)) {
          this.#broken.set(key, { step, lastClean: this.#clean.get(key) ?? null });
        }
      });
    }
    for (const listener of [...this.#listeners]) {
      listener();
    }
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The course of each series of a row; null for a row that has none. */
  of(path: string): readonly Course[] | null {
    return this.#rows.get(path) ?? null;
  }

  /** The course of a module's mean and standard deviation, and of its gradient's; null for a row that has none. */
  signalOf(path: string): readonly Course[] | null {
    return this.#signals.get(path) ?? null;
  }

  /** Since when a series is no finite number; undefined where it is one. */
  brokenSince(path: string, series: number): Since | undefined {
    return this.#broken.get(`${series} ${path}`);
  }
}

/** Add a value to each course of a row, and return these as numbers. */
function grown(
  rows: Map<string, (number | null)[][]>,
  path: string,
  values: TickedBody["beats"][string],
): (number | null)[] {
  const numbers = values.map((value) => (value === null ? null : toNumber(value)));
  const row = rows.get(path) ?? numbers.map(() => []);
  rows.set(path, row);
  row.forEach((course, at) => {
    course.push(numbers[at] ?? null);
    course.splice(0, course.length - MOST_VALUES);
  });
  return numbers;
}
