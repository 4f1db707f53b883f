"""With the extension loaded a module whose own repr raises prints our tree."""

from __future__ import annotations

import pytest
from torch import nn

from tests.support.ipython_shell import shell


class Raising(nn.Linear):
    def __repr__(self):
        raise ValueError("no name yet")


class RaisingExtra(nn.Linear):
    def extra_repr(self):
        return self.missing


class Fine(nn.Linear):
    def __repr__(self):
        return "fine"


def unnamed():
    made = nn.Module()
    made._modules = None
    return made


@pytest.mark.parametrize(("make", "why"), [
    (lambda: Raising(2, 3), "ValueError: no name yet"),
    (lambda: RaisingExtra(2, 3), "AttributeError"),
    (lambda: nn.Sequential(nn.Linear(2, 3), RaisingExtra(2, 3)), "AttributeError"),
    (unnamed, "repr raised"),
    (lambda: [nn.ReLU(), Raising(2, 3)], "ValueError: no name yet"),
    (lambda: {"first": Raising(2, 3)}, "ValueError: no name yet"),
])  # fmt: skip
def test_it_prints_the_tree_and_why(make, why):
    with shell() as ip:
        ip.variables["net"] = make()
        ran = ip.run("display(net)")
        assert ran.error is None
        assert "This is nnwidgets' tree: its own repr raised" in ran.text
        assert why in ran.text
        assert "Traceback" not in ran.text
        ip.run("%unload_ext nnwidgets")
        assert "nnwidgets' tree" not in (ip.run("display(net)").text or "")


def test_every_other_module_and_object_prints_as_ever():
    with shell() as ip:
        for value, said in (
            (Fine(2, 3), "fine"), (nn.ReLU(), "ReLU()"), ([1, 2], "[1, 2]"), ("a", "'a'"), ([], "[]"),
            ([nn.ReLU()], "[ReLU()]"),
        ):  # fmt: skip
            ip.variables["it"] = value
            assert ip.run("display(it)").text == said
