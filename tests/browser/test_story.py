"""The main job: load the extension, open a model, find a tensor, read what is in it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from lab_driver import models

WTE = "transformer.wte.weight"
FIELDS = {"mean": "mean()", "std": "std()", "min": "min()", "max": "max()", "L2 norm": "norm()"}


def exact(notebook, tensor):
    """Return what torch says in float64."""
    figures = {name: notebook.kernel(f"{tensor}.detach().double().{call}.item()") for name, call in FIELDS.items()}
    return figures | {"zeros": notebook.kernel(f"({tensor} == 0).sum().item()"), "NaN": 0, "inf": 0}


def test_gpt2_opens_and_a_tensors_statistics_on_the_page_are_torchs(lab):
    notebook = lab.open([models.LOAD, models.GPT2, "%nn gpt2"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)

    expect(explorer.row("")).to_contain_text("GPT2LMHeadModel")
    expect(explorer.root).to_contain_text("124.4")
    assert notebook.kernel("sum(p.numel() for p in gpt2.parameters())") == 124_439_808

    explorer.expand("transformer", "transformer.wte")
    explorer.select(WTE)
    assert explorer.statistics() == pytest.approx(exact(notebook, f"gpt2.{WTE}"), rel=1e-9)

    explorer.filter("**.mlp.c_fc.weight")
    folded = explorer.rows().filter(has_text="12 ×")
    expect(folded).to_have_count(1)
    explorer.filter("h.7.mlp.c_fc.weight")
    explorer.select("transformer.h.7.mlp.c_fc.weight")
    assert explorer.statistics() == pytest.approx(exact(notebook, "gpt2.transformer.h[7].mlp.c_fc.weight"), rel=1e-9)
    explorer.screenshot("gpt2-tensor")


def test_repeated_blocks_are_one_row_that_opens_to_a_member_of_choice(lab):
    notebook = lab.open([models.LOAD, models.BLOCKS, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    fold = explorer.row("blocks.0", kind="f")
    expect(fold).to_contain_text("6 × Block")
    expect(explorer.row("blocks.0", kind="m")).to_be_visible()
    fold.get_by_role("button", name="blocks.3").click()
    expect(explorer.row("blocks.3", kind="m")).to_be_visible()
    expect(explorer.row("blocks.0", kind="m")).to_have_count(0)
    fold.click()
    lab.page.keyboard.press("Shift+Enter")
    for index in range(6):
        expect(explorer.row(f"blocks.{index}", kind="m")).to_have_count(1)


def test_the_filter_reaches_rows_never_shown_and_clears_again(lab):
    notebook = lab.open([models.LOAD, models.BLOCKS, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    before = explorer.rows().evaluate_all("(rows) => rows.map((row) => row.dataset.path)")
    explorer.filter("LayerNorm.bias")
    expect(explorer.row("blocks.0.norm.bias")).to_be_visible()
    expect(explorer.row("head.weight")).to_have_count(0)
    explorer.filter("")
    expect(explorer.rows()).to_have_count(len(before))
    assert explorer.rows().evaluate_all("(rows) => rows.map((row) => row.dataset.path)") == before


def test_a_bare_name_explores_only_after_auto_on(lab):
    notebook = lab.open([models.LOAD, models.MLP, "net", "%nn auto on", "net", "%nn auto off", "net"])
    notebook.run(0, 1, 2, 3, 4, 5, 6)
    expect(notebook.output(2)).to_contain_text("in_features=20")
    expect(notebook.explorer(4).row("")).to_contain_text("Sequential")
    expect(notebook.output(6)).to_contain_text("in_features=20")
