"""State dicts within objects that are only described: found, named, loaded, and none of the objects' code runs."""

from __future__ import annotations

import argparse
import collections
import copy
import dataclasses
import enum
import pickle
import types
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.torch_files import saved


@dataclasses.dataclass
class TrainState:
    model: dict
    step: int = 0
    loss: torch.Tensor = dataclasses.field(default_factory=lambda: torch.ones(3))


class Checkpoint(NamedTuple):
    weights: dict
    step: int


class AttributeDict(dict):
    __getattr__ = dict.__getitem__


class EasyDict(dict):
    def __reduce__(self):
        return EasyDict, (dict(self),)


class Named(collections.OrderedDict):
    pass


class Several(list):
    pass


class Noted(dict):
    pass


class Learner:
    is_armed = False

    def __init__(self, model):
        self.model, self.me, self.log = model, self, [{"loss": 1.0}]

    def __setstate__(self, state):
        assert not Learner.is_armed
        self.__dict__ = state


class Key(enum.Enum):
    MODEL = 1


def noted(state):
    made = Noted(model=state)
    made.note = "x"
    return made


# What a state dict is in, and what the load then calls it.
HOLDERS = {
    "a dataclass": (TrainState, "model"),
    "a namedtuple": (lambda state: Checkpoint(state, 3), "[0]"),
    "a namespace": (lambda state: {"it": argparse.Namespace(net=types.SimpleNamespace(sd=state))}, "it.net.sd"),
    "a subclass of dict": (lambda state: AttributeDict(model=state, epoch=3), "model"),
    "one with attributes of its own": (noted, "model"),
    "one that is made from a dict": (lambda state: EasyDict(model=state), "model"),
    "a subclass that is the state dict": (lambda state: {"state_dict": AttributeDict(state)}, "state_dict"),
    "an ordered one that is the state dict": (Named, ""),
    "a dict of collections": (lambda state: {"model": collections.UserDict(state)}, "model.data"),
    "a default dict": (lambda state: collections.defaultdict(dict, net=state), "net"),
    "a subclass of list": (lambda state: Several([{"epoch": 1}, state]), "[1]"),
    "a key that is an object": (lambda state: {Key.MODEL: state, 3: "x"}, None),
    "an object that holds itself": (Learner, "model"),
    "arrays of NumPy": (lambda state: {"model": {name: each.numpy() for name, each in state.items()}}, "model"),
    "a state dict beside an object": (lambda state: {"model": state, "args": argparse.Namespace(lr=1)}, "model"),
    "halves in an object": (
        lambda state: types.SimpleNamespace(a={k: v for k, v in state.items() if k < "1"},
                                            b={k: v for k, v in state.items() if k >= "1"}), "",
    ),
}  # fmt: skip


def net():
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))


def is_loaded(model, state):
    return all(torch.equal(each, state[name]) for name, each in model.state_dict().items())


def replayed(report):
    model = net()
    exec(report.to_code(), {"net": model})  # noqa: S102 - what the user would paste
    return model


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("case", HOLDERS)
def test_a_state_dict_is_found_in_whatever_holds_it(case, is_zip, tmp_path):
    make, name = HOLDERS[case]
    state = {key: each.clone() for key, each in net().state_dict().items()}
    file = saved(make(state), tmp_path, _use_new_zipfile_serialization=is_zip)
    model = net()
    plan = nnw.plan(model, file)
    assert name in {None, plan.entry.name}
    assert plan.is_exact
    report = nnw.load(model, file)
    assert is_loaded(model, state)
    assert is_loaded(replayed(report), state)
    assert nnw.diff(file, model).is_equal
    if plan.entry.name:
        assert nnw.load(net(), file, entry=plan.entry.name).n_loaded == len(state)


@pytest.mark.parametrize(
    "make",
    [
        lambda it: it, lambda it: [it, {"epoch": 1}], lambda it: {"a": {"b": {"c": {"model": it}}}}, Learner,
        lambda it: {"learner": Learner(it)}, lambda it: nn.ModuleList([it]),
    ],
)  # fmt: skip
def test_a_pickled_module_is_found_wherever_it_is_and_the_code_gives_the_same(make, tmp_path):
    source, model = net(), net()
    file = saved(make(source), tmp_path)
    renames = nnw.plan(model, file).renames
    report = nnw.load(model, file, rename=renames)
    assert is_loaded(model, source.state_dict())
    assert is_loaded(replayed(report), source.state_dict())


def test_no_code_of_an_object_that_holds_a_state_dict_runs(tmp_path):
    source, model = net(), net()
    file = saved(Learner(source), tmp_path)
    Learner.is_armed = True
    try:
        assert nnw.peek(file).state_dict == "model"
        report = nnw.load(model, file)
        again = replayed(report)
    finally:
        Learner.is_armed = False
    assert is_loaded(model, source.state_dict())
    assert is_loaded(again, source.state_dict())


def test_a_plain_pickle_of_arrays_is_read_by_the_code_too(tmp_path):
    state = net().state_dict()
    (tmp_path / "x.pkl").write_bytes(
        pickle.dumps({"model": {name: each.numpy() for name, each in state.items()}, "loss": np.float32(3)})
    )
    report = nnw.load(net(), tmp_path / "x.pkl")
    assert is_loaded(replayed(report), state)


def test_what_torch_reads_alone_is_read_by_torch_alone(tmp_path):
    file = saved({"model": net().state_dict(), "epoch": 3, "sizes": [torch.Size([1])]}, tmp_path)
    assert "nnwidgets" not in nnw.load(net(), file).to_code()


def test_attributes_that_are_tensors_are_no_state_dict(tmp_path):
    linear = nn.Linear(3, 2)
    given = argparse.Namespace(weight=torch.ones(2, 3), bias=torch.ones(2))
    file = saved({"args": given, "model": linear.state_dict()}, tmp_path)
    assert [each.name for each in nnw.peek(file).entries] == ["model"]
    model = nn.Linear(3, 2)
    nnw.load(model, file)
    assert torch.equal(model.weight, linear.weight)


def test_two_objects_that_hold_the_model_are_both_named(tmp_path):
    state = net().state_dict()
    other = {name: each + 1 for name, each in state.items()}
    file = saved({"a": TrainState(state), "b": TrainState(other)}, tmp_path)
    model = net()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(nnw.CheckpointMismatchError, match=r"'a\.model', 'b\.model'"):
        nnw.load(model, file)
    assert is_loaded(model, before)
    nnw.load(model, file, entry="b.model")
    assert is_loaded(model, other)


def test_objects_that_share_what_they_hold_are_looked_into_once(tmp_path):
    shared = {"state": {f"{index}.weight": torch.ones(1) for index in range(50)}}
    holders = [types.SimpleNamespace(one=shared, other=[shared] * 3) for _ in range(500)]
    file = saved({"holders": holders, "model": net().state_dict()}, tmp_path)
    assert nnw.plan(net(), file).entry.name == "model"
    assert len(nnw.peek(file).entries) == 2
