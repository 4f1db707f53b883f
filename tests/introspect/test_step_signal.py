"""The signal in a training's own step: torch's numbers, and nothing hooked but for that step."""

import gc
import threading
import weakref

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect.signal.step_signal import StepWatch
from tests.support.model_state import digest

HOOKS = nn.modules.module._global_forward_hooks


class Net(nn.Module):
    """A module called twice, a tuple, and one that gives no floats."""

    def __init__(self):
        super().__init__()
        self.inner, self.rnn, self.ids, self.head = nn.Linear(8, 8), nn.GRU(8, 8), nn.Identity(), nn.Linear(8, 3)

    def forward(self, x):
        self.ids(torch.arange(3))
        return self.head(self.rnn(self.inner(self.inner(x).tanh()))[0])


class Last(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


def step(net, x):
    loss = net(x).square().mean()
    loss.backward()
    return loss


def test_mean_and_std_are_those_of_the_last_call_and_its_gradient(net):
    x, outputs, gradients = torch.randn(5, 8), {}, {}
    watch = StepWatch(net, {"inner", "rnn", "ids", "head", "head.weight", "no.such"})
    handles = [
        each.register_forward_hook(lambda _, __, out, name=name: outputs.update({name: out}))
        for name, each in net.named_modules()
    ]
    net.inner.register_full_backward_hook(
        lambda _, __, out: gradients.update({"inner": gradients.get("inner", out[0])})
    )
    net.head.register_full_backward_hook(lambda _, __, out: gradients.update(head=out[0]))
    step(net, x)
    seen = watch.take()
    assert set(seen) == {"inner", "rnn", "head"}
    outputs["rnn"] = outputs["rnn"][0]
    for name, each in seen.items():
        out = outputs[name].double()
        assert (each.mean, each.std) == pytest.approx((out.mean().item(), out.std(correction=0).item()), rel=1e-5)
    for name, gradient in gradients.items():
        assert seen[name].gradient == pytest.approx(gradient.std(correction=0).item(), rel=1e-5)
    assert seen["rnn"].gradient > 0
    assert len(handles) == 5


def test_of_a_large_tensor_a_sample_tells_its_std_to_a_few_in_a_hundred():
    torch.manual_seed(0)
    x = torch.randn(512, 512, requires_grad=True)
    for last in (lambda out: out * 1, lambda out: out[:, 100:], lambda out: out.T, lambda out: out.expand(3, 512, 512)):
        net = Last(last)
        watch = StepWatch(net, {""})
        out = net(x)
        out.sum().backward()
        seen = watch.take()[""]
        assert seen.std == pytest.approx(out.std().item(), rel=0.05)
        assert seen.gradient == 0


def test_one_hook_is_set_for_one_forward_and_the_model_is_never_touched(net):
    x, before = torch.randn(5, 8), digest(net)[0]
    assert not HOOKS
    watch = StepWatch(net, {"inner", "head"})
    assert len(HOOKS) == 1
    assert digest(net)[0] == before
    with torch.no_grad():
        net.inner(x)
    other = threading.Thread(target=net, args=(x,))
    other.start()
    other.join()
    assert watch._met == {}
    loss = net(x).square().mean()
    assert not HOOKS
    first = net.head.weight.grad
    assert first is None
    loss.backward(retain_graph=True)
    seen = watch.take()
    assert seen["head"].gradient > 0
    assert loss.grad_fn is not None
    loss.backward()
    assert watch.take() == {}
    assert digest(net)[0] == before


def test_an_evaluation_ends_it_and_a_step_without_it_tells_nothing(net):
    watch = StepWatch(net, {"inner"})
    with torch.no_grad():
        net(torch.randn(5, 8))
    assert not HOOKS
    assert watch.take() == {}
    watch = StepWatch(net, {"inner"})
    assert watch.take() == {}
    assert not HOOKS


def test_compiled_modules_are_left_alone(net):
    for compiled in (torch.compile(net, backend="eager"), net):
        net.inner.compile(backend="eager")
        watch = StepWatch(compiled, {"inner"})
        assert not HOOKS
        assert watch.take() == {}


class Recomputed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(self.inner, x, use_reentrant=False)


def test_what_is_run_to_look_at_the_model_is_no_step():
    torch.manual_seed(0)
    net, x = Recomputed(), torch.randn(5, 8)
    watch = StepWatch(net, {"inner"})
    nnw.trace(net, 1_000 * x)
    nnw.activations(net, 1_000 * x, loss="noise")
    nnw.compare_inits(net, x, inits=["normal_ std=100"], seeds=1, loss=lambda out: out.sum(), steps=1)
    assert len(HOOKS) == 1
    step(net, x)
    assert watch.take()["inner"].std == pytest.approx(net.inner(x).std(correction=0).item(), rel=1e-5)


def test_a_model_that_goes_takes_the_hook_with_it(net):
    watch, gone = StepWatch(net, {"inner"}), weakref.ref(net)
    own = Last(abs)
    other = StepWatch(own, {""})
    assert len(HOOKS) == 2
    del own
    gc.collect()
    assert len(HOOKS) == 1
    assert gone() is not None
    assert (watch.take(), other.take(), len(HOOKS)) == ({}, {}, 0)
