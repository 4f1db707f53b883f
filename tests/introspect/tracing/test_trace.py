"""A trace tells each call of a forward, and which modules had none."""

import copy

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.traced_models import mlp, traced


def test_each_call_has_its_path_shapes_dtypes_and_depth_in_the_order_they_began():
    trace = traced(mlp(), torch.rand(2, 20))

    assert [(call.path, call.depth) for call in trace.calls] == [("", 0), ("0", 1), ("1", 1), ("2", 1)]
    first = trace.calls[1]
    assert (first.input_shapes, first.output_shapes) == (((2, 20),), ((2, 256),))
    assert (first.input_dtypes, first.output_dtypes) == (("float32",), ("float32",))
    assert all(call.seconds > 0 for call in trace.calls)
    assert trace.seconds >= trace.calls[0].seconds >= sum(call.seconds for call in trace.calls[1:])
    assert (trace.failed_at, trace.error, trace.unused) == (None, None, ())


def test_a_layer_reused_in_one_forward_shows_each_call():
    shared = nn.Linear(8, 8)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(8, 1))

    trace = traced(net, torch.rand(2, 4))

    assert [(c.path, c.call_index) for c in trace.calls if c.path == "2"] == [("2", 0), ("2", 1)]
    assert "4" not in {call.path for call in trace.calls}
    assert trace.unused == ()


def test_the_forward_runs_under_the_callers_grad_mode():
    seen = []

    class Look(nn.Module):
        def forward(self, x):
            seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
            return x

    nnw.trace(Look(), torch.rand(1))
    with torch.no_grad():
        nnw.trace(Look(), torch.rand(1))
    with torch.inference_mode():
        nnw.trace(Look(), torch.rand(1))
    assert seen == [(True, False), (False, False), (False, True)]


def test_the_record_is_json_safe_and_its_repr_is_one_readable_line():
    import json

    trace = nnw.trace(mlp(), torch.rand(2, 21))

    told = json.loads(json.dumps(trace.to_dict(), allow_nan=False))
    assert told["failed_at"] == "0"
    assert told["calls"][1]["input_shapes"] == [[2, 21]]
    assert "failed at '0': RuntimeError" in repr(trace)
    assert "\n" not in repr(trace)


def test_unused_are_the_registered_modules_that_no_call_reached():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used = nn.ModuleList([nn.Linear(4, 4)])
            self.steps = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
            self.spare = nn.Linear(4, 4)
            self.extra = nn.ModuleDict({"a": nn.Sequential(nn.Linear(4, 4))})
            self.attention = nn.MultiheadAttention(4, 2)

        def forward(self, x):
            x = self.used[0](x)
            for step in self.steps:
                x = step(x)
            return self.attention(x, x, x)[0]

    assert nnw.trace(Spare(), torch.rand(2, 4)).unused == ("spare", "extra.a", "extra.a.0")


def test_what_a_fused_layer_or_a_script_does_inside_is_not_unused():
    layer = nn.TransformerEncoderLayer(16, 4, batch_first=True).eval()
    with torch.no_grad():
        fused = nnw.trace(layer, torch.rand(2, 5, 16))
    assert (fused.unused, fused.flops) == ((), None)
    assert len(fused.calls) == 1

    script = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    trace = nnw.trace(script, torch.rand(2, 4))
    assert (trace.unused, trace.error, [call.path for call in trace.calls]) == ((), None, [""])


def test_lazy_modules_are_refused_before_anything_runs():
    net = nn.Sequential(nn.LazyLinear(4))
    with pytest.raises(nnw.InvalidTargetError, match=r"0\.weight is lazy"):
        nnw.trace(net, torch.rand(2, 3))
    assert isinstance(net[0], nn.LazyLinear)
    assert isinstance(net[0].weight, nn.UninitializedParameter)


def test_what_is_not_a_module_is_refused():
    with pytest.raises(nnw.InvalidTargetError, match=r"not a torch\.nn\.Module"):
        nnw.trace([1], torch.rand(2))


def test_the_result_of_a_trace_is_the_same_as_that_of_the_bare_forward():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout())
    seen = []
    net.register_forward_hook(lambda module, args, output: seen.append(output.detach().clone()))
    x = torch.rand(2, 3, 8, 8)
    reference = copy.deepcopy(net)
    torch.manual_seed(1)
    nnw.trace(net, x)
    torch.manual_seed(1)
    assert torch.equal(seen[0], reference(x))
