"""The Explorer in marimo: in its shadow root, in its themes, part of its graph of cells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

import nnwidgets
from lab_driver import MarimoNotebook, MarimoServer
from lab_driver.axe import violations
from lab_driver.explorer import NO_KERNEL

NET = """torch.manual_seed(0)
net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
torch.save(net.state_dict(), "mlp.params")
opened = []"""
BUTTONS = """again = mo.ui.run_button(label="Open again")
pick = mo.ui.run_button(label="Pick a bias")
mo.hstack([again, pick])"""
EXPLORE = """again.value
view = mo.ui.anywidget(nnw.explore(net))
opened.append(view.widget)
view"""
TELL = """mo.md(
    f"selected=`{view.value['selected']}` filter=`{view.filter}` mean=`{net[0].weight.mean().item():.6g}` "
    f"live=`{[v.model is not None for v in opened]}`"
)"""
PICK = "if pick.value:\n    view.selected = '2.bias'"
CELLS = [
    "import marimo as mo\nimport torch\nfrom torch import nn\nimport nnwidgets as nnw",
    *(NET, BUTTONS, EXPLORE, TELL, PICK),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A notebook that is edited."""
    server = MarimoServer(tmp_path_factory.mktemp("marimo"), CELLS, source=Path(nnwidgets.__file__).parents[1])
    yield server
    server.end()


@pytest.fixture(scope="module")
def notebook(chromium, server):
    """The notebook in a tab for all tests here: they follow one another."""
    page = chromium.new_page()
    page.emulate_media(reduced_motion="reduce")
    yield MarimoNotebook(page, server.url)
    page.close()


@pytest.fixture
def offline(chromium):
    """The network as it is when a cable is pulled."""
    yield lambda: chromium.set_offline(True)
    chromium.set_offline(False)


@pytest.fixture(autouse=True)
def _no_faults(notebook):
    yield
    assert notebook.faults == []


def told(notebook):
    return notebook.page.locator(".output", has_text="selected=").last


def test_selection_and_filter_are_reactive_values_and_the_numbers_are_the_models(notebook):
    explorer = notebook.explorer()
    explorer.select("0.weight")
    expect(told(notebook)).to_contain_text("selected=0.weight")
    mean = float(re.search(r"mean=(-?[\d.e-]+\d)", told(notebook).inner_text()).group(1))
    assert explorer.statistics()["mean"] == pytest.approx(mean, rel=1e-4)
    explorer.filter("bias")
    expect(told(notebook)).to_contain_text("filter=bias")
    expect(explorer.row("0.weight")).to_have_count(0)
    notebook.page.get_by_role("button", name="Pick a bias").click()
    explorer.wait_inspecting("2.bias")


def test_it_is_styled_in_the_shadow_root_and_follows_light_and_dark(notebook):
    explorer = notebook.explorer()
    assert explorer.root.evaluate("(root) => root.getRootNode() instanceof ShadowRoot")
    explorer.filter("")
    explorer.select("0.weight")
    explorer.statistics()
    for scheme, background in {"light": "rgb(255, 255, 255)", "dark": "rgb(24, 28, 26)"}.items():
        notebook.page.emulate_media(color_scheme=scheme)
        expect(explorer.root).to_have_attribute("data-tone", scheme)
        expect(explorer.root).to_have_css("background-color", background)
        assert violations(explorer) == []
        explorer.screenshot(f"marimo-{scheme}")
        explorer.root.get_by_role("button", name="Checkpoints").click()
        explorer.root.get_by_text("mlp.params").first.click()
        expect(explorer.root.get_by_role("button", name="Load")).to_be_enabled()
        explorer.screenshot(f"marimo-checkpoints-{scheme}")
        assert violations(explorer) == []
        notebook.page.keyboard.press("Escape")
        expect(explorer.grid).to_be_visible()


def test_keys_move_in_the_tree_and_none_reaches_the_notebook(notebook):
    explorer = notebook.explorer()
    explorer.filter("")
    explorer.select("")
    n_cells = notebook.page.locator("[data-cell-id] .cm-editor").count()
    keys = notebook.page.keyboard
    for key in ("ArrowDown", "ArrowDown", "Home", "End", "ArrowUp"):
        keys.press(key)
    explorer.wait_focused("2.weight")
    keys.press("Enter")
    expect(explorer.inspector.locator(":focus")).not_to_have_count(0)
    keys.press("Escape")
    explorer.wait_focused("2.weight")
    keys.press("/")
    expect(explorer.filter_box).to_be_focused()
    keys.type("dd jk ab")
    keys.press("Shift+Enter")
    expect(explorer.filter_box).to_have_value("dd jk ab")
    assert notebook.page.locator("[data-cell-id] .cm-editor").count() == n_cells
    assert "dd jk" not in notebook.page.locator(".cm-editor").first.inner_text()


def test_a_cell_run_again_closes_its_earlier_view_and_a_reloaded_page_shows_the_new_one(notebook):
    notebook.explorer()
    notebook.page.get_by_role("button", name="Open again").click()
    expect(told(notebook)).to_contain_text(re.compile(r"live=\[(False, )+True\]"))
    notebook.page.reload()
    explorer = notebook.explorer()
    explorer.select("2.weight")
    expect(told(notebook)).to_contain_text("selected=2.weight")


def test_without_a_connection_a_view_says_so_and_stays_readable(notebook, offline):
    explorer = notebook.explorer()
    explorer.select("0.weight")
    offline()
    explorer.row("2.weight").locator(".nnw-label").click()
    expect(explorer.root).to_contain_text(NO_KERNEL)
    expect(explorer.root.locator("[aria-busy=true]")).to_have_count(0)
    expect(explorer.row("0.weight")).to_be_visible()
    # marimo lets the failures of its own requests go by.
    notebook.faults[:] = [fault for fault in notebook.faults if not fault.startswith("TypeError: Failed to fetch")]


def test_an_exported_page_shows_the_view_as_it_was_and_says_that_it_is_not_live(server, context):
    exported = MarimoNotebook(server.export(context), "http://export.test/")
    explorer = exported.explorer()
    expect(explorer.root).to_contain_text(NO_KERNEL)
    expect(explorer.row("2.weight")).to_be_visible()
    expect(explorer.root.locator("[aria-busy=true]")).to_have_count(0)
    explorer.screenshot("marimo-export")
    assert exported.faults == []
