"""A notebook opened again in JupyterLab, without the kernel that made its Explorers."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient
from playwright.sync_api import expect

from lab_driver import models
from lab_driver.axe import violations
from lab_driver.explorer import NO_KERNEL


@pytest.fixture(scope="module")
def saved():
    """A notebook that was run elsewhere, saved with the state of its widgets."""
    cells = [nbformat.v4.new_code_cell(source) for source in (models.LOAD, models.BLOCKS, "%nn net")]
    document = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    NotebookClient(document, timeout=120).execute()
    return document


def test_saved_widget_state_shows_the_view_as_it_was_and_says_that_it_is_not_live(lab, saved):
    notebook = lab.open_document(saved, trusted=True)
    explorer = notebook.explorer(2)
    expect(explorer.root).to_contain_text(NO_KERNEL)
    for path in ("", "embed", "head", "frozen"):
        expect(explorer.row(path).last).to_be_visible()
    expect(explorer.filter_box).to_be_disabled()
    explorer.row("embed").locator(".nnw-label").click()
    expect(explorer.row("embed")).to_have_attribute("aria-selected", "true")
    expect(explorer.inspector).to_contain_text("Not read while there was a kernel.")
    for button in explorer.grid.get_by_role("button").all():
        expect(button).to_be_disabled()
    assert violations(explorer) == []
    expect(explorer.root.locator("[aria-busy=true]")).to_have_count(0)
    explorer.screenshot("reopened")
    notebook.run(0, 1, 2)
    live = notebook.explorer(2)
    expect(live.root).not_to_contain_text("No kernel")
    live.select("embed")


def test_an_untrusted_notebook_shows_the_tree_as_html_without_script(lab, saved):
    # Trust goes by content: this is another notebook than the one that was signed.
    notebook = lab.open_document(nbformat.from_dict({**saved, "metadata": {**saved.metadata, "title": "A stranger's"}}))
    output = notebook.output(2)
    expect(output.get_by_text("Stack", exact=True)).to_be_visible()
    expect(output.get_by_text("Run the cell for the live view")).to_be_visible()
    expect(output.locator(".nnw-explorer, script")).to_have_count(0)
    weight = output.get_by_text("weight", exact=True).first
    expect(weight).to_be_visible()
    output.locator("summary", has_text="embed").click()
    expect(weight).to_be_hidden()
