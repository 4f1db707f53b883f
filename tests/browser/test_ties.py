"""Names that share memory light up together and lead to each other."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from lab_driver import models


@pytest.fixture
def explorer(lab):
    notebook = lab.open([models.LOAD, models.TIED, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("embed", "body", "body.0", "head")
    return explorer


def edge(row):
    return row.evaluate("(row) => getComputedStyle(row).outlineStyle")


def test_hovering_a_tied_row_lights_its_whole_group_and_nothing_else(explorer):
    other, stranger = explorer.row("head.weight"), explorer.row("body.0.weight")
    assert edge(other) == "none"
    explorer.row("embed.weight").hover()
    expect(other).to_have_css("outline-style", "dashed")
    assert edge(stranger) == "none"
    stranger.hover()
    expect(other).to_have_css("outline-style", "none")


def test_a_tie_is_told_by_a_letter_too(explorer):
    for path in ("embed.weight", "head.weight"):
        expect(explorer.row(path)).to_contain_text("A")
        expect(explorer.row(path)).to_have_accessible_name(re.compile("[Tt]ie.* A"))


def test_t_jumps_from_one_name_to_the_next_and_round(explorer):
    explorer.select("embed.weight")
    explorer.page.keyboard.press("t")
    explorer.wait_focused("head.weight")
    explorer.page.keyboard.press("t")
    explorer.wait_focused("embed.weight")


def test_t_reaches_a_name_whose_row_is_closed(explorer):
    explorer.row("head").locator(".nnw-chevron").click()
    expect(explorer.row("head.weight")).to_have_count(0)
    explorer.select("embed.weight")
    explorer.page.keyboard.press("t")
    explorer.wait_focused("head.weight")


def test_the_inspector_lists_every_name_and_leads_there(explorer):
    explorer.select("embed.weight")
    panel = explorer.tab("Ties")
    panel.get_by_role("button", name="head.weight").click()
    expect(explorer.row("head.weight")).to_have_attribute("aria-selected", "true")
