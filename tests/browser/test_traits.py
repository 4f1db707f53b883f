"""`selected` and `filter` go both ways, and work with ipywidgets."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from lab_driver import models

EXPLORE = "import nnwidgets as nnw\nexplorer = nnw.explore(net)\nexplorer"


@pytest.fixture
def notebook(lab):
    notebook = lab.open([models.LOAD, models.MLP, EXPLORE])
    notebook.run(0, 1, 2)
    return notebook


def test_a_click_reaches_selected_in_the_kernel(notebook):
    explorer = notebook.explorer(2)
    explorer.expand("0")
    explorer.select("0.weight")
    notebook.wait_for("explorer.selected", "0.weight")


def test_selected_set_in_the_kernel_opens_and_selects_the_row(notebook):
    explorer = notebook.explorer(2)
    notebook.execute("explorer.selected = '2.bias'")
    expect(explorer.row("2.bias")).to_have_attribute("aria-selected", "true")
    explorer.wait_inspecting("2.bias")


def test_the_filter_goes_both_ways(notebook):
    explorer = notebook.explorer(2)
    explorer.filter("Linear.bias")
    notebook.wait_for("explorer.filter", "Linear.bias")
    notebook.execute("explorer.filter = '0.weight'")
    expect(explorer.filter_box).to_have_value("0.weight")
    expect(explorer.row("0.weight")).to_be_visible()
    expect(explorer.row("2.bias")).to_have_count(0)


def test_a_text_box_of_ipywidgets_linked_to_the_filter_filters(lab):
    link = """import ipywidgets
box = ipywidgets.Text(description='find')
ipywidgets.jslink((box, 'value'), (explorer, 'filter'))
box"""
    notebook = lab.open([models.LOAD, models.MLP, EXPLORE, link])
    notebook.run(0, 1, 2, 3)
    explorer = notebook.explorer(2)
    notebook.output(3).get_by_role("textbox").fill("2.bias")
    expect(explorer.row("2.bias")).to_be_visible()
    expect(explorer.row("0")).to_have_count(0)


def test_the_height_asked_for_is_the_height_shown(lab):
    notebook = lab.open([models.LOAD, models.MLP, "import nnwidgets as nnw\nnnw.explore(net, height=420)"])
    notebook.run(0, 1, 2)
    assert notebook.explorer(2).root.bounding_box()["height"] == pytest.approx(420, abs=2)
