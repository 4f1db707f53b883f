"""The advice of errors and warnings, as what to type on a line."""

import copy

import pytest

from nnwidgets.errors import Advice, AdvisedText, PathNotFoundError
from tests.support.ipython_shell import shell


@pytest.fixture(scope="module")
def ip():
    with shell() as started:
        started.run("import torch\nfrom torch import nn")
        yield started


OTHERS_WRITE = "with torch.no_grad():\n    net[0].bias += 1"

GIVEN = {
    Advice.SEE_HISTORY: ("", "%nn undo net", "to undo. %nn log net shows what was done."),
    Advice.FORCE_UNDO: (f"%nn init net 0.bias ones\n{OTHERS_WRITE}", "%nn undo net", " %nn undo net --force does it"),
    Advice.FORCE_REDO: (
        f"%nn init net 0.bias ones\n%nn undo net\n{OTHERS_WRITE}", "%nn redo net", " %nn redo net --force does it"
    ),
    Advice.SEE_TREE: ("", "%nn freeze net 1", "that has; %nn tree net shows them."),
    Advice.ASSIGN: (
        "net.register_buffer('n', torch.tensor(3))", "%nn init net n zeros", " %nn set net path = value sets integers."
    ),
    Advice.FREEZE: (
        "", "%%nn_init net 0\nm.bias.requires_grad_(False)", "Use %nn freeze and %nn unfreeze for that."
    ),
    Advice.CLEAR_STATE: (
        "adam = torch.optim.Adam(net.parameters())\nnet(torch.ones(1, 2)).sum().backward()\nadam.step()",
        "%nn init net 0.weight zeros",
        "move by them. --clear-state clears them.",
    ),
    Advice.LOAD_PARTLY: (
        "torch.save({'0.bias': torch.ones(3)}, 'part.pt')",
        "%nn load net part.pt",
        "%nn load net part.pt --partial loads the 1 of 2 tensors that fit.",
    ),
    Advice.SEE_FILE: (
        "torch.save(net.state_dict(), 'it.pt')", "%nn load net it.pt --rename zzzzzz.=0.",
        "%nn ls and its name lists them.",
    ),
    Advice.SEE_ENTRIES: (
        "torch.save({'a': net.state_dict()}, 'it.pt')", "%nn load net it.pt --entry zzzzzz",
        "Tab after --entry lists them.",
    ),
    Advice.ENTRY: (
        "torch.save({'a': net.state_dict(), 'b': {k: v + 1 for k, v in net.state_dict().items()}}, 'it.pt')",
        "%nn load net it.pt", "Say which one: --entry 'a' or 'b'.",
    ),
    Advice.OVERWRITE: ("%nn save net it.pt", "%nn save net it.pt", "Pass --overwrite to replace it, or choose"),
}  # fmt: skip


@pytest.mark.parametrize("advice", Advice)
def test_advice_reaches_the_line_however_python_words_it(ip, tmp_path, monkeypatch, advice):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(advice, "_value_", "put otherwise")
    before, cell, wanted = GIVEN[advice]
    ip.run(f"net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())\n{before}")
    ran = ip.run(cell)
    said = " ".join((ran.text + ran.printed).split())
    assert wanted in said
    assert "put otherwise" not in said
    ip.run("adam = None")


def test_without_a_front_end_advice_is_python():
    error = PathNotFoundError.among("7", [])
    assert error.advice is Advice.SEE_TREE
    assert str(error) == "No module or tensor at '7' in the model. tree(model) lists them."
    assert PathNotFoundError.among("0.wieght", ["0.weight"]).advice is None


def test_a_copy_of_a_text_keeps_its_advice():
    hint = AdvisedText("Pass ", Advice.OVERWRITE, " to replace it.")
    made = copy.deepcopy(hint)
    assert (made, made.advice) == (hint, Advice.OVERWRITE)
