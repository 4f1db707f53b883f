"""A trace leaves all as it was: buffers, gradients, flags, generators, and nothing kept alive."""

import gc
import random
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.traced_models import mlp, traced


def test_statistics_of_batch_norm_stay_to_the_bit():
    net = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4, momentum=None))
    assert traced(net, torch.rand(8, 4)).error is None
    assert int(net[0].num_batches_tracked) == 0


def test_buffers_that_hold_nan_stay_to_the_bit():
    net = nn.BatchNorm1d(4)
    net.running_mean[1] = float("nan")
    traced(net, torch.rand(8, 4))


def test_random_generators_of_torch_python_and_numpy_stay():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.generator = torch.Generator().manual_seed(3)
            self.drop = nn.Dropout()

        def forward(self, x):
            return self.drop(x) + random.random() + np.random.rand() + torch.rand(1, generator=self.generator)  # noqa: S311, NPY002

    net = Noisy()
    before = net.generator.get_state()
    assert traced(net, torch.rand(8, 4)).error is None
    assert torch.equal(before, net.generator.get_state())


@pytest.mark.parametrize("has_gradient", [False, True])
def test_gradients_stay_when_the_forward_runs_a_backward(has_gradient):
    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            self.linear(x).sum().backward()
            return x

    net = Inner()
    if has_gradient:
        net(torch.rand(2, 4))
    traced(net, torch.rand(2, 4))
    assert (net.linear.weight.grad is None) == (not has_gradient)


def test_zeroed_gradients_come_back():
    class Zeroes(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            self.zero_grad(set_to_none=True)
            return self.linear(x)

    net = Zeroes()
    net.linear(torch.rand(2, 4)).sum().backward()
    traced(net, torch.rand(2, 4))


def test_training_flags_that_the_forward_changes_come_back():
    class Switches(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.norm = nn.Dropout(), nn.BatchNorm1d(4).eval()

        def forward(self, x):
            self.eval()
            self.norm.train()
            return self.norm(self.drop(x))

    traced(Switches(), torch.rand(8, 4))


def test_parameters_that_the_forward_writes_in_place_come_back():
    class Clips(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            self.linear.weight.data.clamp_(-0.01, 0.01)
            with torch.no_grad():
                self.linear.bias.zero_()
            return self.linear(x)

    traced(Clips(), torch.rand(2, 4))


def test_buffers_replaced_resized_or_added_come_back_with_the_attributes_that_go_with_them():
    class Cache(nn.Module):
        def __init__(self):
            super().__init__()
            self.length = 2
            self.register_buffer("positions", torch.arange(2.0))
            self.register_buffer("table", torch.zeros(2))
            self.register_buffer("empty", None)

        def forward(self, x):
            self.length = len(x)
            self.positions = torch.arange(float(len(x)))
            self.table.resize_(len(x)).fill_(1)
            self.empty = torch.ones(1)
            self.register_buffer("new", torch.ones(1))
            return x + self.positions

    net = Cache()
    assert traced(net, torch.rand(5)).error is None
    assert (net.length, net.empty, list(net._buffers)) == (2, None, ["positions", "table", "empty"])
    assert net.table.tolist() == [0, 0]


def test_buffers_written_behind_torchs_back_come_back():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x):
            self.count.numpy()[0] += 1
            return x

    traced(Counts(), torch.rand(1))


def test_large_buffers_are_copied_only_when_something_writes_to_them():
    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("queue", torch.zeros(5 * 2**20))
            self.register_buffer("other", torch.zeros(5 * 2**20))

        def forward(self, x):
            self.queue[: len(x)] = x
            torch._foreach_add_([self.queue], 1.0)
            return x

    traced(Large(), torch.rand(5))


def test_gradients_of_an_earlier_graph_still_flow_after_a_trace():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4).eval())
    loss = net(torch.rand(3, 4)).sum()
    net[1].train()
    nnw.trace(net, torch.rand(8, 4))
    loss.backward()
    assert net[0].weight.grad is not None


def test_nothing_is_kept_alive_by_a_trace():
    net, x = mlp(), torch.rand(2, 20)
    outputs = []
    handle = net.register_forward_hook(lambda module, args, output: outputs.append(weakref.ref(output)))
    trace = nnw.trace(net, x)
    handle.remove()
    alive = weakref.ref(net), weakref.ref(x)
    gc.collect()
    assert outputs[0]() is None
    del net, x
    gc.collect()
    assert [ref() for ref in alive] == [None, None]
    assert trace.calls


def test_a_trace_that_fails_keeps_nothing_alive_either():
    net = mlp()
    gc.disable()
    try:
        trace = nnw.trace(net, torch.rand(2, 21))
        alive = weakref.ref(net)
        del net
        assert alive() is None
    finally:
        gc.enable()
    assert trace.failed_at == "0"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_random_generators_and_statistics_on_a_cuda_device_stay():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout()).cuda()
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    trace = traced(net, torch.rand(8, 4, device="cuda"))
    assert trace.error is None
    assert torch.equal(before, torch.cuda.get_rng_state())
