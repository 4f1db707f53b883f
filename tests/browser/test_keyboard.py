"""One whole pass without a mouse, and no key of it reaches the notebook."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from lab_driver import models

CELLS = [models.LOAD, models.BLOCKS, "%nn net", "precious = 1", "also_precious = 2"]
FAR = 60


@pytest.fixture
def notebook(lab):
    notebook = lab.open(CELLS)
    notebook.run(0, 1, 2)
    return notebook


def tab_into_grid(explorer):
    """Press Tab from the notebook, in command mode, until a row of the tree has the focus."""
    explorer.notebook.focus_cell(2)
    explorer.tab_in(within=FAR)


def test_a_whole_pass_with_the_keyboard_only(notebook):
    explorer = notebook.explorer(2)
    keys = explorer.page.keyboard
    tab_into_grid(explorer)
    keys.press("Home")
    explorer.wait_focused("")

    # Down the tree, into it and back out.
    keys.press("ArrowDown")
    first = explorer.focused()
    assert first != ""
    keys.press("ArrowUp")
    explorer.wait_focused("")
    keys.press("End")
    explorer.wait_focused_other_than("")
    keys.press("Home")
    explorer.wait_focused("")

    # What keys and the filter's words mean, and back.
    keys.press("?")
    help_ = explorer.root.get_by_role("dialog", name="Filter and keys")
    expect(help_).to_contain_text("next tensor tied to this one")
    expect(help_).to_contain_text("dtype:bf16")
    keys.press("Escape")
    expect(help_).to_have_count(0)
    explorer.wait_focused("")

    # The filter, from anywhere in the tree.
    keys.press("/")
    expect(explorer.filter_box).to_be_focused()
    keys.type("net.blocks[2].linear.weight")
    expect(explorer.row("blocks.2.linear.weight")).to_be_visible()
    keys.press("ArrowDown")
    assert explorer.focused() is not None
    explorer.arrow_down_to("blocks.2.linear.weight")

    # Into the inspector and back.
    keys.press("Enter")
    explorer.wait_inspecting("blocks.2.linear.weight")
    assert explorer.inspector.evaluate("(pane) => pane.contains(pane.getRootNode().activeElement)")
    keys.press("Escape")
    explorer.wait_focused("blocks.2.linear.weight")

    # The same tensor in the block before and the block after.
    keys.press("]")
    explorer.wait_inspecting("blocks.3.linear.weight")
    keys.press("[")
    explorer.wait_inspecting("blocks.2.linear.weight")

    # Escape in the filter box clears it; then from one name of a tied tensor to the next.
    keys.press("/")
    keys.press("Escape")
    expect(explorer.filter_box).to_have_value("")
    keys.press("/")
    keys.type("embed.weight")
    expect(explorer.row("embed.weight")).to_be_visible()
    keys.press("ArrowDown")
    explorer.arrow_down_to("embed.weight")
    keys.press("t")
    explorer.wait_focused("head.weight")

    assert notebook.cells() == CELLS


def test_left_and_right_close_and_open(notebook):
    explorer = notebook.explorer(2)
    keys = explorer.page.keyboard
    explorer.select("frozen")
    if explorer.row("frozen").get_attribute("aria-expanded") == "true":
        keys.press("ArrowLeft")
    expect(explorer.row("frozen")).to_have_attribute("aria-expanded", "false")
    keys.press("ArrowRight")
    expect(explorer.row("frozen")).to_have_attribute("aria-expanded", "true")
    keys.press("ArrowRight")
    explorer.wait_focused("frozen.weight")
    keys.press("ArrowLeft")
    explorer.wait_focused("frozen")
    keys.press("ArrowLeft")
    expect(explorer.row("frozen")).to_have_attribute("aria-expanded", "false")
    keys.press("ArrowLeft")
    explorer.wait_focused("")


@pytest.mark.parametrize("place", ["tree", "inspector", "filter"])
def test_keys_that_are_commands_of_the_notebook_do_nothing_to_it(notebook, place):
    explorer = notebook.explorer(2)
    keys = explorer.page.keyboard
    explorer.select("embed")
    if place == "inspector":
        keys.press("Enter")
        assert explorer.inspector.evaluate("(pane) => pane.contains(pane.getRootNode().activeElement)")
    if place == "filter":
        explorer.filter_box.focus()
    kinds = notebook.kinds()
    for key in ("d", "d", "a", "b", "x", "m", "r", "y", "c", "v", "z", "j", "k", "1", "0", "0", "l", "o", "Shift+M"):
        keys.press(key)
    keys.press("Shift+L")
    assert notebook.cells() == CELLS
    assert notebook.kinds() == kinds
    assert notebook.active_cell() == 2
    expect(explorer.grid).to_be_visible()


def test_every_row_says_its_place_to_a_screen_reader(notebook):
    explorer = notebook.explorer(2)
    expect(explorer.grid).to_have_accessible_name(re.compile("net"))
    for row in explorer.rows().all():
        for name in ("aria-level", "aria-posinset", "aria-setsize"):
            assert int(row.get_attribute(name)) >= 1
