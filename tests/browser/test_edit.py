"""Changes made in the page: previewed, applied, undone, told as code; torch's own numbers to the bit."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from lab_driver import models
from lab_driver.axe import violations

ADAM = """optimizer = torch.optim.AdamW(net.parameters())
net.body(torch.rand(4, 16)).sum().backward()
optimizer.step()"""
TARGETS = """net = nn.Module()
net.weight = nn.Parameter(torch.randn(12, 8))
net.bias = nn.Parameter(torch.randn(12))
net.filters = nn.Parameter(torch.randn(6, 4, 3, 3))
def bits(tensor):
    return tensor.detach().contiguous().view(-1).view(torch.int32).tolist()
def torchs(name, path, seed, **kwargs):
    like = torch.empty_like(net.get_parameter(path))
    generator = torch.Generator().manual_seed(seed)
    fill = getattr(nn.init, name)
    if 'generator' in __import__('inspect').signature(fill).parameters:
        kwargs['generator'] = generator
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fill(like, **kwargs)
    return bits(like)"""
LEAST_GAP = """table => Math.min(...[...table.rows].flatMap(row => {
    const boxes = [...row.cells].filter(cell => cell.textContent).map(cell => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return range.getBoundingClientRect();
    });
    return boxes.slice(1).map((box, at) => box.left - boxes[at].right);
}))"""
"""The narrowest gap between two numbers of a row."""

FILLERS = """[name for name, fill in vars(nn.init).items() if name.endswith('_') and not name.startswith('_')
 and next(iter(__import__('inspect').signature(fill).parameters)) == 'tensor']"""
ON_BIAS = {"constant_", "ones_", "zeros_"}
NEEDED = {"constant_": {"val": 0.25}, "sparse_": {"sparsity": 0.5}}

TRAIN = """import os
optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
whole = {'old': net[0].weight.detach().clone(), 'new': torch.eye(256, 20)}
steps, read = 0, set()
while not os.path.exists('stop'):
    optimizer.zero_grad()
    seen = net[0].weight.detach().clone()
    net(torch.randn(64, 20)).square().mean().backward()
    optimizer.step()
    read.add(next((name for name, each in whole.items() if torch.equal(seen, each)), 'torn'))
    steps += 1
    if steps == 1:
        print('trains')
ended = True"""


def open_panel(explorer, path):
    explorer.reach(path)
    explorer.select(path)
    panel = explorer.tab("Re-initialize")
    panel.get_by_label("Initializer").wait_for()
    return panel


def choose(panel, how, *, seed=None, **kwargs):
    panel.get_by_label("Initializer").select_option(how)
    for name, value in kwargs.items():
        field = panel.get_by_label(name, exact=True)
        if field.evaluate("(field) => field.tagName") == "SELECT":
            field.select_option(str(value))
        else:
            field.fill(str(value))
    if seed is not None:
        panel.get_by_label("Seed", exact=True).fill(str(seed))


def apply(panel):
    panel.get_by_role("button", name="Apply").click()
    expect(panel.get_by_text("applied", exact=True)).to_be_visible()


def bar(explorer):
    return explorer.root.get_by_role("region", name="History")


def figures(explorer, path):
    explorer.select(path)
    explorer.tab("Overview")
    return explorer.statistics()


@pytest.fixture
def tied(lab):
    notebook = lab.open([models.LOAD, models.TIED, ADAM, "%nn net"])
    notebook.run(0, 1, 2, 3)
    notebook.execute("import copy; before = copy.deepcopy(net)")
    return notebook


def test_a_tied_tensor_changes_under_both_names_and_back_and_its_code_gives_the_same_bits(tied):
    explorer = tied.explorer(3)
    explorer.filter("*.weight")
    old = figures(explorer, "embed.weight")
    panel = open_panel(explorer, "embed.weight")
    choose(panel, "normal_", seed=7, std=0.125)
    changes = panel.get_by_role("region", name="2 tensors change")
    expect(changes).to_contain_text("head.weight")
    expect(changes).to_contain_text("same object")
    shown = panel.locator(".nnw-code pre")
    expect(shown).to_contain_text("manual_seed(7)")
    expect(shown).to_contain_text("std=0.125")
    code = shown.inner_text()
    for width in ("355px", "220px", ""):
        panel.evaluate("(panel, width) => { panel.style.width = width; }", width)
        assert panel.locator(".nnw-figure-table").evaluate(LEAST_GAP) >= 8
    assert tied.kernel("torch.equal(net.embed.weight, before.embed.weight)"), "a preview wrote"
    panel.get_by_role("button", name="Copy the code").click()
    apply(panel)
    expect(bar(explorer)).to_contain_text("normal_(std=0.125) → embed.weight, head.weight · seed 7")

    explorer.filter("*.weight")
    for path in ("embed.weight", "head.weight"):
        new = figures(explorer, path)
        assert new["std"] == pytest.approx(0.125, rel=0.1)
        assert new["std"] != old["std"]

    copied = explorer.page.evaluate("() => navigator.clipboard.readText()")
    assert copied == code
    tied.execute("changed, net = net, copy.deepcopy(before)")
    tied.execute(copied)
    assert tied.kernel("torch.equal(net.embed.weight, changed.embed.weight)")
    tied.execute("net = changed")

    bar(explorer).get_by_role("button", name="Copy all as code").click()
    expect(bar(explorer)).to_contain_text("Copied")
    assert explorer.page.evaluate("() => navigator.clipboard.readText()") == code

    bar(explorer).get_by_role("button", name="Undo normal_").click()
    expect(bar(explorer)).to_contain_text("No changes in force")
    assert tied.kernel("torch.equal(net.embed.weight, before.embed.weight)")
    for path in ("embed.weight", "head.weight"):
        assert figures(explorer, path) == old
    bar(explorer).get_by_role("button", name="Redo normal_").click()
    tied.wait_for("round(net.head.weight.std().item(), 1)", 0.1)


def test_moments_that_go_stale_are_told_cleared_with_it_and_brought_back(tied):
    explorer = tied.explorer(3)
    panel = open_panel(explorer, "body.0.weight")
    choose(panel, "xavier_normal_", seed=3)
    expect(panel).to_contain_text("AdamW keeps moments")
    expect(panel).to_contain_text("step 1")
    panel.get_by_label("Clear them too").check()
    expect(panel.locator(".nnw-code")).to_contain_text("optimizer.state.pop(")
    apply(panel)
    assert not tied.kernel("net.body[0].weight in optimizer.state")
    panel.get_by_role("button", name="Undo").click()
    expect(bar(explorer)).to_contain_text("No changes in force")
    assert tied.kernel("net.body[0].weight in optimizer.state")


def test_every_initializer_offered_gives_torchs_bits_through_the_button(lab):
    notebook = lab.open([models.LOAD, TARGETS, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    fillers = notebook.kernel(FILLERS)
    panel = open_panel(explorer, "weight")
    offered = [
        text.removesuffix(" (can’t fill this)")
        for text in panel.get_by_label("Initializer").locator("option").all_inner_texts()
    ]
    assert set(fillers) < set(offered)
    explorer.filter("")
    for number, how in enumerate(fillers):
        path = "bias" if how in ON_BIAS else "filters" if how == "dirac_" else "weight"
        explorer.select(path)
        kwargs = NEEDED.get(how, {})
        seed = None if how in ON_BIAS | {"eye_", "dirac_"} else number
        choose(panel, how, seed=seed, **kwargs)
        apply(panel)
        assert notebook.kernel(f"bits(net.{path}) == torchs({how!r}, {path!r}, {number}, **{kwargs!r})"), how
    expect(bar(explorer)).to_contain_text(f"{len(fillers)} changes")


def test_a_constant_fills_a_weight_with_a_warning_and_wrong_parameters_are_told_where_they_stand(lab):
    notebook = lab.open([models.LOAD, TARGETS, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    panel = open_panel(explorer, "weight")
    choose(panel, "constant_", val=0.5)
    expect(panel).to_contain_text("Every unit of weight has the same weights")
    expect(panel.get_by_role("region", name="1 tensor changes")).to_be_visible()
    apply(panel)
    assert notebook.kernel("net.weight.unique().tolist()") == [0.5]
    choose(panel, "normal_", std="wide")
    expect(panel.get_by_label("std", exact=True)).to_have_accessible_description("expects a number")
    expect(panel.get_by_role("button", name="Apply")).to_be_disabled()
    choose(panel, "normal_", std=-1)
    expect(panel.get_by_role("alert")).to_contain_text("can't fill")
    choose(panel, "normal_", std=1, seed="x")
    expect(panel.get_by_role("button", name="Apply")).to_be_disabled()


def test_a_fold_a_module_and_the_filters_rows_are_filled_as_one_change(lab):
    notebook = lab.open([models.LOAD, models.BLOCKS, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.row("blocks.0", kind="f").locator(".nnw-label").click()
    explorer.wait_inspecting("blocks.0")
    panel = explorer.tab("Re-initialize")
    expect(panel.get_by_label("Target")).to_have_value("fold")
    expect(panel.get_by_label("Initializer")).to_have_value("reset")
    expect(panel).to_contain_text("24 tensors change")
    panel.get_by_label("Which tensors of it").select_option("weights")
    choose(panel, "orthogonal_", seed=1)
    expect(panel).to_contain_text("6 tensors change")
    apply(panel)
    assert notebook.kernel(
        "all(torch.allclose(b.linear.weight @ b.linear.weight.T, torch.eye(16), atol=1e-5) for b in net.blocks)"
    )
    explorer.filter("**.bias")
    expect(explorer.root.get_by_role("status").filter(has_text="13 matches")).to_be_attached()
    explorer.scroll_to(1)
    explorer.select("frozen.bias")
    panel.get_by_label("Target").select_option("filter")
    choose(panel, "constant_", val=0.5)
    apply(panel)
    assert notebook.kernel("all((p == 0.5).all().item() for n, p in net.named_parameters() if n.endswith('bias'))")
    bar(explorer).get_by_role("button", name="Undo constant_").click()
    expect(bar(explorer)).to_contain_text("orthogonal_")
    assert notebook.kernel("sum((p == 0.5).all().item() for p in net.parameters())") == 0


def test_an_apply_during_a_training_cell_is_whole(lab):
    stop = lab.server.work / "stop"
    notebook = lab.open([models.LOAD, models.MLP, "%nn net", TRAIN])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    notebook.start(3)
    expect(notebook.output(3)).to_contain_text("trains", timeout=60_000)
    try:
        panel = open_panel(explorer, "0.weight")
        choose(panel, "eye_")
        apply(panel)
        expect(bar(explorer)).to_contain_text("eye_ → 0.weight")
        bar(explorer).get_by_role("button", name="Undo eye_").click()
        expect(bar(explorer)).to_contain_text("No changes in force")
        bar(explorer).get_by_role("button", name="Redo eye_").click()
        expect(bar(explorer)).to_contain_text("1 change")
        assert notebook.executing(3), "the cell ended before the clicks were answered"
    finally:
        stop.touch()
    notebook.wait_ended(3)
    stop.unlink()
    assert notebook.kernel("ended")
    assert notebook.kernel("torch.equal(net[0].weight, torch.eye(256, 20))")
    assert notebook.kernel("sorted(read)") == ["new", "old"]


def test_undo_over_an_edit_of_ones_own_asks(tied):
    explorer = tied.explorer(3)
    panel = open_panel(explorer, "body.0.bias")
    choose(panel, "ones_")
    apply(panel)
    tied.execute("with torch.no_grad(): net.body[0].bias[0] = 5")
    undo = bar(explorer).get_by_role("button", name="Undo ones_")
    undo.click()
    question = bar(explorer).get_by_role("alert")
    expect(question).to_contain_text("body.0.bias was edited in a cell after this change. Undo would lose that edit.")
    expect(question.get_by_role("button", name="Keep my edit")).to_be_focused()
    question.get_by_role("button", name="Keep my edit").click()
    expect(question).to_have_count(0)
    assert tied.kernel("net.body[0].bias[0].item()") == 5
    undo.click()
    question.get_by_role("button", name="Undo anyway").click()
    expect(bar(explorer)).to_contain_text("No changes in force")
    assert tied.kernel("torch.equal(net.body[0].bias, before.body[0].bias)")


def test_a_row_is_frozen_and_thawed_from_its_lock_from_the_inspector_and_by_key(lab):
    notebook = lab.open([models.LOAD, models.BLOCKS, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    asks = "sum(p.requires_grad for p in net.blocks.parameters())"
    fold = explorer.row("blocks.0", kind="f")
    fold.hover()
    fold.get_by_role("button", name="trainable: freeze").click()
    expect(fold.get_by_role("button", name=re.compile("^frozen"))).to_be_visible()
    assert notebook.kernel(asks) == 0
    fold.locator(".nnw-label").click()
    explorer.inspector.get_by_role("button", name="Unfreeze in all blocks").click()
    expect(explorer.inspector.get_by_role("button", name="Freeze in all blocks")).to_be_visible()
    assert notebook.kernel(asks) == 24
    explorer.row("head").locator(".nnw-label").click()
    explorer.page.keyboard.press("f")
    expect(explorer.row("head").get_by_role("button", name=re.compile("^frozen"))).to_be_visible()
    assert not notebook.kernel("net.head.weight.requires_grad")
    explorer.page.keyboard.press("u")
    expect(explorer.row("head").get_by_role("button", name="trainable: freeze")).to_have_count(1)
    notebook.wait_for("net.head.weight.requires_grad", True)


def test_a_value_is_typed_over_in_the_grid_as_it_says_and_taken_back_from_there(lab):
    notebook = lab.open([models.LOAD, models.MLP, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.reach("2.weight")
    explorer.select("2.weight")
    before = notebook.kernel("net[2].weight[0, 0].item()")
    expect(explorer.part("Heat map")).to_contain_text("Double-click or Enter changes a number.")
    grid = explorer.part("Heat map").get_by_role("grid")
    cell = grid.locator("tbody td").nth(0)
    cell.dblclick()
    field = grid.get_by_role("textbox", name="New value of row 0, column 0")
    expect(field).to_be_focused()
    field.fill("many")
    field.press("Enter")
    alert = grid.get_by_role("alert")
    expect(alert).to_contain_text("'many' is no number.")
    inner, outer = alert.bounding_box(), explorer.inspector.bounding_box()
    assert outer["x"] <= inner["x"]
    assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]
    field.press("Escape")
    expect(field).to_have_count(0)
    cell.press("Enter")
    field.fill("42")
    field.press("Enter")
    expect(cell).to_have_text("42")
    expect(bar(explorer)).to_contain_text("2.weight[0, 0] = 42")
    assert notebook.kernel("net[2].weight[0, 0].item()") == 42
    cell.press("Control+z")
    notebook.wait_for("net[2].weight[0, 0].item()", before)
    cell.press("Enter")
    field.fill("nan")
    field.press("Enter")
    expect(explorer.part("Heat map").get_by_role("status")).to_contain_text("gets NaN")
    expect(cell).to_have_text("NaN")
    assert explorer.statistics()["NaN"] == 1


def test_what_a_cell_changed_shows_when_it_ends(lab):
    notebook = lab.open([models.LOAD, models.MLP, "%nn net", "with torch.no_grad(): net[2].bias.fill_(2.5)"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.reach("2.bias")
    explorer.select("2.bias")
    explorer.statistics()
    notebook.run(3)
    expect(explorer.part("Statistics").locator("dd").first).to_have_text("2.5")


def test_what_code_outside_of_any_cell_changed_shows_when_the_view_is_touched(lab):
    notebook = lab.open([models.LOAD, models.MLP, "%nn net", "pass", models.LATE])
    notebook.run(0, 1, 2, 3)
    explorer = notebook.explorer(2)
    explorer.reach("2.bias")
    explorer.select("2.bias")
    notebook.run(4)
    explorer.statistics()
    (lab.server.work / "go").touch()
    notebook.wait_for("net[2].bias[0].item()", 2.5)
    explorer.page.mouse.move(0, 0)
    explorer.row("2.bias").hover()
    expect(explorer.part("Statistics").locator("dd").first).to_have_text("2.5")


def test_a_pass_of_the_panel_without_a_mouse(lab):
    notebook = lab.open([models.LOAD, models.MLP, "%nn net", "precious = 1"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    keys = explorer.page.keyboard
    explorer.reach("0.weight")
    explorer.filter_box.focus()
    keys.press("ArrowDown")
    explorer.arrow_down_to("0.weight")
    keys.press("Enter")
    explorer.wait_inspecting("0.weight")
    keys.press("ArrowRight")
    expect(explorer.inspector.get_by_role("tab", name="Re-initialize")).to_be_focused()
    panel = explorer.inspector.get_by_role("tabpanel")
    panel.get_by_label("Initializer").wait_for()
    reached = []
    for _ in range(20):
        keys.press("Tab")
        name = explorer.root.evaluate(
            "(root) => { const at = root.getRootNode().activeElement;"
            " return at.getAttribute('aria-label') ?? at.labels?.[0]?.textContent ?? at.textContent; }"
        )
        reached.append(name)
        if name == "Seed":
            keys.press("Control+a")
            keys.type("11")
        if name.startswith("Apply"):
            break
    assert {"Initializer", "Seed", "Draw another seed", "Copy the code"} <= set(reached), reached
    assert reached[-1].startswith("Apply")
    keys.press("Control+Enter")
    expect(panel.get_by_text("applied", exact=True)).to_be_visible()
    expect(bar(explorer)).to_contain_text("seed 11")
    keys.press("Escape")
    explorer.wait_focused("0.weight")
    keys.press("Control+z")
    expect(bar(explorer)).to_contain_text("No changes in force")
    keys.press("Shift+U")
    expect(bar(explorer)).to_contain_text("1 change")
    assert notebook.cells()[-1] == "precious = 1"
    assert len(notebook.cells()) == 4


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_no_violation_on_the_panel_the_log_and_the_question(lab, theme):
    lab.theme(theme)
    notebook = lab.open([models.LOAD, models.TIED, ADAM, "%nn net"])
    notebook.run(0, 1, 2, 3)
    explorer = notebook.explorer(3)
    panel = open_panel(explorer, "embed.weight")
    choose(panel, "kaiming_normal_", seed=1)
    expect(panel).to_contain_text("2 tensors change")
    assert violations(explorer) == []
    choose(panel, "zeros_")
    assert violations(explorer) == []
    choose(panel, "uniform_", a="x")
    assert violations(explorer) == []
    choose(panel, "uniform_", a=0)
    apply(panel)
    explorer.page.keyboard.press("Escape")
    explorer.row("embed.weight").hover()
    assert violations(explorer) == []
    bar(explorer).get_by_role("button", name="1 change").click()
    expect(bar(explorer).get_by_role("list")).to_contain_text("uniform_")
    tied_edit = "with torch.no_grad(): net.embed.weight[0, 0] = 5"
    notebook.execute(tied_edit)
    bar(explorer).get_by_role("button", name="Undo uniform_").click()
    expect(bar(explorer).get_by_role("alert")).to_be_visible()
    assert violations(explorer) == []
    explorer.screenshot(f"undo-asks-{theme.split()[1].lower()}")
