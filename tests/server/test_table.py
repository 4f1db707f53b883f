"""`table` and `mark`: all tensors of a model, window by window, as the page asks for them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.edit import set_budget
from nnwidgets.wire.schema import KINDS
from nnwidgets.wire.validation import validate

WHOLE = {
    "fresh": True, "filter": "", "chips": [], "sort": None, "descending": True, "start": 0, "count": 500, "text": "",
}  # fmt: skip


@pytest.fixture
def net(monkeypatch):
    import __main__

    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    monkeypatch.setattr(__main__, "asked_about", made, raising=False)
    return made


def ask(kind="table", **body):
    whole = WHOLE if kind == "table" else {}
    reply = nnw.handle({"v": 1, "id": "1", "kind": kind, "body": {"model": "asked_about", **whole, **body}})
    assert reply["ok"], reply
    validate(reply["body"], KINDS[kind][1])
    return reply["body"]


def paths(reply):
    return [row["path"] for row in reply["rows"]]


def test_a_window_has_what_stats_of_the_model_has(net):
    reply = ask(start=1, count=2)
    assert (reply["total"], reply["n_tensors"], reply["start"]) == (4, 4, 1)
    table = nnw.stats(net)
    assert [row["norm"] for row in reply["rows"]] == [row.norm for row in table[1:3]]
    assert reply["columns"] == ["path", "shape", "dtype", "mean", "std", "min", "max", "norm", "n_zero"]


def test_columns_are_those_in_which_something_stands(net):
    net(torch.randn(2, 4)).sum().backward()
    net[0].weight.grad[0, 0] = math.nan
    net[2].bias.data[0] = math.inf
    net.again = net[0].weight
    assert ask()["columns"][9:] == ["n_inf", "grad_norm", "n_grad_bad", "note"]


def test_the_trees_filter_and_chips_keep_rows_and_what_is_sorted_is_sorted_before_it_is_cut(net):
    assert paths(ask(filter="Linear.weight")) == ["0.weight", "2.weight"]
    assert paths(ask(filter="2")) == ["2.weight", "2.bias"]
    net[0].requires_grad_(False)
    assert paths(ask(chips=["frozen"])) == ["0.weight", "0.bias"]
    by_norm = [row.path for row in nnw.stats(net).sort("norm")]
    assert paths(ask(sort="norm", count=2)) == by_norm[:2]
    assert paths(ask(sort="norm", descending=False)) == by_norm[::-1]


def test_text_is_of_all_rows_that_are_kept(net):
    reply = ask(filter="Linear.weight", sort="std", count=0, text="csv")
    assert reply["rows"] == []
    assert reply["text"] == nnw.stats(net, "Linear.weight").sort("std").to_csv()
    assert ask(text="markdown", count=0)["text"] == nnw.stats(net).to_markdown()


def test_nothing_is_measured_anew_unless_asked(net):
    before = ask()["rows"][0]["max"]
    net[0].weight.data.fill_(9.0)
    assert ask(fresh=False)["rows"][0]["max"] == before
    assert ask()["rows"][0]["max"] == 9.0


def test_a_mark_gives_a_column_until_it_is_let_go_of(net):
    mark = ask("mark", set=True)
    assert mark["has_values"]
    assert mark["size_bytes"] == 4 * (12 + 3 + 6 + 2)
    net[2].bias.data.mul_(3.0)
    reply = ask(sort="moved")
    assert reply["mark"] == mark["mark"]
    assert reply["rows"][0]["path"] == "2.bias"
    assert reply["rows"][0]["moved"] == pytest.approx(2.0)
    assert ask("mark", set=False)["mark"] is None
    assert "moved" not in ask()["columns"]


def test_a_mark_that_would_not_fit_keeps_digests(net):
    set_budget(net, 10)
    assert not ask("mark", set=True)["has_values"]
    net[2].bias.data.mul_(3.0)
    row = ask(filter="2.bias")["rows"][0]
    assert row["moved"] is None
    assert row["note"].startswith("another digest")
