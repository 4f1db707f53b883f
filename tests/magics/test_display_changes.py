"""A change and a history at the end of a cell, made from Python."""

import pytest
from torch import nn

from nnwidgets.magics import unload
from tests.support.ipython_shell import shell


@pytest.fixture
def ip():
    with shell() as started:
        started.variables["net"] = nn.Sequential(nn.Linear(2, 3))
        started.run("import nnwidgets as nnw")
        yield started


def displayed(ip, code):
    """What the formatters of a notebook make of an expression's value."""
    value = ip.ip.ev(code)
    ip.ip.display_formatter.active_types = ["text/plain", "text/html"]
    data, _ = ip.ip.display_formatter.format(value)
    return data


def test_a_change_is_shown_with_its_numbers_and_its_names_as_text(ip):
    data = displayed(ip, "nnw.init(net, '0.weight', 'normal_', std=0.5, seed=7)")
    assert "normal_(std=0.5)" in data["text/html"]
    assert "<table" in data["text/html"]
    assert "before" in data["text/html"]
    assert "0.weight" in data["text/html"]
    assert data["text/plain"] == "Change(normal_(std=0.5): 0.weight, seed 7)"


def test_a_history_is_shown_as_a_table(ip):
    ip.run("nnw.init(net, '0.weight', 'normal_', seed=7); nnw.freeze(net, '0.bias'); nnw.undo(net);")
    data = displayed(ip, "nnw.history(net)")
    assert "<table" in data["text/html"]
    assert "undone" in data["text/html"]
    assert "Undo copies" in data["text/html"]
    assert data["text/plain"].startswith("  1")


def test_a_hostile_name_is_no_markup(ip):
    ip.variables["name"] = "<script>x"
    ip.variables["net"].register_parameter("<script>x", nn.Parameter(ip.variables["net"][0].bias.detach().clone()))
    data = displayed(ip, "nnw.init(net, name, 'zeros_')")
    assert "<script" not in data["text/html"]
    assert "&lt;script&gt;x" in data["text/html"]


def test_after_unloading_they_print(ip):
    unload(ip.ip)
    assert "text/html" not in displayed(ip, "nnw.init(net, '0.weight', 'normal_', seed=7)")
    assert "text/html" not in displayed(ip, "nnw.history(net)")
