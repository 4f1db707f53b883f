"""The signal through a model: against hooks and torch's own numbers, and the model as it was afterwards."""

import copy
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import nnwidgets as nnw
from nnwidgets.errors import InvalidTargetError
from tests.support.model_state import digest
from tests.support.stacks import needs_torch


def mlp():
    return nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 3))


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(8 * 3 * 3, 3),
    )  # fmt: skip


def swish():
    """Activations whose backward has a kernel of its own, beside a rule that rounds otherwise."""
    return nn.Sequential(nn.Linear(20, 20), nn.SiLU(), nn.Linear(20, 20), nn.Mish(), nn.Linear(20, 3))


class Twice(nn.Module):
    """A module called twice, and a residual."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(20, 20)
        self.act = nn.Sigmoid()
        self.out = nn.Linear(20, 3)

    def forward(self, x):
        x = x + self.act(self.inner(x))
        return self.out(self.act(self.inner(x)))


@dataclass
class Answer:
    logits: torch.Tensor
    extra: dict


class Nested(nn.Module):
    """Outputs that are tuples, dicts and dataclasses."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(20, 6, batch_first=True)
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        seen, (hidden, _) = self.rnn(x[:, None])
        return Answer(self.out(seen[:, 0]), {"hidden": hidden, "step": torch.tensor(3)})


class Segments(nn.Module):
    def __init__(self, *, use_reentrant):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(20, 20), nn.Dropout(0.1)) for _ in range(3))
        self.act = nn.Tanh()
        self.use_reentrant = use_reentrant

    def forward(self, x):
        for block in self.blocks:
            x = checkpoint(lambda value, block=block: self.act(block(value)), x, use_reentrant=self.use_reentrant)
        return x


def by_hooks(net, x, loss):
    """Outputs, their gradients and those of the parameters, as a course would collect them."""
    net = copy.deepcopy(net)
    seen = []

    def keep(module, _, output):
        for tensor in floats_of(output):
            if tensor.requires_grad:
                gradient = []
                seen.append((module, tensor.detach().clone(), gradient))
                tensor.register_hook(gradient.append)

    handles = [module.register_forward_hook(keep) for module in net.modules()]
    loss(net(x)).backward()
    for handle in handles:
        handle.remove()
    names = {module: name for name, module in net.named_modules()}
    outputs = [(names[module], value, gradient[0] if gradient else None) for module, value, gradient in seen]
    return outputs, {name: parameter.grad for name, parameter in net.named_parameters()}


def floats_of(output):
    if isinstance(output, torch.Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, Answer):
        return [output.logits, output.extra["hidden"]]
    return [tensor for each in output for tensor in floats_of(each)]


def first_of(output):
    return floats_of(output)[0].float().square().mean()


@pytest.mark.parametrize("make", [mlp, cnn, swish, Twice, Nested])
@pytest.mark.parametrize("autocast", [False, True])
def test_each_number_is_that_of_hooks(make, autocast):
    torch.manual_seed(0)
    net, x = make(), torch.randn(4, 3, 8, 8) if make is cnn else torch.randn(16, 20)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        torch.manual_seed(1)
        outputs, gradients = by_hooks(net, x, first_of)
        torch.manual_seed(1)
        found = nnw.activations(net, x, loss=first_of)
    got = sorted(
        (call.path, each.shape, round(each.values.mean, 4), each) for call in found.calls for each in call.outputs
    )
    expected = sorted(
        (path, tuple(value.shape), round(value.double().mean().item(), 4), value, gradient)
        for path, value, gradient in outputs
    )
    assert [each[:3] for each in got] == [each[:3] for each in expected]
    for (_, _, _, signal), (path, _, _, value, gradient) in zip(got, expected, strict=True):
        assert signal.values.std == pytest.approx(value.double().std().item(), rel=1e-9), path
        assert signal.values.n_zero == int((value == 0).sum())
        assert sum(signal.values.hist_counts) == value.numel()
        assert (signal.gradient is None) == (gradient is None), path
        if gradient is not None:
            assert signal.gradient.norm == pytest.approx(gradient.double().norm().item(), rel=1e-9), path
    assert {each.path for each in found.parameters} == set(gradients)
    for each in found.parameters:
        gradient, weight = gradients[each.path].double(), net.get_parameter(each.path).detach().double()
        assert each.gradient.std == pytest.approx(gradient.std().item(), rel=1e-9)
        if weight.std() > 0:
            assert each.ratio == pytest.approx((gradient.std() / weight.std()).item(), rel=1e-9)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_segments_that_are_computed_again_count_once_and_have_their_gradients(use_reentrant):
    torch.manual_seed(0)
    net, x = Segments(use_reentrant=use_reentrant), torch.randn(8, 20, requires_grad=True)
    whole = nn.Sequential(*(nn.Sequential(*block, nn.Tanh()) for block in net.blocks))
    torch.manual_seed(1)
    found = nnw.activations(net, x, loss="noise")
    torch.manual_seed(1)
    plain = nnw.activations(whole, x, loss="noise")
    assert [call.path for call in found.calls].count("act") == 3
    assert x.grad is None
    got = [call.outputs[0].gradient.norm for call in found.calls if call.path == "act"]
    assert got == pytest.approx([call.outputs[0].gradient.norm for call in plain.calls if call.class_name == "Tanh"])
    assert [each.gradient.norm for each in found.parameters] == pytest.approx(
        [each.gradient.norm for each in plain.parameters]
    )


def test_the_model_is_as_before_with_its_gradients_hooks_and_the_random_state():
    torch.manual_seed(0)
    net, x = cnn(), torch.randn(4, 3, 8, 8, requires_grad=True)
    net(x).sum().backward()
    stepped = []
    net[0].weight.register_post_accumulate_grad_hook(stepped.append)
    kept = [(parameter, parameter.grad, parameter.grad.clone()) for parameter in (*net.parameters(), x)]
    state = {name: (value, value.clone(), value._version) for name, value in net.state_dict(keep_vars=True).items()}
    hooks = [(dict(module._forward_hooks), dict(module._backward_hooks)) for module in net.modules()]
    random = torch.get_rng_state()
    assert nnw.activations(net, x, loss=lambda out: out.square().sum()).error is None
    assert all(parameter.grad is before and torch.equal(before, copied) for parameter, before, copied in kept)
    for name, value in net.state_dict(keep_vars=True).items():
        before, copied, version = state[name]
        assert value is before
        assert torch.equal(value, copied)
        assert value._version == version
    assert torch.equal(torch.get_rng_state(), random)
    assert [(dict(module._forward_hooks), dict(module._backward_hooks)) for module in net.modules()] == hooks
    assert stepped == []
    net(x).sum().backward()
    assert len(stepped) == 1


def test_the_graph_behind_what_is_given_stays_for_the_callers_own_backward():
    torch.manual_seed(0)
    before, net, x = nn.Linear(5, 20), mlp(), torch.randn(16, 5)
    given, goal = before(x).tanh(), before(x)[:, :3].exp()
    assert nnw.activations(net, given, loss=goal).error is None
    options = {"inits": ["xavier_normal_"], "loss": goal, "steps": 2}
    (found,) = nnw.compare_inits(net, given, **options, batches=[(given, goal)]).candidates
    assert found.error is None
    assert before.weight.grad is None
    (net(given).sum() + goal.sum()).backward()
    assert before.weight.grad is not None


def test_a_function_of_the_users_may_keep_anything_under_any_name():
    class Keeping(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.variable = 3
            return x * 2

        @staticmethod
        def backward(_, gradient):
            return gradient * 2

    class Doubling(nn.Module):
        def forward(self, x):
            return Keeping.apply(x)

    assert nnw.activations(nn.Sequential(nn.Linear(3, 3), Doubling()), torch.randn(4, 3), loss="noise").error is None


def test_units_that_never_fire_and_values_at_the_flat_ends_are_counted():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 10), nn.Tanh(), nn.Softmax(-1))
    with torch.no_grad():
        net[0].bias[:2] = -100
        net[3].weight.mul_(100)
    x = torch.randn(12, 2, 8)
    found = {call.path: call.outputs[0] for call in nnw.activations(net, x).calls}
    assert (found["1"].n_silent_units, found["1"].n_units) == (2, 6)
    assert (found["4"].n_silent_units, found["4"].n_units) == (0, 10)
    out = net[:5](x)
    assert found["4"].n_saturated == int((out.abs() > 0.97).sum()) > 0
    assert found["5"].n_saturated == 0
    assert found["3"].n_saturated is None
    assert found["4"].gradient is None


def test_constants_are_seen_by_the_equal_gradients_of_their_units():
    net = mlp()
    with torch.no_grad():
        for at in (0, 2):
            net[at].weight.fill_(0.1)
            net[at].bias.zero_()
    found = nnw.activations(net, torch.randn(16, 20), loss=torch.randint(0, 3, (16,)))
    assert {each.path: each.has_equal_units for each in found.parameters if each.path.endswith("weight")} == {
        "0.weight": True, "2.weight": False, "4.weight": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (lambda out: out, "is 4 × 3, expected one element"),
        (lambda out: out.sum().item(), "expected a tensor of one element"),
        (lambda out: out.detach().sum(), "no graph to go back through"),
        (lambda _: 1 / 0, "ZeroDivisionError"),
        (torch.randn(4, 2), "The output is 4 × 3 and the target 4 × 2"),
    ],
)
def test_a_loss_that_cant_be_gone_back_from_is_told_with_what_was_seen(loss, told):
    net = mlp()
    found = nnw.activations(net, torch.randn(4, 20), loss=loss)
    assert told in found.error
    assert found.failed_in == "loss"
    assert len(found.calls) == 6
    assert found.parameters == ()
    assert told in str(found)


def test_a_forward_or_a_backward_that_raises_is_told_and_what_was_seen_is_there():
    class Refusing(torch.autograd.Function):
        @staticmethod
        def forward(_, x):
            return x.clone()

        @staticmethod
        def backward(_, gradient):
            raise RuntimeError("no way back")

    class Wall(nn.Module):
        def forward(self, x):
            return Refusing.apply(x)

    net = nn.Sequential(nn.Linear(20, 4), Wall(), nn.Linear(4, 3))
    found = nnw.activations(net, torch.randn(5, 20), loss="noise")
    assert found.failed_in == "backward"
    assert "no way back" in found.error
    assert found.calls[3].outputs[0].gradient is not None
    assert found.calls[1].outputs[0].gradient is None
    found = nnw.activations(net, torch.randn(5, 21), loss="noise")
    assert (found.failed_in, found.failed_at) == ("forward", "0")
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("loss", ["cross_entropy", ("cross_entropie", torch.zeros(4)), 3, (), ["x"]])
def test_what_is_no_loss_is_refused_before_anything_runs(loss):
    net = mlp()
    net.register_forward_pre_hook(lambda *_: pytest.fail("was run"))
    with pytest.raises(InvalidTargetError, match=r"loss"):
        nnw.activations(net, torch.randn(4, 20), loss=loss)


def test_inference_mode_has_outputs_and_refuses_a_loss():
    net = mlp()
    with torch.inference_mode():
        assert nnw.activations(net, torch.randn(4, 20)).calls[1].outputs[0].shape == (4, 32)
        with pytest.raises(InvalidTargetError, match="inference_mode"):
            nnw.activations(net, torch.randn(4, 20), loss="noise")


def test_without_gradients_asked_for_or_floats_given_it_is_told():
    net = mlp().requires_grad_(False)
    assert "no_grad" in nnw.activations(net, torch.randn(4, 20), loss="noise").error
    for loss in ("noise", torch.ones(2, 3)):
        found = nnw.activations(nn.Flatten(), torch.ones(2, 3, dtype=torch.int64), loss=loss)
        assert "output has no tensor of floating point" in found.error
    assert found.calls[0].outputs == ()


def test_an_interrupt_passes_through_and_leaves_nothing_hooked():
    net = mlp()
    hooks = torch.nn.modules.module._global_forward_hooks

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nnw.activations(net, torch.randn(4, 20), loss=stop)
    assert not hooks
    assert all(parameter.grad is None for parameter in net.parameters())


@needs_torch("compiler.set_stance")
def test_a_compiled_model_is_seen_as_it_was_written():
    net = torch.compile(mlp(), backend="eager")
    x, before = torch.randn(4, 20), digest(net)
    found = nnw.activations(net, x, loss="noise")
    assert found.error is None
    assert [call.class_name for call in found.calls].count("Linear") == 3
    assert digest(net) == before
    plain = nnw.activations(net._orig_mod, x, loss="noise")
    assert [call.outputs for call in found.calls[1:]] == [call.outputs for call in plain.calls]
    assert [each.gradient for each in found.parameters] == [each.gradient for each in plain.parameters]


def test_a_graph_of_very_many_layers_needs_no_more_stack_than_one_of_few():
    # In a process of its own, which a stack that is full would end.
    subprocess.run([sys.executable, "-c", _A_LONG_CHAIN], check=True, timeout=120)


_A_LONG_CHAIN = """
import threading, torch, nnwidgets as nnw
net = torch.nn.Sequential(*(torch.nn.Hardtanh() for _ in range(3_000)))
x, found = torch.ones(1, requires_grad=True), []
threading.stack_size(512 * 1024)
thread = threading.Thread(target=lambda: found.append(nnw.activations(net, x, loss="noise")))
thread.start()
thread.join()
assert found[0].calls[1].outputs[0].gradient.n == 1, found[0].error
"""
