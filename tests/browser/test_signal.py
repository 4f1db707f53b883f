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
    expect(plot(explorer)).to_have_count(0)
    expect(inspector.get_by_role("img", name=re.compile("^Output of 2.0"))).to_be_visible()
    explorer.screenshot(f"signal-leaf-{theme}")
    explorer.select("")
    notebook.run(4, 5)
    expect(plot(explorer).locator(".nnw-signal-bad[y='0']")).to_have_count(6)
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


@pytest.fixture
def any_language(lab):
    """The lab's tab; what is stored of a language is gone after it."""
    yield lab
    lab.page.evaluate("() => localStorage.removeItem('nnwidgets-language')")


def test_by_keyboard_candidates_are_compared_on_data_applied_and_undone(any_language):
    lab = any_language
    notebook = lab.open([models.LOAD, DEEP, "%nn net", LINE])
    notebook.run(0, 1, 2, 3)
    explorer, keyboard = notebook.explorer(2), lab.page.keyboard
    inspector = explorer.inspector
    explorer.tab("Signal")
    points = plot(explorer).get_by_role("button")
    points.first.focus()
    keyboard.press("End")
    expect(points.last).to_be_focused()
    expect(points.last).to_have_accessible_name(re.compile("^9.1: Tanh, std .*, gradient’s std"))
    keyboard.press("ArrowLeft")
    keyboard.press("Enter")
    explorer.wait_inspecting("9.0")
    inspector.get_by_role("button", name="the model").press("Enter")
    explorer.wait_inspecting("")
    inspector.get_by_role("tab", name="Signal").press("Home")
    keyboard.press("ArrowRight")
    expect(inspector.get_by_role("tab", name="Re-initialize")).to_have_attribute("aria-selected", "true")
    inspector.get_by_label("Which tensors of it").select_option("weights")
    compare = inspector.get_by_role("button", name="Compare on data")
    expect(compare).to_be_enabled()
    compare.press("Enter")
    curves = inspector.get_by_role("img", name=re.compile("^output: "))
    expect(curves).to_be_visible()
    explorer.screenshot("signal-compare-light")
    assert violations(explorer) == []
    inspector.get_by_role("radio", name=re.compile("^xavier_normal_")).press("Space")
    expect(inspector.get_by_label("Initializer", exact=True)).to_have_value("xavier_normal_")
    explorer.screenshot("signal-chosen-light")
    inspector.get_by_role("radio", name=re.compile("^xavier_normal_")).press("Control+Enter")
    expect(inspector.get_by_role("status").filter(has_text="applied")).to_be_visible()
    expect(inspector).to_contain_text("Compared before the model last changed.")
    expect(explorer.root.get_by_role("button", name=re.compile("^Undo xavier_normal_"))).to_be_enabled()
    keyboard.press("Control+z")
    expect(explorer.root).to_contain_text("No changes in force")
    lab.theme("JupyterLab Dark")
    explorer.root.get_by_role("button", name="中文").click()
    expect(explorer.root.get_by_role("button", name="在数据上比较")).to_be_visible()
    explorer.screenshot("signal-compare-dark-zh")
    explorer.root.get_by_role("tab", name="信号").click()
    expect(explorer.root.get_by_role("group", name="经过 20 个点的信号")).to_be_visible()
    explorer.root.evaluate("(root) => { root.style.width = '360px'; }")
    explorer.screenshot("signal-narrow-dark-zh")
    assert violations(explorer) == []
