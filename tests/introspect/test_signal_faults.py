"""What is planted is named at its call, what only looks like it isn't, and a model that fails is left as it was."""

import copy
import math

import pytest
import torch
from torch import distributed, nn
from torch.autograd import Function

import nnwidgets as nnw
from tests.support.model_state import digest
from tests.support.stacks import needs_torch

X = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))


class Call(nn.Module):
    """A module that does what a function does."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *given):
        return self.function(*given)


class Twice(nn.Module):
    """A module called twice, with other values the second time."""

    def __init__(self, inner, second):
        super().__init__()
        self.layer, self.inner, self.second, self.head = nn.Linear(16, 16), inner, second, nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.inner(self.second(self.inner(self.layer(x)))))


class Outputs(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.head = inner, nn.Linear(16, 4)

    def forward(self, x):
        first, rest = self.inner(x)
        return self.head(first), rest


def scaled(net, at, factor):
    with torch.no_grad():
        net.get_submodule(at).weight.mul_(factor)
    return net


def layers(*more):
    return nn.Sequential(nn.Linear(16, 16), *more, nn.LayerNorm(16), nn.Linear(16, 4))


def negative(net, at):
    with torch.no_grad():
        net.get_submodule(at).bias.fill_(-100)
    return net


torch.manual_seed(0)  # for what is built here: narrow nets have dead units by chance
NAN = Call(lambda x: x.abs().sub(0.3).log())
PLANTED = {
    "nan, nested": (layers(nn.Sequential(nn.Linear(16, 16), NAN)), "first-nan", "1.1", "Its input goes from -"),
    "nan, second call": (
        Twice(Call(lambda x: x.clamp(min=0).sqrt() if x.min() > -9 else x.sqrt()), lambda x: x - 10),
        "first-nan", "inner", "gives NaN (call 2 of 2): 1,024 of 1,024 values",
    ),
    "nan, in a tuple": (
        Outputs(Call(lambda x: (x, {"rest": [x * math.inf * 0]}))), "first-nan", "inner", "1,024 of 2,048 values",
    ),
    "nan, of a passing module": (
        Outputs(Call(lambda x: (x, nn.ReLU()(x / 0 * 0)))), "first-nan", "inner", "1,024 of 2,048 values",
    ),
    "dead, nested": (
        negative(layers(nn.Sequential(nn.Linear(16, 16), nn.ReLU())), "1.0"), "dead-units", "1.1", "16 of 16 units",
    ),
    "dead, second call": (Twice(nn.ReLU(), lambda x: -x - 1), "dead-units", "inner", "this batch (call 2 of 2)"),
    "dead, of a class of its own": (
        negative(layers(nn.Linear(16, 16), type("Mine", (nn.ReLU6,), {})()), "1"), "dead-units", "2", "16 of 16 units",
    ),
    "saturated, nested": (
        scaled(layers(nn.Sequential(nn.Linear(16, 16), nn.Tanh())), "1.0", 100), "saturated", "1.1", "of this Tanh lie",
    ),
    "saturated, second call": (
        Twice(nn.Sigmoid(), lambda x: x * 100), "saturated", "inner", "% of the values of this Sigmoid (call 2 of 2)",
    ),
    "saturated, of a class of its own": (
        scaled(layers(nn.Linear(16, 16), type("Mine", (nn.Hardtanh,), {})()), "1", 100), "saturated", "2", "this Mine",
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_named_at_its_call_and_its_fix_mends_it(planted):
    net, code, path, said = PLANTED[planted]
    net = copy.deepcopy(net)
    (found,) = nnw.activations(net, X).findings
    assert (found.code, found.path) == (code, path)
    assert said in found.message
    if found.fix is not None:
        exec(found.fix, {"torch": torch, "net": net})  # noqa: S102 - the product's own words, which are to be true
        assert nnw.activations(net, X).findings == ()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_an_overflow_is_named_at_the_layer_that_made_it(dtype):
    large = 1e5 if dtype is torch.float16 else 1e38
    net = scaled(layers(nn.Linear(16, 16)), "1", large)
    with torch.autocast("cpu", dtype):
        (found,) = nnw.activations(net, X * 100, loss="noise").findings
    assert (found.code, found.path) == ("first-nan", "1")
    assert f"of {str(dtype)[6:]}, whose largest number is {torch.finfo(dtype).max:.3g}" in found.message
    assert "NaN comes of it in 2." in found.message
    mended = scaled(net, "1", 1 / large)
    with torch.autocast("cpu", dtype):
        assert nnw.activations(mended, X * 100, loss="noise").findings == ()


class Residual(nn.Module):
    """Blocks that a branch is added to, as zero-initialized residual branches and gates have it."""

    def __init__(self, *, zero=False, gate=False):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 16)) for _ in range(12)
        )
        self.gates = nn.Parameter(torch.zeros(12) if gate else torch.ones(12))
        self.head = nn.Linear(16, 4)
        if zero:
            for block in self.blocks:
                nn.init.zeros_(block[3].weight)
                nn.init.zeros_(block[3].bias)

    def forward(self, x):
        for gate, block in zip(self.gates, self.blocks, strict=True):
            x = x + gate * block(x)
        return self.head(x)


class Adapter(nn.Module):
    """LoRA: a frozen layer, and a product that begins at zero."""

    def __init__(self):
        super().__init__()
        self.base = nn.Linear(16, 16).requires_grad_(False)
        self.down, self.up = nn.Linear(16, 4, bias=False), nn.Linear(4, 16, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))


def attention(x):
    mask = torch.full((len(x), len(x)), -math.inf).triu(1)
    return (x @ x.T + mask).softmax(-1) @ x, mask, (x > 0).float()


def mlp(*last, n=3, **options):
    between = [each for _ in range(n) for each in (nn.Linear(16, 16, **options), nn.ReLU())]
    return nn.Sequential(*between, nn.Linear(16, 4), *last)


def first(output):
    return output[0].square().sum()


SOUND = {
    "residual branches of zero": (Residual(zero=True), X, "noise"),
    "gates of zero": (Residual(gate=True), X, "noise"),
    "residuals": (Residual(), X, "noise"),
    "LoRA": (nn.Sequential(*(Adapter() for _ in range(8)), nn.Linear(16, 4)), X, "noise"),
    "few tokens of an embedding": (
        nn.Sequential(nn.Embedding(999, 4), nn.Flatten(), mlp()), torch.randint(9, (64, 4)), "noise",
    ),
    "sparse gradients": (
        nn.Sequential(nn.Embedding(999, 4, sparse=True), nn.Flatten(), mlp()), torch.randint(9, (64, 4)), "noise",
    ),
    "a batch of one": (mlp(n=8), X[:1], "noise"),
    "no batch": (mlp(n=8), X[0], "noise"),
    "frozen layers": (nn.Sequential(mlp().requires_grad_(False), nn.Linear(4, 4)), X, "noise"),
    "dropout, not in training": (nn.Sequential(mlp(nn.Dropout(0.9), nn.Linear(4, 4))).eval(), X, "noise"),
    "all dropped": (mlp(nn.Dropout(1.0), nn.Linear(4, 4)), X, "noise"),
    "two classes": (nn.Sequential(scaled(nn.Sequential(nn.Linear(16, 2)), "0", 100), nn.Softmax(-1)), X, "noise"),
    "probabilities at the end": (scaled(mlp(nn.Sigmoid()), "6", 100), X, ("binary_cross_entropy", torch.ones(64, 4))),
    "masks of -inf": (nn.Sequential(nn.Linear(16, 16), Call(attention)), X, first),
    "no normalized input": (nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16), mlp(n=4)), X * 1e7, "noise"),
    "a head of little": (scaled(mlp(n=6), "12", 1e-7), X, "noise"),
    "a gradient alike for all units": (mlp(), X, lambda output: output.sum()),
    "zeros that a gradient passes": (nn.Sequential(nn.Linear(16, 16, bias=False), nn.Hardtanh()), X * 0, None),
    "called twenty times": (nn.Sequential(*[nn.Linear(16, 16)] * 20), X, "noise"),
    "recurrent": (nn.Sequential(nn.LSTM(16, 16), Call(lambda output: output[0]), mlp(n=0)), X[None], "noise"),
}  # fmt: skip


@pytest.mark.parametrize("sound", SOUND)
def test_nothing_is_told_of_what_is_as_it_should_be(sound):
    net, x, loss = SOUND[sound]
    found = nnw.activations(net, x, loss=loss)
    assert found.error is None
    assert [each for each in found.findings if (each.code, each.severity) != ("dead-units", "note")] == []


class _Stop(Function):
    @staticmethod
    def forward(_, x):
        return x.clone()

    @staticmethod
    def backward(_, gradient):
        raise KeyboardInterrupt


def stop(_):
    raise KeyboardInterrupt


def bad(_):
    raise ValueError("bad")


def around(between):
    """A model with much that a forward changes, and with gradients, around a module."""
    net = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Dropout(), between, nn.Dropout(), nn.Linear(16, 4))
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    return net


@pytest.mark.parametrize("where", [stop, _Stop.apply])
def test_an_interrupt_on_either_way_leaves_the_model_to_the_last_bit(where):
    net = around(Call(where))
    before = digest(net)
    with pytest.raises(KeyboardInterrupt):
        nnw.activations(net, X, loss="noise")
    assert digest(net) == before


def test_what_raises_on_either_way_leaves_the_model_to_the_last_bit_and_what_was_seen():
    net = around(nn.Sequential(nn.ReLU(), Call(bad)))
    before = digest(net)
    found = nnw.activations(net, X, loss="noise")
    assert (found.failed_in, found.failed_at, found.error) == ("forward", "3.1", "ValueError: bad")
    assert [bool(call.outputs) for call in found.calls] == [False, True, True, True, False, True, False]
    assert digest(net) == before
    net = around(nn.ReLU())
    net[1].weight.register_hook(bad)
    before = digest(net)
    found = nnw.activations(net, X, loss="noise")
    assert (found.failed_in, found.error) == ("backward", "ValueError: bad")
    assert [each.path for each in found.parameters if each.gradient] == ["5.weight", "5.bias"]
    assert digest(net) == before


class Inner(nn.Module):
    """A forward that takes a gradient itself, as of an energy."""

    def __init__(self, *, graph):
        super().__init__()
        self.layer, self.graph = nn.Linear(16, 16), graph

    def forward(self, x):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.layer(x).tanh().square().sum(), x, create_graph=self.graph)
        return gradient


ODD = {
    "a gradient within, with a graph": (Inner(graph=True), {"": True, "layer": True}),
    "a gradient within": (nn.Sequential(Inner(graph=False), nn.Linear(16, 4)), {"1": True, "0": False}),
    "in place": (nn.Sequential(nn.Linear(16, 16), nn.ReLU(inplace=True), nn.Linear(16, 4)), {"0": True, "1": True}),
    "its input in place": (nn.Sequential(Call(lambda x: x.mul_(2)), nn.Linear(16, 4)), {"0": False, "1": True}),
    "what it was given": (nn.Sequential(nn.Identity(), nn.Flatten(0), nn.Unflatten(0, (64, 16))), {"0": False}),
    "DataParallel where there is one device": (nn.DataParallel(mlp(n=1)), {"module.0": True, "module.2": True}),
    "nothing": (Call(lambda _: None), {}),
    "whole numbers": (Call(lambda x: x.long()), {}),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_odd_outputs_are_told_as_far_as_there_is_something_to_tell(odd):
    net, arrived = ODD[odd]
    x = X.to(next(net.parameters(), X).device).clone()
    found = nnw.activations(net, x, loss="noise")
    for path, has_gradient in arrived.items():
        (call,) = [call for call in found.calls if call.path == path]
        assert (call.outputs[0].gradient is not None) == has_gradient
    if arrived and odd != "what it was given":
        assert found.error is None
    if not arrived:
        assert "The output has no tensor of floating point" in found.error
        assert all(call.outputs == () for call in found.calls)


def test_what_has_no_data_or_no_shape_yet_is_refused_with_what_to_do():
    meta = nn.Sequential(nn.Linear(16, 4)).to("meta")
    with pytest.raises(nnw.InvalidTargetError, match=r"can't be read: no data: on the meta device.*to_empty"):
        nnw.activations(meta, X.to("meta"), loss="noise")
    with pytest.raises(nnw.InvalidTargetError, match=r"0\.weight is lazy"):
        nnw.activations(nn.Sequential(nn.LazyLinear(4)), X)


def test_a_quantized_layer_is_seen_as_far_as_it_gives_floats_and_passes_no_gradient():
    inner = torch.ao.quantization.quantize_dynamic(mlp(n=1).eval(), {nn.Linear}, dtype=torch.qint8)
    net = nn.Sequential(nn.Linear(16, 16), inner)
    found = nnw.activations(net, X, loss="noise")
    stds = {call.path: call.outputs[0].values.std for call in found.calls}
    assert stds["1.0"] == pytest.approx(inner[0](net[0](X)).std().item(), rel=1e-6)
    assert (found.error, found.calls[1].outputs[0].gradient) == (None, None)


@needs_torch("distributed.fsdp.fully_shard")
def test_a_sharded_model_tells_what_the_whole_one_does_and_keeps_no_gradient(tmp_path):
    whole = mlp()
    expected = nnw.activations(whole, X, loss="noise")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        mesh = distributed.device_mesh.init_device_mesh("cpu", (1,))
        net = distributed.fsdp.fully_shard(copy.deepcopy(whole), mesh=mesh)
        found = nnw.activations(net, X, loss="noise")
        assert [call.outputs for call in found.calls] == [call.outputs for call in expected.calls]
        stds = [each.gradient.std for each in found.parameters]
        assert stds == pytest.approx([each.gradient.std for each in expected.parameters], rel=1e-12)
        assert all(parameter.grad is None for parameter in net.parameters())
        assert type(next(net.parameters()).data).__name__ == "DTensor"
    finally:
        distributed.destroy_process_group()
