import { expect, test } from "vitest";
import { KernelConnection } from "../../src/lab/kernelConnection.ts";
import { FakeKernel, settled } from "../fakes/labKernel.ts";

const NET = { name: "net", class_name: "Linear", identity: 1 };

function linked(kernel: FakeKernel): KernelConnection {
  return new KernelConnection(kernel, () => undefined);
}

/** A link that the panel shows, once the kernel has answered. */
async function onView(kernel: FakeKernel): Promise<KernelConnection> {
  const link = linked(kernel);
  link.show(true);
  await settled();
  return link;
}

test("while the panel is hidden a kernel is neither asked nor told anything", async () => {
  const kernel = new FakeKernel();
  const link = linked(kernel);
  kernel.endCell();
  await settled();
  expect(link.stage.at).toBe("asking");
  expect(kernel.comms).toHaveLength(0);
  expect(kernel.executed).toHaveLength(0);
});

test("a kernel without nnwidgets runs nothing until it is told to load", async () => {
  const kernel = new FakeKernel();
  kernel.modules = [NET];
  const link = await onView(kernel);
  expect(link.stage).toEqual({ at: "unloaded" });
  expect(kernel.executed).toHaveLength(0);
  await link.load();
  await settled();
  expect(kernel.executed).toHaveLength(1);
  expect(kernel.executed[0]).toMatchObject({ code: "", silent: true, store_history: false });
  expect(link.wasLoadedHere).toBe(true);
  expect(link.stage).toMatchObject({ at: "live", variables: { modules: [NET] }, error: null });
});

test("loading that is asked for before the kernel has answered comes once it has", async () => {
  const kernel = new FakeKernel();
  const link = linked(kernel);
  void link.load();
  link.show(true);
  await settled();
  expect(kernel.executed).toHaveLength(1);
  expect(link.stage.at).toBe("live");
});

test("a kernel that has nnwidgets is listed without running anything", async () => {
  const kernel = new FakeKernel();
  kernel.isLoaded = true;
  const link = await onView(kernel);
  expect(link.stage.at).toBe("live");
  expect(link.wasLoadedHere).toBe(false);
  expect(kernel.executed).toHaveLength(0);
});

test("each cell that ends has the variables listed anew, many at once only once more", async () => {
  const kernel = new FakeKernel();
  kernel.isLoaded = true;
  const link = await onView(kernel);
  expect(kernel.asked).toEqual(["variables"]);
  kernel.modules = [NET];
  kernel.endCell();
  await settled();
  expect(link.stage).toMatchObject({ variables: { modules: [NET] } });
  for (let cell = 0; cell < 10; cell += 1) {
    kernel.endCell();
  }
  await settled();
  expect(kernel.asked).toHaveLength(4);
  link.show(false);
  kernel.endCell();
  await settled();
  expect(kernel.asked).toHaveLength(4);
});

test("a kernel of another language is told by its name and not asked", async () => {
  const kernel = new FakeKernel("R");
  const link = await onView(kernel);
  expect(link.stage).toEqual({ at: "foreign", language: "R" });
  expect(kernel.comms).toHaveLength(0);
});

const failed = (ename: string, evalue: string) => ({ status: "error", ename, evalue });
const torch = (isThere: string) => ({ status: "ok", data: { "text/plain": isThere } });

test.each([
  [{ torch: torch("False"), loaded: failed("ModuleNotFoundError", "No module named 'torch'") }, /no PyTorch/],
  [{ torch: torch("True"), loaded: failed("ModuleNotFoundError", "No module named 'nnwidgets'") }, /not installed/],
  [{ torch: torch("True"), loaded: failed("ImportError", "a part is broken") }, /ImportError: a part is broken/],
])("what stands in the way of loading is said with what to do", async (answers, message) => {
  const kernel = new FakeKernel();
  kernel.answers = answers;
  const link = linked(kernel);
  void link.load();
  link.show(true);
  await settled();
  expect(link.stage.at).toBe("obstacle");
  const { obstacle } = link.stage as Extract<typeof link.stage, { at: "obstacle" }>;
  expect(obstacle.message).toMatch(message);
  expect(obstacle.hint).not.toBe("");
});

test("something else that is called nnwidgets is not taken for it", async () => {
  const kernel = new FakeKernel();
  kernel.answers = { ...kernel.answers, loaded: { status: "ok", data: { "text/plain": "'no load function'" } } };
  const link = linked(kernel);
  void link.load();
  link.show(true);
  await settled();
  expect(link.stage).toMatchObject({ at: "obstacle", obstacle: { message: /something else/ } });
});

test("a kernel that ends is heard of once and listened to no more", async () => {
  const kernel = new FakeKernel();
  kernel.isLoaded = true;
  const link = linked(kernel);
  let nEnds = 0;
  link.onEnd(() => {
    nEnds += 1;
  });
  link.show(true);
  await settled();
  link.end();
  link.end();
  expect(nEnds).toBe(1);
  expect(link.isOver).toBe(true);
  expect(kernel.iopubMessage.nSlots).toBe(0);
});
