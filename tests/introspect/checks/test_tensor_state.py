"""`check` tells of tensors without data, of dtypes and devices that are mixed, and of what no file will hold."""

import torch
from torch import nn

import nnwidgets as nnw
from tests.support.checked_models import apply_fix, codes, mlp


def test_lazy_and_meta_tensors():
    assert codes(nn.Sequential(nn.LazyLinear(3), nn.ReLU())) == [("uninitialized", "note", "0")]
    with torch.device("meta"):
        whole = mlp()
    assert codes(whole) == [("uninitialized", "note", "")]
    part = mlp()
    part[2].weight = nn.Parameter(torch.empty(10, 256, device="meta"))
    assert ("uninitialized", "warning", "2.weight") in codes(part)


def test_non_persistent_buffers_are_noted():
    net = nn.Linear(2, 2)
    net.register_buffer("mask", torch.ones(2), persistent=False)
    net.register_buffer("kept", torch.ones(2))
    assert codes(net) == [("non-persistent-buffer", "note", "mask")]


def test_mixed_dtypes_devices_and_training_flags():
    net = mlp()
    net[2].half()
    assert codes(net) == [("mixed-dtypes", "note", "")]
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2)).eval()
    net[1].train()
    assert codes(net) == [("mixed-training", "warning", "1")]
    apply_fix(nnw.check(net)[0], net)
    assert nnw.check(net) == ()
    net.train()
    net[2].eval()
    assert codes(net) == [("mixed-training", "note", "2")]
