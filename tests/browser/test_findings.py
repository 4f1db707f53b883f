"""Findings stand on their rows and come with the line that mends them; paths are copied as working Python."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from lab_driver import models

CHAIN = """class Chain(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        for block in blocks:
            self._modules[block] = block
net = nn.Sequential(Chain(nn.Linear(4, 8), nn.Linear(8, 2)), nn.ModuleDict({'a b': nn.Linear(2, 2)}))
net.register_module('dotted', nn.Module())
net.dotted._modules['x.y'] = nn.Linear(3, 3)"""


def copied(explorer):
    return explorer.page.evaluate("() => navigator.clipboard.readText()")


def test_a_finding_is_explained_where_it_is_with_its_fix_to_copy(lab):
    notebook = lab.open([models.LOAD, models.BLOCKS, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.select("scale")
    findings = explorer.inspector.get_by_role("list", name="Findings")
    expect(findings).to_contain_text("register_buffer")
    findings.get_by_role("button", name="Copy the fix").first.click()
    fix = notebook.kernel(
        "[finding.fix for finding in __import__('nnwidgets').check(net) if finding.path == 'scale'][0]"
    )
    assert copied(explorer) == fix
    assert fix


def test_the_findings_chip_keeps_only_rows_that_have_some(lab):
    notebook = lab.open([models.LOAD, models.BLOCKS, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    chip = explorer.root.get_by_role("button", name="findings")
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(explorer.row("scale")).to_be_visible()
    expect(explorer.row("embed")).to_have_count(0)
    expect(explorer.row("frozen")).to_have_count(0)
    chip.click()
    explorer.root.get_by_role("button", name="notes").click()
    expect(explorer.row("frozen")).to_be_visible()
    expect(explorer.row("frozen").locator(".nnw-icon-info")).to_be_visible()
    expect(explorer.row("scale")).to_have_count(0)
    explorer.root.get_by_role("button", name="notes").click()
    expect(explorer.row("embed")).to_be_visible()


def test_the_frozen_chip_and_the_trainable_one(lab):
    notebook = lab.open([models.LOAD, models.BLOCKS, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.root.get_by_role("button", name=re.compile(r"^frozen \d")).click()
    expect(explorer.row("frozen.weight")).to_be_visible()
    expect(explorer.row("embed.weight")).to_have_count(0)


@pytest.mark.parametrize(
    ("path", "python"),
    [
        ("0.[0].weight", "list(net[0]._modules.values())[0].weight"),
        ("1.a b.bias", "net[1]['a b'].bias"),
        ('dotted.["x.y"].weight', "net.dotted._modules['x.y'].weight"),
        ("0", "net[0]"),
        ("", "net"),
    ],
)
def test_the_copied_path_is_python_that_gives_the_very_object(lab, path, python):
    notebook = lab.open([models.LOAD, CHAIN, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    if path == "0.[0].weight":
        path = notebook.kernel("__import__('nnwidgets').tree(net).tensors[0].path")
    if path.startswith("dotted"):
        path = notebook.kernel("[t.path for t in __import__('nnwidgets').tree(net).tensors if 'x.y' in t.path][0]")
    if path:
        explorer.filter(path)
    explorer.select(path)
    explorer.inspector.get_by_role("button", name="Copy").first.click()
    explorer.page.wait_for_function("() => navigator.clipboard.readText().then((text) => text.startsWith('net'))")
    assert notebook.kernel(f"({copied(explorer)}) is ({python})")


def test_every_row_has_a_button_that_copies_its_python(lab):
    notebook = lab.open([models.LOAD, models.BLOCKS, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("embed")
    row = explorer.row("embed.weight")
    row.hover()
    row.get_by_role("button", name="Copy").click()
    explorer.page.wait_for_function("() => navigator.clipboard.readText().then((text) => text.startsWith('net'))")
    assert notebook.kernel(f"({copied(explorer)}) is net.embed.weight")


def test_a_line_opens_at_its_path_where_a_gradient_with_nan_is_counted_and_marked(lab):
    broken = "net(torch.rand(3, 20)).sum().backward()\nnet[0].weight.grad[0, 0] = float('nan')"
    notebook = lab.open([models.LOAD, models.MLP, broken, "%nn net 0.weight"])
    notebook.run(0, 1, 2, 3)
    explorer = notebook.explorer(3)
    expect(explorer.inspector.get_by_role("heading", name="0.weight")).to_be_visible()
    expect(explorer.part("Gradient")).to_contain_text("1 NaN")
    expect(explorer.row("0.weight").locator(".nnw-icon-warning")).to_be_visible()
    expect(explorer.inspector.get_by_role("list", name="Findings")).to_contain_text("Its gradient has 1 NaN")
    explorer.screenshot("gradient-nan")
