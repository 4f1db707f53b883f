"""The table of all tensors: opened from the toolbar, sorted, filtered, copied, marked, and back to the tree."""

from __future__ import annotations

import csv
import io

import pytest
from playwright.sync_api import expect

from lab_driver import models
from lab_driver.axe import violations

STEP = """with torch.no_grad():
    net.body[2].bias.mul_(2.0)
    net.embed.weight[0, 0] = float("nan")"""


def frame(explorer):
    return explorer.root.get_by_role("table", name="Statistics of all tensors")


def head(explorer, name):
    return frame(explorer).get_by_role("columnheader", name=name)


def first_path(explorer):
    return frame(explorer).get_by_role("row").nth(1).get_by_role("cell").first


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_tensors_are_a_table_to_sort_filter_copy_and_compare_with_a_mark(lab, theme):
    notebook = lab.open([models.LOAD, models.TIED, "%nn net", STEP])
    notebook.run(0, 1, 2)
    lab.theme(f"JupyterLab {theme.capitalize()}")
    explorer = notebook.explorer(2)
    root, page = explorer.root, explorer.page
    root.get_by_role("button", name="Table").click()
    expect(frame(explorer).get_by_role("row")).to_have_count(7)
    expect(frame(explorer).get_by_role("row", name="head.weight")).to_contain_text("= embed.weight")
    root.get_by_role("button", name="Mark", exact=True).click()
    expect(head(explorer, "Moved")).to_be_visible()
    notebook.run(3)
    moved = frame(explorer).get_by_role("row", name="body.2.bias").get_by_role("cell").nth(-2)
    expect(moved).to_have_text("1")
    head(explorer, "Moved").get_by_role("button").click()
    expect(head(explorer, "Moved")).to_have_attribute("aria-sort", "descending")
    expect(frame(explorer).get_by_role("row").nth(3)).to_contain_text("body.2.bias")  # NaN is more
    explorer.screenshot(f"table-{theme}")
    assert violations(explorer) == []

    root.get_by_role("searchbox").fill("Linear.weight")
    expect(root.get_by_role("status").filter(has_text="3 of 6 tensors")).to_be_visible()
    root.get_by_role("button", name="CSV").click()
    page.wait_for_function("() => navigator.clipboard.readText().then((text) => text.startsWith('path,'))")
    copied = list(csv.DictReader(io.StringIO(page.evaluate("() => navigator.clipboard.readText()"))))
    assert {row["path"] for row in copied} == {"body.0.weight", "body.2.weight", "head.weight"}
    root.get_by_role("button", name="Markdown").click()
    page.wait_for_function("() => navigator.clipboard.readText().then((text) => text.startsWith('| path |'))")

    frame(explorer).get_by_role("button", name="body.2.weight").click()
    explorer.wait_inspecting("body.2.weight")
    expect(root.get_by_role("searchbox")).to_have_value("Linear.weight")
    root.get_by_role("button", name="Table").click()
    expect(frame(explorer)).to_be_visible()
    page.keyboard.press("Escape")
    expect(root.get_by_role("button", name="Table")).to_be_focused()


def test_the_table_of_a_narrow_view_scrolls_within_it(lab):
    notebook = lab.open([models.LOAD, models.TIED, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    lab.page.set_viewport_size({"width": 480, "height": 1000})
    explorer.root.get_by_role("button", name="Table").click()
    expect(frame(explorer).get_by_role("row")).to_have_count(7)
    explorer.screenshot("table-narrow")
    assert explorer.root.evaluate("(root) => root.scrollWidth <= root.clientWidth")
    frame(explorer).evaluate("(frame) => { frame.scrollLeft = 400; }")
    box, name = frame(explorer).bounding_box(), first_path(explorer).bounding_box()
    assert name["x"] == pytest.approx(box["x"], abs=2)
    explorer.screenshot("table-narrow-scrolled")
