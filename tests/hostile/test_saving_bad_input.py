"""What can't be saved is refused by its place, with what to do; nothing is written."""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.saved_files import names


@dataclasses.dataclass
class Config:
    lr: float = 0.1


def freed():
    made = torch.randn(4, 4)
    made.untyped_storage().resize_(0)
    return made


def packed():
    return {"w": torch._empty_affine_quantized([4], scale=1.0, zero_point=0, dtype=torch.quint4x2)}


def holding_itself():
    made = [torch.ones(1)]
    made.append(made)
    return made


def deep():
    made = [torch.ones(1)]
    for _ in range(100_000):
        made = [made]
    return made


class Code:
    def __reduce__(self):
        raise AssertionError("it was pickled")


REFUSED = {
    "meta": (lambda: {"w": torch.empty(2, device="meta")}, "w", "w can't be saved: no data.*to_empty"),
    "meta module": (lambda: nn.Linear(2, 2, device="meta"), "weight", "weight can't be saved: no data"),
    "lazy": (lambda: nn.LazyLinear(2), "weight", "weight can't be saved: not yet.*Run one forward"),
    "freed": (lambda: {"w": freed()}, "w", "its storage was freed"),
    "nested tensor": (lambda: {"w": torch.nested.nested_tensor([torch.ones(1)])}, "w", "nested.*unbind"),
    "packed": (packed, "w", "w can't be saved: packed below a byte"),
    "object": (lambda: {"xs": [1, Code()]}, "xs[1]", r"xs\[1\] is a Code"),
    "function": (lambda: {"f": print}, "f", "f is a builtin_function_or_method"),
    "module in a dict": (lambda: {"net": nn.Linear(2, 2)}, "net", r"net is a Linear.*state_dict\(\)"),
    "array": (lambda: {"x": np.ones(2)}, "x", "x is a ndarray.*torch.from_numpy"),
    "scalar of numpy": (lambda: {"x": np.float32(1)}, "x", r"x is a float32.*item\(\)"),
    "dataclass": (lambda: {"c": Config()}, "c", "c is a Config.*asdict"),
    "namespace": (lambda: {"args": argparse.Namespace(lr=1)}, "args", r"args is a Namespace.*vars\(\)"),
    "key": (lambda: {Code(): torch.ones(1)}, None, "has a key that is a Code"),
    "tensor as key": (lambda: {torch.ones(1): 1}, None, "has a key that is a Tensor"),
    "circle": (holding_itself, "[1]", "holds itself"),
    "too deep": (deep, None, "nested too deeply"),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors", "ignore:Lazy modules are a new feature")
@pytest.mark.parametrize("name", REFUSED)
def test_what_torch_could_not_read_back_without_running_code_is_refused_by_its_place(name, tmp_path):
    build, path, says = REFUSED[name]
    with pytest.raises(nnw.SaveError, match=f"(?s){says}") as raised:
        nnw.save(build(), tmp_path / "x.pt")
    assert raised.value.path == path
    assert names(tmp_path) == []


@pytest.mark.parametrize("thing", [7, "text", None, torch.optim.SGD, object()])
def test_a_thing_of_another_kind_is_refused(thing, tmp_path):
    with pytest.raises(nnw.InvalidTargetError, match="expected a module, a tensor, or a list or dict"):
        nnw.save(thing, tmp_path / "x.pt")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (torch.ones(1), "this is a tensor.*torch file"),
        ([torch.ones(1)], "this is a list"),
        ({"a": torch.ones(1), "epoch": 3}, "'epoch' is a int"),
        ({"model": {"a": torch.ones(1)}}, "'model' is a dict"),
        ({0: torch.ones(1)}, "a key is 0"),
        ({"__metadata__": torch.ones(1)}, "keeps for itself"),
        ({"\ud800": torch.ones(1)}, "no text that safetensors can hold"),
    ],
)
def test_what_safetensors_has_no_place_for_is_refused(thing, says, tmp_path):
    for target in ("x.safetensors", "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(nnw.SaveError, match=f"(?s){says}"):
            nnw.save(thing, tmp_path / target)
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == []


@pytest.mark.parametrize("size", [0, -1, 1.5, "large", "5 XB", "0GB", True])
def test_a_shard_size_that_is_none_is_refused(size, tmp_path):
    with pytest.raises(nnw.InvalidTargetError, match=r"shard_size is .*5GB"):
        nnw.save({"a": torch.ones(1)}, tmp_path / "folder", shard_size=size)
    assert names(tmp_path) == []


def test_shards_do_not_go_to_what_looks_like_a_file(tmp_path):
    with pytest.raises(nnw.SaveError, match=r"the path names a folder, and net.safetensors looks like a file"):
        nnw.save({"a": torch.ones(1)}, tmp_path / "net.safetensors", shard_size="1GB")
    assert names(tmp_path) == []


@pytest.mark.parametrize("path", [None, 7, "", "a\0b", b""])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(nnw.InvalidTargetError, match="The path is"):
        nnw.save({"a": torch.ones(1)}, path)


class Raising:
    def state_dict(self):
        raise RuntimeError("no state")


@pytest.mark.parametrize(("optimizer", "says"), [(Raising(), "no state"), ("Adam", "optimizer is a str")])
def test_an_optimizer_that_is_none_is_refused(optimizer, says, tmp_path):
    with pytest.raises(nnw.SaveError, match=says):
        nnw.save(nn.Linear(2, 2), tmp_path / "x.pt", optimizer=optimizer)
    assert names(tmp_path) == []
