"""A file that holds a module whole: its state dict is told, planned and loaded, and none of its code runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import nnwidgets as nnw
from tests.support.torch_builder import Call, Global, Raw, opcodes, tensor, torch_zip
from tests.support.torch_files import saved


class Detector(nn.Module):
    is_armed = False

    def __init__(self, width=3):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width), nn.SiLU())
        self.heads = nn.ModuleDict({"box": nn.Linear(width, 4), "none": nn.Identity()})
        self.bias = nn.Parameter(torch.randn(2))
        self.register_parameter("absent", None)
        self.register_buffer("anchors", torch.randn(2))
        self.register_buffer("scratch", torch.randn(5), persistent=False)
        self.names = ["a", "b"]
        self.activation = torch.relu
        self.me = [self]

    def __setstate__(self, state):
        raise AssertionError

    def __getattr__(self, name):
        assert not Detector.is_armed
        return super().__getattr__(name)


def tied():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    net.append(net[0])
    return net


def pruned():
    net = nn.Sequential(nn.Linear(4, 4))
    prune.l1_unstructured(net[0], "weight", 2)
    return net


ZOO = {
    "detector": Detector,
    "encoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2, enable_nested_tensor=False),
    "recurrent": lambda: nn.LSTM(3, 4, 2, bidirectional=True),
    "weight norm of old": lambda: nn.Sequential(torch.nn.utils.weight_norm(nn.Linear(3, 3))),
    "spectral norm of old": lambda: torch.nn.utils.spectral_norm(nn.Linear(3, 3)),
    "pruned": pruned,
    "tied": tied,
    "frozen batch norm": lambda: nn.BatchNorm1d(3, affine=False),
    "no tracking": lambda: nn.BatchNorm1d(3, track_running_stats=False),
    "parallel": lambda: nn.DataParallel(nn.Linear(2, 2)),
    "embedding": lambda: nn.Embedding(5, 2, padding_idx=0, sparse=True),
    "lists": lambda: nn.ModuleList([nn.ParameterList([torch.ones(2)]), nn.ParameterDict({"a": torch.ones(1)})]),
    "observed": lambda: nn.Sequential(nn.Linear(2, 2), torch.ao.quantization.MinMaxObserver()),
    "without tensors": lambda: nn.Sequential(nn.ReLU()),
}


def bits(net):
    return {name: each.clone() for name, each in net.state_dict().items()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("name", ZOO)
def test_a_module_that_was_pickled_whole_has_the_names_of_its_state_dict_and_loads(name, is_zip, tmp_path):
    net, other = ZOO[name](), ZOO[name]()
    file = saved({"epoch": -1, "model": net, "ema": None}, tmp_path, _use_new_zipfile_serialization=is_zip)
    index = nnw.peek(file)
    assert index.names == tuple(net.state_dict())
    if not index.names:
        return
    assert index.state_dict == "model"
    assert index.values["model"].endswith(", a pickled module")
    assert nnw.load(other, file).verified
    assert all(torch.equal(each, net.state_dict()[path]) for path, each in other.state_dict().items())


@pytest.mark.parametrize("key", [None, "weights", "generator", "ema"])
def test_a_module_is_found_wherever_a_state_dict_would_be(key, tmp_path):
    net, other = Detector(), Detector()
    file = saved(net if key is None else {key: net, "epoch": 1}, tmp_path)
    assert nnw.load(other, file).verified
    assert torch.equal(other.bias, net.bias)


def test_no_code_of_a_pickled_module_runs(tmp_path):
    file = saved(Detector(), tmp_path)
    Detector.is_armed = True
    try:
        nnw.peek(file)
        found = nnw.read(file)
    finally:
        Detector.is_armed = False
    assert found.class_name == f"{__name__}.Detector"
    assert found.state["me"][0] is found
    assert found.state["_modules"]["heads"].state["_modules"]["box"].state["_parameters"]["bias"].shape == (4,)


def test_buffers_that_are_not_saved_are_told_among_the_rest(tmp_path):
    file = saved({"model": Detector()}, tmp_path)
    assert [each.name for each in nnw.peek(file).rest] == ["model._buffers.scratch"]


def test_a_module_whose_class_is_gone_loads(tmp_path):
    part = Raw(b"}(" + opcodes("weight") + opcodes(tensor()) + b"u")
    state = {"_parameters": part, "_buffers": {}, "_modules": {}, "training": True}
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip(Raw(opcodes(Global("models.yolo", "Gone")) + b")\x81" + opcodes(state) + b"b")))
    net = nn.Module()
    net.weight = nn.Parameter(torch.zeros(4))
    assert nnw.load(net, file).n_loaded == 1
    assert net.weight.abs().sum() > 0


def test_a_pickled_module_that_does_not_fit_leaves_the_model_as_it_was(tmp_path):
    file = saved({"model": Detector(width=4)}, tmp_path)
    net = Detector()
    before = bits(net)
    with pytest.raises(nnw.CheckpointMismatchError, match=r"fits \d+ of the model's"):
        nnw.load(net, file)
    assert all(torch.equal(before[name], each) for name, each in net.state_dict().items())


def test_a_pickled_module_that_holds_itself_is_refused_with_where(tmp_path):
    net = nn.Sequential(nn.Linear(2, 2))
    net[0].register_module("up", net)
    file = saved({"model": net}, tmp_path)
    other = nn.Linear(2, 2)
    before = bits(other)
    with pytest.raises(nnw.CheckpointMismatchError, match=r"pickled module at 0\.up, .*Sequential, holds itself"):
        nnw.load(other, file)
    assert all(torch.equal(before[name], each) for name, each in other.state_dict().items())
    assert nnw.read(file)["model"].class_name.endswith("Sequential")


def test_a_few_modules_that_repeat_each_other_do_not_stand_for_very_many(tmp_path):
    net = nn.Linear(1, 1)
    for _ in range(40):
        net = nn.ModuleList([net, net])
    with pytest.raises(nnw.CheckpointMismatchError, match="too many that repeat each other"):
        nnw.peek(saved(net, tmp_path))


def dtensor(local, shape, placement):
    spec = Raw(
        opcodes(Global("torch.distributed.tensor._dtensor_spec", "DTensorSpec")) + b")\x81"
        + opcodes({"placements": (Call("torch.distributed.tensor.placement_types", placement),)}) + b"b"
    )  # fmt: skip
    kind = Global("torch.distributed.tensor", "DTensor")
    made_from = (kind, Global("torch", "float32"), shape, (1,), 0, None, Call("torch", "device", "cpu"), False)
    rebuild = Global("torch._utils", "_rebuild_wrapper_subclass")
    state = (None, {"_local_tensor": local, "_spec": spec})
    return Call("torch._tensor", "_rebuild_from_type_v2", rebuild, kind, made_from, state)


@pytest.mark.parametrize("placement", ["Shard", "Replicate"])
def test_a_dtensor_of_which_the_file_has_the_whole_is_a_tensor(placement, tmp_path):
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip({"weight": dtensor(tensor(), (4,), placement)}))
    net = nn.Module()
    net.weight = nn.Parameter(torch.zeros(4))
    assert nnw.load(net, file).verified
    assert nnw.peek(file).departures == ("DTensors of which one rank held the whole are read as plain tensors.",)


@pytest.mark.parametrize(("placement", "shape"), [("Shard", (8,)), ("Partial", (4,)), ("_MaskPartial", (4,))])
def test_a_dtensor_of_which_the_file_has_a_part_is_described_and_not_loaded(placement, shape, tmp_path):
    file = tmp_path / "it.pt"
    file.write_bytes(torch_zip({"weight": dtensor(tensor(), shape, placement), "bias": tensor()}))
    index, found = nnw.peek(file), nnw.read(file)["weight"]
    assert index.names == ("bias",)
    assert "only as one rank's part" in index.departures[0]
    assert found.class_name == "torch.distributed.tensor.DTensor"
    assert found.state["state"]["_local_tensor"].shape == (4,)
