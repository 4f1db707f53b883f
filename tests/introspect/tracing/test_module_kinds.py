"""Modules of all kinds can be traced: compiled, scripted, wrapped, keyed oddly, on meta."""

import warnings

import torch
from torch import nn

import nnwidgets as nnw
from tests.support.checked_models import MySequential
from tests.support.stacks import needs_torch
from tests.support.traced_models import mlp


def test_modules_with_keys_that_are_not_strings():
    trace = nnw.trace(MySequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(9, 2)), torch.rand(2, 4))
    assert [call.path for call in trace.calls] == ["", "[0]", "[1]", "[2]"]
    assert trace.failed_at == "[2]"


@needs_torch("compiler.set_stance")
def test_a_compiled_module_is_run_as_it_was_written():
    net = mlp()
    compiled = torch.compile(net, backend="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trace = nnw.trace(compiled, torch.rand(2, 20))
    assert [call.path for call in trace.calls] == ["", "_orig_mod", "_orig_mod.0", "_orig_mod.1", "_orig_mod.2"]

    net.compile(backend="eager")
    assert [call.path for call in nnw.trace(net, torch.rand(2, 20)).calls] == ["", "0", "1", "2"]


def test_a_module_that_overrides_call_is_run_and_not_called_unused():
    class Direct(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def __call__(self, x):
            return self.forward(x)

        def forward(self, x):
            return self.linear(x)

    trace = nnw.trace(nn.Sequential(Direct()), torch.rand(2, 4))
    assert [call.path for call in trace.calls] == ["", "0.linear"]
    assert trace.unused == ()


def test_a_forward_that_adds_and_drops_modules():
    class Grows(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4)

        def forward(self, x):
            x = nn.Softmax(dim=-1)(self.first(x))
            del self.first
            self.second = nn.Linear(4, 2)
            return self.second(x)

    trace = nnw.trace(Grows(), torch.rand(2, 4))
    assert [(call.path, call.depth) for call in trace.calls] == [("", 0), ("first", 1), ("second", 1)]


def test_parallel_wrappers_parametrizations_and_recurrent_layers():
    parallel = nn.DataParallel(mlp())
    assert nnw.trace(parallel, torch.rand(2, 20)).unused == ()
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    assert nnw.trace(normed, torch.rand(2, 4)).error is None
    recurrent = nnw.trace(nn.GRU(4, 8), torch.rand(3, 2, 4))
    assert recurrent.calls[0].output_shapes == ((3, 2, 8), (1, 2, 8))


def test_meta_models_are_traced_without_data():
    with torch.device("meta"):
        net, x = mlp(), torch.rand(2, 20)
    trace = nnw.trace(net, x)
    assert trace.calls[-1].output_shapes == ((2, 10),)
    assert trace.flops == 2 * 2 * 20 * 256 + 2 * 2 * 256 * 10
