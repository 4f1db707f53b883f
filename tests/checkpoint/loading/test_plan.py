"""A plan says what a load would do with each tensor, and touches neither the model nor the tensors in the file."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 4)
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 11, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scratch", torch.zeros(3), persistent=False)


def statuses(plan):
    return {entry.path or entry.source: entry.status for entry in plan.entries}


def saved(tmp_path, **changes):
    state = {name: tensor.clone() for name, tensor in Net().state_dict().items()}
    state.update(changes)
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, tmp_path / "x.safetensors")
    return tmp_path / "x.safetensors"


def test_a_file_of_the_same_model_is_exact(tmp_path):
    plan = nnw.plan(Net(), saved(tmp_path))
    assert set(statuses(plan).values()) == {"match"}
    assert plan.is_exact
    assert plan.is_complete
    assert not plan.renames
    assert [entry.path for entry in plan.entries] == list(Net().state_dict())


def test_each_difference_has_its_status_and_both_sides(tmp_path):
    file = saved(
        tmp_path, **{"norm.weight": torch.zeros(5), "norm.bias": torch.zeros(4, dtype=torch.float64),
                     "norm.running_mean": None, "head.weight": None, "more": torch.zeros(2, 2)},
    )  # fmt: skip
    plan = nnw.plan(Net(), file)
    assert statuses(plan) == {
        "embed.weight": "match", "norm.weight": "shape_mismatch", "norm.bias": "dtype_cast",
        "norm.running_mean": "missing", "norm.running_var": "match", "norm.num_batches_tracked": "match",
        "head.weight": "tied", "more": "unexpected",
    }  # fmt: skip
    by_path = {entry.path or entry.source: entry for entry in plan.entries}
    assert (by_path["norm.weight"].source_shape, by_path["norm.weight"].shape) == ((5,), (4,))
    assert (by_path["norm.bias"].source_dtype, by_path["norm.bias"].dtype) == ("float64", "float32")
    assert by_path["head.weight"].tied_to == "embed.weight"
    assert not plan.is_exact
    assert not plan.is_complete
    assert plan.counts == {
        "match": 3, "shape_mismatch": 1, "dtype_cast": 1, "missing": 1, "tied": 1, "unexpected": 1
    }  # fmt: skip
    assert any("norm.bias: float64 in the file becomes float32" in warning for warning in plan.warnings)


def test_a_plan_reads_headers_alone_and_changes_nothing(tmp_path):
    file = saved(tmp_path)
    net = Net()
    before = {name: (tensor._version, tensor.clone()) for name, tensor in net.state_dict().items()}
    header = file.stat().st_size
    with file.open("r+b") as opened:
        start = 8 + int.from_bytes(opened.read(8), "little")
        opened.seek(start)
        opened.write(b"\xff" * (header - start))
    assert nnw.plan(net, file).is_exact
    assert all(
        tensor._version == before[name][0] and torch.equal(tensor, before[name][1])
        for name, tensor in net.state_dict().items()
    )


def test_meta_and_lazy_models_are_planned_for(tmp_path):
    file = saved(tmp_path)
    with torch.device("meta"):
        assert nnw.plan(Net(), file).is_exact
    save_file({"0.weight": torch.zeros(3, 7), "0.bias": torch.zeros(3)}, tmp_path / "lazy.safetensors")
    plan = nnw.plan(nn.Sequential(nn.LazyLinear(3)), tmp_path / "lazy.safetensors")
    assert plan.is_complete
    assert plan.entries[0].source_shape == (3, 7)


def test_a_module_registered_twice_is_loaded_under_both_names(tmp_path):
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    save_file({name: tensor.clone() for name, tensor in net.state_dict().items()}, tmp_path / "x.safetensors")
    assert statuses(nnw.plan(net, tmp_path / "x.safetensors")) == dict.fromkeys(net.state_dict(), "match")
    save_file({"0.weight": torch.zeros(2, 2), "0.bias": torch.zeros(2)}, tmp_path / "half.safetensors")
    plan = nnw.plan(net, tmp_path / "half.safetensors")
    assert statuses(plan) == {"0.weight": "match", "0.bias": "match", "2.weight": "tied", "2.bias": "tied"}
    assert plan.is_complete


def test_a_model_that_torch_cannot_name_is_planned_for_by_its_paths(tmp_path):
    net, block = nn.Module(), nn.Linear(2, 2)
    net._modules[block] = block
    save_file({"[0].weight": torch.zeros(2, 2), "[0].bias": torch.zeros(2)}, tmp_path / "x.safetensors")
    assert nnw.plan(net, tmp_path / "x.safetensors").is_exact


def test_records_are_frozen_readable_and_json_safe(tmp_path):
    plan = nnw.plan(Net(), saved(tmp_path, more=torch.zeros(2)))
    assert json.loads(json.dumps(plan.to_dict()))["entries"][0]["path"] == "embed.weight"
    assert repr(plan).endswith("x.safetensors': 7 match, 1 unexpected)")
    with pytest.raises(AttributeError):
        plan.file = "y"


def test_a_file_that_is_not_there_or_no_checkpoint_is_said(tmp_path):
    with pytest.raises(nnw.PathNotFoundError):
        nnw.plan(Net(), tmp_path / "nothing.pt")
    (tmp_path / "text.pt").write_text("hello, this is a text and no checkpoint at all")
    with pytest.raises(nnw.CorruptCheckpointError, match="no checkpoint known here"):
        nnw.plan(Net(), tmp_path / "text.pt")


def test_names_of_one_tensor_that_are_two_in_the_file_are_warned_of(tmp_path):
    (warning,) = nnw.plan(Net(), saved(tmp_path)).warnings
    assert "embed.weight" in warning
    assert "head.weight" in warning


def test_names_of_one_tensor_that_are_one_in_the_file_are_not(tmp_path):
    torch.save(Net().state_dict(), tmp_path / "x.pt")
    assert nnw.plan(Net(), tmp_path / "x.pt").warnings == ()


def test_what_is_no_tensor_is_told_before_and_after_loading(tmp_path):
    net = nn.Linear(2, 3)
    torch.save({**net.state_dict(), "_extra_state": {"step": 3}}, tmp_path / "x.pt")
    told = "_extra_state in the file is no tensor and is left out."
    assert told in nnw.plan(net, tmp_path / "x.pt").warnings
    assert told in nnw.load(net, tmp_path / "x.pt").warnings


def expanded():
    net = nn.Module()
    net.register_buffer("x", torch.zeros(1).expand(3))
    return net


def made_for_inference():
    with torch.inference_mode():
        net = nn.Module()
        net.register_buffer("x", torch.zeros(3))
    return net


@pytest.mark.parametrize("make", [expanded, made_for_inference])
def test_a_plan_says_where_nothing_can_be_written(make, tmp_path):
    save_file({"x": torch.ones(3)}, tmp_path / "x.safetensors")
    net = make()
    plan = nnw.plan(net, tmp_path / "x.safetensors")
    assert not plan.is_exact
    assert not plan.is_complete
    with pytest.raises(nnw.InvalidTargetError, match="x can't be written") as caught:
        nnw.load(net, tmp_path / "x.safetensors")
    assert any(caught.value.message == text for text in plan.warnings)
    assert plan.entries[0].reason == caught.value.message


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: torch.zeros(3, device="meta"), "the file has no data for it"),
        (lambda: torch.ones(3).to_sparse(), "it is sparse_coo in the file and strided in the model"),
    ],
)
def test_what_has_the_shape_and_is_of_another_kind_is_not_told_by_its_shape(make, told, tmp_path):
    torch.save({"x": make()}, tmp_path / "x.pt")
    net = nn.Module()
    net.register_buffer("x", torch.zeros(3))
    assert nnw.plan(net, tmp_path / "x.pt").entries[0].reason.startswith(told)
    with pytest.raises(nnw.CheckpointMismatchError, match=f"1 of another kind .x, {told}") as caught:
        nnw.load(net, tmp_path / "x.pt")
    assert "shape" not in str(caught.value)
