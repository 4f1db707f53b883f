"""The panel of checkpoints: saves, edits, compares, loads with a rename, undoes, cancels, and says what went wrong."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from lab_driver import models
from lab_driver.axe import violations
from lab_driver.waiting import press_until

NET = """import os
from safetensors.torch import save_file
class Net(nn.Module):
    def __init__(self, head="output"):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 32))
        self.add_module(head, nn.Linear(32, 10))
net = Net()"""
FILES = """os.makedirs("shelf/runs", exist_ok=True)
old = Net("out")
save_file(old.state_dict(), "shelf/step-100.safetensors", metadata={"step": "100", "by": "<b>me</b>"})
wider = {**net.state_dict(), "body.0.weight": torch.zeros(128, 20), "extra.bias": torch.zeros(3)}
save_file({k: v.contiguous() for k, v in wider.items()}, "shelf/wider.safetensors")
half = {k: v.half() for k, v in net.state_dict().items()}
torch.save({"model": half, "epoch": 3}, "shelf/best.pt")
open("shelf/notes.txt", "w").write("not a checkpoint")
with open("shelf/broken.safetensors", "wb") as f:
    f.write(open("shelf/step-100.safetensors", "rb").read()[:-7])"""
HOSTILE = """markup = "<img src=x onerror=window.pwned=1>"
save_file({markup + ".\\u202eweight": torch.zeros(2), "a" * 5000: torch.zeros(1)},
          "shelf/<img src=x onerror=window.pwned=1>.safetensors", metadata={markup: markup})"""
SLOW = """big = nn.Module()
for k in range(64):
    big.register_parameter(f"w{k}", nn.Parameter(torch.zeros(4, 1024, 1024)))
net = big
torch.save(net.state_dict(), "shelf/big.pt")
with torch.no_grad():
    for p in net.parameters(): p.fill_(3)"""

REFUSED = """import pickle
class Evil:
    def __reduce__(self):
        return os.system, ("touch canary",)
pickle.dump({"a": Evil()}, open("shelf/evil.pt", "wb"), protocol=2)
os.symlink("/", "shelf/way-out")"""
MANY = """save_file({f"layers.{k}.weight": torch.zeros(1) for k in range(50_000)}, "shelf/many.safetensors")"""


TURNED = """from nnwidgets import explore
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_fc, self.output = nn.Linear(6, 8), nn.Linear(8, 5)
net = nn.ModuleDict({"h": nn.ModuleList([Block(), Block()])})"""
KINDS = """import argparse, pathlib
state = net.state_dict()
torch.save(net, "shelf/detector.pt")
torch.save({
    "state_dict": {f"model.{k}": v + 1 for k, v in state.items()}, "epoch": 3,
    "hyper_parameters": argparse.Namespace(lr=0.1, folder=pathlib.Path("runs")),
}, "shelf/run.ckpt")
torch.save({"model": state, "ema": {k: v + 2 for k, v in state.items()}}, "shelf/averaged.pt")
turned = {k: v.T.contiguous() if k.endswith("c_fc.weight") else v for k, v in state.items()}
turned["h.0.first.bias"], turned["h.0.second.bias"] = turned.pop("h.0.output.bias"), torch.zeros(5)
torch.save(turned, "shelf/turned.pt")"""


def dress(lab, theme, width):
    if width == "narrow":
        lab.page.set_viewport_size({"width": 620, "height": 1300})
    lab.theme(f"JupyterLab {theme.capitalize()}")


def panel_of(notebook, cell):
    explorer = notebook.explorer(cell)
    explorer.root.get_by_role("button", name="Checkpoints").click()
    expect(explorer.root.get_by_role("heading", name="Checkpoints")).to_be_visible()
    return explorer


def enter_shelf(explorer):
    explorer.root.get_by_role("option", name="shelf").click()
    expect(explorer.root.get_by_role("listbox", name="Files in shelf")).to_be_visible()


def pick(explorer, name):
    explorer.root.get_by_role("option", name=name).click()
    expect(explorer.root.get_by_role("region", name=f"Checkpoint {name}")).to_be_visible()


def row(explorer, name, status=None):
    rows = explorer.root.get_by_role("listitem").filter(has_text=name)
    return rows if status is None else rows.filter(has_text=status)


def bar(explorer):
    return explorer.root.get_by_role("region", name="History")


def begun(lab, *cells):
    notebook = lab.open([models.LOAD, NET, FILES, *cells, "%nn net"])
    last = 3 + len(cells)
    notebook.run(*range(last + 1))
    explorer = panel_of(notebook, last)
    enter_shelf(explorer)
    return notebook, explorer


@pytest.fixture
def shelf(lab):
    """A notebook with a model, and the panel open at a folder of files."""
    return begun(lab)


def test_a_model_is_saved_read_back_and_marked_and_nothing_is_replaced_without_asking(shelf):
    notebook, explorer = shelf
    root = explorer.root
    root.get_by_role("button", name="Save net as").click()
    name = root.get_by_role("textbox", name="File name")
    expect(name).to_have_value("net.safetensors")
    name.fill("../net.pt")
    expect(root.get_by_text("Type a name below this folder")).to_be_visible()
    name.fill("mine.safetensors")
    root.get_by_role("button", name="Save", exact=True).click()
    done = root.get_by_role("status").filter(has_text="Saved 6 tensors")
    expect(done).to_contain_text("verified")
    expect(root.get_by_role("option", name="mine.safetensors")).to_contain_text("saved, verified")
    same = "__import__('safetensors.torch').torch.load_file('shelf/mine.safetensors')"
    assert notebook.kernel(f"all(torch.equal(v, net.state_dict()[k]) for k, v in {same}.items())")
    first = (notebook.lab.server.work / "shelf" / "mine.safetensors").read_bytes()

    notebook.execute("nn.init.ones_(net.body[0].bias)")
    root.get_by_role("button", name="Save net as").click()
    name.fill("mine.safetensors")
    name.press("Enter")
    question = root.get_by_role("alert").filter(has_text="is there already")
    expect(question.get_by_role("button", name="Keep it")).to_be_focused()
    question.get_by_role("button", name="Keep it").click()
    expect(question).to_have_count(0)
    assert (notebook.lab.server.work / "shelf" / "mine.safetensors").read_bytes() == first
    name.press("Enter")
    question.get_by_role("button", name="Replace it").click()
    expect(done).to_contain_text("verified")
    assert (notebook.lab.server.work / "shelf" / "mine.safetensors").read_bytes() != first


def test_an_edit_shows_as_a_difference_and_a_load_with_renames_is_verified_and_undone(shelf):
    notebook, explorer = shelf
    root = explorer.root
    pick(explorer, "step-100.safetensors")
    expect(row(explorer, "body.0.bias", "match")).to_be_visible()
    expect(row(explorer, "output.weight", "missing")).to_contain_text("out in the file is output in the model")
    expect(root.get_by_role("button", name="Load 4 of 6")).to_be_disabled()

    root.get_by_role("button", name="edit for output.bias").click()
    field = root.get_by_role("textbox", name="Name in the file for output.bias")
    field.fill("nonsense")
    field.press("Enter")
    expect(row(explorer, "output.bias").get_by_role("alert")).to_contain_text("'nonsense'")
    field.fill("out.bias")
    field.press("Enter")
    expect(row(explorer, "output.bias", "renamed")).to_be_visible()
    root.get_by_role("button", name="Accept the suggested rename").click()
    expect(row(explorer, "output.weight", "renamed")).to_be_visible()

    notebook.execute(
        "nn.init.constant_(net.body[0].bias, 7.0); before = {k: v.clone() for k, v in net.state_dict().items()}"
    )
    root.get_by_role("tab", name="Differences").click()
    root.get_by_role("button", name="Compare", exact=True).click()
    expect(row(explorer, "body.0.bias", "values")).to_contain_text("max")

    root.get_by_role("tab", name="Load plan").click()
    root.get_by_role("button", name="Load all 6").click()
    done = root.get_by_role("status").filter(has_text="Loaded 6 tensors")
    expect(done).to_contain_text("verified")
    expect(root.get_by_role("option", name="step-100")).to_contain_text("loaded, verified")
    expect(root.get_by_role("option", name="step-100")).to_be_in_viewport()
    for width in ("360px", ""):
        root.evaluate("(root, width) => { root.style.width = width; }", width)
        assert done.bounding_box()["height"] < 40, "it is one line, whose text is cut"
    expect(bar(explorer)).to_contain_text("load step-100.safetensors")
    assert notebook.kernel(
        "torch.equal(net.output.weight, old.out.weight) and torch.equal(net.body[0].bias, old.body[0].bias)"
    )

    done.get_by_role("button", name="Undo").click()
    expect(bar(explorer)).to_contain_text("No changes in force")
    assert notebook.kernel("all(torch.equal(v, before[k]) for k, v in net.state_dict().items())")


def test_what_matches_is_loaded_where_strict_is_not_asked_for(shelf):
    notebook, explorer = shelf
    root = explorer.root
    pick(explorer, "wider.safetensors")
    expect(row(explorer, "body.0.weight", "shape mismatch")).to_contain_text("128 × 20")
    notebook.execute("before = net.body[0].weight.clone(); nn.init.zeros_(net.output.weight)")
    root.get_by_role("checkbox", name="strict").uncheck()
    root.get_by_role("button", name="Load 5 of 6").click()
    expect(root.get_by_role("status").filter(has_text="Loaded 5 tensors")).to_be_visible()
    assert notebook.kernel("torch.equal(net.body[0].weight, before) and net.output.weight.abs().sum().item() > 0")
    root.get_by_role("button", name="Model").click()
    expect(explorer.grid).to_be_visible()
    expect(bar(explorer)).to_contain_text("load wider.safetensors")


def test_a_state_dict_within_a_file_is_found_and_cast(shelf):
    notebook, explorer = shelf
    pick(explorer, "best.pt")
    expect(row(explorer, "output.weight", "dtype cast")).to_contain_text("f16 → f32")
    header = explorer.root.get_by_role("region", name="Header")
    expect(header).to_contain_text("torch zip")
    expect(header).to_contain_text("epoch")
    explorer.root.get_by_role("button", name="Load all 6").click()
    expect(explorer.root.get_by_role("status").filter(has_text="Loaded 6 tensors")).to_contain_text("verified")
    assert notebook.kernel("torch.equal(net.output.weight, half['output.weight'].float())")


@pytest.mark.parametrize("width", ["wide", "narrow"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_files_of_other_kinds_are_planned_and_loaded(lab, theme, width):
    dress(lab, theme, width)
    notebook, explorer = begun(lab, TURNED, KINDS)
    root = explorer.root

    def looked_at(name):
        assert violations(explorer) == []
        explorer.screenshot(f"checkpoints-{name}-{theme}-{width}")

    pick(explorer, "detector.pt")
    expect(row(explorer, "h.0.c_fc.weight", "match")).to_be_visible()
    looked_at("detector")
    root.get_by_role("button", name="Load all 8").click()
    expect(root.get_by_role("status").filter(has_text="Loaded 8 tensors")).to_contain_text("verified")

    pick(explorer, "run.ckpt")
    expect(root.get_by_role("region", name="Header")).to_contain_text("argparse.Namespace")
    root.get_by_role("button", name="Accept all 8").click()
    looked_at("lightning")
    root.get_by_role("button", name="Load all 8").click()
    expect(root.get_by_role("status").filter(has_text="Loaded 8 tensors")).to_contain_text("verified")
    assert notebook.kernel("torch.equal(net.h[1].output.bias, state['h.1.output.bias'])") is True

    pick(explorer, "averaged.pt")
    expect(root.get_by_text("‘ema’").or_(root.get_by_text("'ema'")).first).to_be_visible()
    root.get_by_label("State dict").select_option("ema")
    expect(row(explorer, "h.0.c_fc.weight", "match")).to_be_visible()
    looked_at("entries")

    pick(explorer, "turned.pt")
    expect(row(explorer, "h.0.c_fc.weight", "converted")).to_contain_text("transposed")
    candidates = root.get_by_label("Candidates for h.0.output.bias")
    expect(candidates).to_be_visible()
    looked_at("turned")
    candidates.select_option(label="h.0.first.bias")
    root.get_by_role("button", name="Use h.0.first.bias for h.0.output.bias").click()
    expect(row(explorer, "h.0.output.bias", "renamed")).to_be_visible()


def test_a_long_load_is_cancelled_and_leaves_the_model_as_it_was(lab):
    notebook, explorer = begun(lab, SLOW)
    pick(explorer, "big.pt")
    explorer.root.get_by_role("button", name="Load all 64").click()
    cancel = explorer.root.get_by_role("button", name="Cancel")
    cancel.click()
    expect(explorer.root.get_by_role("status").filter(has_text="The load was cancelled")).to_be_visible(timeout=60_000)
    assert notebook.kernel("all((p == 3).all().item() for p in net.parameters())")
    expect(bar(explorer)).to_contain_text("No changes yet")


def test_errors_show_in_place_with_what_to_do(lab):
    notebook, explorer = begun(lab, REFUSED)
    root = explorer.root
    root.get_by_role("option", name="broken").click()
    expect(root.get_by_role("alert")).to_contain_text("This file can’t be read.")
    expect(root.get_by_role("alert")).to_contain_text("get it again")
    expect(root.get_by_role("option", name="broken")).to_contain_text("can’t be read")
    expect(root.get_by_role("option", name="way-out")).to_be_visible()
    expect(root.get_by_role("option", name="notes.txt")).to_have_count(0)
    root.get_by_role("checkbox", name="Show all files, 1 more").check()
    root.get_by_role("option", name="notes.txt").click()
    expect(root.get_by_role("alert")).to_contain_text("no checkpoint")
    root.get_by_role("option", name="evil.pt").click()
    expect(root.get_by_role("alert")).to_contain_text("posix")
    expect(root.get_by_role("option", name="evil.pt")).to_contain_text("refused: needs code")
    expect(root.get_by_role("option", name="way-out")).to_contain_text("leads out of this folder")
    assert not (lab.server.work / "canary").exists()
    notebook.execute("import shutil; shutil.rmtree('shelf')")
    root.get_by_role("button", name="Read the folder again").click()
    expect(root.get_by_role("alert").first).to_contain_text("This folder can’t be read.")
    root.get_by_role("button", name="work").click()
    expect(root.get_by_role("listbox", name="Files in work")).to_be_visible()


def test_hostile_names_of_files_tensors_and_metadata_are_inert(lab):
    _, explorer = begun(lab, HOSTILE)
    root = explorer.root
    root.get_by_role("option", name="<img").click()
    expect(row(explorer, "<img src=x", "unexpected")).to_be_visible()
    expect(root.get_by_role("region", name="Header")).to_contain_text("<img src=x")
    root.get_by_role("tab", name="Contents").click()
    expect(root.get_by_role("treeitem").first).to_be_visible()
    root.get_by_role("tab", name="Differences").click()
    root.get_by_role("button", name="Compare", exact=True).click()
    expect(row(explorer, "<img src=x", "only first")).to_be_visible()
    made = "(root) => root.querySelectorAll('img, script, iframe, object, embed, [onerror]').length"
    assert root.evaluate(made) == 0
    assert explorer.page.evaluate("() => window.pwned") is None
    box = root.bounding_box()
    assert root.evaluate("(root) => root.scrollWidth") <= box["width"] + 1


def test_fifty_thousand_names_are_planned_with_few_rows_in_the_page(lab):
    _, explorer = begun(lab, MANY)
    pick(explorer, "many.safetensors")
    entries = explorer.root.get_by_role("list", name="Load plan")
    expect(row(explorer, "body.0.bias", "missing")).to_be_visible(timeout=60_000)
    chip = explorer.root.get_by_role("button", name="unexpected")
    expect(chip).to_contain_text("50\u202f000")
    chip.click()
    expect(entries.get_by_role("listitem").first).to_contain_text("layers.")
    entries.evaluate("(list) => { list.scrollTop = list.scrollHeight; }")
    expect(entries.locator("[aria-posinset='50000']")).to_be_visible()
    assert entries.get_by_role("listitem").count() < 160
    explorer.root.get_by_role("searchbox", name="Find in the plan").fill("layers.777.")
    expect(entries.locator("[aria-posinset='1']")).to_contain_text("layers.777.")
    expect(entries.locator("[aria-setsize='1']")).to_have_count(1)


def test_a_pass_without_a_mouse(lab):
    notebook = lab.open([models.LOAD, NET, FILES, "%nn net"])
    notebook.run(0, 1, 2, 3)
    explorer = notebook.explorer(3)
    keys = explorer.page.keyboard
    opener = explorer.root.get_by_role("button", name="Checkpoints")
    opener.focus()
    keys.press("Enter")
    expect(explorer.root.get_by_role("button", name="Model")).to_be_focused()
    listbox = explorer.root.get_by_role("listbox")
    shelf = explorer.root.get_by_role("option", name="shelf")
    expect(shelf).to_be_visible()
    press_until(keys, "Tab", lambda: listbox.evaluate("(list) => list.getRootNode().activeElement === list"))
    press_until(keys, "ArrowDown", lambda: listbox.get_attribute("aria-activedescendant") == shelf.get_attribute("id"))
    keys.press("Enter")
    expect(explorer.root.get_by_role("listbox", name="Files in shelf")).to_be_visible()
    keys.press("End")
    keys.press("Home")
    keys.press("Enter")
    expect(explorer.root.locator("[aria-selected=true][role=option]")).to_have_count(1)
    keys.press("Escape")
    expect(opener).to_be_focused()
    expect(explorer.grid).to_be_visible()
    assert len(notebook.cells()) == 4


@pytest.mark.parametrize("width", ["wide", "narrow"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_violation_in_any_state_in_the_hosts_colours(lab, theme, width):
    dress(lab, theme, width)
    _, explorer = begun(lab)
    root = explorer.root

    def shot(name):
        explorer.screenshot(f"checkpoints-{name}-{theme}-{width}")

    assert violations(explorer) == []
    pick(explorer, "step-100.safetensors")
    expect(row(explorer, "body.0.weight", "match")).to_be_attached()
    root.get_by_role("button", name="edit for output.bias").click()
    assert violations(explorer) == []
    root.get_by_role("button", name="Leave the name").click()
    root.get_by_role("button", name="Accept all 2").click()
    expect(row(explorer, "output.weight", "renamed")).to_be_visible()
    shot("plan")
    root.get_by_role("button", name="Load all 6").click()
    expect(root.get_by_role("status").filter(has_text="Loaded 6 tensors")).to_be_visible()
    assert violations(explorer) == []
    shot("loaded")
    pick(explorer, "wider.safetensors")
    expect(row(explorer, "body.0.weight", "shape mismatch")).to_be_visible()
    assert violations(explorer) == []
    shot("mismatch")
    root.get_by_role("tab", name="Contents").click()
    expect(root.get_by_role("treeitem").first).to_be_visible()
    assert violations(explorer) == []
    shot("contents")
    root.get_by_role("tab", name="Differences").click()
    root.get_by_role("button", name="Compare", exact=True).click()
    expect(row(explorer, "extra.bias")).to_be_visible()
    assert violations(explorer) == []
    shot("diff")
    root.get_by_role("button", name="Save net as").click()
    root.get_by_role("textbox", name="File name").fill("wider.safetensors")
    root.get_by_role("textbox", name="File name").press("Enter")
    expect(root.get_by_role("alert")).to_be_visible()
    assert violations(explorer) == []
    shot("save")
    root.get_by_role("option", name="broken.safetensors 15").click()
    expect(root.get_by_role("alert").filter(has_text="can’t be read")).to_be_visible()
    assert violations(explorer) == []
    shot("error")
    whole = root.bounding_box()
    assert root.evaluate("(root) => root.scrollWidth") <= whole["width"] + 1
