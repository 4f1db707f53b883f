import type { Channel } from "../../src/protocol/client.ts";

/** A channel whose other end is the test. */
export class TestChannel implements Channel {
  readonly sent: { v: number; id: string; kind: string; body: Record<string, unknown> }[] = [];
  readonly #listeners = new Set<(message: unknown, buffers: DataView[]) => void>();
  isOpen = true;

  send(message: unknown): void {
    // What travels is JSON: whatever isn't must not pass here either.
    this.sent.push(JSON.parse(JSON.stringify(message)));
  }

  listen(listener: (message: unknown, buffers: DataView[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  isAlive(): boolean {
    return this.isOpen;
  }

  get nListeners(): number {
    return this.#listeners.size;
  }

  /** Sends a message to the page. */
  deliver(message: unknown, buffers: DataView[] = []): void {
    for (const listener of [...this.#listeners]) {
      listener(message, buffers);
    }
  }

  /** Answers the last request, or the one at `at`. */
  reply(body: unknown, { at = -1, buffers = [] as DataView[] } = {}): void {
    this.deliver({ v: 1, id: this.sent.at(at)?.id, ok: true, body }, buffers);
  }
}
