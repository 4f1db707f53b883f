"""A forward that raises is traced to the module where it did, with what that got."""

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.traced_models import by_path, mlp, traced


def test_keywords_of_a_call_that_raises_are_told_too():
    class Picky(nn.Module):
        def forward(self, *, x):
            raise ValueError(x.shape)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.picky = Picky()

        def forward(self, x):
            return self.picky(x=x)

    trace = nnw.trace(Outer(), torch.rand(2, 5))

    assert (trace.failed_at, trace.calls[1].input_shapes) == ("picky", ((2, 5),))


def test_a_forward_that_raises_names_the_innermost_module_and_the_shapes_it_got():
    net = nn.Sequential(nn.Linear(20, 20), nn.Sequential(nn.ReLU(), nn.Linear(30, 5)))

    trace = traced(net, torch.rand(2, 20))

    assert trace.failed_at == "1.1"
    assert "mat1 and mat2 shapes cannot be multiplied (2x20 and 30x5)" in trace.error
    failed = trace.calls[-1]
    assert (failed.path, failed.input_shapes, failed.output_shapes) == ("1.1", ((2, 20),), ())
    assert (failed.seconds, failed.flops, trace.flops) == (None, None, None)
    assert by_path(trace)["0", 0].output_shapes == ((2, 20),)


def test_an_error_that_is_caught_inside_is_not_where_the_forward_failed():
    class Tries(nn.Module):
        def __init__(self):
            super().__init__()
            self.bad, self.good, self.last = nn.Linear(3, 3), nn.Linear(4, 4), nn.Linear(5, 5)

        def forward(self, x):
            try:
                x = self.bad(x)
            except RuntimeError:
                x = self.good(x)
            return self.last(x) if self.fails else x

    net = Tries()
    net.fails = False
    worked = traced(net, torch.rand(2, 4))
    net.fails = True
    failed = traced(net, torch.rand(2, 4))

    assert (worked.failed_at, worked.error) == (None, None)
    assert by_path(worked)["bad", 0].seconds is None
    assert by_path(worked)["good", 0].output_shapes == ((2, 4),)
    assert [call.depth for call in worked.calls] == [0, 1, 1]
    assert failed.failed_at == "last"


def test_an_error_raised_anew_by_the_parent_is_traced_to_the_child():
    class Wraps(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, x):
            try:
                return self.inner(x)
            except RuntimeError as error:
                raise ValueError("bad input") from error

    trace = nnw.trace(Wraps(), torch.rand(2, 4))

    assert (trace.failed_at, trace.error) == ("inner", "ValueError: bad input")


def test_wrong_arguments_are_an_error_of_the_model_itself():
    trace = traced(mlp())
    assert trace.failed_at == ""
    assert trace.error.startswith("TypeError")


def test_an_exception_whose_message_raises_is_still_told():
    class Rude(Exception):
        def __str__(self):
            raise RuntimeError

    class Fails(nn.Module):
        def forward(self, x):
            raise Rude

    assert nnw.trace(Fails(), 1).error == "Rude: (its message can't be read)"


def test_a_keyboard_interrupt_passes_through_and_leaves_nothing_behind():
    class Interrupted(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)
            self.dropout = nn.Dropout()

        def forward(self, x):
            self.eval()
            self.train(False)
            self.dropout(self.norm.train()(x))
            raise KeyboardInterrupt

    net = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        traced(net, torch.rand(8, 4))
