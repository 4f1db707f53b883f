"""A trace's hooks stand in nobody's way: the user's own, another thread's, another trace's."""

import threading

import torch
from torch import nn

import nnwidgets as nnw
from tests.support.traced_models import mlp, traced


def test_a_users_hooks_run_once_in_their_order():
    seen = []
    net = mlp()
    net[0].register_forward_pre_hook(lambda *_: seen.append("pre"))
    net[0].register_forward_hook(lambda *_: seen.append("first"))
    net[0].register_forward_hook(lambda *_: seen.append("second"))
    traced(net, torch.rand(2, 20))
    assert seen == ["pre", "first", "second"]


def test_calls_in_another_thread_are_neither_recorded_nor_disturbed():
    started, finish = threading.Event(), threading.Event()
    outputs = []

    class Waits(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            started.set()
            assert finish.wait(30)
            return self.linear(x)

    net = Waits()

    def train():
        assert started.wait(30)
        outputs.extend(net.linear(torch.ones(7, 4)) for _ in range(5))
        finish.set()

    thread = threading.Thread(target=train)
    thread.start()
    trace = nnw.trace(net, torch.rand(2, 4))
    thread.join()

    assert [(call.path, call.input_shapes) for call in trace.calls] == [("", ((2, 4),)), ("linear", ((2, 4),))]
    assert len(outputs) == 5
    assert outputs[0].grad_fn is not None


def test_traces_can_be_nested():
    inner = nn.Linear(4, 4)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.after = nn.ReLU()

        def forward(self, x):
            self.found = nnw.trace(inner, x)
            return self.after(x)

    net = Outer()
    trace = nnw.trace(net, torch.rand(2, 4))
    assert [call.path for call in trace.calls] == ["", "after"]
    assert [call.path for call in net.found.calls] == [""]
