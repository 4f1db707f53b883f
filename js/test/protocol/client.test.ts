import { describe, expect, test, vi } from "vitest";
import { ChannelClient } from "../../src/protocol/client.ts";
import { TestChannel } from "../fakes/channel.ts";

function opened(prefix?: string) {
  const channel = new TestChannel();
  return { channel, client: new ChannelClient(channel, prefix) };
}

const REFUSAL = { code: "internal", message: "No.", path: null, hint: "" };

describe("a request", () => {
  test("says version, kind and body, under an id of its own", () => {
    const { channel, client } = opened("view.");
    void client.request("inspect", { path: "0" });
    void client.request("ties", {});
    expect(channel.sent[0]).toMatchObject({ v: 1, kind: "inspect", body: { path: "0" } });
    const ids = channel.sent.map(({ id }) => id);
    expect(new Set(ids).size).toBe(2);
    expect(ids.every((id) => id.startsWith("view."))).toBe(true);
  });

  test("gets the reply of its own id, whatever the order", async () => {
    const { channel, client } = opened();
    const first = client.request("models", {});
    const second = client.request("models", {});
    const far = { name: "b", class_name: "B" };
    channel.reply({ models: [far] }, { at: 1 });
    channel.reply({ models: [] }, { at: 0 });
    expect((await first).body.models).toEqual([]);
    expect((await second).body.models).toEqual([far]);
  });

  test("gets its buffers", async () => {
    const { channel, client } = opened();
    const values = client.request("values", { path: "0.weight" });
    const buffer = new DataView(new ArrayBuffer(4));
    channel.reply({}, { buffers: [buffer] });
    expect((await values).buffers).toEqual([buffer]);
  });

  test("hears how far it is until it is answered, and never after", async () => {
    const { channel, client } = opened();
    const onProgress = vi.fn();
    const stats = client.request("stats", { path: "w" }, { onProgress });
    const id = channel.sent[0]?.id;
    channel.deliver({ v: 1, id, progress: { done: 1, total: 3 } });
    channel.reply({ n: 1 });
    await stats;
    channel.deliver({ v: 1, id, progress: { done: 2, total: 3 } });
    expect(onProgress.mock.calls).toEqual([[1, 3]]);
  });

  test("fails with the kernel's words", async () => {
    const { channel, client } = opened();
    const answer = client.request("models", {});
    channel.deliver({ v: 1, id: channel.sent[0]?.id, ok: false, error: REFUSAL });
    await expect(answer).rejects.toMatchObject(REFUSAL);
    expect(client.nWaiting).toBe(0);
  });

  test("fails in words of the page's own where the error has none", async () => {
    const { channel, client } = opened();
    const answer = client.request("models", {});
    channel.deliver({ v: 1, id: channel.sent[0]?.id, ok: false });
    await expect(answer).rejects.toMatchObject({ code: "internal", message: expect.stringContaining("kernel") });
  });
});

describe("cancelling", () => {
  test("tells the kernel which request, and rejects at once", async () => {
    const { channel, client } = opened();
    const stop = new AbortController();
    const answer = client.request("stats", { path: "w" }, { signal: stop.signal });
    stop.abort();
    await expect(answer).rejects.toMatchObject({ name: "AbortError" });
    expect(channel.sent[1]).toMatchObject({ kind: "cancel", body: { id: channel.sent[0]?.id } });
  });

  test("takes no notice of the reply that still comes", async () => {
    const { channel, client } = opened();
    const stop = new AbortController();
    const answer = client.request("stats", { path: "w" }, { signal: stop.signal });
    stop.abort();
    channel.reply({ n: 1 }, { at: 0 });
    await expect(answer).rejects.toMatchObject({ name: "AbortError" });
    expect(client.nWaiting).toBe(0);
  });

  test("after the answer sends nothing", async () => {
    const { channel, client } = opened();
    const stop = new AbortController();
    const answer = client.request("ties", {}, { signal: stop.signal });
    channel.reply({ ties: [] });
    await answer;
    stop.abort();
    expect(channel.sent).toHaveLength(1);
  });

  test("before the request is made makes none", async () => {
    const { channel, client } = opened();
    await expect(client.request("ties", {}, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: "AbortError",
    });
    expect(channel.sent).toHaveLength(0);
  });
});

describe("without a kernel", () => {
  test("a request fails at once and says what to do", async () => {
    const { channel, client } = opened();
    channel.isOpen = false;
    expect(client.alive).toBe(false);
    await expect(client.request("ties", {})).rejects.toMatchObject({ code: "no-kernel", hint: "Run the cell again." });
    expect(channel.sent).toHaveLength(0);
  });

  test("what waited fails when it goes", async () => {
    const { channel, client } = opened();
    const answer = client.request("ties", {});
    channel.isOpen = false;
    client.failWaiting();
    await expect(answer).rejects.toMatchObject({ code: "no-kernel" });
    expect(client.nWaiting).toBe(0);
  });
});

describe("closing", () => {
  test("cancels what waits and listens no more", async () => {
    const { channel, client } = opened();
    const answer = client.request("stats", { path: "w" });
    client.close();
    await expect(answer).rejects.toMatchObject({ name: "AbortError" });
    expect(channel.sent.at(-1)).toMatchObject({ kind: "cancel", body: { id: channel.sent[0]?.id } });
    expect(channel.nListeners).toBe(0);
  });
});

test("what a view asks by itself is answered like the rest, and nobody waits for it", async () => {
  const { channel, client } = opened();
  const own = client.request("history", {}, { isUnasked: true });
  expect(client.nWaiting).toBe(0);
  void client.request("ties", {});
  expect(client.nWaiting).toBe(1);
  channel.reply({ entries: [] }, { at: 0 });
  expect((await own).body).toEqual({ entries: [] });
  expect(client.nWaiting).toBe(1);
});

test.each([
  null,
  "text",
  7,
  [],
  {},
  { v: 2, id: "1", ok: true, body: {} },
  { v: 1, ok: true, body: {} },
  { v: 1, id: "someone else's", ok: true, body: {} },
  { v: 1, id: "1", progress: { done: "a", total: 1 } },
])("%j is not for this client and does nothing", (message) => {
  const { channel, client } = opened();
  const onProgress = vi.fn();
  void client.request("ties", {}, { onProgress });
  channel.deliver(message);
  expect(client.nWaiting).toBe(1);
  expect(onProgress).not.toHaveBeenCalled();
});
