"""`check` finds in the source of a forward what keeps gradients from parameters."""

import ast
import inspect
import textwrap

import torch
from torch import nn
from torch.nn import functional as F

import nnwidgets as nnw
from tests.support.checked_models import MyLinear, codes


def test_data_in_the_forward_of_a_home_made_linear_layer():
    net = nn.Sequential(MyLinear(64, 8), MyLinear(8, 1))
    assert codes(net) == [
        ("data-in-forward", "warning", "0.weight"),
        ("data-in-forward", "warning", "0.bias"),
        ("data-in-forward", "warning", "1.weight"),
        ("data-in-forward", "warning", "1.bias"),
    ]
    finding = nnw.check(net)[0]
    assert "self.weight.data" in finding.message
    assert ast.unparse(ast.parse(finding.fix)) == "linear = torch.matmul(x, self.weight) + self.bias"
    assert "linear = torch.matmul(x, self.weight.data)" in inspect.getsource(MyLinear)


def data_chains(forward):
    """Check a class made of this forward; return the parameters said to get no gradient."""

    class Home(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 3))
            self.scale = nn.Parameter(torch.randn(3))
            self.linear = nn.Linear(3, 3)
            self.fixed = nn.Parameter(torch.randn(3), requires_grad=False)

        def helper(self, x):
            return x * self.scale.detach()

        def plain_helper(self, x):
            return x * self.scale

    Home.forward = forward
    return [finding.path for finding in nnw.check(Home()) if finding.code == "data-in-forward"]


def test_detach_no_grad_locals_and_helpers_are_seen():
    def detached(self, x):
        return x @ self.weight.detach()

    def under_no_grad(self, x):
        with torch.no_grad():
            x = x @ self.weight
        return x * self.scale

    @torch.no_grad()
    def decorated(self, x):
        return self.linear(x) @ self.weight

    @torch.no_grad()
    def as_newer_torch_decorates(self, x):
        return self.linear(x) @ self.weight

    as_newer_torch_decorates.__code__ = as_newer_torch_decorates.__code__.replace(co_name="no_grad")

    def renamed(self, x):
        w = self.weight
        return x @ w.data

    def through_a_helper(self, x):
        return self.helper(x) @ self.weight

    def with_methods_that_tensors_and_modules_share(self, x):
        return x.to(torch.float32).float() @ self.weight.data

    def below(self, x):
        return F.linear(x, self.linear.weight.data, self.linear.bias)

    assert data_chains(detached) == ["weight"]
    assert data_chains(under_no_grad) == ["weight"]
    assert data_chains(decorated) == ["weight"]
    assert data_chains(as_newer_torch_decorates) == ["weight"]
    assert data_chains(renamed) == ["weight"]
    assert data_chains(through_a_helper) == ["scale"]
    assert data_chains(with_methods_that_tensors_and_modules_share) == ["weight"]
    assert data_chains(below) == ["linear.weight"]


def test_reads_of_data_that_take_no_gradient_away_are_no_problem():
    def straight_through(self, x):
        w = self.weight
        quantized = (w.round() - w).detach() + w
        return x @ quantized

    def used_both_ways(self, x):
        return x @ self.weight + (x @ self.weight.detach())

    def clipped(self, x):
        self.weight.data.clamp_(-1, 1)
        self.scale.data = self.scale.data / 2
        return x @ self.weight * self.scale

    def asked_about(self, x):
        return self.linear(x.to(self.weight.data.dtype).view(-1, self.weight.detach().size(0)))

    def not_trained(self, x):
        return self.linear(x) * self.fixed.data

    def handed_on(self, x):
        return some_function(self, x) + self.weight.data

    def elsewhere(self, x):
        x = self.plain_helper(x)
        return x * self.scale.data

    def through_all(self, x):
        return sum(p.sum() for p in self.parameters()) + self.weight.data.sum()

    def by_its_registry(self, x):
        return x @ self._parameters["weight"] + self.weight.data.sum()

    for forward in (
        by_its_registry,
        straight_through,
        used_both_ways,
        clipped,
        asked_about,
        not_trained,
        handed_on,
        elsewhere,
        through_all,
    ):
        assert data_chains(forward) == [], forward.__name__


def some_function(module, x):
    return x @ module.weight


def test_the_message_is_true_a_flagged_parameter_gets_no_gradient():
    net = MyLinear(4, 2)
    flagged = {finding.path for finding in nnw.check(net) if finding.code == "data-in-forward"}
    out = net(torch.rand(3, 4, requires_grad=True))
    out.sum().backward()
    assert flagged == {name for name, p in net.named_parameters() if p.grad is None} == {"weight", "bias"}


def test_a_forward_without_source_says_nothing():
    space = {"torch": torch, "nn": nn}
    source = """
        class Typed(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.rand(3))
            def forward(self, x):
                return x * self.weight.data
    """
    exec(textwrap.dedent(source), space)  # noqa: S102 - a class typed at a prompt has no file
    assert nnw.check(space["Typed"]()) == ()
