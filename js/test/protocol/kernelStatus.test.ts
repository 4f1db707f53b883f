import { afterEach, expect, test, vi } from "vitest";
import { unwatchedKernel, watchKernel } from "../../src/protocol/kernelStatus.ts";

afterEach(() => vi.unstubAllGlobals());

test("a kernel of which no model tells is there until a message can't reach it", () => {
  const kernel = unwatchedKernel();
  const heard = vi.fn();
  kernel.onChange(heard);
  expect(kernel.isAlive()).toBe(true);
  kernel.onUnreached();
  expect(kernel.isAlive()).toBe(false);
  expect(heard).toHaveBeenCalledTimes(1);
});

test("a page that marimo has exported has no kernel", () => {
  vi.stubGlobal("__MARIMO_STATIC__", {});
  expect(unwatchedKernel().isAlive()).toBe(false);
});

type Message = { parent_header: { msg_type?: string }; content: { execution_state?: string } };

/** A view's model, of which a kernel says that it must wait, or that it needn't. */
function modelOf(mustWait: boolean) {
  const listeners = new Map<string, () => void>();
  return {
    get: (name: string) => name === "_must_wait" && mustWait,
    on: (event: string, listener: () => void) => listeners.set(event, listener),
    off: (event: string) => listeners.delete(event),
    say: (next: boolean) => {
      mustWait = next;
      listeners.get("change:_must_wait")?.();
    },
  };
}

/** A watch of a kernel, and how to have that kernel say what it does. */
async function watched(connection: { status?: string; supportsSubshells?: boolean } = {}) {
  let slot: ((sender: unknown, message: Message) => void) | null = null;
  const iopubMessage = {
    connect: (next: typeof slot) => {
      slot = next;
    },
    disconnect: () => {
      slot = null;
    },
  };
  const manager = { get_model: async () => ({}), kernel: { status: "idle", ...connection, iopubMessage } };
  const kernel = await watchKernel(manager, "IPY_MODEL_1", modelOf(false));
  const heard = vi.fn();
  const stop = kernel.onChange(heard);
  const say = (asked: string, state?: string): void =>
    slot?.(null, {
      parent_header: { msg_type: asked },
      content: state === undefined ? {} : { execution_state: state },
    });
  return { kernel, heard, stop, say };
}

test("a kernel is taken from when a cell begins until it ends, whatever else it answers meanwhile", async () => {
  const { kernel, heard, say } = await watched();
  expect(kernel.isTaken()).toBe(false);
  say("execute_request", "busy");
  expect(kernel.isTaken()).toBe(true);
  say("execute_request");
  say("debug_request", "busy");
  say("debug_request", "idle");
  expect(kernel.isTaken()).toBe(true);
  expect(heard).toHaveBeenCalledTimes(1);
  say("execute_request", "idle");
  expect(kernel.isTaken()).toBe(false);
  expect(heard).toHaveBeenCalledTimes(2);
});

test("a kernel that answers a view is not taken, though it is busy with that", async () => {
  const { kernel, say } = await watched({ status: "busy" });
  expect(kernel.isTaken()).toBe(true);
  say("comm_msg", "busy");
  expect(kernel.isTaken()).toBe(false);
});

test("a kernel with subshells is never taken", async () => {
  const { kernel, say } = await watched({ supportsSubshells: true });
  say("execute_request", "busy");
  expect(kernel.isTaken()).toBe(false);
});

test("a watch that was stopped hears nothing more", async () => {
  const { heard, stop, say } = await watched();
  stop();
  say("execute_request", "busy");
  expect(heard).not.toHaveBeenCalled();
});

test("a kernel of which the host shows nothing is taken while the view's model says so", async () => {
  const model = modelOf(true);
  const kernel = await watchKernel({ get_model: async () => ({}) }, "IPY_MODEL_1", model);
  const heard = vi.fn();
  const stop = kernel.onChange(heard);
  expect(kernel.isTaken()).toBe(true);
  model.say(false);
  expect(kernel.isTaken()).toBe(false);
  expect(heard).toHaveBeenCalledTimes(1);
  stop();
  model.say(true);
  expect(heard).toHaveBeenCalledTimes(1);
});
