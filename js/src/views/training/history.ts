import { toNumber } from "../../lib/format.ts";
import type { TickedBody } from "../../protocol/messages.ts";

/** What is followed of each row, in the order of the wire. */
export const SERIES = ["norm", "gradient", "update"] as const;

const MOST_VALUES = 40;

/** The last values of one series of one row, the latest last; null where a beat had none. */
export type Course = readonly (number | null)[];

/** The last beats of each row, and who wants to hear of more. */
export class TrainingHistory {
  readonly #rows = new Map<string, (number | null)[][]>();
  readonly #broken = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  /** How far rows have moved since a mark; null where only that they did is known. */
  moved: ReadonlyMap<string, number | null> = new Map();

  add({ step, beats, moved }: TickedBody): void {
    if (moved !== undefined) {
      this.moved = new Map(Object.entries(moved).map(([path, by]) => [path, by === null ? null : toNumber(by)]));
    }
    for (const [path, values] of Object.entries(beats)) {
      const row = this.#rows.get(path) ?? SERIES.map(() => []);
      this.#rows.set(path, row);
      values.forEach((value, at) => {
        const course = row[at] ?? [];
        const number = value === null ? null : toNumber(value);
        course.push(number);
        course.splice(0, course.length - MOST_VALUES);
        const key = `${at} ${path}`;
        if (number === null || Number.isFinite(number)) {
          this.#broken.delete(key);
        } else if (!this.#broken.has(key)) {
          this.#broken.set(key, step);
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

  /** The step since which a series is no finite number; undefined where it is one. */
  brokenSince(path: string, series: number): number | undefined {
    return this.#broken.get(`${series} ${path}`);
  }
}
