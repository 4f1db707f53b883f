"""A forward pass, shown on the rows of the tree."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from lab_driver import models

TWICE = """class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(20, 20)
        self.spare = nn.Linear(3, 3)
        self.head = nn.Linear(20, 10)
    def forward(self, x):
        return self.head(self.linear(self.linear(x)))
net = Twice()
X = torch.rand(2, 20)"""
BROKEN = "net.head = nn.Linear(64, 10)"


@pytest.fixture
def notebook(lab):
    notebook = lab.open([models.LOAD, TWICE, "%nn net", "%nn trace net X", BROKEN, "%nn net", "%nn trace net X"])
    notebook.run(0, 1, 2)
    return notebook


def test_rows_tell_calls_and_shapes(notebook):
    explorer = notebook.explorer(2)
    notebook.run(3)
    expect(explorer.row("linear")).to_contain_text("×2")
    expect(explorer.row("head")).to_contain_text("2 × 20 → 2 × 10")
    explorer.select("linear")
    expect(explorer.inspector).to_contain_text("2 × 20")


def test_a_module_never_called_is_told(notebook):
    explorer = notebook.explorer(2)
    notebook.run(3)
    expect(explorer.row("spare")).to_have_accessible_name(re.compile("not called"))


def test_the_module_that_raised_is_lit_with_the_shapes_it_got(notebook):
    notebook.run(4, 5)
    explorer = notebook.explorer(5)
    before = explorer.row("head").evaluate("(row) => getComputedStyle(row).backgroundColor")
    notebook.run(6)
    row = explorer.row("head")
    expect(row).to_have_accessible_name(re.compile("forward failed here"))
    assert row.evaluate("(row) => getComputedStyle(row).backgroundColor") != before
    explorer.select("head")
    expect(explorer.inspector).to_contain_text("2 × 20")
    explorer.select("")
    expect(explorer.tab("Trace")).to_contain_text("mat1 and mat2 shapes cannot be multiplied")
    expect(notebook.output(6)).to_contain_text("head")


def test_a_forward_is_run_from_the_page_and_cleared(notebook):
    explorer = notebook.explorer(2)
    explorer.root.get_by_role("button", name="Trace", exact=True).click()
    form = explorer.inspector.locator("form")
    expect(form.get_by_label("Input")).to_have_value("X")
    form.get_by_role("button", name="Run a forward").click()
    expect(explorer.row("head")).to_contain_text("2 × 20 → 2 × 10")
    expect(explorer.inspector).to_contain_text("autograd keeps")
    form.get_by_label("Input").select_option(label="of a size …")
    form.get_by_label("Size", exact=True).fill("3,20")
    form.get_by_role("button", name="Run a forward").click()
    expect(explorer.row("head")).to_contain_text("3 × 20 → 3 × 10")
    form.get_by_label("Size", exact=True).fill("3,x")
    form.get_by_role("button", name="Run a forward").click()
    expect(form.get_by_role("alert")).to_contain_text("is not a shape")
    form.get_by_role("button", name="Clear").click()
    expect(explorer.row("head")).not_to_contain_text("3 × 20")
