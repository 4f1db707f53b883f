"""What a front end is told of the notebook's variables: by type alone, and without keeping any alive."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest
import torch
from torch import nn

import nnwidgets
from nnwidgets.server.notebook.variables import Identities


class Secretive(nn.Module):
    """A module whose class and attributes answer nobody."""

    @property
    def __class__(self):
        raise RuntimeError("asked for the class")

    def __getattribute__(self, name):
        raise RuntimeError(f"asked for {name}")


@pytest.fixture
def cell(monkeypatch):
    """Makes variables of the notebook for as long as a test lasts."""
    main = sys.modules["__main__"]
    for name, value in list(vars(main).items()):
        if isinstance(value, nn.Module | torch.optim.Optimizer):
            monkeypatch.delattr(main, name)

    def run(**values):
        for name, value in values.items():
            monkeypatch.setattr(main, name, value, raising=False)

    return run


def variables():
    reply = nnwidgets.handle({"v": 1, "id": "1", "kind": "variables", "body": {}})
    assert reply["ok"], reply
    return reply["body"]


def names(listed):
    return [(each["name"], each["class_name"]) for each in listed]


def test_modules_and_optimizers_are_listed_and_nothing_else(cell):
    net = nn.Linear(2, 3)
    cell(net=net, trainer=torch.optim.AdamW(net.parameters()), x=torch.ones(2), kind=nn.Linear, _=net, _12=net)
    told = variables()
    assert names(told["modules"]) == [("net", "Linear")]
    assert names(told["optimizers"]) == [("trainer", "AdamW")]


def test_listing_runs_no_code_of_a_module(cell):
    cell(secret=Secretive.__new__(Secretive))
    assert names(variables()["modules"]) == [("secret", "Secretive")]


def test_two_names_of_one_model_have_one_identity(cell):
    net = nn.Linear(2, 3)
    cell(net=net, same=net, other=nn.Linear(2, 3))
    first, second, third = (each["identity"] for each in variables()["modules"])
    assert first == second != third
    assert [each["identity"] for each in variables()["modules"]] == [first, second, third]


def test_a_model_made_anew_under_its_name_has_another_identity_whatever_its_address(cell):
    seen = set()
    for _ in range(20):
        cell(net=nn.Linear(2, 3))
        gc.collect()
        (told,) = variables()["modules"]
        seen.add(told["identity"])
    assert len(seen) == 20


def test_a_listed_model_is_not_kept_alive():
    numbers, net = Identities(), nn.Linear(2, 3)
    numbers.of(net)
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None
    assert numbers._known == {}
