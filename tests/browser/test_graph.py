"""The graph of a forward: drawn, opened and followed by mouse and by keyboard, in light, dark and narrow."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from lab_driver import models
from lab_driver.axe import violations

RESIDUAL = """class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))
net = nn.Sequential(nn.Linear(20, 8), *[Block(8) for _ in range(12)], nn.Linear(8, 10))
X = torch.rand(2, 20)"""


@pytest.fixture
def explorer(lab):
    notebook = lab.open([models.LOAD, RESIDUAL, "%nn net", "%nn graph net X", "%nn activations net X"])
    notebook.run(0, 1, 2)
    return notebook.explorer(2)


def test_the_graph_is_opened_and_followed_by_mouse_and_by_keyboard(explorer, lab):
    page = explorer.root.page
    expect(explorer.tab("Graph")).to_contain_text("No forward was traced yet")
    explorer.notebook.run(3)
    expect(explorer.notebook.output(3)).to_contain_text("12 × 1 … 12")
    graph = explorer.inspector.get_by_role("group", name="Graph of net")
    nodes = graph.get_by_role("button")
    expect(nodes).to_have_count(10)
    expect(nodes.first.locator("rect").first).not_to_have_css("fill", "rgb(0, 0, 0)")
    explorer.screenshot("graph-light")
    assert violations(explorer) == []

    linear = graph.get_by_role("button", name=re.compile("^up Linear"))
    linear.hover()
    expect(explorer.grid.locator(".nnw-lit")).to_have_count(1)
    linear.click()
    explorer.wait_inspecting("1.up")
    expect(linear).to_have_attribute("aria-pressed", "true")
    block = graph.get_by_role("button", name=re.compile("^12 × 1 … 12 Block"))
    block.locator("text").first.dblclick()
    expect(nodes).to_have_count(5)
    expect(block).to_have_attribute("aria-expanded", "false")

    block.focus()
    page.keyboard.press("Enter")
    expect(nodes).to_have_count(10)
    focused = graph.locator(":focus")
    expect(focused).to_have_accessible_name(re.compile("^norm LayerNorm"))
    page.keyboard.press("ArrowDown")
    expect(focused).to_have_accessible_name(re.compile("^up Linear"))
    page.keyboard.press("Escape")
    expect(focused).to_have_accessible_name(re.compile("Block; open"))
    page.keyboard.press("0")
    drawing = graph.locator("svg.nnw-graph")
    before = drawing.get_attribute("width")
    page.keyboard.press("+")
    expect(drawing).not_to_have_attribute("width", before)

    box = explorer.inspector.get_by_role("searchbox", name="Find boxes")
    page.keyboard.press("0")
    block.focus()
    page.keyboard.press("Enter")
    box.fill("linear")
    found = explorer.inspector.get_by_text("4 boxes found, 26 with those that repeat")
    expect(found).to_be_visible()
    for n, name in enumerate(("0", "up", "down"), 1):
        box.press("Enter")
        expect(explorer.inspector.get_by_text(f"{n} of 4 boxes")).to_be_visible()
        expect(explorer.inspector.locator(".nnw-graph-reading")).to_have_text(re.compile(f"^{name} Linear.*; found"))
    explorer.screenshot("graph-found")
    colours = explorer.inspector.get_by_role("combobox", name="Colours")
    expect(colours).to_contain_text("by activations: no run yet")
    explorer.notebook.run(4)
    colours.select_option("by activations")
    expect(explorer.inspector.get_by_text(re.compile(r"std [\d.]+ to [\d.]+, log scale"))).to_be_visible()
    expect(linear.locator(".nnw-graph-by-activations")).to_have_count(1)
    explorer.screenshot("graph-activations")
    assert violations(explorer) == []

    lab.theme("JupyterLab Dark")
    explorer.root.evaluate("(root) => { root.style.width = '360px'; }")
    graph.scroll_into_view_if_needed()
    explorer.screenshot("graph-narrow-dark")
    assert violations(explorer) == []
