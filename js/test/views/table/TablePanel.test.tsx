// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/preact";
import { afterEach, expect, test, vi } from "vitest";
import type { TableBody, TableReply, TableRow } from "../../../src/protocol/messages.ts";
import { TablePanel } from "../../../src/views/table/TablePanel.tsx";
import { TestClient } from "../../fakes/inspectorClient.ts";

afterEach(cleanup);

const ROW: TableRow = {
  path: "0.weight",
  shape: [4, 3],
  dtype: "float32",
  mean: 0.5,
  std: 0.25,
  min: -1,
  max: 1,
  norm: 2,
  n_zero: 1,
  n_nan: 3,
  n_inf: 0,
  grad_norm: null,
  n_grad_bad: null,
  moved: null,
  tied_to: "",
  note: "",
};

function reply(body: TableBody): TableReply {
  const rows = [ROW, { ...ROW, path: "<b>x</b>", tied_to: "0.weight", mean: null, n_nan: 0 }].slice(body.start);
  return {
    columns: ["path", "shape", "dtype", "mean", "std", "n_nan", "note"],
    n_tensors: 3,
    total: 2,
    start: body.start,
    rows: rows.slice(0, body.count),
    mark: null,
    problem: null,
    text: body.text === "" ? "" : `as ${body.text}`,
  };
}

function shown(client = new TestClient().answer("table", reply)) {
  const heard = { onFilter: vi.fn(), onSelect: vi.fn(), onClose: vi.fn() };
  const kept = { filter: "attn", chips: ["frozen"] as const };
  render(<TablePanel client={client} kept={kept} alive {...heard} />);
  const asked = () => client.requests.filter(({ kind }) => kind === "table").map(({ body }) => body as TableBody);
  return { ...heard, asked, client };
}

test("it measures what the tree keeps, and shows a row a tensor with names as text", async () => {
  const { asked } = shown();
  const cell = await screen.findByRole("button", { name: "<b>x</b>" });
  expect(cell.querySelector("b")).toBeNull();
  expect(asked()[0]).toMatchObject({ fresh: true, filter: "attn", chips: ["frozen"], sort: null });
  expect(screen.getByRole("status").textContent).toBe("2 of 3 tensors");
  const heads = screen.getAllByRole("columnheader").map(({ textContent }) => textContent);
  expect(heads).toEqual(["Tensor", "Shape", "Type", "Mean", "Std", "NaN", "Note"]);
  const row = within(screen.getAllByRole("row")[1] as HTMLElement);
  expect(row.getAllByRole("cell").map(({ textContent }) => textContent)).toEqual([
    "0.weight",
    "4 × 3",
    "float32",
    "0.5",
    "0.25",
    "3",
    "",
  ]);
  expect(row.getByText("3").className).toContain("nnw-bad");
  expect(screen.getByText("= 0.weight")).toBeTruthy();
});

test("a click on a head sorts by it, the greatest first, then the least, then as the model has it", async () => {
  const { asked } = shown();
  const sort = async () => {
    fireEvent.click(await screen.findByRole("button", { name: /^Std/ }));
    const { sort: by, descending, fresh } = asked().at(-1) as TableBody;
    const head = screen.getByRole("columnheader", { name: /^Std/ });
    return [by, descending, fresh, head.getAttribute("aria-sort")];
  };
  expect(await sort()).toEqual(["std", true, false, "descending"]);
  expect(await sort()).toEqual(["std", false, false, "ascending"]);
  expect(await sort()).toEqual([null, false, false, "none"]);
  fireEvent.click(screen.getByRole("button", { name: "Tensor" }));
  expect(asked().at(-1)).toMatchObject({ sort: "path", descending: false });
});

test("what is typed keeps rows here and in the tree", async () => {
  const { asked, onFilter } = shown();
  await screen.findByRole("button", { name: "0.weight" });
  fireEvent.input(screen.getByRole("searchbox"), { target: { value: "0" } });
  await waitFor(() => expect(onFilter).toHaveBeenCalledWith("0"));
  expect(asked().at(-1)).toMatchObject({ filter: "0", fresh: false });
});

test("a mark is set, and the tensors are measured anew", async () => {
  const { asked, client } = shown();
  client.answer("mark", () => ({ mark: "Net at 12:00:00", size_bytes: 48, has_values: true }));
  const { length } = asked();
  fireEvent.click(await screen.findByRole("button", { name: /Mark/, pressed: false }));
  await waitFor(() => expect(asked()).toHaveLength(length + 1));
  expect(client.requests.find(({ kind }) => kind === "mark")?.body).toEqual({ set: true });
  expect(asked().at(-1)).toMatchObject({ fresh: true });
});

test("a path goes to the tree, Escape clears the filter, then goes back to the model, and what fails says so", async () => {
  const { onSelect, onFilter, onClose } = shown();
  fireEvent.click(await screen.findByRole("button", { name: "0.weight" }));
  expect(onSelect).toHaveBeenCalledWith("0.weight");
  const box = screen.getByRole("searchbox");
  fireEvent.keyDown(box, { key: "Escape" });
  expect(onFilter).toHaveBeenLastCalledWith("");
  expect(onClose).not.toHaveBeenCalled();
  await waitFor(() => expect((box as HTMLInputElement).value).toBe(""));
  fireEvent.keyDown(box, { key: "Escape" });
  expect(onClose).toHaveBeenCalled();
  cleanup();
  shown(new TestClient().refuse("table", "model-gone", "The model was deleted."));
  expect((await screen.findByRole("alert")).textContent).toContain("The model was deleted.");
});
