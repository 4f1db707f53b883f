"""Models on the meta device and lazy ones get memory and shapes from a file, all or none."""

from __future__ import annotations

import weakref

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from tests.support.loaded_models import StopError, Tied, mlp


def test_a_model_on_the_meta_device_is_given_memory_once_the_file_is_known_good(tmp_path):
    source = Tied()
    save_file({"head.weight": source.head.weight.detach()}, tmp_path / "x.safetensors")
    with torch.device("meta"):
        net = Tied()
    weight = net.wte.weight
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(nnw.PathNotFoundError, match=r"Did you mean 'wte\.weight'"):
        nnw.load(net, tmp_path / "x.safetensors", rename={"head.weight": "wte.wieght"})
    assert net.wte.weight.is_meta
    report = nnw.load(net, tmp_path / "x.safetensors")
    assert report.n_loaded == 2
    assert net.wte.weight is weight is net.head.weight
    assert optimizer.param_groups[0]["params"][0] is net.wte.weight
    assert torch.equal(net.wte.weight, source.head.weight)
    assert net.wte.weight.requires_grad
    nnw.undo(net)
    assert net.wte.weight is weight
    assert weight.is_meta
    nnw.redo(net)
    assert torch.equal(net.head.weight, source.head.weight)


def test_a_failed_load_leaves_a_meta_model_on_the_meta_device(tmp_path):
    source = mlp()
    save_file(source.state_dict(), tmp_path / "x.safetensors")
    with torch.device("meta"):
        net = mlp()

    def stop(done, total):
        if done > total // 2:
            raise StopError

    with pytest.raises(StopError):
        nnw.load(net, tmp_path / "x.safetensors", progress=stop)
    assert all(tensor.is_meta for tensor in net.state_dict().values())


def test_an_exchange_that_fails_half_way_leaves_all_of_a_meta_model_on_the_meta_device(tmp_path):
    save_file(mlp().state_dict(), tmp_path / "x.safetensors")
    with torch.device("meta"):
        net = mlp()
    held = []

    def hold(done, total):
        if done == total:  # everything is written and compared; what follows puts it in place
            held.append(weakref.ref(net.output.bias))

    with pytest.raises(RuntimeError, match="weakref"):
        nnw.load(net, tmp_path / "x.safetensors", progress=hold)
    assert held
    assert all(tensor.is_meta for tensor in net.state_dict().values())
    assert not nnw.history(net).changes


def test_a_lazy_layer_gets_its_shape_from_the_file(tmp_path):
    source = nn.Sequential(nn.Linear(7, 3))
    save_file(source.state_dict(), tmp_path / "x.safetensors")
    net = nn.Sequential(nn.LazyLinear(3))
    nnw.load(net, tmp_path / "x.safetensors")
    x = torch.randn(2, 7)
    assert torch.equal(net(x), source(x))
    with pytest.raises(nnw.InvalidTargetError, match="can't be undone: a lazy tensor got its shape"):
        nnw.undo(net)
