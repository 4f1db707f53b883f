"""Floating-point operations of a trace are torch's own count, or none."""

import runpy
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nnwidgets as nnw
from nnwidgets.introspect.tracing import flops
from tests.support.traced_models import by_path, mlp, traced


def test_flops_are_torchs_own_count():
    from torch.utils.flop_counter import FlopCounterMode

    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    x = torch.rand(2, 3, 8, 8)
    with FlopCounterMode(display=False) as counter:
        net(x)

    trace = traced(net, x)

    assert trace.flops == counter.get_total_flops() == 2 * 2 * 8 * 36 * 27 + 2 * 2 * 288 * 5
    assert by_path(trace)["0", 0].flops == 2 * 2 * 8 * 36 * 27
    assert by_path(trace)["1", 0].flops == 0
    assert by_path(trace)["", 0].flops == trace.flops


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_flops_are_the_same_in_every_grad_mode(mode):
    with mode():
        assert nnw.trace(mlp(), torch.rand(2, 20)).flops == 2 * 2 * 20 * 256 + 2 * 2 * 256 * 10


def test_flops_of_attention_and_recurrent_layers_on_the_cpu_are_counted():
    class Attention(nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x, x, x)

    with torch.no_grad():
        assert nnw.trace(Attention(), torch.rand(2, 4, 6, 8)).flops == 2 * (2 * 2 * 4 * 6 * 6 * 8)
        lstm = nnw.trace(nn.LSTM(8, 16), torch.rand(5, 3, 8))
    assert lstm.flops == 2 * 5 * 3 * (4 * 16 * 8 + 4 * 16 * 16)


def test_flops_are_none_where_an_operator_hides_its_products():
    class Spectral(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            return torch.fft.fft(self.linear(x)).real

    trace = nnw.trace(Spectral(), torch.rand(2, 4))

    assert (trace.flops, trace.calls[0].flops, trace.calls[1].flops) == (None, None, 2 * 2 * 4 * 4)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_a_torch_that_lacks_newer_operators_is_no_error(monkeypatch):
    class OfOlderTorch:
        def __getattr__(self, name):
            if name.startswith("_"):  # torch's own, which come and go: _grouped_mm is there from 2.8 on
                raise AttributeError(name)
            return getattr(aten, name)

    aten = torch.ops.aten
    monkeypatch.setattr(torch.ops, "aten", OfOlderTorch())
    runpy.run_module(flops.__name__)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_torchs_word_that_triton_is_missing_is_no_matter_of_the_user(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "triton.runtime.jit", None)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.utils, "flop_counter", torch.utils.flop_counter)
    monkeypatch.delitem(sys.modules, "torch.utils.flop_counter")
    runpy.run_module(flops.__name__)
    assert not caplog.records
