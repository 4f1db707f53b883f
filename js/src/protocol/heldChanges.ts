import type { Channel } from "./client.ts";
import type { KernelWatch } from "./kernelStatus.ts";
import type { Event } from "./messages.ts";

/** A channel on which changes are heard of once the kernel can be asked what they are: not while a cell keeps it. */
export function holdingChanges(channel: Channel, kernel: Pick<KernelWatch, "isTaken" | "onChange">): Channel {
  return {
    send: (message) => channel.send(message),
    isAlive: () => channel.isAlive(),
    listen: (listener) => {
      let held: Event | null = null;
      const stop = channel.listen((message, buffers) => {
        if (!isChange(message) || !kernel.isTaken()) {
          listener(message, buffers);
        } else if (held === null || held.body.structure === false) {
          held = message;
        }
      });
      const stopWatching = kernel.onChange(() => {
        if (held !== null && !kernel.isTaken()) {
          const message = held;
          held = null;
          listener(message, []);
        }
      });
      return () => {
        stop();
        stopWatching();
      };
    },
  };
}

function isChange(message: unknown): message is Event {
  return (message as Partial<Event> | null)?.event === "changed";
}
