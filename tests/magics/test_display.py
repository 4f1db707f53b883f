"""What the functions return, shown at the end of a cell."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.support.ipython_shell import shell


@pytest.fixture
def ip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with shell() as started:
        started.run("import torch, nnwidgets as nnw\nfrom torch import nn")
        started.variables["net"] = nn.Sequential(nn.Linear(2, 3))
        started.run("_ = nnw.save(net, 'it.pt')")
        yield started


SHOWN = {
    "nnw.tree(net)": "Linear",
    "nnw.trace(net, torch.ones(1, 2))": "2 calls",
    "nnw.init(net, '0.weight', 'zeros')": "0.weight",
    "nnw.history(net)": "",
    "nnw.peek('it.pt')": "0.weight",
    "nnw.plan(net, 'it.pt')": "2 match",
    "nnw.load(net, 'it.pt')": "equal to the file",
    "nnw.save(net, 'other.pt')": "read back, equal",
    "nnw.diff(net, 'it.pt')": "every bit the same",
}


@pytest.mark.parametrize("expression", SHOWN)
def test_a_result_is_shown_as_its_page_in_a_notebook_and_as_its_repr_in_a_terminal(ip, expression):
    assert ip.run(f"made = {expression}").error is None
    ran = ip.run("display(made)")
    (html,) = ran.html
    assert SHOWN[expression] in html
    assert "<script" not in html
    assert ran.text == repr(ip.variables["made"])


def test_without_the_extension_nothing_is_registered(ip):
    ip.run("%unload_ext nnwidgets")
    assert ip.run("display(nnw.tree(net))").html == []
    ip.run("%load_ext nnwidgets")
    assert len(ip.run("display(nnw.tree(net))").html) == 1


def test_names_in_it_are_inert(ip):
    net = ip.variables["net"]
    net.add_module("<img src=x>", nn.Linear(1, 1))
    torch.save({"<img src=x>": torch.zeros(1)}, "odd.pt")
    for expression in ("nnw.tree(net)", "nnw.peek('odd.pt')", "nnw.plan(net, 'odd.pt')", "nnw.diff(net, 'odd.pt')"):
        (html,) = ip.run(f"display({expression})").html
        assert "<img" not in html
