"""A file by itself: its names as a module, the numbers of its tensors, and what is found wrong in it."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.state_dict import name_in_state_dict
from nnwidgets.checkpoint.without_model import examine, file_module
from tests.support.saved_files import odd_tensors, same
from tests.support.stacks import torch_keeps


def codes(path, **keywords):
    return {(each.code, each.severity): each.message for each in examine(path, **keywords).findings}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_files_module_has_its_names_shapes_and_dtypes_and_no_data_unless_asked_for(tmp_path, suffix):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2).bfloat16())
    file = tmp_path / f"net{suffix}"
    nnw.save(net, file)
    bare, read = file_module(file), file_module(file, most_read=math.inf)
    wanted = net.state_dict()
    for made in (bare, read):
        state = made.state_dict()
        assert {name: (each.shape, each.dtype) for name, each in state.items()} == {
            name: (each.shape, each.dtype) for name, each in wanted.items()
        }
        assert [name for name, _ in made.named_buffers()] == [name for name, _ in net.named_buffers()]
    assert all(each.device.type == "meta" for each in bare.state_dict().values())
    assert nnw.diff(read, net).is_equal
    assert nnw.plan(bare, file).is_exact


def test_names_of_one_tensor_are_tied_in_its_module_too(tmp_path):
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    net[1].weight = net[0].weight
    for file in (tmp_path / "net.pt", tmp_path / "net.safetensors"):
        nnw.save(net, file)
        for most_read in (0, math.inf):
            (group,) = nnw.ties(file_module(file, most_read=most_read))
            assert group.members == ("0.weight", "1.weight")


def test_names_that_are_no_paths_are_kept_as_they_are(tmp_path):
    names = ["", ".", "a..b", "a", "a.b", "[0].w", "a[1]", '["x"].w', "ü.w", ".".join("abc" * 400)]
    torch.save({name: torch.full((2,), float(at)) for at, name in enumerate(names)}, tmp_path / "odd.pt")
    made = file_module(tmp_path / "odd.pt", most_read=math.inf)
    found = nnw.diff(tmp_path / "odd.pt", made, rename={})
    assert set(found.equal) == set(names)
    assert found.is_equal


def test_groups_called_by_numbers_stand_in_their_order_whatever_the_files_is(tmp_path):
    save_file({f"h.{at}.w": torch.zeros(1) for at in range(12)}, tmp_path / "x.safetensors")
    assert list(file_module(tmp_path / "x.safetensors").get_submodule("h")._modules) == [str(at) for at in range(12)]


@pytest.mark.filterwarnings("ignore")
def test_tensors_of_every_kind_have_their_place_and_their_numbers(tmp_path):
    tensors = {name: tensor for name, tensor in odd_tensors().items() if torch_keeps(tensor)}
    torch.save(tensors, tmp_path / "odd.pt")
    bare = file_module(tmp_path / "odd.pt")
    assert {name_in_state_dict(each.path) for each in nnw.tree(bare).tensors} == set(tensors)
    read = file_module(tmp_path / "odd.pt", most_read=math.inf).state_dict()
    assert all(same(read[name], tensor) for name, tensor in tensors.items())
    report = examine(tmp_path / "odd.pt")
    told = {name for each in report.findings for name in tensors if each.code == "not-read" and name in each.message}
    assert set(report.numbers) | told == set(tensors)


def test_the_numbers_of_a_file_are_those_of_its_tensors(tmp_path):
    net = nn.Sequential(nn.Linear(30, 40), nn.Linear(40, 20))
    optimizer = {"state": {0: {"exp_avg": torch.ones(40, 30)}}, "param_groups": [{"params": [0], "lr": 0.1}]}
    torch.save({"model": net.state_dict(), "optimizer": optimizer}, tmp_path / "run.pt")
    report = examine(tmp_path / "run.pt")
    for name, tensor in net.state_dict().items():
        assert report.numbers[name] == nnw.stats(tensor, bins=16)
    assert "optimizer.state[0].exp_avg" in report.numbers
    assert list(examine(tmp_path / "run.pt", keep="1.bias".__eq__).numbers) == ["1.bias"]


def test_nan_is_an_error_infinity_alone_a_warning_and_a_sound_file_has_no_findings(tmp_path):
    sound = nn.Linear(30, 40).state_dict()
    torch.save(sound, tmp_path / "sound.pt")
    assert codes(tmp_path / "sound.pt") == {}
    sound["mask"] = torch.full((3, 3), -torch.inf).triu(1)
    torch.save(sound, tmp_path / "mask.pt")
    assert codes(tmp_path / "mask.pt") == {("nan-or-inf", "warning"): "3 infinite of 9 elements."}
    sound["weight"][3, 4] = torch.nan
    torch.save(sound, tmp_path / "nan.pt")
    first = examine(tmp_path / "nan.pt").findings[0]
    assert (first.code, first.severity, first.path) == ("nan-or-inf", "error", "weight")


def test_zeros_and_what_is_stored_twice_or_shared_are_noted(tmp_path):
    weight = torch.randn(8, 8)
    content = {"a": weight, "b": weight.clone(), "c": weight, "zeros": torch.zeros(4, 4), "bias": torch.zeros(4)}
    torch.save(content, tmp_path / "x.pt")
    assert codes(tmp_path / "x.pt") == {
        ("all-zero", "note"): "Nothing but zeros: zeros.",
        ("same-bits", "note"): "The same bits are stored 2 times: a, b.",
        ("shared-bytes", "note"): "a, c share 256 B.",
    }


def test_a_tensor_that_repeats_its_bytes_takes_no_time(tmp_path):
    torch.save({"wide": torch.ones(1).expand(10**14), "w": torch.ones(2, 2)}, tmp_path / "x.pt")
    report = examine(tmp_path / "x.pt")
    assert list(report.numbers) == ["w"]
    assert "Not looked at, since it repeats the bytes" in report.findings[0].message


def test_a_turned_bit_is_told_before_any_number(tmp_path):
    torch.save(nn.Linear(30, 40).state_dict(), tmp_path / "x.pt")
    data = bytearray((tmp_path / "x.pt").read_bytes())
    at = data.find(torch.load(tmp_path / "x.pt")["weight"].numpy().tobytes()[:16])
    data[at + 5] ^= 1
    (tmp_path / "x.pt").write_bytes(data)
    with pytest.raises(nnw.CorruptCheckpointError):
        examine(tmp_path / "x.pt")
    with pytest.raises(nnw.CorruptCheckpointError):
        file_module(tmp_path / "x.pt", most_read=math.inf)
    assert copy.deepcopy(file_module(tmp_path / "x.pt")) is not None
