import copy
import gc
import random
import runpy
import sys
import threading
import warnings
import weakref
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules import module as torch_module

import nnwidgets as nnw
from nnwidgets.introspect.tracing import flops
from tests.support.stacks import needs_torch


def mlp():
    return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))


def snapshot(net):
    """Everything a forward may change: buffers to the bit, versions, gradients, flags, attributes, generators."""
    return {
        "buffers": {name: (buffer.clone(), buffer._version, id(buffer)) for name, buffer in net.named_buffers()},
        "parameters": {name: (p.detach().clone(), p._version, id(p)) for name, p in net.named_parameters()},
        "gradients": {
            name: None if p.grad is None else (p.grad.clone(), id(p.grad)) for name, p in net.named_parameters()
        },
        "flags": [module.training for module in net.modules()],
        "hooks": [
            (list(module._forward_hooks), list(module._forward_pre_hooks), list(module._backward_hooks))
            for module in net.modules()
        ],
        "global hooks": [
            list(held)
            for held in (
                torch_module._global_forward_hooks,
                torch_module._global_forward_pre_hooks,
                torch_module._global_forward_hooks_always_called,
                getattr(torch_module, "_global_forward_hooks_with_kwargs", ()),
            )
        ],
        "modes": torch._C._len_torch_dispatch_stack(),
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002 - the global generator is the point
    }


def assert_same(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other


def traced(net, *args, **kwargs):
    """Trace, and check that the model and all around it is left as it was."""
    before = snapshot(net)
    try:
        return nnw.trace(net, *args, **kwargs)
    finally:
        assert_same(before, snapshot(net))


def by_path(trace):
    return {(call.path, call.call_index): call for call in trace.calls}


# ---- what it tells ----


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


@dataclass
class Packed:
    tensor: torch.Tensor
    more: dict


def test_nested_containers_dataclasses_and_keywords_are_opened():
    class Nested(nn.Module):
        def forward(self, first, *, second):
            return OrderedDict(out=[first["a"], (second.tensor,)], again=None)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.nested = Nested()

        def forward(self, x):
            return self.nested({"a": x, "b": 3}, second=Packed(x[0], {"c": x.long()}))

    call = traced(Outer(), torch.rand(2, 5)).calls[1]

    assert (call.input_shapes, call.input_dtypes) == (((2, 5), (5,), (2, 5)), ("float32", "float32", "int64"))
    assert call.output_shapes == ((2, 5), (5,))


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


def test_outputs_of_transformers_are_opened():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=2, n_embd=8, n_head=2, vocab_size=16, n_positions=8, bos_token_id=1, eos_token_id=1
    )
    net = transformers.GPT2LMHeadModel(config).eval()

    trace = nnw.trace(net, torch.zeros(1, 4, dtype=torch.long), use_cache=False)

    assert trace.error is None
    assert trace.calls[0].output_shapes == ((1, 4, 16),)
    assert "transformer.h.1.attn.c_attn" in {call.path for call in trace.calls}
    # The fused attention has a dropout of its own.
    assert trace.unused == ("transformer.h.0.attn.attn_dropout", "transformer.h.1.attn.attn_dropout")


def test_the_record_is_json_safe_and_its_repr_is_one_readable_line():
    import json

    trace = nnw.trace(mlp(), torch.rand(2, 21))

    told = json.loads(json.dumps(trace.to_dict(), allow_nan=False))
    assert told["failed_at"] == "0"
    assert told["calls"][1]["input_shapes"] == [[2, 21]]
    assert "failed at '0': RuntimeError" in repr(trace)
    assert "\n" not in repr(trace)


# ---- when forward raises ----


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


# ---- leaving the model as it was ----


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


# ---- other people's hooks and threads ----


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


# ---- unused ----


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


# ---- every kind of module ----


def test_modules_with_keys_that_are_not_strings():
    class Home(nn.Module):
        def __init__(self, *blocks):
            super().__init__()
            for block in blocks:
                self._modules[block] = block

        def forward(self, x):
            for block in self._modules.values():
                x = block(x)
            return x

    trace = nnw.trace(Home(nn.Linear(4, 8), nn.ReLU(), nn.Linear(9, 2)), torch.rand(2, 4))
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


def test_tensor_subclasses_nested_and_sparse_inputs_are_described_without_their_code():
    class Loud(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if "__get__" in getattr(func, "__name__", ""):
                raise AssertionError("a subclass's code ran to read a shape")
            return super().__torch_function__(func, types, args, kwargs or {})

    loud = torch.rand(2, 4).as_subclass(Loud)
    assert nnw.trace(nn.Identity(), loud).calls[0].input_shapes == ((2, 4),)
    assert nnw.trace(nn.Identity(), torch.eye(3).to_sparse()).calls[0].input_shapes == ((3, 3),)
    ragged = torch.nested.nested_tensor([torch.rand(2, 3), torch.rand(4, 3)], layout=torch.jagged)
    assert nnw.trace(nn.Identity(), ragged).calls[0].output_shapes == ((2, -1, 3),)


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_random_generators_and_statistics_on_a_cuda_device_stay():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout()).cuda()
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    trace = traced(net, torch.rand(8, 4, device="cuda"))
    assert trace.error is None
    assert torch.equal(before, torch.cuda.get_rng_state())
