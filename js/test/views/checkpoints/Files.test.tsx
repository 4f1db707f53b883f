// @vitest-environment happy-dom
import { cleanup, fireEvent, render } from "@testing-library/preact";
import { afterEach, expect, test, vi } from "vitest";
import type { FileBody } from "../../../src/protocol/messages.ts";
import type { CheckpointsStore } from "../../../src/state/checkpoints/store.ts";
import { Files } from "../../../src/views/checkpoints/Files.tsx";

afterEach(cleanup);

function file(name: string, kind: FileBody["kind"] = "file"): FileBody {
  return { name, path: name, kind, size_bytes: 1, modified: 1e9, refused: null };
}

function shown() {
  const entries = [file("mlp.params"), file("model.safetensors.index.json"), file("runs", "folder")];
  const store = {
    folder: { path: "", crumbs: [], entries, n_entries: entries.length, n_hidden: 0, is_checkpoint: false },
    folderError: null,
    asked: { folder: "", path: null },
    contents: { error: null },
    badges: new Map(),
    withOptimizer: new Map(),
    isListing: false,
    list: vi.fn(),
    open: vi.fn(),
  };
  const view = render(<Files store={store as unknown as CheckpointsStore} alive />);
  const names = () => view.queryAllByRole("option").map((each) => each.title);
  return { store, view, names };
}

test("a part of a name narrows the list, and a path leads to its file or folder", async () => {
  const { view, names, store } = shown();
  const box = view.getByRole("searchbox");
  fireEvent.input(box, { target: { value: "MLP" } });
  fireEvent.keyDown(box, { key: "Enter" });
  await vi.waitFor(() => expect(names()).toEqual(["mlp.params"]));
  expect(store.open).not.toHaveBeenCalled();
  fireEvent.input(box, { target: { value: "runs/a.pt" } });
  fireEvent.keyDown(box, { key: "Enter" });
  expect(store.open).toHaveBeenCalledExactlyOnceWith("runs/a.pt");
  fireEvent.input(box, { target: { value: "runs/old/" } });
  fireEvent.keyDown(box, { key: "Enter" });
  expect(store.list).toHaveBeenCalledExactlyOnceWith("runs/old");
});
