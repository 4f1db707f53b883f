"""Models whose tensors can't lie elsewhere, no room for it, and who reads a model while they do."""

import threading

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.edit.operations import stand_ins
from nnwidgets.errors import InvalidTargetError, NNWidgetsError
from nnwidgets.introspect.safe_access.tensors import gradient_of
from nnwidgets.introspect.statistics.exact_stats import version
from tests.support.dtensors import Replicate, Shard, distribute_tensor


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 4))


def deep():
    torch.manual_seed(0)
    return nn.Sequential(*[each for _ in range(3) for each in (nn.Linear(64, 64), nn.Tanh())])


def batch(n=128, width=64):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(1))


def test_tensors_that_can_not_be_written_are_refused_by_name():
    x = torch.randn(8, 6)
    lazy = nn.Sequential(nn.LazyLinear(5), nn.Linear(5, 2))
    meta = nn.Sequential(nn.Linear(6, 5, device="meta"))
    for net, where in ((lazy, "0.weight"), (meta, "0.weight")):
        with pytest.raises(NNWidgetsError, match=where):
            nnw.compare_inits(net, x, inits=["normal_"], target="0.weight")
    with pytest.raises(InvalidTargetError, match=r"0\.weight is lazy.*Call the model once"):
        nnw.compare_inits(lazy, x, inits=["normal_"])
    packed = torch.ao.quantization.quantize_dynamic(plain().eval(), {nn.Linear}, dtype=torch.qint8)
    for net in (nn.Sequential(nn.ReLU()), nn.Sequential(nn.LayerNorm(6)), packed):
        with pytest.raises(InvalidTargetError, match="no weight that an initializer could fill"):
            nnw.compare_inits(net, x, inits=["normal_"])
    with pytest.raises(InvalidTargetError, match="Packed weights can't be written; replace the module"):
        nnw.compare_inits(packed, x, inits=["normal_"], target="0._packed_params._packed_params")


def test_what_ranks_hold_together_is_refused_and_keeps_every_bit(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        net = nn.Sequential(nn.Linear(6, 4))
        for name, value in list(net[0].named_parameters()):
            net[0].register_parameter(name, nn.Parameter(distribute_tensor(value.detach(), mesh, [Shard(0)])))
        x, before = distribute_tensor(batch(8, 6), mesh, [Replicate()]), net[0].weight.to_local().clone()
        with pytest.raises(InvalidTargetError, match=r"0\.weight is Shard\(0\) over 1.*before it is sharded"):
            nnw.compare_inits(net, x, inits=["normal_"])
        assert torch.equal(net[0].weight.to_local(), before)
        (as_it_is,) = nnw.compare_inits(net, x, inits=[None]).candidates
        assert as_it_is.error is None
        assert as_it_is.backward[0].mean == pytest.approx(1, abs=0.3)
    finally:
        torch.distributed.destroy_process_group()


def test_a_layer_without_a_backward_of_its_own_passes_no_gradient_on():
    inner = torch.ao.quantization.quantize_dynamic(plain().eval(), {nn.Linear}, dtype=torch.qint8)
    net = nn.Sequential(nn.Linear(6, 6), inner, nn.Linear(4, 3))
    found = nnw.compare_inits(net, batch(8, 6), inits=["normal_"])
    arrived = {point.path: band for point, band in zip(found.points, found.candidates[0].backward, strict=True)}
    assert found.candidates[0].error is None
    assert arrived["0"] is None
    assert arrived["2"].mean == pytest.approx(1, abs=0.3)


def test_no_room_for_stand_ins_is_told_with_sizes_before_anything_is_made_or_run(monkeypatch):
    net, told = nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256)), []
    x = batch(4, 256)
    net.register_forward_hook(lambda *_: told.append("run"))
    net[1].weight = nn.Parameter(net[0].weight.detach().T)  # in the same memory, which is copied once
    before = [(each._version, each.data_ptr(), each.tolist()) for each in net.parameters()]
    monkeypatch.setattr(stand_ins, "free_bytes", lambda device: 200_000)
    monkeypatch.setattr(stand_ins.Scratch, "_copy", lambda *_: told.append("made"))
    with pytest.raises(NNWidgetsError, match=r"of 2 tensors, 262.1 kB \(200.0 kB are free\); nothing was run.*target="):
        nnw.compare_inits(net, x, inits=["normal_"])
    assert told == []
    assert [(each._version, each.data_ptr(), each.tolist()) for each in net.parameters()] == before
    monkeypatch.undo()
    monkeypatch.setattr(stand_ins, "free_bytes", lambda device: 2**18 + 1)
    assert nnw.compare_inits(net, x, inits=["normal_"]).candidates[0].error is None


def test_who_reads_the_model_in_another_thread_meanwhile_is_given_its_own_values():
    """As an Explorer does over a subshell while a cell compares."""
    net = deep()
    net(batch()).sum().backward()
    weight, gradient = net[0].weight, net[0].weight.grad.clone()
    expected = nnw.stats(weight), nnw.stats(gradient), weight._version
    seen, stds = [], []

    def read():
        seen.append((nnw.stats(weight), nnw.stats(gradient_of(weight)), version(weight)))

    def look(*_):
        stds.append(nnw.stats(weight).std)  # in this thread: what the run is about
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()

    net[2].register_forward_hook(look)
    net[2].weight.register_hook(look)
    nnw.compare_inits(net, batch(), inits=["normal_ std=3", "zeros_"], loss="noise", seeds=1, target="Linear.weight")
    assert seen == [expected] * 4
    assert stds == pytest.approx([3, 3, 0, 0], rel=0.1)
    net[0].weight.data.zero_()
    look()
    assert seen[-1][0].std == 0
