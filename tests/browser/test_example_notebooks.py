"""The examples as a learner meets them: run in JupyterLab, an Explorer at work under every cell that explores."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from lab_driver.picture import picture

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPLORES = re.compile(r"^%nn \w+$", re.MULTILINE)


OVER_RANKS = "05_many_ranks"
TOLD = {
    "chain-explore": lambda view: [(view.row("[0].weight"), "256 × 20")],
    "mlp-explore": lambda view: [(view.row("hidden.weight"), "256 × 20"), (view.row(""), "946")],
    "flow-explore": lambda view: [(view.row("mixing"), "20 × 20")],
    "chimera-explore": lambda view: [(view.row("0.body.2.weight"), "32 × 64")],
    "centered-explore": lambda view: [(view.row("1"), "Centered"), (view.row("1"), "–")],
    "blocks-explore": lambda view: [(view.row("0.block 0", kind="f"), "4 ×")],
    "shared-explore": lambda view: [(view.row("4"), "same module"), (view.row("4"), "2"), (view.row("2.weight"), "A")],
}
"""What the text below a cell says is to be seen in its view as it opens: the row, and a part of its text."""
MARKED = {
    "dense-explore": [("0.weight", "warning")],
}
"""Rows that it says have a triangle, or are but a note."""


def check_told(explorer, cell):
    for where, text in TOLD.get(cell, lambda _: [])(explorer):
        expect(where).to_contain_text(text)
    for path, icon in MARKED.get(cell, []):
        expect(explorer.row(path).locator(f".nnw-icon-{icon}")).to_be_visible()


def run(lab, name, *, until=None):
    """Run the cells of an example up to one, and give the notebook and its last Explorer."""
    document = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    notebook = lab.open_document(document)
    explorer = None
    for index, cell in enumerate(document.cells):
        if cell.id == until:
            break
        if cell.cell_type != "code":
            continue
        notebook.run(index)
        if EXPLORES.search(cell.source):
            notebook.scroll_to(index)
            explorer = notebook.explorer(index)
            explorer.row("").wait_for()
            check_told(explorer, cell.id)
            explorer.screenshot(f"{name}-{cell.id}")
    return notebook, explorer


@pytest.mark.parametrize("name", sorted({path.stem for path in EXAMPLES.glob("*.ipynb")} - {OVER_RANKS}))
def test_every_exploring_cell_of_an_example_shows_what_the_text_below_it_tells(lab, name):
    run(lab, name)
    picture(lab.page, f"{name}-page")


def test_the_view_of_the_example_over_ranks_goes_on_without_the_engine_that_is_killed(lab):
    notebook, explorer = run(lab, OVER_RANKS, until="end")
    try:
        header = explorer.root.get_by_role("group", name="Ranks", exact=True)
        explorer.reach("model.embed_tokens.weight").click()
        expect(header).to_contain_text("3 answered", timeout=30_000)
        expect(explorer.part("By rank").get_by_role("row").last).to_contain_text("no answer")
        expect(explorer.root.locator(".nnw-absent")).to_have_count(1)
        explorer.screenshot(f"{OVER_RANKS}-killed-light")
        lab.theme("JupyterLab Dark")
        explorer.screenshot(f"{OVER_RANKS}-killed-dark")
        picture(lab.page, f"{OVER_RANKS}-page")
    finally:
        notebook.run(len(notebook.cells()) - 1)
