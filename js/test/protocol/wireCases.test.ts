import { describe, expect, test } from "vitest";
import cases from "../../../tests/wire/cases.json";
import codec from "../../../tests/wire/codec.json";
import events from "../../../tests/wire/events.json";
import { ChannelClient, RequestError } from "../../src/protocol/client.ts";
import { arrayBytes, asDataView, decodeNumber, encodeNumber } from "../../src/protocol/codec.ts";
import type { ErrorCode, Array as WireArray, Event as WireEvent } from "../../src/protocol/messages.ts";
import { TestChannel } from "../fakes/channel.ts";

interface Said {
  readonly v: number;
  readonly id: string;
  readonly ok: boolean;
  readonly body?: unknown;
  readonly error?: { code: string; message: string; path: string | null; hint: string };
}

/** The value that a case of codec.json names. */
function meant(value: unknown): number | bigint {
  if (typeof value === "number") {
    return value;
  }
  const { $float, $integer } = value as { $float?: string; $integer?: string };
  return $integer === undefined ? Number($float) : BigInt($integer);
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

describe("numbers", () => {
  test.each(codec.numbers)("$wire is decoded and encoded without loss", ({ wire, value }) => {
    expect(decodeNumber(wire)).toEqual(meant(value));
    expect(encodeNumber(meant(value))).toEqual(wire);
  });

  test.each(["", "1.5e", "0x10", "inf", "nan", "1 000"])("%j is no number of the wire", (text) => {
    expect(() => decodeNumber(text)).toThrow(TypeError);
  });
});

interface Arrayed {
  readonly name: string;
  readonly wire: Readonly<Record<string, unknown>>;
  readonly buffers: readonly string[];
}

describe("arrays", () => {
  const arrayed = (codec.cases as readonly Arrayed[]).filter(({ buffers }) => buffers.length > 0);
  test("there are cases with buffers", () => expect(arrayed.length).toBeGreaterThan(1));

  test.each(arrayed)("$name", ({ wire, buffers }) => {
    // As hosts hand them over: views into one larger message, not at its start.
    const views = buffers.map((hex) => {
      const whole = new Uint8Array(bytesOf(hex).length + 3);
      whole.set(bytesOf(hex), 3);
      return asDataView(whole.subarray(3));
    });
    for (const head of Object.values(wire).flat() as WireArray[]) {
      const view = arrayBytes(head, views);
      expect([...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)]).toEqual([
        ...bytesOf(buffers[head.buffer] ?? "missing"),
      ]);
    }
  });

  test("one whose bytes are not what its shape says is refused", () => {
    const views = [asDataView(new ArrayBuffer(7))];
    expect(() => arrayBytes({ dtype: "float32", shape: [1, 2], buffer: 0 }, views)).toThrow(/7 bytes, not 8/);
    expect(() => arrayBytes({ dtype: "float32", shape: [1], buffer: 1 }, views)).toThrow(/buffer 1 of 1/);
    expect(() => arrayBytes({ dtype: "no such", shape: [7], buffer: 0 }, views)).toThrow(TypeError);
  });
});

describe("replies", () => {
  test.each(cases.cases)("$name", async ({ replies }) => {
    for (const reply of replies as readonly Said[]) {
      const channel = new TestChannel();
      const client = new ChannelClient(channel);
      const answer = client.request("models", {});
      channel.deliver({ ...reply, id: channel.sent[0]?.id });
      if (reply.ok) {
        expect((await answer).body).toEqual(reply.body);
        continue;
      }
      const error = await answer.then(
        () => null,
        (error: unknown) => error,
      );
      expect(error).toBeInstanceOf(RequestError);
      const { code, message, path, hint } = error as RequestError;
      expect({ code, message, path, hint }).toEqual(reply.error);
    }
  });

  test("every error code the page knows has a case", () => {
    const known: Record<ErrorCode, true> = {
      malformed: true,
      "unsupported-version": true,
      "unknown-kind": true,
      "model-gone": true,
      "model-not-found": true,
      "path-not-found": true,
      "invalid-target": true,
      unreadable: true,
      initializer: true,
      "changed-since": true,
      "not-traced": true,
      "outside-folder": true,
      "unsafe-checkpoint": true,
      "corrupt-checkpoint": true,
      "checkpoint-mismatch": true,
      "file-exists": true,
      save: true,
      cancelled: true,
      "view-closed": true,
      internal: true,
    };
    const seen = cases.cases.flatMap(({ replies }) => (replies as readonly Said[]).map(({ error }) => error?.code));
    expect(Object.keys(known).filter((code) => !seen.includes(code))).toEqual([]);
  });
});

describe("events", () => {
  test.each(events.cases)("$name", ({ event }) => {
    const channel = new TestChannel();
    const client = new ChannelClient(channel);
    const heard: WireEvent[] = [];
    const stop = client.onEvent((each) => heard.push(each));
    channel.deliver(event);
    expect(heard).toEqual([event]);
    stop();
    channel.deliver(event);
    expect(heard).toHaveLength(1);
  });
});
