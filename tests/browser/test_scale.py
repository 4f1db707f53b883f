"""A hundred thousand modules, a few rows in the page; a second view that costs little more."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from lab_driver import models

MOST_ROWS = 200
LIMIT = 6_000


def test_100k_modules_scroll_with_few_rows_in_the_page_and_the_right_names(lab):
    notebook = lab.open([models.LOAD, models.MANY, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("")
    height = explorer.shown()[0]["height"]
    assert explorer.scroll_height() == pytest.approx(100_001 * height, rel=0.01)

    for share in (0.0, 0.1, 0.333, 0.5, 0.77, 0.999, 1.0, 0.25):
        explorer.scroll_to(share)
        explorer.wait_filled()
        assert explorer.rows().count() <= MOST_ROWS
        paths = [row["path"] for row in explorer.shown() if row["path"]]
        first = int(paths[0].removeprefix("part_"))
        assert paths == [f"part_{first + step}" for step in range(len(paths))]
        assert abs(first - share * 100_000) <= 2 * len(paths)
        expect(explorer.row(paths[0])).to_have_attribute("aria-posinset", str(first + 1))
        expect(explorer.row(paths[0])).to_have_attribute("aria-setsize", "100000")

    explorer.scroll_to(0)
    explorer.select("")
    lab.page.keyboard.press("End")
    explorer.wait_focused("part_99999")
    assert explorer.rows().count() <= MOST_ROWS


def test_the_first_message_for_100k_modules_is_small_and_so_is_every_other(lab):
    notebook = lab.open([models.LOAD, models.MLP, models.MANY, "%nn net", "%nn net"])
    notebook.run(0, 1, 3)
    notebook.explorer(3)
    with_bundle = len(lab.sizes_of("comm_open"))
    notebook.run(2, 4)
    explorer = notebook.explorer(4)
    explorer.expand("")
    explorer.scroll_to(0.5)
    explorer.wait_filled()
    first = lab.sizes_of("comm_open")[with_bundle:]
    assert 0 < sum(first) <= 64_000
    assert max(lab.sizes_of("comm_msg")) <= 500 * MOST_ROWS


DEEP = """net = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(320)])
net[300].requires_grad_(False)
with torch.no_grad():
    net[317][0].weight.mul_(9)"""


def test_all_of_320_blocks_are_in_the_strip_and_across_depth(lab):
    notebook = lab.open([models.LOAD, DEEP, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    fold = explorer.row("0", kind="f")
    cells = fold.locator(".nnw-strip button")
    expect(cells).to_have_count(64)
    expect(fold).to_contain_text("×5")
    expect(fold.get_by_role("button", name=re.compile(r"^300 … 304, partly frozen"))).to_be_visible()
    cells.last.click()
    expect(explorer.row("315", kind="m")).to_be_visible()
    explorer.expand("315", "315.0")
    explorer.select("315.0.weight")
    depth = explorer.part("Across depth")
    expect(depth).to_contain_text("std of 0.weight, 0 to 319")
    bars = depth.get_by_role("group").get_by_role("button")
    expect(bars).to_have_count(107)
    heights = bars.locator("b").evaluate_all("(all) => all.map((bar) => parseFloat(bar.style.height))")
    assert heights.index(max(heights)) == 317 // 3
    bars.nth(317 // 3).click()
    explorer.wait_inspecting("315.0.weight")


@pytest.mark.parametrize("further", [1, 5])
def test_a_further_explorer_brings_at_most_six_kilobytes_of_its_own(lab, further):
    views = ["%nn net"] * (further + 1)
    notebook = lab.open([models.LOAD, "net = nn.Module()", *views])
    notebook.run(0, 1, 2)
    notebook.explorer(2)
    brought = ("comm_open", "display_data")
    before = lab.bytes_of(*brought)
    assert before > 20_000, "the bundle came with the first view"
    for index in range(3, 3 + further):
        notebook.run(index)
        notebook.explorer(index)
    assert lab.bytes_of(*brought) - before <= further * LIMIT
