"""Tensors that share bytes share them afterwards where the format can say so, and the report tells where not."""

from __future__ import annotations

import torch
from safetensors import safe_open
from safetensors.torch import load_file, load_model

import nnwidgets as nnw
from nnwidgets.checkpoint import peek
from tests.support.edited_models import tied
from tests.support.saved_files import same, shared


def test_ties_of_all_kinds_are_ties_in_a_torch_file(tmp_path):
    net = tied()
    nnw.save(net, tmp_path / "net.pt")
    for found in (torch.load(tmp_path / "net.pt", weights_only=True), nnw.read(tmp_path / "net.pt")):
        assert same(dict(found), dict(net.state_dict()))
        found["a.weight"][0, 1] = 7
        assert found["b.weight"][0, 1] == found["t.weight"][1, 0] == 7
        found["low"][12] = 8
        assert found["high"][2] == 8
        found["even"].fill_(0)
        assert same(found["odd"], net.odd.data)
    assert peek(tmp_path / "net.pt").departures == ()


def test_one_object_under_two_names_is_one_object_afterwards(tmp_path):
    weight = torch.ones(2)
    nnw.save({"a": weight, "b": [weight]}, tmp_path / "x")
    found = torch.load(tmp_path / "x", weights_only=True)
    assert found["a"] is found["b"][0]
    found = nnw.read(tmp_path / "x")
    assert found["a"] is found["b"][0]


def test_views_of_one_memory_as_different_dtypes_stay_so(tmp_path):
    ints = torch.arange(8, dtype=torch.int32)
    thing = {"i": ints, "f": ints.view(torch.float32), "l": ints[2:].view(torch.int64)}
    nnw.save(thing, tmp_path / "x")
    for found in (torch.load(tmp_path / "x", weights_only=True), nnw.read(tmp_path / "x")):
        assert same(thing, found)
        found["i"].zero_()
        assert not found["l"].any()


def test_one_name_of_a_tie_is_in_a_safetensors_file_and_its_loader_finds_the_others(tmp_path):
    torch.manual_seed(0)
    net, file = shared(), tmp_path / "net.safetensors"
    report = nnw.save(net, file)
    assert report.n_tensors == 8
    assert set(load_file(file)) == {"0.weight", "0.bias", "2.weight", "2.bias", "6.weight", "6.bias"}
    with safe_open(file, "pt") as held:
        assert held.metadata().items() >= {"format": "pt", "4.weight": "2.weight", "4.bias": "2.bias"}.items()
    torch.manual_seed(1)
    fresh = shared()
    assert load_model(fresh, file) == (set(), [])
    assert same(dict(fresh.state_dict()), dict(net.state_dict()))
    found = nnw.read(file)
    assert found["4.weight"] is found["2.weight"]


def test_views_are_whole_in_a_safetensors_file_and_the_report_says_so(tmp_path):
    net, file = tied(), tmp_path / "net.safetensors"
    report = nnw.save(net, file)
    found = load_file(file)
    assert "b.weight" not in found
    assert same({name: net.state_dict()[name] for name in found}, found)
    assert [warning.split(" share")[0] for warning in report.warnings] == ["low, high", "a.weight, t.weight"]


def test_a_tied_tensor_called_format_does_not_take_the_place_of_the_metadata(tmp_path):
    weight = torch.ones(2)
    nnw.save({"a": weight, "format": weight}, tmp_path / "x.safetensors")
    with safe_open(tmp_path / "x.safetensors", "pt") as held:
        assert held.metadata().items() >= {"format": "pt", "a": "format"}.items()
