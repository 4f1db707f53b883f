"""What stands in a pickle is read without running it, alike to torch.load, or refused with all that it wants."""

from __future__ import annotations

import collections
import gc
import re
import tracemalloc
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnwidgets.checkpoint import peek
from nnwidgets.checkpoint.description import Composed, Strided
from nnwidgets.checkpoint.formats import open_checkpoint
from nnwidgets.errors import CorruptCheckpointError, UnsafeCheckpointError
from tests.support.stacks import needs_torch
from tests.support.torch_builder import Call, Global, Raw, Storage, opcodes, pickled, tensor, torch_zip
from tests.support.torch_files import saved


def content(file):
    with open_checkpoint(file) as held:
        return held.content


def read(value, folder, **kwargs):
    return content(saved(value, folder, **kwargs))


PLAIN = {
    "none": None,
    "flags": [True, False],
    "numbers": [0, -1, 255, 256, 65536, -(2**31), 2**31, 2**70, -(2**70), 0.5, float("inf"), -0.0, 1 + 2j],
    "text": ["", "a.b", "ä€😀", "x" * 300],
    "bytes": [b"\x00\xff", bytearray(b"abc")],
    "containers": {"list": [[], [1, [2]]], "tuple": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), "dict": {1: {2: 3}}},
    "sets": [set(), {1, "a"}],
    "keys": {1: 0, "a": 0, (1, "b"): 0, None: 0, 1.5: 0, False: 1},
    "torch": [
        torch.float8_e5m2,
        torch.Size([2, 3]),
        torch.device("cuda", 1),
        torch.sparse_csr,
        torch.per_tensor_affine,
    ],
    "repeated": [["same"]] * 3,
}


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_values_are_read_as_torch_reads_them(kind, tmp_path):
    found = read(PLAIN[kind], tmp_path)
    expected = torch.load(tmp_path / "it.pt", weights_only=False)  # which torch 2.4 asks for a set or a complex number
    assert repr(found) == repr(expected)
    assert type(found) is type(expected)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_that_torch_can_write_is_read(protocol, tmp_path):
    value = {"a": [1, (2.5, None), {"b": b"bytes"}], "s": {1, 2}, "long": "x" * 70_000, "t": torch.arange(3.0)}
    found = read(value, tmp_path, pickle_protocol=protocol)
    assert found["t"].shape == (3,)
    assert {**found, "t": None} == {**value, "t": None}


def test_ordered_dicts_counters_and_default_dicts_are_dicts(tmp_path):
    default = collections.defaultdict(list, a=[1])
    value = [collections.OrderedDict(b=1, a=2), collections.Counter("aab"), default]
    assert read(value, tmp_path) == [{"b": 1, "a": 2}, {"a": 2, "b": 1}, {"a": [1]}]
    assert all(type(each) is dict for each in content(tmp_path / "it.pt"))


def test_a_state_dict_with_versions_is_a_plain_dict(tmp_path):
    found = read(torch.nn.BatchNorm1d(3).state_dict(), tmp_path)
    assert list(found) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert all(type(each) is Strided for each in found.values())


def test_an_optimizer_state_is_read(tmp_path):
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(3)).sum().backward()
    optimizer.step()
    found = read({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path)
    assert found["optimizer"]["state"][0]["exp_avg"].shape == (2, 3)
    assert found["optimizer"]["param_groups"][0]["params"] == [0, 1]


def test_parameters_say_that_they_are_and_whether_they_want_gradients(tmp_path):
    frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    found = read(
        {"p": torch.nn.Parameter(torch.ones(2)), "f": frozen, "t": torch.ones(2, requires_grad=True)}, tmp_path
    )
    told = {name: (each.is_parameter, each.requires_grad) for name, each in found.items()}
    assert told == {"p": (True, True), "f": (True, False), "t": (False, True)}


def test_attributes_set_on_parameters_are_said_not_to_be_read(tmp_path):
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.note = "mine"
    with open_checkpoint(saved([parameter], tmp_path)) as held:
        assert held.content[0].is_parameter
        assert held.departures == ["Attributes that were set on tensors aren't read."]


def test_a_tensor_of_the_meta_device_is_shown_and_said_to_have_no_values(tmp_path):
    file = saved({"a": torch.empty(3, 2, device="meta"), "b": torch.ones(1)}, tmp_path)
    first = peek(file).tensors[0]
    assert (first.name, first.shape, first.layout) == ("a", (3, 2), "meta")
    with open_checkpoint(file) as held, pytest.raises(CorruptCheckpointError, match="saved from the meta device"):
        held.tensor(held.content["a"])


def test_a_storage_by_itself_is_a_tensor_of_one_dimension(tmp_path):
    file = saved([torch.arange(3, dtype=torch.int16).untyped_storage()], tmp_path)
    with open_checkpoint(file) as held:
        assert held.tensor(held.content[0]).tolist() == [0, 0, 1, 0, 2, 0]


def test_nested_tensors_are_named_and_the_rest_is_read(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
        file = saved({"n": nested, "t": torch.ones(2)}, tmp_path)
    with open_checkpoint(file) as held:
        assert repr(held.content["n"]) == "<torch._utils._rebuild_nested_tensor>"
        assert held.tensor(held.content["t"]).tolist() == [1, 1]
        assert held.departures == ["What torch._utils._rebuild_nested_tensor makes isn't read."]


def test_a_sparse_tensor_is_described_by_its_parts(tmp_path):
    (found,) = read([torch.eye(3).to_sparse()], tmp_path)
    assert type(found) is Composed
    assert [(role, part.shape) for role, part in found.parts] == [("indices", (2, 3)), ("values", (3,))]


def test_all_that_a_file_wants_to_import_is_listed_with_what_it_would_do(tmp_path):
    file = tmp_path / "it.pt"
    shelf = Raw(opcodes(Global("shelve", "Shelf")) + b")\x81" + opcodes({"a": 1}) + b"b")
    file.write_bytes(
        torch_zip({"a": Call("runpy", "run_path", "x"), "b": shelf, "args": Call("argparse", "Namespace")})
    )
    with pytest.raises(UnsafeCheckpointError) as raised:
        open_checkpoint(file)
    said = str(raised.value)
    assert raised.value.path == str(file)
    wanted = re.search(r"wants to import (.*?), to ", said).group(1).split(", ")
    assert wanted == ["runpy.run_path", "shelve.Shelf"]
    assert "call runpy.run_path('x',)" in said
    assert "set {'a': 1} on shelve.Shelf(…)" in said
    assert "Nothing was imported or run." in said


def test_a_name_that_can_do_harm_comes_with_no_advice_to_allow_it(tmp_path):
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip(Call("os", "system", "true")))
    with pytest.raises(UnsafeCheckpointError, match="don't load it") as raised:
        open_checkpoint(file)
    assert "add_safe_globals" not in str(raised.value)


@needs_torch("serialization.safe_globals")
def test_what_torch_never_lets_a_user_allow_stays_refused(tmp_path):
    import os

    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip(Call("os", "system", "true")))
    with torch.serialization.safe_globals([(os.system, "os.system")]), pytest.raises(UnsafeCheckpointError):
        open_checkpoint(file)


def test_a_tensor_of_another_class_is_read_as_a_plain_one(tmp_path):
    view = Call("torch._tensor", "_rebuild_from_type_v2", *rebuilt_as(Global("somewhere", "Mine")))
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip([view]))
    with open_checkpoint(file) as held:
        assert held.content[0].shape == (4,)
        assert held.departures == ["Tensors of class <somewhere.Mine> are read as plain ones."]


def rebuilt_as(kind):
    made = tensor()
    return made.function, kind, tuple(made.args), {}


def test_an_object_that_holds_itself_is_described(tmp_path):
    file = tmp_path / "it.pt"
    config = opcodes(Global("here", "Config")) + b")\x81q\x01}q\x02(" + opcodes("self") + b"h\x01ub"
    file.write_bytes(torch_zip([Raw(config), tensor()]))
    assert peek(file).names == ("[1]",)
    assert repr(content(file)[0]) == "<here.Config>"


def test_a_container_in_several_places_is_one(tmp_path):
    shared = {"lr": [0.1, 0.2]}
    found = read([shared, shared, {"again": shared}], tmp_path)
    assert found[0] is found[1] is found[2]["again"]


def test_the_collector_is_as_it_was_after_reading(tmp_path):
    good, bad = saved([1], tmp_path, name="good.pt"), tmp_path / "bad.pt"
    bad.write_bytes(torch_zip(Raw(b"\xff")))
    content(good)
    with pytest.raises(CorruptCheckpointError):
        open_checkpoint(bad)
    assert gc.isenabled()
    gc.disable()
    try:
        content(good)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_name_of_python_2_is_taken_for_that_of_python_3(tmp_path):
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip([Call("__builtin__", "set", [1, 2]), Raw(b"U\x03abc")]))
    assert content(file) == [{1, 2}, "abc"]


def test_a_tensor_may_have_another_dtype_than_its_storage(tmp_path):
    storage = Storage("torch.storage.UntypedStorage", n=16)
    view = Call("torch._utils", "_rebuild_tensor_v3", storage, 1, (2,), (3,), False, None, Global("torch", "int16"))
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip([view]))
    with open_checkpoint(file) as held:
        assert held.tensor(held.content[0]).tolist() == [0x0302, 0x0908]


def test_a_class_as_a_value_is_shown_by_its_name(tmp_path):
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip({"kind": Global("torch.nn.parameter", "Parameter")}))
    assert peek(file).format == "torch-zip"
    assert repr(content(file)["kind"]) == "<torch.nn.parameter.Parameter>"


KEYS = st.one_of(
    st.text(), st.integers(-(2**60), 2**60), st.booleans(), st.none(), st.tuples(st.integers(0, 9), st.text())
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary())
NESTED = st.recursive(
    LEAVES,
    lambda inside: st.one_of(
        st.lists(inside), st.dictionaries(KEYS, inside), st.tuples(inside), st.tuples(inside, inside, inside, inside)
    ),
)


@settings(max_examples=150)
@given(value=NESTED, is_zip=st.booleans(), protocol=st.integers(2, 5))
def test_whatever_plain_containers_are_saved_are_read(tmp_path_factory, value, is_zip, protocol):
    folder = tmp_path_factory.mktemp("it")
    found = read(value, folder, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    assert repr(found) == repr(value)


def test_a_pickle_without_an_end_in_a_zip_file_is_refused(tmp_path):
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip(pickled([1, 2])[:-1]))
    with pytest.raises(CorruptCheckpointError, match="ends before its last opcode"):
        open_checkpoint(file)


def test_a_look_into_a_file_of_very_many_numbers_takes_little_more_than_they_do(tmp_path):
    n = 200_000
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip({"w": tensor(), "history": Raw(b"](" + opcodes(0.1) * n + b"e")}))
    tracemalloc.start()
    try:
        index = peek(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert index.names == ("w",)
    assert index.values["history[0]"] == "0.1"
    assert peak < 100 * n
