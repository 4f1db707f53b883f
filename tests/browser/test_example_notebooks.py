"""The examples as a learner meets them: run in JupyterLab, an Explorer at work under every cell that explores."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from lab_driver.picture import picture

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPLORES = re.compile(r"^%nn \w+$", re.MULTILINE)


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.ipynb")))
def test_every_exploring_cell_of_an_example_shows_an_explorer(lab, name):
    document = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    notebook = lab.open_document(document)
    for index, cell in enumerate(document.cells):
        if cell.cell_type != "code":
            continue
        notebook.run(index)
        if EXPLORES.search(cell.source):
            notebook.scroll_to(index)
            explorer = notebook.explorer(index)
            explorer.row("").wait_for()
            explorer.screenshot(f"{name}-{cell.id}")
    picture(lab.page, f"{name}-page")
