"""What the functions return, shown at the end of a cell."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nnwidgets.magics.subcommands.table import SUBCOMMANDS
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


GIVEN = {
    "tree net": "ModuleTree",
    "tree net 0": "ModuleNode",
    "show net 0.weight": "TensorStats",
    "stats net": "StatsTable",
    "summary net": "str",
    "show net 0": "ModuleNode",
    "tied net": "TieGroups",
    "check net": "Findings",
    "trace net X": "Trace",
    "graph net X": "FlowGraph",
    "activations net X --loss noise": "Activations",
    "inits net X zeros_ normal_": "InitComparison",
    "costs net X": "Costs",
    "optimizer net": "OptimizerTable",
    "explore net": "Explorer",
    "init net 0.weight zeros --preview": "Change",
    "set net 0.bias[0] = 1": "Change",
    "freeze net 0": "Change",
    "unfreeze net 0": "Change",
    "undo net": "Change",
    "redo net": "Change",
    "snapshot net before": "Snapshot",
    "log net": "History",
    "code net": "str",
    "save net it.pt --overwrite": "SaveReport",
    "load net it.pt --dry-run": "LoadPlan",
    "load net it.pt": "LoadReport",
    "load made it.pt": "dict",
    "diff net it.pt": "StateDiff",
    "ls it.pt": "CheckpointIndex",
    "ls": "Listing",
    "net": "Explorer",
}


def test_each_subcommand_of_a_model_gives_its_result():
    given = {line.split()[0] for line in GIVEN}
    assert {each.name for each in SUBCOMMANDS.values() if each.takes_model} <= given


def test_a_line_gives_what_it_shows_and_shows_it_once(ip):
    ip.run("X = torch.ones(1, 2)\nmade = None\nadam = torch.optim.Adam(net.parameters())")
    for line, kind in GIVEN.items():
        ran = ip.run(f"result = %nn {line}")
        assert ran.error is None, (line, ran.printed)
        assert type(ip.variables.pop("result")).__name__ == kind, line
        assert len(ran.outputs) == 1, line


@pytest.mark.parametrize("interactivity", ["last_expr", "all"])
def test_a_bare_line_is_shown_once_wherever_it_stands(ip, interactivity):
    cells = {
        "%nn tree net": 1,
        "%nn tree net\n%nn tied net": 2,
        "for _ in range(3):\n    %nn check net": 3,
        "%%nn_init net Linear\nm.weight.zero_()": 1,
        "%nn net": 1,
    }
    ip.ip.ast_node_interactivity = interactivity
    try:
        for cell, n in cells.items():
            ran = ip.run(cell)
            assert (len(ran.outputs), ran.printed) == (n, ""), cell
    finally:
        ip.ip.ast_node_interactivity = "last_expr"


def test_a_semicolon_at_its_end_shows_nothing_and_gives_the_result(ip):
    for line in ("tree net;", "show net 0.weight ;  # quietly", "net;", "freeze net 0;"):
        ran = ip.run(f"%nn {line}")
        assert ran.error is None, ran.printed
        assert (ran.outputs, ran.printed) == ([], ""), line
    assert not ip.variables["net"][0].weight.requires_grad
    ip.run("tree = %nn tree net;")
    assert str(ip.variables["tree"]).startswith("Sequential")
