"""A notebook opened again in JupyterLab and Notebook 7, with and without the kernel that made its Explorers."""

from __future__ import annotations

from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from lab_driver import Lab, LabServer, Notebook, NotebookSeven, models
from lab_driver.axe import violations
from lab_driver.explorer import NO_KERNEL
from lab_driver.picture import picture
from tests.support.notebook_runs import run_notebook


@pytest.fixture(scope="module")
def saved():
    """A notebook that was run elsewhere, saved with the state of its widgets."""
    cells = [nbformat.v4.new_code_cell(source) for source in (models.LOAD, models.BLOCKS, "%nn net")]
    document = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    run_notebook(document, is_attended=True)
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
    expect(output.locator("summary").get_by_text("net", exact=True)).to_be_visible()
    expect(output.get_by_text("Run the cell for the live view")).to_be_visible()
    expect(output.locator(".nnw-explorer, script")).to_have_count(0)
    weight = output.get_by_text("weight", exact=True).first
    expect(weight).to_be_visible()
    output.locator("summary", has_text="embed").click()
    expect(weight).to_be_hidden()


CELLS = [models.LOAD, models.BLOCKS, "%nn net"]
WATCH = """() => {
  window.flashed = [];
  const look = (node) => node.nodeType === 1 && /As read on|Error displaying/.exec(node.textContent ?? '');
  new MutationObserver((all) => {
    const found = all.flatMap(({ addedNodes }) => [...addedNodes].map(look)).find(Boolean);
    if (found) window.flashed.push(found[0]);
  }).observe(document, { childList: true, subtree: true });
}"""


@pytest.fixture(params=[Lab, NotebookSeven])
def tab(request, server: LabServer, context: BrowserContext) -> Iterator[Lab | NotebookSeven]:
    """One of the two, from the same server, with a page of its own."""
    tab = request.param(server, context)
    tab.page.add_init_script(f"({WATCH})()")
    yield tab
    server.end_kernels()
    # Notebook 7.6 itself throws while it loads its settings.
    assert [fault for fault in tab.faults if "labextensions" in fault or "blob:" in fault] == []


def check_tree(output: Locator) -> None:
    """The tree as HTML, alone, which folds."""
    expect(output.get_by_text("Run the cell for the live view")).to_be_visible()
    expect(output.locator("summary").get_by_text("net", exact=True)).to_be_visible()
    expect(output).not_to_contain_text("Error displaying")
    expect(output).not_to_contain_text("Loading widget")
    expect(output.locator(".nnw-explorer")).to_have_count(0)
    weight = output.get_by_text("weight", exact=True).first
    expect(weight).to_be_visible()
    output.locator("summary", has_text="embed").click()
    expect(weight).to_be_hidden()


def check_live(notebook: Notebook) -> None:
    """One live view, and nothing beside it."""
    explorer = notebook.explorer(2)
    expect(notebook.output(2).locator(".nnw-explorer")).to_have_count(1)
    expect(notebook.output(2)).not_to_contain_text("Run the cell for the live view")
    explorer.reach("head.weight")
    explorer.select("head.weight")
    mean = notebook.kernel("net.head.weight.double().mean().item()")
    assert explorer.statistics()["mean"] == pytest.approx(mean, rel=1e-9)


def test_saved_with_default_settings_it_is_live_while_there_is_its_kernel_and_else_the_tree_as_html(tab, server):
    notebook = tab.open(CELLS)
    notebook.run(0, 1, 2)
    check_live(notebook)
    notebook.save()
    assert "widgets" not in nbformat.read(server.work / notebook.path, as_version=4).metadata
    notebook = tab.reload(notebook)
    check_live(notebook)
    assert tab.page.evaluate("() => window.flashed") == []
    # Either is the end of what it showed.
    notebook.restart() if isinstance(tab, Lab) else notebook.shut_down()
    notebook = tab.reload(notebook)
    check_tree(notebook.output(2))
    picture(tab.page, f"reopened-html-{type(tab).__name__}")
    notebook.run(0, 1, 2)
    check_live(notebook)


def test_opened_with_no_kernel_at_all_it_is_the_tree_as_html(lab, saved):
    document = nbformat.from_dict({**saved, "metadata": {"kernelspec": {"name": "gone", "display_name": "Gone"}}})
    name = lab.write(document, trusted=True)
    lab.page.evaluate("(path) => void window.jupyterapp.commands.execute('docmanager:open', { path })", name)
    lab.page.get_by_role("dialog").get_by_role("button", name="No Kernel").click()
    check_tree(lab.page.locator(".jp-Cell-outputArea").last)
    assert lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session") is None
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.dispose()")


OTHER = """from traitlets import Unicode
from nnwidgets.widgets import explorer
class Explorer(explorer.Explorer):
    _model_module_version = Unicode('~0.9.*').tag(sync=True)
explorer.Explorer = Explorer"""


def test_with_another_anywidget_in_the_kernel_the_tree_as_html_shows_and_a_button_opens_the_live_view(lab):
    notebook = lab.open([*CELLS, OTHER])
    notebook.run(0, 1, 3, 2)
    output = notebook.output(2)
    expect(output.locator("summary").get_by_text("net", exact=True)).to_be_visible()
    expect(output).to_contain_text("Where it names two versions of anywidget")
    output.get_by_text("Click to show javascript error").click()
    expect(output).to_contain_text("Module anywidget, version ~0.9.* is not registered, however, 0.11.0 is")
    picture(lab.page, "reopened-other-anywidget")
    output.get_by_role("button", name="Show the live view in the panel").click()
    expect(lab.page.locator("#nnwidgets-panel .nnw-explorer")).to_contain_text("embed")
    lab.theme("JupyterLab Dark")
    picture(lab.page, "reopened-other-anywidget-dark")
