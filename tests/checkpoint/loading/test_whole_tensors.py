"""Tensors that torch copies as a whole: sparse, quantized, and those of classes made of others."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.model_state import attributes, unchanged
from tests.support.zoo import ZOO, package, torchao

pytestmark = pytest.mark.filterwarnings("ignore")


def holding(**buffers):
    net = nn.Sequential(nn.Linear(1, 1))
    for name, tensor in buffers.items():
        net.register_buffer(name, tensor)
    return net


def quantized(scale=0.5, dtype=torch.qint8):
    return torch.quantize_per_tensor(torch.ones(3), scale, 0, dtype)


DENSE = torch.eye(3)
UNLIKE = {
    "quantized into plain": (quantized(), torch.zeros(3), "t in the file is quantized (qint8), and the model's isn't"),
    "another integer": (quantized(), quantized(dtype=torch.quint8), "t in the file is qint8, and the model's quint8"),
    "doubles into quantized": (torch.ones(3).double(), quantized(), "t in the file is float64, which torch doesn't"),
    "sparse into plain": (DENSE.to_sparse(), DENSE, "it is sparse_coo in the file and strided in the model"),
    "plain into sparse": (DENSE, DENSE.to_sparse_csr(), "it is strided in the file and sparse_csr in the model"),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_what_torch_would_not_copy_is_refused_with_the_reason(case, tmp_path):
    theirs, ours, why = UNLIKE[case]
    torch.save(holding(t=theirs).state_dict(), tmp_path / "net.pt")
    net = holding(t=ours)
    with pytest.raises(RuntimeError):
        net.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    before = attributes(net)
    plan = nnw.plan(net, tmp_path / "net.pt")
    assert not plan.is_complete
    entry = next(each for each in plan.entries if each.path == "t")
    assert entry.reason.startswith(why)
    with pytest.raises(nnw.CheckpointMismatchError) as raised:
        nnw.load(net, tmp_path / "net.pt")
    assert why in str(raised.value)
    assert unchanged(net, before)


def test_what_only_torch_can_tell_is_asked_before_anything_changes(tmp_path):
    more, fewer = (torch.tensor(rows).to_sparse_csr() for rows in ([[1.0, 2.0], [0.0, 3.0]], [[1.0, 0.0], [0.0, 3.0]]))
    torch.save(holding(t=more).state_dict(), tmp_path / "net.pt")
    net = holding(t=fewer)
    before = attributes(net)
    with pytest.raises(nnw.CheckpointMismatchError, match="t can't take what the file has for it, torch says"):
        nnw.load(net, tmp_path / "net.pt")
    assert unchanged(net, before)


def test_floats_are_quantized_as_torch_does_it(tmp_path):
    values = torch.tensor([1.0, 2.0, 3.0])
    torch.save(holding(t=values).state_dict(), tmp_path / "net.pt")
    net, theirs = holding(t=quantized()), holding(t=quantized())
    theirs.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    nnw.load(net, tmp_path / "net.pt")
    assert torch.equal(net.t, theirs.t)
    assert torch.equal(net.t.dequantize(), values)


def test_one_tensor_under_two_names_gets_one_value(tmp_path):
    net = holding(a=quantized())
    net.register_buffer("b", net.a)
    torch.save({**holding(a=quantized(), b=quantized()).state_dict()}, tmp_path / "same.pt")
    nnw.load(net, tmp_path / "same.pt")
    torch.save({**holding(a=quantized(), b=quantized(1.0)).state_dict()}, tmp_path / "other.pt")
    before = attributes(net)
    with pytest.raises(nnw.CheckpointMismatchError, match="b and a are one tensor"):
        nnw.load(net, tmp_path / "other.pt")
    assert unchanged(net, before)


@pytest.mark.parametrize("name", ["quantized buffers", "sparse", "torchao: int8 weights"])
def test_undo_asks_before_it_takes_back_what_was_written_since(name, tmp_path):
    kind = ZOO[name]
    net, other = kind.make(), kind.make()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    nnw.load(other, tmp_path / "net.pt")
    other.load_state_dict(kind.make().state_dict())
    with pytest.raises(nnw.errors.ChangedSinceError):
        nnw.undo(other)
    nnw.undo(other, force=True)


def test_tensors_of_a_class_made_of_others_must_be_made_alike(tmp_path):
    PerGroup = package("torchao.quantization").PerGroup
    file, net = tmp_path / "net.pt", torchao("Int8WeightOnlyConfig")
    torch.save(net.state_dict(), file)
    for made, why in (
        (nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8)), "made of qdata int8 + scale float32 + zero"),
        (torchao("Float8WeightOnlyConfig"), "and in the model of class Float8Tensor"),
        (torchao("Int8WeightOnlyConfig", granularity=PerGroup(8)), "their scale differ in shape or dtype"),
    ):  # fmt: skip
        before = attributes(made)
        with pytest.raises(nnw.CheckpointMismatchError) as raised:
            nnw.load(made, file)
        assert why in str(raised.value)
        assert "0.weight and 1 more" in raised.value.hint
        assert unchanged(made, before)
        assert nnw.load(made, file, strict=False).n_loaded >= 2, "the biases"
    torch.save({name: torch.ones(each.shape) for name, each in net.state_dict().items()}, file)
    with pytest.raises(nnw.CheckpointMismatchError) as raised:
        nnw.load(net, file)
    assert "in the file is a plain tensor, and in the model a Int8Tensor, which" in raised.value.hint


def test_what_such_a_class_keeps_beside_tensors_must_be_the_same(tmp_path):
    net, other = torchao("Int8WeightOnlyConfig"), torchao("Int8WeightOnlyConfig")
    other[0].weight.block_size = [1, 8]
    torch.save(net.state_dict(), tmp_path / "net.pt")
    reasons = {each.path: each.reason for each in nnw.plan(other, tmp_path / "net.pt").entries if each.path}
    assert "their block_size isn't the same" in reasons["0.weight"]
    assert not reasons["2.weight"]


def test_such_tensors_are_compared_by_what_they_are_made_of(tmp_path):
    one, other = torchao("Int8WeightOnlyConfig"), torchao("Int8WeightOnlyConfig")
    torch.save(one.state_dict(), tmp_path / "net.pt")
    found = nnw.diff(tmp_path / "net.pt", other)
    assert {each.path for each in found.changed} == {
        f"{name}{rest}" for name in "02" for rest in (".weight.qdata", ".weight.scale", ".bias")
    }
    assert nnw.diff(one.state_dict(), one).is_equal
    kinds = nnw.diff(one, torchao("Float8WeightOnlyConfig")).changed
    assert [each.dtypes for each in kinds if each.path == "0.weight"] == [
        ("torchao.quantization.Int8Tensor", "torchao.quantization.Float8Tensor")
    ]


def test_such_tensors_cannot_be_edited_and_why_is_said():
    net = torchao("Int8WeightOnlyConfig")
    with pytest.raises(
        nnw.InvalidTargetError, match=r"0.weight can't be written: it is a Int8Tensor, made of"
    ) as raised:
        nnw.init(net, "0.weight", "zeros_")
    assert raised.value.hint == "Change the model before its tensors are made so."


def test_a_class_that_torch_takes_for_no_plain_data_is_not_saved(tmp_path):
    from torch.testing._internal.two_tensor import TwoTensor

    net = nn.Linear(2, 2)
    net.weight = nn.Parameter(TwoTensor(torch.zeros(2, 2), torch.ones(2, 2)))
    with pytest.raises(nnw.SaveError, match="weight can't be saved: it is a TwoTensor, made of a 2 × 2 f32") as raised:
        nnw.save(net, tmp_path / "net.pt")
    assert raised.value.path == "weight"
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_of_such_a_class_counts_as_one_and_keeps_its_ties(tmp_path):
    net = torchao("Int8WeightOnlyConfig")
    net.append(nn.Linear(16, 16, bias=False))
    net[3].weight = net[0].weight
    report = nnw.save(net, tmp_path / "net.pt")
    assert (report.n_tensors, report.verified, report.warnings) == (5, True, ())
    found = torch.load(tmp_path / "net.pt", weights_only=True)
    assert found["0.weight"].qdata.data_ptr() == found["3.weight"].qdata.data_ptr()
    assert nnw.load(net, tmp_path / "net.pt").verified
    assert type(nnw.read(tmp_path / "net.pt")["0.weight"]) is nnw.Described
    exec(report.to_code("net").replace("net.pt", "again.pt"), {"net": net})  # noqa: S102 - what the user would paste
    assert nnw.diff(tmp_path / "again.pt", net).is_equal
