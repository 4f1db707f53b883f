"""%nn stats: all tensors of a model, a row each."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.ipython_shell import shell


@pytest.fixture(scope="module")
def ip():
    with shell() as started:
        yield started


@pytest.fixture
def net(ip):
    torch.manual_seed(0)
    made = ip.variables["net"] = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 2))
    return made


def names(text):
    return [line.split()[0] for line in text.splitlines()[1:-1]]


def test_it_prints_what_the_function_returns_in_the_order_asked_for(ip, net):
    assert ip.nn("stats net") == str(nnw.stats(net))
    assert names(ip.nn("stats net Linear.weight")) == ["0.weight", "2.weight"]
    assert names(ip.nn("stats net --sort std")) == [row.path for row in nnw.stats(net).sort("std")]


def test_a_table_is_a_page_in_a_notebook(ip, net):
    (html,) = ip.run("%nn stats net").html
    assert html.count("<tr>") == 5
    ip.variables["table"] = nnw.stats(net)
    (again,) = ip.run("display(table)").html
    assert again == html


def test_what_is_not_there_is_refused_with_what_is(ip, net):
    assert "0.weight" in ip.refused("stats net 0.wieght")
    assert "Did you mean std" in ip.refused("stats net --sort sdt")
    assert "no model is named" in ip.refused("stats")


def test_tab_offers_tensors_classes_and_columns(ip, net):
    assert {"0.weight", "0.bias"} <= set(ip.completions("%nn stats net 0."))
    assert "Linear.weight" in ip.completions("%nn stats net Linear.")
    assert ip.completions("%nn stats net --sort no") == ["norm", "note"]
