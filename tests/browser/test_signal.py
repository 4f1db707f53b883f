"""The signal through the layers: curves, bars on the rows, histograms, candidates compared on data and applied."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from lab_driver import models
from lab_driver.axe import violations

DEEP = """net = nn.Sequential(*[nn.Sequential(nn.Linear(32, 32), nn.Tanh()) for _ in range(10)])
for layer in net:
    nn.init.normal_(layer[0].weight, std=0.05)
X, y = torch.randn(64, 32), torch.randn(64, 32)"""
POISON = "with torch.no_grad():\n    net[7][0].bias[3] = float('nan')"
LINE = "%nn activations net X --loss y"


@pytest.fixture(params=["light", "dark"])
def explorer(request, lab):
    notebook = lab.open([models.LOAD, DEEP, "%nn net", LINE, POISON, LINE])
    notebook.run(0, 1, 2)
    lab.theme(f"JupyterLab {request.param.capitalize()}")
    explorer = notebook.explorer(2)
    explorer.theme = request.param
    return explorer


def plot(explorer):
    return explorer.inspector.get_by_role("group", name=re.compile("Signal through"))


def test_by_mouse_the_curves_rows_and_histograms_tell_of_a_run(explorer):
    notebook, theme, inspector = explorer.notebook, explorer.theme, explorer.inspector
    expect(explorer.tab("Signal")).to_contain_text("No run yet")
    explorer.screenshot(f"signal-empty-{theme}")
    assert violations(explorer) == []
    notebook.run(3)
    points = plot(explorer).get_by_role("button")
    expect(points).to_have_count(20)
    lit = explorer.grid.locator(".nnw-lit")
    points.nth(1).hover()
    expect(lit).to_have_attribute("data-path", "0.1")
    expect(lit).to_have_accessible_name(re.compile("gradient’s std"))
    points.nth(7).hover()
    expect(lit).to_have_attribute("data-row", "f:0")
    explorer.row("0", kind="m").locator(".nnw-label").hover()
    expect(lit).to_have_count(0)
    expect(plot(explorer).locator("circle[r='4.5']")).to_have_count(3)
    points.nth(7).hover()
    inspector.get_by_role("button", name="Histograms of 3.1").click()
    expect(inspector.get_by_role("img", name=re.compile("^Output of 3.1"))).to_be_visible()
    expect(inspector.get_by_role("img", name=re.compile("^Gradient at 3.1"))).to_be_visible()
    explorer.screenshot(f"signal-{theme}")
    assert violations(explorer) == []
    points.nth(4).click()
    explorer.wait_inspecting("2.0")
    expect(plot(explorer).get_by_role("button")).to_have_count(1)
    expect(inspector.get_by_role("img", name=re.compile("^Output of 2.0"))).to_be_visible()
    explorer.screenshot(f"signal-leaf-{theme}")
    explorer.select("")
    notebook.run(4, 5)
    expect(plot(explorer).locator(".nnw-signal-nan")).to_have_count(20)
    expect(inspector).to_contain_text("The first call that gives NaN")
    expect(explorer.row("")).to_have_accessible_name(re.compile("NaN or infinite"))
    explorer.screenshot(f"signal-nan-{theme}")
    explorer.root.get_by_role("button", name="Shut this column").click()
    expect(explorer.root.locator("i.nnw-signal-std").nth(1)).not_to_be_attached()
    inspector.get_by_role("button", name="on the rows").click()
    expect(explorer.root.get_by_role("button", name="Shut this column")).to_be_visible()
    explorer.root.evaluate("(root) => { root.style.width = '360px'; }")
    explorer.screenshot(f"signal-narrow-{theme}")
    assert violations(explorer) == []
