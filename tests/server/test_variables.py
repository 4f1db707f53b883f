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
        gc.collect(1)  # all of it takes a second where much is loaded
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


class Trainer:
    """Holds a model as a trainer does; answers for nothing that it wasn't given."""

    def __init__(self, model):
        self.model = model
        self._hidden = model

    def __getattr__(self, name):
        raise RuntimeError(f"asked for {name}")


def test_models_right_within_variables_are_listed_and_reached_by_what_python_calls_them(cell):
    nets = [nn.Linear(2, 3), nn.ReLU(), nn.Tanh(), nn.Conv1d(1, 1, 1)]
    cell(
        models=[nets[0], "no model", nets[1]],
        by_name={"a b": nets[2], 3: nets[0]},
        trainer=Trainer(nets[3]),
        _hidden=nn.Linear(9, 9),
        again=nets[1],
        kinds=nn,
    )
    told = names(variables()["modules"])
    assert told == [("again", "ReLU"), ("models[0]", "Linear"), ("by_name['a b']", "Tanh"), ("trainer.model", "Conv1d")]
    for name, class_name in told:
        reply = nnwidgets.handle({"v": 1, "id": "1", "kind": "open", "body": {"model": name}})
        assert reply["body"]["class_name"] == class_name
    reply = nnwidgets.handle({"v": 1, "id": "1", "kind": "inspect", "body": {"model": "models[0]", "path": "weight"}})
    assert reply["body"]["code"][0]["code"] == "models[0].weight"


@pytest.mark.parametrize("name", ["trainer.gone", "models[7]", "models[0].weight", "print(1)", "trainer.__class__"])
def test_no_other_expression_is_a_name(cell, name):
    cell(models=[nn.Linear(2, 3)], trainer=Trainer(nn.ReLU()))
    reply = nnwidgets.handle({"v": 1, "id": "1", "kind": "open", "body": {"model": name}})
    assert reply["error"]["code"] == "model-not-found"
