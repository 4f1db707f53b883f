import ast
import json
import textwrap
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

import nnwidgets as nnw
from nnwidgets.introspect.checks import data_findings, structural_findings
from nnwidgets.introspect.safe_access.scan import read
from tests.support.chinese import without_chinese
from tests.support.zoo import torchao


@pytest.fixture(autouse=True)
def _each_finding_has_its_chinese(monkeypatch):
    """All that these tests find can be shown in Chinese."""
    check = nnw.check

    def checked(*args, **kwargs):
        found = check(*args, **kwargs)
        assert without_chinese(finding.message for finding in found) == []
        return found

    monkeypatch.setattr(nnw, "check", checked)


def codes(net, **kwargs):
    return [(found.code, found.severity, found.path) for found in nnw.check(net, **kwargs)]


def only(net, code, **kwargs):
    found = [finding for finding in nnw.check(net, **kwargs) if finding.code == code]
    assert len(found) == 1, found
    return found[0]


def apply_fix(finding, net, optimizer=None):
    ast.parse(finding.fix)
    exec(finding.fix, {"net": net, "optimizer": optimizer, "torch": torch})  # noqa: S102 - what a user would paste


class MySequential(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        for block in blocks:
            self._modules[block] = block

    def forward(self, x):
        for block in self._modules.values():
            x = block(x)
        return x


class FixedHiddenMLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.rand_weight = torch.rand((20, 20), requires_grad=False)
        self.linear = nn.Linear(20, 20)

    def forward(self, x):
        x = self.linear(x)
        x = F.relu(torch.mm(x, self.rand_weight) + 1)
        x = self.linear(x)
        while x.abs().sum() > 1:
            x /= 2
        return x.sum()


class MyLinear(nn.Module):
    def __init__(self, in_units, units):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(in_units, units))
        self.bias = nn.Parameter(torch.randn(units))

    def forward(self, x):
        linear = torch.matmul(x, self.weight.data) + self.bias.data
        return F.relu(linear)


class CenteredLayer(nn.Module):
    def forward(self, x):
        return x - x.mean()


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 256)
        self.output = nn.Linear(256, 10)

    def forward(self, x):
        return self.output(F.relu(self.hidden(x)))


def mlp():
    return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))


# ---- the tutorial ----


def test_plain_models_have_no_findings():
    shared = nn.Linear(8, 8)
    nested = nn.Sequential()
    for i in range(4):
        nested.add_module(f"block {i}", nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU()))
    for net in (
        mlp(),
        MLP(),
        nn.Sequential(nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(8, 1)),
        nn.Sequential(nested, nn.Linear(4, 1)),
        CenteredLayer(),
        nn.Sequential(nn.Linear(8, 128), CenteredLayer()),
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)),
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, batch_first=True), 2),
        nn.LSTM(4, 4),
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)),
        nn.Embedding(5, 3, padding_idx=0),
    ):
        assert nnw.check(net) == ()


def test_a_home_made_sequential_keyed_by_its_blocks():
    net = MySequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
    finding = only(net, "non-string-key")
    assert (finding.severity, finding.path) == ("error", "")
    assert "state_dict()" in finding.message
    x = torch.rand(2, 20)
    before = net(x)

    apply_fix(finding, net)

    assert nnw.check(net) == ()
    assert torch.equal(net(x), before)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_non_string_keys_are_mended_however_deep():
    net = nn.Sequential(MySequential(MySequential(nn.Linear(2, 2)), nn.ReLU()), nn.Linear(2, 2))
    assert codes(net) == [("non-string-key", "error", "0"), ("non-string-key", "error", "0[0]")]
    for finding in nnw.check(net):
        apply_fix(finding, net)
    assert nnw.check(net) == ()


def test_a_plain_random_tensor():
    net = FixedHiddenMLP()
    finding = only(net, "unregistered-tensor")
    assert (finding.severity, finding.path) == ("warning", "rand_weight")
    kept = net.rand_weight

    apply_fix(finding, net)

    assert nnw.check(net) == ()
    assert net.state_dict()["rand_weight"].data_ptr() == kept.data_ptr()


def test_constant_initialization_of_every_layer():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def init_constant(module):
        if type(module) is nn.Linear:
            nn.init.constant_(module.weight, 1)
            nn.init.zeros_(module.bias)

    net.apply(init_constant)
    assert codes(net) == [("constant-weight", "warning", "0.weight"), ("constant-weight", "note", "2.weight")]
    assert (
        "All its elements are 1, so its 8 units compute the same. 2.weight, the next in order, treats them alike too. "
        "Unless what follows treats each otherwise" in nnw.check(net)[0].message
    )
    for finding in nnw.check(net):
        apply_fix(finding, net)
    assert nnw.check(net) == ()


def test_units_of_equal_weights_are_said_to_stay_the_same_only_unless_what_follows_differs():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    nn.init.ones_(net[0].weight)
    (finding,) = nnw.check(net)
    assert "so its 8 units differ by their biases alone now. 2.weight, the next in order, has other" in finding.message

    nn.init.zeros_(net[0].bias)
    (finding,) = nnw.check(net)
    assert "compute the same now. 2.weight, the next in order, has other weights for each" in finding.message
    assert finding.severity == "note"
    net(torch.ones(1, 4)).sum().backward()
    assert not torch.equal(net[0].weight.grad[0], net[0].weight.grad[1])


def test_a_gate_of_zeros_with_biases_passes_nothing_of_its_input_on():
    net = nn.ModuleDict({"gate": nn.Linear(4, 4), "rest": nn.Linear(4, 4)})
    nn.init.zeros_(net["gate"].weight)
    (finding,) = nnw.check(net)
    assert finding.severity == "note"
    assert "adapters, gates and the last" in finding.message
    assert "passes nothing of its input on, and no gradient back to it" in finding.message


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
    assert "linear = torch.matmul(x, self.weight.data)" in open(__file__).read()  # noqa: PTH123, SIM115 - itself


# ---- registration ----


class Hidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
        self.named = {"a": nn.Linear(2, 2)}
        self.weights = [nn.Parameter(torch.ones(2))]
        self.free = torch.zeros(3, requires_grad=True)


def test_modules_and_parameters_in_plain_containers():
    net = Hidden()
    assert codes(net) == [
        ("unregistered-tensor", "error", "free"),
        ("unregistered-tensor", "error", "weights[0]"),
        ("unregistered-module", "error", ""),
        ("unregistered-module", "error", ""),
    ]
    for finding in nnw.check(net):
        apply_fix(finding, net)
    assert nnw.check(net) == ()
    assert len(list(net.parameters())) == 8


def test_plain_lists_of_what_is_registered_or_needs_no_registration_are_no_problem():
    net = MLP()
    net.order = [net.hidden, net.output]
    net.cached = (net.hidden.weight,)
    net.shapes = [(20, 256)]
    assert nnw.check(net) == ()
    net.losses = {"mse": nn.MSELoss()}
    assert codes(net) == [("unregistered-module", "note", "")]
    net.losses = [nn.Dropout()]
    assert codes(net) == [("unregistered-module", "warning", "")]


def test_a_frozen_teacher_in_a_list_is_a_warning_and_no_error():
    net = MLP()
    net.teacher = [mlp().requires_grad_(False)]
    assert codes(net) == [("unregistered-module", "warning", "")]


def test_tensors_that_torch_recomputes_at_each_forward_are_no_problem():
    with pytest.warns(FutureWarning):
        normed = nn.utils.weight_norm(nn.Linear(3, 3))
    pruned = nn.Linear(3, 3)
    prune.random_unstructured(pruned, "weight", 0.5)
    for net in (normed, pruned):
        net(torch.rand(1, 3))
        with torch.no_grad():
            net(torch.rand(1, 3))
        assert nnw.check(net) == ()
    net = MLP()
    net.last = net(torch.rand(1, 20))
    assert nnw.check(net) == ()


def test_a_module_that_contains_itself():
    net = nn.Sequential(nn.Linear(2, 2))
    net.add_module("me", net)
    assert codes(net) == [("cycle", "error", "me")]


# ---- gradients ----


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


# ---- values ----


def test_nan_and_infinities_are_found_wherever_they_are():
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.complex64):
        net = nn.Linear(3000, 2000, bias=False).to(dtype)
        assert nnw.check(net) == ()
        with torch.no_grad():
            net.weight[1999, 2999] = float("nan")
            net.weight[0, 0] = float("inf")
        finding = only(net, "nan-or-inf")
        assert (finding.severity, finding.path) == ("error", "weight")
        assert finding.message.startswith("1 NaN and 1 infinite of its 6,000,000 elements")
        if dtype is not torch.complex64:
            apply_fix(finding, net)
            assert nnw.check(net) == ()


def test_large_finite_values_whose_sum_overflows_are_no_infinities():
    net = nn.Linear(4, 4)
    with torch.no_grad():
        net.weight.fill_(3e38)[0, 0] = -3e38
    assert "nan-or-inf" not in {code for code, _, _ in codes(net)}
    half = nn.Linear(100, 100).half()
    with torch.no_grad():
        half.weight.uniform_(60_000, 65_000)
    assert nnw.check(half) == ()


def test_infinities_of_a_mask_are_no_problem_its_nan_is():
    net = nn.Linear(2, 2)
    net.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(1))
    assert nnw.check(net) == ()
    net.mask[0, 0] = float("nan")
    assert codes(net) == [("nan-or-inf", "warning", "mask")]


def test_views_expanded_sparse_quantized_and_float8_tensors_are_read_or_left_alone():
    net = nn.Module()
    net.register_buffer("strided", torch.rand(50, 60, 70).permute(2, 0, 1)[:, ::2])
    net.register_buffer("expanded", torch.tensor([float("nan")]).expand(10, 10))
    net.register_buffer("sparse", torch.eye(3).to_sparse())
    net.register_buffer("float8", torch.rand(4, 4).to(torch.float8_e4m3fn))
    net.register_buffer("empty", torch.rand(0, 3))
    net.register_buffer("scalar", torch.tensor(float("nan")))
    freed = torch.rand(4)
    freed.untyped_storage().resize_(0)
    net.register_buffer("freed", freed)
    net.quantized = torch.ao.nn.quantized.Linear(3, 3)
    assert [path for code, _, path in codes(net) if code == "nan-or-inf"] == ["expanded", "scalar"]


def test_units_that_are_equal_but_not_constant():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Conv2d(3, 5, 2), nn.ConvTranspose2d(3, 5, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.rand(4).expand(8, 4))
        net[3].weight.copy_(torch.rand(3, 2, 2).expand(5, 3, 2, 2))
        net[4].weight.copy_(torch.rand(3, 1, 2, 2).expand(3, 5, 2, 2))
        for layer in (net[3], net[4]):
            layer.bias.zero_()
    assert [path for code, _, path in codes(net) if code == "constant-weight"] == ["3.weight", "4.weight"]
    nn.init.ones_(net[0].bias)
    assert codes(net) == [
        ("constant-weight", "warning", "3.weight"),
        ("constant-weight", "note", "0.weight"),
        ("constant-weight", "note", "4.weight"),
    ]


def step(net, x, loss):
    """One step of plain SGD."""
    loss(net(x)).backward()
    with torch.no_grad():
        for each in net.parameters():
            each.sub_(each.grad if each.grad is not None else 0)
            each.grad = None


@pytest.mark.parametrize(("follows", "severity"), [("constant", "warning"), ("random", "note")])
def test_units_alike_are_warned_of_only_where_what_follows_treats_them_alike(follows, severity):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    nn.init.constant_(net[0].weight, 0.5)
    nn.init.zeros_(net[0].bias)
    if follows == "constant":
        nn.init.constant_(net[2].weight, 0.5)
    said = {found.path: found for found in nnw.check(net)}
    assert said["0.weight"].severity == severity
    step(net, torch.randn(16, 4), lambda y: nn.functional.cross_entropy(y, torch.arange(16) % 3))
    assert (len(net[0].weight.detach().unique(dim=0)) == 1) == (severity == "warning")


def test_a_constant_last_layer_is_told_apart_by_its_targets_and_only_noted():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    nn.init.constant_(net[2].weight, 0.5)
    (found,) = nnw.check(net)
    assert (found.severity, found.path) == ("note", "2.weight")
    assert "their targets tell them apart" in found.message
    step(net, torch.randn(16, 4), lambda y: nn.functional.cross_entropy(y, torch.arange(16) % 3))
    assert len(net[2].weight.detach().unique(dim=0)) == 3
    assert not nnw.check(net)


def test_constants_that_are_no_problem():
    blur = nn.Conv2d(4, 4, 3, groups=4)
    nn.init.constant_(blur.weight, 1 / 9)
    frozen = nn.Linear(3, 3)
    nn.init.ones_(frozen.weight).requires_grad_(False)
    single = nn.Linear(8, 1)
    nn.init.constant_(single.weight, 42)
    norm = nn.LayerNorm((3, 3))
    assert {
        code for code, severity, _ in codes(nn.Sequential(blur, frozen, single, norm)) if severity != "note"
    } == set()


def test_a_zero_start_of_a_branch_is_a_note_and_zeros_everywhere_a_warning():
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    nn.init.zeros_(net[2].weight)
    assert codes(net) == [("constant-weight", "note", "2.weight")]
    nn.init.zeros_(net[0].weight)
    assert codes(net) == [("constant-weight", "warning", "0.weight"), ("constant-weight", "note", "2.weight")]


def test_dead_units_behind_a_relu():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        net[0].weight[[2, 5]] = 0
        net[0].bias[[2, 5]] = torch.tensor([0.0, -1.0])
    finding = only(net, "dead-units")
    assert (finding.severity, finding.path) == ("warning", "0.weight")
    assert "2 of its 8 units (2, 5)" in finding.message
    x = torch.rand(16, 4)
    net(x).sum().backward()
    assert net[0].weight.grad[[2, 5]].abs().sum() == 0
    apply_fix(finding, net)
    assert "dead-units" not in {code for code, _, _ in codes(net)}


def test_dead_units_are_seen_behind_a_relu_that_forward_applies_and_not_where_a_bias_keeps_them_alive():
    net = MLP()
    with torch.no_grad():
        net.hidden.weight[0] = 0
        net.hidden.bias[0] = 1
    assert nnw.check(net) == ()
    nn.init.zeros_(net.hidden.bias)
    assert codes(net) == [("dead-units", "warning", "hidden.weight")]


def test_the_zero_row_of_a_padding_token_is_not_dead_in_the_head_tied_to_it():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 9, bias=False)
            self.embedding = nn.Embedding(9, 4, padding_idx=1)
            self.head.weight = self.embedding.weight

        def forward(self, x):
            return F.relu(self.head(self.embedding(x)))

    assert nnw.check(Tied()) == ()


def test_reading_the_data_can_be_cancelled():
    reading = read(nn.Sequential(*[nn.Linear(8, 8) for _ in range(10)]))
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(nnw.NNWidgetsError) as raised:
        data_findings(reading, cancelled=cancelled)
    assert raised.value.code == "cancelled"
    assert len(asked) == 4


def test_what_is_beyond_the_budget_is_sampled_and_said():
    net = nn.Linear(1000, 1000)
    with torch.no_grad():
        net.weight.fill_(float("nan"))
        net.bias[500] = float("nan")
    found = data_findings(read(net), exact_bytes=10_000)
    assert [(finding.code, finding.severity, finding.path) for finding in found] == [
        ("nan-or-inf", "error", "weight"),
        ("nan-or-inf", "error", "bias"),
        ("not-read", "note", ""),
    ]
    assert "(seen in a sample)" in found[0].message
    assert found[1].message.startswith("1 NaN of its 1,000 elements:")


# ---- state ----


def test_lazy_and_meta_tensors():
    assert codes(nn.Sequential(nn.LazyLinear(3), nn.ReLU())) == [("uninitialized", "note", "0")]
    with torch.device("meta"):
        whole = mlp()
    assert codes(whole) == [("uninitialized", "note", "")]
    part = mlp()
    part[2].weight = nn.Parameter(torch.empty(10, 256, device="meta"))
    assert ("uninitialized", "warning", "2.weight") in codes(part)


def test_non_persistent_buffers_are_noted():
    net = nn.Linear(2, 2)
    net.register_buffer("mask", torch.ones(2), persistent=False)
    net.register_buffer("kept", torch.ones(2))
    assert codes(net) == [("non-persistent-buffer", "note", "mask")]


def test_what_freeze_froze_needs_no_note_until_something_else_is_frozen_with_it():
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 2))
    nnw.freeze(net, ["0", "1.bias"])
    assert not nnw.check(net)
    nnw.unfreeze(net, "0.1")
    net[0][1].weight.requires_grad_(False)
    assert codes(net) == [("frozen", "note", "0.1.weight")]
    nnw.freeze(net, "0.1.weight")
    assert not nnw.check(net)
    nnw.undo(net)
    assert codes(net) == [("frozen", "note", "0.1.weight")]


class LoRA(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A, self.B = nn.Parameter(torch.rand(2, 4)), nn.Parameter(torch.zeros(4, 2))


class Peft(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base_layer = base.requires_grad_(False)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(4, 2)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, 4)})
        nn.init.zeros_(self.lora_B["default"].weight)


@pytest.mark.parametrize("kind", [LoRA, Peft])
def test_what_an_adapter_adapts_is_frozen_on_purpose(kind):
    net = nn.Sequential(kind(nn.Linear(4, 4)), nn.Linear(4, 4).requires_grad_(False))
    assert [(code, path) for code, _, path in codes(net)] == [("frozen", "1")]


def test_a_frozen_part_beside_a_trained_token_is_noted():
    net = nn.Module()
    net.token, net.place = nn.Parameter(torch.rand(1, 4)), nn.Parameter(torch.rand(3, 4))
    net.encoder = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).requires_grad_(False)
    assert codes(net) == [("frozen", "note", "encoder")]


def test_frozen_parts_are_noted_at_the_largest_that_is_frozen_whole():
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].requires_grad_(False)
    net[2].bias.requires_grad_(False)
    assert codes(net) == [("frozen", "note", "0"), ("frozen", "note", "2.bias")]
    for finding in nnw.check(net):
        apply_fix(finding, net)
    assert nnw.check(net) == ()
    net.requires_grad_(False)
    assert codes(net) == [("frozen", "note", "")]


def test_mixed_dtypes_devices_and_training_flags():
    net = mlp()
    net[2].half()
    assert codes(net) == [("mixed-dtypes", "note", "")]
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2)).eval()
    net[1].train()
    assert codes(net) == [("mixed-training", "warning", "1")]
    apply_fix(nnw.check(net)[0], net)
    assert nnw.check(net) == ()
    net.train()
    net[2].eval()
    assert codes(net) == [("mixed-training", "note", "2")]


def gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=2, n_embd=8, n_head=2, vocab_size=16, n_positions=8, bos_token_id=1, eos_token_id=1
    )
    return transformers.GPT2LMHeadModel(config)


def told(net):
    """What is found in it besides the masks that transformers 4 keeps out of the state dict."""
    return [finding for finding in nnw.check(net) if finding.code != "non-persistent-buffer"]


def test_a_declared_tie_that_the_tensors_lost():
    net = gpt2()
    assert told(net) == []
    net.lm_head.weight = nn.Parameter(net.lm_head.weight.detach().clone())

    finding = only(net, "broken-tie")

    assert (finding.severity, finding.path) == ("error", "lm_head.weight")
    apply_fix(finding, net)
    assert told(net) == []
    assert net.lm_head.weight is net.transformer.wte.weight


def test_a_tie_that_the_config_leaves_out_is_not_broken():
    net = gpt2()
    net.config.tie_word_embeddings = False
    net.lm_head.weight = nn.Parameter(net.lm_head.weight.detach().clone())
    assert told(net) == []


def test_ties_declared_as_earlier_releases_do():
    class Config:
        def __init__(self, tie):
            self.tie_word_embeddings = tie

    class Listed(nn.Module):
        _tied_weights_keys = ["head.weight"]  # noqa: RUF012 - as transformers wrote it

        def __init__(self, tie):
            super().__init__()
            self.config = Config(tie)
            self.embedding, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)

        def tie_weights(self):
            self.head.weight = self.embedding.weight

    assert nnw.check(Listed(tie=False)) == ()
    net = Listed(tie=True)
    assert codes(net) == [("broken-tie", "error", "head.weight")]
    apply_fix(nnw.check(net)[0], net)
    assert nnw.check(net) == ()


# ---- the optimizer ----


def test_an_optimizer_of_the_model_is_no_finding():
    net = mlp()
    assert nnw.check(net, optimizer=torch.optim.Adam(net.parameters())) == ()
    net[0].requires_grad_(False)
    assert codes(net, optimizer=torch.optim.SGD(net[2].parameters(), lr=0.1)) == [("frozen", "note", "0")]


def test_an_optimizer_made_before_a_layer_was_replaced():
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.rand(2, 20)).sum().backward()
    optimizer.step()
    net[2] = nn.Linear(256, 3)

    finding = only(net, "stale-optimizer", optimizer=optimizer)

    assert (finding.severity, finding.path) == ("error", "2.weight")
    apply_fix(finding, net, optimizer)
    assert nnw.check(net, optimizer=optimizer) == ()
    assert len(optimizer.state) == 2
    net(torch.rand(2, 20)).sum().backward()
    optimizer.step()


def test_an_optimizer_of_a_part_and_one_of_more():
    net = mlp()
    part = torch.optim.SGD(net[0].parameters(), lr=0.1)
    finding = only(net, "stale-optimizer", optimizer=part)
    assert (finding.severity, finding.path) == ("warning", "2.weight")
    assert nnw.check(net, optimizer=[part, torch.optim.SGD(net[2].parameters(), lr=0.1)]) == ()
    apply_fix(finding, net, part)
    assert nnw.check(net, optimizer=part) == ()

    more = torch.optim.SGD([*net.parameters(), *nn.Linear(2, 2).parameters()], lr=0.1)
    finding = only(net, "stale-optimizer", optimizer=more)
    assert (finding.severity, finding.path) == ("warning", "")
    apply_fix(finding, net, more)
    assert nnw.check(net, optimizer=more) == ()


def test_a_parameter_held_by_two_optimizers():
    net = mlp()
    both = [torch.optim.Adam(net.parameters()), torch.optim.SGD(net[2].parameters(), lr=0.1)]
    finding = only(net, "two-optimizers", optimizer=both)
    assert (finding.severity, finding.path) == ("warning", "2.weight")
    assert "2 parameters (2.weight, 2.bias) are held by 2 optimizers (Adam, SGD)" in finding.message


def test_a_frozen_parameter_that_the_next_step_moves_by_a_gradient_left_over():
    net = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.rand(2, 20)).sum().backward()
    net[0].weight.requires_grad_(False)
    finding = only(net, "frozen-but-moved", optimizer=optimizer)
    assert (finding.severity, finding.path) == ("warning", "0.weight")

    before = net[0].weight.clone()
    optimizer.step()
    assert not torch.equal(before, net[0].weight)
    apply_fix(finding, net, optimizer)
    assert "frozen-but-moved" not in {code for code, _, _ in codes(net, optimizer=optimizer)}
    before = net[0].weight.clone()
    optimizer.step()
    assert torch.equal(before, net[0].weight)


def test_what_is_not_an_optimizer_is_refused():
    with pytest.raises(nnw.InvalidTargetError, match="expected a torch"):
        nnw.check(mlp(), optimizer=0.1)
    with pytest.raises(nnw.InvalidTargetError):
        nnw.check(3)


# ---- as a whole ----


def test_like_findings_of_repeated_blocks_are_one_with_a_fix_for_all():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.offset = torch.zeros(2)

    net = nn.Sequential(*[Block() for _ in range(12)])
    finding = only(net, "unregistered-tensor")
    assert finding.path == "0.offset"
    assert finding.message.endswith("The same at 11 more places: 1.offset … 11.offset.")
    apply_fix(finding, net)
    assert nnw.check(net) == ()


def test_many_findings_of_a_kind_are_capped_with_one_that_counts_the_rest():
    net = nn.Module()
    for i in range(50):
        part = nn.Module()
        part.offset = torch.zeros(2)
        net.add_module(f"part{i}{'abc'[i % 3]}", part)
    found = nnw.check(net)
    assert len(found) == 20
    assert found[-1].message.startswith("And 31 more findings of this kind")


def test_the_worst_comes_first_and_everything_is_json_safe():
    net = nn.Sequential(nn.Linear(2, 2), MyLinear(2, 2), MySequential(nn.Linear(2, 2)))
    net[0].requires_grad_(False)
    found = nnw.check(net)
    assert [finding.severity for finding in found] == ["error", "warning", "warning", "note"]
    assert json.loads(json.dumps([finding.to_dict() for finding in found], allow_nan=False))[0]["code"]
    for finding in found:
        if finding.fix is not None:
            ast.parse(finding.fix)


def test_no_code_of_the_user_runs():
    class Loud(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 3))
            object.__setattr__(self, "armed", True)

        def __getattribute__(self, name):
            if object.__getattribute__(self, "__dict__").get("armed"):
                raise AssertionError(name)
            return super().__getattribute__(name)

        def __repr__(self):
            raise AssertionError

        @property
        def __class__(self):
            raise AssertionError

        def forward(self, x):
            raise AssertionError

    class Shouting(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            raise AssertionError(func)

    loud = Loud()
    object.__getattribute__(loud, "__dict__")["plain"] = torch.rand(3).as_subclass(Shouting)
    assert [(found.code, found.path) for found in nnw.check(loud)] == [
        ("unregistered-tensor", "plain"),
        ("constant-weight", "weight"),
    ]


def test_checking_changes_nothing():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.LazyLinear(2))
    state = torch.get_rng_state()
    versions = [p._version for p in net[:2].parameters()]
    nnw.check(net, optimizer=torch.optim.SGD(net[0].parameters(), lr=0.1))
    assert torch.equal(state, torch.get_rng_state())
    assert versions == [p._version for p in net[:2].parameters()]
    assert all(p.grad is None for p in net[:2].parameters())
    assert type(net[2].weight) is nn.UninitializedParameter


def test_under_inference_mode_no_grad_and_a_default_device_the_answer_is_the_same():
    net = mlp()
    nn.init.constant_(net[0].weight, 1)
    expected = nnw.check(net)
    with torch.inference_mode():
        assert nnw.check(net) == expected
    with torch.device("meta"), torch.no_grad():
        assert nnw.check(net) == expected


def test_a_model_that_changes_under_the_check_does_not_break_it():
    net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(100)])
    stop = threading.Event()

    def change():
        n = 0
        while not stop.is_set():
            n += 1
            net.add_module("extra", nn.Linear(2, 2))
            net.extra.register_buffer(f"b{n}", torch.ones(1))
            del net._modules["extra"]

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(10):
            assert all(finding.severity != "error" for finding in nnw.check(net))
    finally:
        stop.set()
        thread.join()


def test_broken_modules_are_checked_as_far_as_they_can_be_read():
    class Forgot(nn.Module):
        def __init__(self):
            self.x = 3

    net = nn.Sequential(*[nn.Linear(2, 2) for _ in range(6)])
    net[0].__dict__["_modules"] = [nn.ReLU()]
    del net[1].__dict__["_buffers"]
    net[2].__dict__["_parameters"] = None
    net._modules["3"] = 7
    net._modules["4"] = Forgot()
    net._parameters["extra"] = "text"
    net[5].plain = torch.zeros(2)
    assert ("unregistered-tensor", "warning", "5.plain") in codes(net)


def test_a_hundred_thousand_modules_on_meta_are_checked_from_one_reading():
    with torch.device("meta"):
        layer = nn.Linear(4, 4)
    net = nn.Module()
    for i in range(100):
        part = nn.Module()
        for j in range(1000):
            leaf = nn.Module()
            leaf.weight = nn.Parameter(layer.weight.detach())
            part.add_module(str(j), leaf)
        net.add_module(str(i), part)
    reading = read(net)
    assert len(reading.modules) == 100_101
    found = (*structural_findings(reading), *data_findings(reading))
    assert [(finding.code, finding.path) for finding in found] == [("uninitialized", "")]


def test_a_tensor_that_the_class_saves_itself_is_not_told_to_be_left_out():
    class Seen(nn.Linear):
        def __init__(self):
            super().__init__(2, 2)
            self.seen = torch.zeros(3)
            self.lists = [nn.Parameter(torch.ones(1))]

        def get_extra_state(self):
            return self.seen

    found = {each.path: each for each in nnw.check(Seen()) if each.code == "unregistered-tensor"}
    assert (found["seen"].severity, found["seen"].fix) == ("note", None)
    assert all("only where the class's own code for that does" in each.message for each in found.values())
    assert found.keys() == {"seen", "lists[0]"}


def test_codes_of_a_wrapping_class_are_not_told_to_be_frozen():
    net = torchao("Int8WeightOnlyConfig")
    net[0].bias.requires_grad_(False)
    assert [(each.code, each.path) for each in nnw.check(net)] == [("frozen", "0")]
    net[0].weight.requires_grad_(True)
    net(torch.ones(2, 16)).sum().backward()
    assert net[0].weight.grad is None, "torchao gives it none"
