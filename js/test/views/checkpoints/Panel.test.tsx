// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/preact";
import { render as draw } from "preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Memory } from "../../../src/hooks/useRemembered.ts";
import { tellSentence } from "../../../src/i18n/kernelSentences.ts";
import { setCatalogue } from "../../../src/i18n/translate.ts";
import sentences from "../../../src/i18n/zh-sentences.json";
import { ChannelClient } from "../../../src/protocol/client.ts";
import type { PlanReply, PlanRow, RankState } from "../../../src/protocol/messages.ts";
import { ChangesStore } from "../../../src/state/changesStore.ts";
import { Panel } from "../../../src/views/checkpoints/Panel.tsx";
import { TestChannel } from "../../fakes/channel.ts";

const FILE = { kind: "file", size_bytes: 100, modified: 1e9, refused: null } as const;
const HEADER = {
  path: "a.pt",
  format: "torch-zip",
  size_bytes: 100,
  n_files: 1,
  n_tensors: 1,
  n_rest: 0,
  n_elements: 4,
  n_ties: 0,
  dtypes: { float32: 1 },
  state_dict: "",
  optimizer: null,
  metadata: [],
  values: [],
  departures: [],
  total: 0,
  start: 0,
  rows: [],
  expanded: [],
};
const MISSING: PlanRow = {
  path: "output.weight",
  source: null,
  status: "missing",
  shape: [2, 2],
  dtype: "float32",
  source_shape: null,
  source_dtype: null,
  tied_to: null,
  suggestion: { source: "out.weight", reason: "out in the file is output in the model", confidence: 0.9 },
  candidates: [],
  note: "",
};
const RENAMED: PlanRow = { ...MISSING, source: "out.weight", status: "renamed", source_shape: [2, 2] };

function planReply(row: PlanRow): PlanReply {
  const isLoaded = row.status === "renamed";
  return {
    path: "a.pt",
    counts: { [row.status]: 1 },
    n_model: 1,
    n_loads: isLoaded ? 1 : 0,
    n_elements: 4,
    n_suggested: isLoaded ? 0 : 1,
    n_renames: isLoaded ? 1 : 0,
    is_exact: false,
    is_complete: isLoaded,
    has_optimizer: true,
    warnings: [],
    runs: [{ status: row.status, count: 1 }],
    total: 1,
    start: 0,
    rows: [row],
  };
}

/** Answers like a kernel with one file; loads and saves wait for the test. */
class Kernel extends TestChannel {
  header: object = HEADER;
  row = MISSING;

  override send(message: unknown): void {
    super.send(message);
    const { kind, body, id } = message as (typeof this.sent)[number];
    const rename = (body.rename ?? {}) as Record<string, string>;
    const replies: Record<string, unknown> = {
      folder: {
        path: "",
        crumbs: [{ name: "work", path: "" }],
        entries: [
          { ...FILE, name: "a.pt", path: "a.pt" },
          ...(body.checkpoints_only === true ? [] : [{ ...FILE, name: "notes.ipynb", path: "notes.ipynb" }]),
        ],
        n_entries: body.checkpoints_only === true ? 1 : 2,
        n_hidden: body.checkpoints_only === true ? 1 : 0,
        is_checkpoint: false,
      },
      peek: this.header,
      plan: planReply(body.accept_all === true || "out.weight" in rename ? RENAMED : this.row),
      history: { entries: [], first: 0, n_changes: 0, undo: null, redo: null, kept_bytes: 0, budget_bytes: 0 },
    };
    if ("nonsense" in rename) {
      const error = {
        code: "path-not-found",
        message: "No 'nonsense' in a.pt.",
        path: null,
        hint: "Did you mean 'out.weight'?",
      };
      queueMicrotask(() => this.deliver({ v: 1, id, ok: false, error }));
    } else if (kind in replies) {
      queueMicrotask(() => this.deliver({ v: 1, id, ok: true, body: replies[kind] }));
    }
  }

  asked(kind: string) {
    return this.sent.filter((message) => message.kind === kind);
  }
}

let kernel: Kernel;
beforeEach(() => {
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe(): void {}
      disconnect(): void {}
    },
  );
  kernel = new Kernel();
  const client = new ChannelClient(kernel);
  const changes = new ChangesStore(client);
  render(<Panel {...{ client, changes }} open={{}} name="net" alive onClose={() => undefined} />);
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

async function planned(): Promise<void> {
  fireEvent.click(await screen.findByRole("option"));
  await screen.findByText("output.weight");
}

async function loading(): Promise<void> {
  await planned();
  fireEvent.click(screen.getByRole("checkbox", { name: "Use out.weight for output.weight" }));
  fireEvent.click(await screen.findByRole("button", { name: "Load all 1" }));
}

test("a file that was looked into and holds a model and an optimizer says so in the list", async () => {
  kernel.header = { ...HEADER, optimizer: "optimizer" };
  const file = await screen.findByRole("option");
  expect(file.textContent).not.toContain("model + optimizer");
  await planned();
  expect(file.textContent).toContain("model + optimizer");
});

test("why a rename is suggested, and what a plan warns of, are told in the reader's language", async () => {
  setCatalogue(sentences, tellSentence);
  await planned();
  expect(screen.getByText("文件中的 out 即模型中的 output")).toBeTruthy();
  setCatalogue({});
});

test("nothing is looked into before it is clicked", async () => {
  await screen.findByRole("option");
  expect(kernel.asked("peek")).toEqual([]);
});

test("a panel drawn anew has the file, the renames and the name to save as that it had", async () => {
  cleanup();
  const memory: Memory = new Map();
  const client = new ChannelClient(kernel);
  const props = {
    client,
    memory,
    changes: new ChangesStore(client),
    open: {},
    name: "net",
    alive: true,
    onClose: () => undefined,
  };
  render(<Panel {...props} />);
  await planned();
  fireEvent.click(screen.getByRole("checkbox", { name: "Use out.weight for output.weight" }));
  await screen.findByRole("button", { name: "Load all 1" });
  fireEvent.click(screen.getByRole("button", { name: "Save net as…" }));
  fireEvent.input(screen.getByRole("textbox", { name: "File name" }), { target: { value: "mine.pt" } });
  cleanup();
  render(<Panel {...props} />);
  expect(await screen.findByRole("button", { name: "Load all 1" })).toBeTruthy();
  expect((screen.getByRole("textbox", { name: "File name" }) as HTMLInputElement).value).toBe("mine.pt");
});

test("only checkpoints are listed until all files are asked for", async () => {
  expect(await screen.findAllByRole("option")).toHaveLength(1);
  fireEvent.click(screen.getByRole("checkbox", { name: "Show all files, 1 more" }));
  expect(await screen.findByText("notes.ipynb")).toBeTruthy();
  fireEvent.click(screen.getByRole("checkbox", { name: "Show all files" }));
  await waitFor(() => expect(screen.queryByText("notes.ipynb")).toBeNull());
});

test("keys are the panel's from its first sight on", () => {
  const client = new ChannelClient(kernel);
  const page = document.body.appendChild(document.createElement("div"));
  const changes = new ChangesStore(client);
  draw(<Panel {...{ client, changes }} open={{}} name="net" alive onClose={() => undefined} />, page);
  expect(document.activeElement).toBe(page.querySelector("button"));
  draw(null, page);
  page.remove();
});

test("a strict load of what lacks a tensor can't be begun, and says why", async () => {
  await planned();
  expect(screen.getByRole("button", { name: /^Load 0/ })).toHaveProperty("disabled", true);
  expect(screen.getByText(/strict asks/)).toBeTruthy();
});

test("a name that the file lacks is refused in place and the plan stays as it was", async () => {
  await planned();
  fireEvent.click(screen.getByRole("button", { name: "edit for output.weight" }));
  const field = screen.getByRole("textbox", { name: "Name in the file for output.weight" });
  fireEvent.input(field, { target: { value: "nonsense" } });
  fireEvent.submit(field.closest("form") as HTMLFormElement);
  await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("nonsense"));
  expect(kernel.asked("plan").at(-1)?.body.rename).toEqual({});
});

test("another state dict of the file is planned once it is chosen", async () => {
  kernel.header = {
    ...HEADER,
    entries: [
      { name: "model", n_tensors: 1, n_elements: 4, why: "" },
      { name: "ema", n_tensors: 1, n_elements: 4, why: "" },
    ],
  };
  await planned();
  expect(kernel.asked("plan").at(-1)?.body.entry).toBe(null);
  fireEvent.change(screen.getByLabelText("State dict"), { target: { value: "ema" } });
  await waitFor(() => expect(kernel.asked("plan").at(-1)?.body.entry).toBe("ema"));
});

test("candidates are shown with what speaks for them, and taken only by choice", async () => {
  const { suggestion, ...row } = MISSING;
  const candidates = [
    { source: "proj.weight", reason: "of its shape", confidence: 0.4 },
    { source: "out.weight", reason: "out is output", confidence: 0.3 },
  ];
  kernel.row = { ...row, suggestion: null, candidates };
  await planned();
  expect(screen.getByText("of its shape")).toBeTruthy();
  expect(kernel.asked("plan").at(-1)?.body.rename).toEqual({});
  fireEvent.change(screen.getByLabelText("Candidates for output.weight"), { target: { value: "1" } });
  fireEvent.click(await screen.findByRole("button", { name: "Use out.weight for output.weight" }));
  await waitFor(() => expect(kernel.asked("plan").at(-1)?.body.rename).toEqual({ "out.weight": "output.weight" }));
});

test("a cancelled load waits for what the kernel says became of it", async () => {
  await loading();
  const id = kernel.asked("load")[0]?.id;
  kernel.deliver({ v: 1, id, progress: { done: 25, total: 100 } });
  const bar = await screen.findByRole("progressbar");
  await waitFor(() => expect(bar.getAttribute("aria-valuenow")).toBe("25"));
  fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
  expect(kernel.asked("cancel")[0]?.body).toEqual({ id });
  await screen.findByText("Cancelling…");
  kernel.deliver({ v: 1, id, ok: false, error: { code: "cancelled", message: "", path: null, hint: "" } });
  await screen.findByText("The load was cancelled: the model is as it was.");
});

test("a load that was done before the cancel came is told as done", async () => {
  await loading();
  fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
  const body = { path: "a.pt", label: "load a.pt", n_loaded: 1, n_elements: 4, verified: true, warnings: [] };
  kernel.deliver({ v: 1, id: kernel.asked("load")[0]?.id, ok: true, body });
  await screen.findByText("verified");
  expect(screen.getByText("loaded, verified")).toBeTruthy();
});

test("what is there already is replaced only after asking", async () => {
  await screen.findByRole("option");
  fireEvent.click(screen.getByRole("button", { name: /^Save net/ }));
  fireEvent.click(screen.getByRole("button", { name: "Save" }));
  const taken = { code: "file-exists", message: "There.", path: null, hint: "" };
  kernel.deliver({ v: 1, id: kernel.asked("save")[0]?.id, ok: false, error: taken });
  fireEvent.click(await screen.findByRole("button", { name: "Replace it" }));
  expect(kernel.asked("save").map(({ body }) => body.overwrite)).toEqual([false, true]);
});

test("over ranks no optimizer is offered, a load can be cancelled, and a rank that doesn't answer holds up saves and loads", async () => {
  cleanup();
  const client = new ChannelClient(kernel);
  const rank = { rank: 3, host: "here", state: "idle" as const, doing: "", answered: true, local_bytes: 4 };
  const over = (each: RankState) => ({
    ranks: { mesh: [], ranks: [each], problem: null, can_change: true },
  });
  const props = { client, changes: new ChangesStore(client), name: "net", alive: true, onClose: () => undefined };
  const view = render(<Panel {...props} open={over(rank)} />);
  fireEvent.click(screen.getByRole("button", { name: "Save net as…" }));
  expect(screen.queryByRole("checkbox", { name: "with the optimizer" })).toBeNull();
  fireEvent.input(screen.getByRole("textbox", { name: "File name" }), { target: { value: "parts/" } });
  expect(screen.getByText("as a folder of parts")).toBeTruthy();
  await loading();
  expect(await screen.findByText("Loading…")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
  expect(kernel.asked("cancel")).toHaveLength(1);
  expect(screen.queryByRole("checkbox", { name: "optimizer too" })).toBeNull();
  const { id } = kernel.asked("load")[0] ?? {};
  kernel.deliver({ v: 1, id, ok: false, error: { code: "rank-missing", message: "", path: null, hint: "" } });
  view.rerender(<Panel {...props} open={over({ ...rank, state: "dead", doing: "is gone", answered: false })} />);
  expect(screen.getByText("Saving and loading need every rank; rank 3 is gone")).toBeTruthy();
  for (const name of ["Save net as…", "Save", "Load all 1"]) {
    expect((await screen.findByRole("button", { name })) as HTMLButtonElement).toHaveProperty("disabled", true);
  }
  fireEvent.click(screen.getByRole("tab", { name: "Contents" }));
  expect(screen.getByRole("searchbox", { name: "Find tensors in the file" })).toHaveProperty("disabled", false);
  fireEvent.click(screen.getByRole("tab", { name: "Differences" }));
  expect(screen.getByRole("button", { name: /^Compare/ })).toHaveProperty("disabled", false);
});
