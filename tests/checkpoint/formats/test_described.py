"""Objects that are no plain data are described: class name, state and tensors, nothing of them built."""

from __future__ import annotations

import argparse
import collections
import copy
import datetime as dt
import decimal
import enum
import pathlib
import pickle
import random
import types
import uuid

import numpy as np
import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint import peek, read
from tests.support.stacks import needs_torch
from tests.support.torch_builder import Call, Global, Raw, opcodes, tensor, torch_zip
from tests.support.torch_files import saved

HERE = __name__


class Kind(enum.Enum):
    SMALL = "s"


class Rank(enum.IntEnum):
    FIRST = 1


class Config:
    n_made = 0

    class Inner:
        pass

    def __init__(self, **given):
        self.__dict__.update(given)

    def __new__(cls, **_):
        Config.n_made += 1
        return super().__new__(cls)

    def __setstate__(self, state):
        raise AssertionError

    def method(self):
        raise AssertionError


class Slotted:
    __slots__ = ("a", "b")


class Mapping(dict):
    pass


class Several(list):
    pass


def slotted():
    made = Slotted()
    made.a, made.b = 1, torch.ones(2)
    return made


def told(value, folder, **kwargs):
    """What is read of an object beside a state dict, which loads."""
    net = nn.Linear(2, 3)
    file = saved({"state_dict": net.state_dict(), "it": value}, folder, **kwargs)
    assert nnw.load(nn.Linear(2, 3), file).verified
    return read(file)["it"]


PLACE = pathlib.PurePosixPath("/data/x")
OBJECTS = {
    "argparse.Namespace": (argparse.Namespace(lr=0.1), {"lr": 0.1}),
    "types.SimpleNamespace": (types.SimpleNamespace(a=[1]), {"a": [1]}),
    "pathlib.PurePosixPath": (PLACE, PLACE.__reduce__()[1]),  # in parts before Python 3.15
    "datetime.date": (dt.date(2024, 1, 2), (bytes([7, 232, 1, 2]),)),
    "decimal.Decimal": (decimal.Decimal("1.5"), ("1.5",)),
    "uuid.UUID": (uuid.UUID(int=3), {"int": 3}),
    "collections.deque": (collections.deque([1, 2], 3), {"arguments": ((), 3), "items": [1, 2]}),
    f"{HERE}.Kind": (Kind.SMALL, ("s",)),
    f"{HERE}.Rank": (Rank.FIRST, (1,)),
    f"{HERE}.Config": (Config(depth=3), {"depth": 3}),
    f"{HERE}.Mapping": (Mapping(a=1), {"a": 1}),
    f"{HERE}.Several": (Several([1, 2]), [1, 2]),
    "builtins.range": (range(3), (0, 3, 1)),
    "builtins.slice": (slice(1, None), (1, None, None)),
    "random.Random": (random.Random(0), None),  # noqa: S311
    "re._compile": (__import__("re").compile("a+"), ("a+", 32)),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_is_described_by_its_class_and_state(name, protocol, tmp_path):
    value, state = OBJECTS[name]
    found = told(value, tmp_path, pickle_protocol=protocol)
    assert (type(found), found.class_name) == (nnw.Described, name)
    assert state is None or found.state == state


def test_nothing_of_an_object_is_imported_called_or_built(tmp_path):
    file = saved({"w": torch.ones(2), "config": Config(depth=3), "bound": Config().method}, tmp_path)
    before = Config.n_made
    made = read(file)
    assert Config.n_made == before
    assert made["bound"].class_name == f"{HERE}.Config.method"
    file.write_bytes(torch_zip({"it": Call("nowhere.at.all", "Gone", 1)}))
    assert read(file)["it"] == nnw.Described("nowhere.at.all.Gone", (1,))


@needs_torch("serialization.safe_globals")
def test_what_the_user_allowed_to_torch_is_described_all_the_same(tmp_path):
    file = saved({"config": Config(depth=3)}, tmp_path)
    before = Config.n_made
    with torch.serialization.safe_globals([Config]):
        assert read(file)["config"].state == {"depth": 3}
    assert Config.n_made == before


def test_tensors_in_an_objects_state_are_read_and_listed_by_their_place(tmp_path):
    given = argparse.Namespace(mean=torch.arange(3.0), more=[torch.ones(1)], of=slotted())
    file = saved({"args": given, "state_dict": nn.Linear(2, 3).state_dict()}, tmp_path)
    found = read(file)["args"].state
    assert found["mean"].tolist() == [0, 1, 2]
    assert found["of"].state["b"].tolist() == [1, 1]
    assert [each.name for each in peek(file).rest] == ["args.mean", "args.more[0]", "args.of.b"]
    assert peek(file).values["args"] == "<argparse.Namespace>"
    assert peek(file).values["args.of.a"] == "1"


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_class_within_a_class_has_its_whole_name(protocol, tmp_path):
    assert told(Config.Inner(), tmp_path, pickle_protocol=protocol).class_name == f"{HERE}.Config.Inner"
    assert told(Config.Inner, tmp_path, pickle_protocol=protocol) == nnw.Described(f"{HERE}.Config.Inner", None)


@pytest.mark.parametrize("value", [nn.LayerNorm, torch.relu, torch.nn.functional.gelu, np.float32, type(None), dict])
def test_a_class_or_a_function_that_is_only_named_has_no_state(value, tmp_path):
    found = told(value, tmp_path)
    assert type(found) is nnw.Described
    assert found.state is None


def test_objects_as_keys_and_in_sets_are_described(tmp_path):
    found = told({Kind.SMALL: 1, "s": {Kind.SMALL}, ("a", pathlib.PurePosixPath("x")): 2}, tmp_path)
    keys = list(found)
    assert (keys[0].class_name, keys[2][1].state) == (f"{HERE}.Kind", ("x",))
    assert next(iter(found["s"])) is keys[0]


def test_an_optimizer_that_was_pickled_whole_with_parameters_as_keys_is_described(tmp_path):
    net = nn.Linear(2, 3)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    found = told([optimizer, scheduler], tmp_path)
    assert [each.class_name.rsplit(".", 1)[-1] for each in found] == ["Adam", "StepLR"]
    state = found[0].state["state"]
    assert [key.class_name for key in state] == ["torch.Tensor"] * 2
    assert [each["exp_avg"].shape for each in state.values()] == [(3, 2), (3,)]
    assert found[1].state["optimizer"] is found[0]


def test_objects_that_hold_each_other_are_described_as_they_are(tmp_path):
    one, other = Config(), Config()
    one.other, other.others = other, [one]
    found = told(one, tmp_path)
    assert found.state["other"].state["others"][0] is found
    assert "…" in repr(found) or "..." in repr(found)


@pytest.mark.parametrize(("n", "is_read"), [(300, True), (2_000, False)])
def test_a_chain_of_objects_is_read_unless_it_is_very_long(n, is_read, tmp_path):
    node = opcodes(Global("here", "Node"))
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip({"w": tensor(), "chain": Raw(b"N" + (b"q\x010" + node + b")\x81h\x01b") * n)}))
    if is_read:
        assert read(file)["chain"].state.state.class_name == "here.Node"
    else:
        with pytest.raises(nnw.CorruptCheckpointError, match="nests objects more than 1000 deep") as raised:
            read(file)
        assert "damaged" not in str(raised.value)


def test_a_name_made_to_mislead_is_shown_as_text(tmp_path):
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip({"x": Call("a.<script>\x1b[2J", "\u202eevil" + "y" * 500, 1)}))
    found = read(file)["x"].class_name
    assert found.startswith("a.<script>\\x1b[2J.\\u202eevil")
    assert len(found) < 250
    assert found in peek(file).values["x"] or peek(file).values["x"].endswith("…")


ARRAYS = {
    "floats": np.arange(6.0, dtype=np.float32).reshape(2, 3),
    "column by column": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "sliced": np.arange(10)[::2],
    "no elements": np.zeros((0, 3)),
    "a scalar": np.array(3.5),
    "flags": np.array([True, False]),
    "one flag": np.array([True]),
    "halves": np.ones(3, np.float16),
    "complex": np.ones(2, np.complex64) * 1j,
    "unsigned": np.array([1, 65535], np.uint16),
    "another byte order": np.arange(4, dtype=">i4"),
    "another byte order, complex": np.array([1 + 2j], dtype=">c16"),
    "a matrix": np.arange(4).reshape(2, 2).view(np.matrix),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_is_the_tensor_of_its_bytes(name, protocol, tmp_path):
    file = tmp_path / "it.pkl"
    file.write_bytes(pickle.dumps({"x": ARRAYS[name], "again": [ARRAYS[name]]}, protocol))
    found = read(file)
    native = np.asarray(ARRAYS[name]).astype(ARRAYS[name].dtype.newbyteorder("="), order="K")
    expected = torch.from_numpy(native.copy(order="K"))
    assert found["x"].shape == expected.shape
    assert (found["x"].dtype, found["x"].tolist()) == (expected.dtype, expected.tolist())
    assert found["again"][0] is found["x"]


NUMBERS = [np.float32(0.1), np.float64(0.1), np.int64(-3), np.uint8(200), np.bool_(True), np.complex64(1j)]


@pytest.mark.parametrize("value", [*NUMBERS, np.dtype(">f4").type(2.5)], ids=repr)
def test_a_number_of_numpy_is_pythons(value, tmp_path):
    found = told([value, {value: 1}], tmp_path)
    assert found == [value.item(), {value.item(): 1}]
    assert type(found[0]) is type(value.item())


@pytest.mark.parametrize(
    "value",
    [
        np.array(["a", "b"]),
        np.array([1, None], object),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.ma.array([1.0, 2.0], mask=[0, 1]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.datetime64("2020-01-01"),
        np.str_("x"),
        np.random.default_rng(0),
        np.random.RandomState(0),
        np.dtype("f4"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_of_numpy_is_no_tensor_is_described(value, tmp_path):
    found = told(value, tmp_path)
    assert type(found) is nnw.Described
    assert found.class_name.startswith("numpy.")


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_state_dict_of_arrays_loads(is_zip, tmp_path):
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    file = saved(state, tmp_path, _use_new_zipfile_serialization=is_zip)
    other = copy.deepcopy(net)
    nn.init.zeros_(other[0].weight)
    assert nnw.load(other, file).n_loaded == 7
    assert torch.equal(other[0].weight, net[0].weight)
    assert peek(file).ties == ()


def test_small_arrays_of_the_same_bytes_are_not_tied(tmp_path):
    file = saved({"a": np.array([1], np.uint8), "b": np.array([1], np.uint8)}, tmp_path)
    assert peek(file).ties == ()
