import { expect, test } from "vitest";
import { holdingChanges } from "../../src/protocol/heldChanges.ts";
import { TestChannel } from "../fakes/channel.ts";

/** What a view hears over a channel of a kernel that a cell takes and leaves. */
function heard() {
  const channel = new TestChannel();
  let [isTaken, tell] = [false, (): void => {}];
  const onChange = (listener: () => void) => {
    tell = listener;
    return () => {
      tell = () => {};
    };
  };
  const messages: unknown[] = [];
  const stop = holdingChanges(channel, { isTaken: () => isTaken, onChange }).listen((message) =>
    messages.push(message),
  );
  const take = (next: boolean): void => {
    isTaken = next;
    tell();
  };
  return { channel, messages, stop, take };
}

const changed = (structure: boolean) => ({ v: 1, event: "changed", body: { structure } });
const ticked = { v: 1, event: "ticked", body: {} };
const reply = { v: 1, id: "1", ok: true, body: {} };

test("a change is heard at once where no cell runs, and once when a cell has ended that made many", () => {
  const { channel, messages, take } = heard();
  channel.deliver(changed(false));
  expect(messages).toEqual([changed(false)]);
  take(true);
  for (const structure of [false, true, false]) {
    channel.deliver(changed(structure));
  }
  take(true);
  expect(messages).toHaveLength(1);
  take(false);
  take(false);
  expect(messages).toEqual([changed(false), changed(true)]);
});

test("all else is heard at once, and a view that has ended hears nothing", () => {
  const { channel, messages, stop, take } = heard();
  take(true);
  for (const message of [ticked, reply, null]) {
    channel.deliver(message);
  }
  expect(messages).toEqual([ticked, reply, null]);
  channel.deliver(changed(true));
  stop();
  take(false);
  expect(messages).toHaveLength(3);
  expect(channel.nListeners).toBe(0);
});
