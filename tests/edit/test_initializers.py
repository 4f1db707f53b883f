"""Every filler of torch.nn.init gives through a change what it gives by itself, bit for bit."""

from __future__ import annotations

import copy
import inspect
import warnings

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets import edit
from tests.support.edited_models import bits, mlp, run, tied

NEEDED = {"constant_": {"val": 0.25}, "sparse_": {"sparsity": 0.3}}
FILLERS = sorted(
    name
    for name, function in vars(nn.init).items()
    if name.endswith("_") and not name.startswith("_") and inspect.isfunction(function)
)


def shaped(name):
    torch.manual_seed(3)
    net = nn.Module()
    net.conv = nn.Conv1d(6, 6, 3) if name == "dirac_" else nn.Linear(40, 30)
    return net


def by_torch(name, tensor, seed, **kwargs):
    function = getattr(nn.init, name)
    generator = torch.Generator().manual_seed(seed)
    extra = {"generator": generator} if "generator" in inspect.signature(function).parameters else {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        function(tensor, **kwargs, **extra)
    return tensor


def test_every_filler_of_torch_is_offered_with_its_own_parameters():
    offered = edit.initializers()
    assert set(FILLERS) <= set(offered)
    for name in FILLERS:
        real = inspect.signature(getattr(nn.init, name)).parameters
        assert [each.name for each in offered[name].parameters] == [n for n in real if n not in ("tensor", "generator")]
        assert offered[name].doc


@pytest.mark.parametrize("name", FILLERS)
@pytest.mark.parametrize("lay", ["contiguous", "transposed", "spaced"])
def test_a_filler_gives_the_bits_it_gives_by_itself(name, lay):
    net = shaped(name)
    weight = net.conv.weight.data
    if lay == "transposed":
        weight = weight.transpose(0, 1).contiguous().transpose(0, 1)
    elif lay == "spaced":
        weight = torch.randn(weight.shape[0], 2 * weight.shape[1], *weight.shape[2:])[:, ::2]
    net.conv.weight = nn.Parameter(weight)
    reach = 1 + sum((n - 1) * s for n, s in zip(weight.shape, weight.stride(), strict=True))
    twin = torch.zeros(reach).as_strided(weight.shape, weight.stride())
    expected = by_torch(name, twin, 11, **NEEDED.get(name, {}))
    fresh = copy.deepcopy(net)
    fresh.conv.weight = nn.Parameter(torch.zeros(reach).as_strided(weight.shape, weight.stride()))
    shown = nnw.init(net, "conv.weight", name, seed=11, preview=True, **NEEDED.get(name, {}))
    change = nnw.init(net, "conv.weight", name, seed=11, **NEEDED.get(name, {}))
    assert torch.equal(net.conv.weight, expected)
    assert change.after == shown.after
    assert change.after["conv.weight"] == nnw.stats(expected)
    run(change.to_code(), net=fresh)
    assert torch.equal(fresh.conv.weight, expected)


@pytest.mark.parametrize("name", FILLERS)
def test_the_global_generator_is_left_as_it_was(name):
    net = shaped(name)
    before = torch.get_rng_state()
    nnw.init(net, "conv.weight", name, preview=True, **NEEDED.get(name, {}))
    nnw.init(net, "conv.weight", name, **NEEDED.get(name, {}))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_filler_that_draws_beside_its_generator_leaves_the_global_one_too(monkeypatch):
    def half_seeded_(tensor, generator=None):  # as sparse_ is in torch before 2.13
        with torch.no_grad():
            return tensor.normal_(generator=generator)[torch.randperm(len(tensor))]

    monkeypatch.setattr(nn.init, "half_seeded_", half_seeded_, raising=False)
    net, before = mlp(), torch.get_rng_state()
    nnw.init(net, "0.weight", "half_seeded_", preview=True)
    nnw.init(net, "0.weight", "half_seeded_")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_new_filler_of_torch_is_offered_without_a_change_here(monkeypatch):
    def lecun_normal_(tensor, gain: float = 1.0, generator=None):
        """Fill it as LeCun would."""
        with torch.no_grad():
            return tensor.normal_(0, gain / tensor.shape[1] ** 0.5, generator=generator)

    monkeypatch.setattr(nn.init, "lecun_normal_", lecun_normal_, raising=False)
    net = mlp()
    nnw.init(net, "0.weight", "lecun_normal", gain=2.0, seed=5)
    expected = torch.empty(8, 6).normal_(0, 2.0 / 6**0.5, generator=torch.Generator().manual_seed(5))
    assert torch.equal(net[0].weight, expected)


def test_what_kaiming_takes_is_offered_where_torch_annotates_no_more_than_text(monkeypatch):
    offered = edit.initializers()["kaiming_uniform_"].parameters
    monkeypatch.setattr(nn.init.kaiming_uniform_, "__annotations__", {"a": float, "mode": str, "nonlinearity": str})
    assert edit.initializers()["kaiming_uniform_"].parameters == offered
    assert {each.name: each.choices for each in offered}["mode"] == ("fan_in", "fan_out")


def test_one_seed_fills_several_tensors_in_walk_order_from_one_generator():
    net = mlp()
    nnw.init(net, ["2.weight", "0.weight"], "normal_", seed=5)
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(net[0].weight, torch.empty(8, 6).normal_(generator=generator))
    assert torch.equal(net[2].weight, torch.empty(4, 8).normal_(generator=generator))


def test_a_drawn_seed_is_shown_and_gives_the_same_again():
    one, two = mlp(), mlp()
    seed = nnw.init(one, "0.weight", "normal_").seed
    nnw.init(two, "0.weight", "normal_", seed=seed)
    assert torch.equal(one[0].weight, two[0].weight)
    assert nnw.init(one, "0.weight", "normal_").seed != seed


def test_a_tied_storage_is_filled_once_and_every_name_reported():
    net = tied()
    change = nnw.init(net, "**.weight", "normal_", seed=4)
    assert change.paths == ("a.weight", "b.weight", "t.weight")
    assert torch.equal(net.a.weight, torch.empty(4, 4).normal_(generator=torch.Generator().manual_seed(4)))
    assert net.b.weight is net.a.weight
    assert torch.equal(net.t.weight, net.a.weight.t())
    assert change.n_elements == 16
    change = nnw.init(net, "t.weight", "zeros")
    assert change.paths == ("a.weight", "b.weight", "t.weight")
    assert {(tie.path, tie.of, tie.relation) for tie in change.ties} == {
        ("a.weight", "t.weight", "view"),
        ("b.weight", "t.weight", "view"),
    }


def test_partly_overlapping_tensors_are_filled_in_walk_order_and_said():
    net = tied()
    change = nnw.init(net, ["low", "high"], "normal_", seed=4)
    generator = torch.Generator().manual_seed(4)
    torch.empty(14).normal_(generator=generator)
    assert torch.equal(net.high, torch.empty(14).normal_(generator=generator))
    assert "overlaps" in change.warnings[0]


def test_a_tensor_within_another_is_filled_with_it():
    net = nn.Module()
    net.whole = nn.Parameter(torch.zeros(10))
    net.part = nn.Parameter(net.whole.data[2:5])
    change = nnw.init(net, ["whole", "part"], "normal_", seed=4)
    assert torch.equal(net.whole, torch.empty(10).normal_(generator=torch.Generator().manual_seed(4)))
    assert change.paths == ("whole", "part")


def test_reset_calls_each_modules_own_and_leaves_the_generator():
    net, other = mlp(), mlp()
    before = torch.get_rng_state()
    shown = nnw.init(net, "", "reset", seed=9, preview=True)
    change = nnw.init(net, "", "reset", seed=9)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng():
        torch.manual_seed(9)
        other[0].reset_parameters()
        other[2].reset_parameters()
    assert bits(net) == bits(other)
    assert shown.after == change.after
    third = mlp()
    run(change.to_code(), net=third)
    assert bits(third) == bits(net)


def test_reset_brings_running_statistics_back():
    net = nn.BatchNorm1d(3)
    net(torch.randn(8, 3))
    nnw.init(net, "", "reset")
    assert net.num_batches_tracked == 0
    nnw.undo(net)
    assert net.num_batches_tracked == 1


@nnw.initializer
def far_from_zero(tensor, generator, width=10.0, least=5.0):
    tensor.uniform_(-width, width, generator=generator)
    tensor.mul_(tensor.abs() >= least)


def test_a_function_of_the_users_is_offered_previewed_applied_and_told_as_code():
    assert edit.initializers()["far_from_zero"].signature == "far_from_zero(width=10.0, least=5.0)"
    net, other = mlp(), mlp()
    shown = nnw.init(net, "0.weight", "far_from_zero", least=2.0, seed=1, preview=True)
    change = nnw.init(net, "0.weight", "far_from_zero", least=2.0, seed=1)
    assert shown.after == change.after
    assert ((net[0].weight == 0) | (net[0].weight.abs() >= 2)).all()
    run(change.to_code(), net=other)
    assert bits(other) == bits(net)


def test_a_function_without_source_says_so_in_its_code():
    net = mlp()
    change = nnw.init(net, "0.weight", lambda tensor, generator: tensor.zero_())
    with pytest.raises(NotImplementedError, match="no source"):
        run(change.to_code(), net=net)


def test_a_function_over_modules_is_one_change():
    def halve(m):
        m.weight.mul_(0.5)
        m.bias.fill_(1.0)

    net, other = mlp(), mlp()
    before = bits(net)
    shown = edit.apply(net, "Linear", halve, preview=True)
    assert bits(net) == before
    change = edit.apply(net, "Linear", halve)
    assert change.after == {path: shown.after[path] for path in change.paths}
    assert change.paths == ("0.weight", "0.bias", "2.weight", "2.bias")
    run(change.to_code(), net=other)
    assert bits(other) == bits(net)
    nnw.undo(net)
    assert bits(net) == before


def test_a_constant_weight_is_allowed_with_the_reason_why_not():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        change = nnw.init(mlp(), "0.weight", "constant_", val=1.0)
    assert "Unless biases, what follows or, in a last layer, the targets tell units apart" in change.warnings[0]
    assert nnw.init(mlp(), "0.bias", "zeros").warnings == ()


def test_names_go_with_and_without_their_underscore():
    for name in ("xavier_uniform", "xavier_uniform_", "nn.init.xavier_uniform_", nn.init.xavier_uniform_):
        assert nnw.init(mlp(), "0.weight", name, seed=1).label == "xavier_uniform_"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("HeNormal", "kaiming_normal_"), ("keras.initializers.GlorotUniform", "xavier_uniform_"),
        ("jax.nn.initializers.he_uniform", "kaiming_uniform_"), ("TruncatedNormal", "trunc_normal_"),
        ("RandomUniform", "uniform_"), ("tf.keras.initializers.Zeros", "zeros_"), ("KaimingNormal", "kaiming_normal_"),
        ("nn.init.Orthogonal", "orthogonal_"), ("random-normal", "normal_"),
    ],
)  # fmt: skip
def test_names_of_other_libraries_are_understood_as_they_are_written(name, label):
    assert nnw.init(mlp(), "0.weight", name, seed=1).label == label


@pytest.mark.parametrize("name", ["LecunNormal", "lecun", "variance_scaling", "keras.initializers.VarianceScaling"])
def test_names_that_leave_something_open_are_answered_with_what_there_is(name):
    with pytest.raises(nnw.InitializerError, match="Did you mean kaiming_normal_"):
        nnw.init(mlp(), "0.weight", name)


def test_units_with_equal_weights_stay_so_where_the_warning_says_and_not_elsewhere():
    for is_alike in (True, False):
        net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 1))
        nnw.init(net, "0.weight", "constant_", val=0.5)
        if is_alike:
            nnw.init(net, "2.weight", "constant_", val=0.5)
        net(torch.randn(5, 3)).square().sum().backward()
        gradient = net[0].weight.grad
        assert torch.allclose(gradient, gradient[:1].expand_as(gradient)) is is_alike


def test_a_fan_hint_sees_the_activation_and_the_transposed_layer():
    hint = edit.fan_hint(mlp(), "0.weight")
    assert (hint.fan_in, hint.fan_out, hint.activation, hint.activation_path) == (6, 8, "relu", "1")
    assert hint.stds["kaiming_fan_in"] == pytest.approx((2 / 6) ** 0.5)
    assert edit.fan_hint(mlp(), "2.weight").activation is None
    assert edit.fan_hint(mlp(), "0.bias") is None

    class Conv1D(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3, 9))

    assert "[in, out]" in edit.fan_hint(nn.Sequential(Conv1D()), "0.weight").note


def test_a_key_that_is_no_string_is_spelled_so_that_the_code_runs():
    def odd():
        torch.manual_seed(0)
        net = nn.Module()
        net._modules[nn.ReLU] = nn.Linear(2, 3)
        net._modules["a.b"] = nn.Linear(2, 3)
        return net

    net, other = odd(), odd()
    nnw.init(net, "**.weight", "normal_", seed=2)
    run(nnw.history(net).to_code("other"), other=other)
    assert bits(other) == bits(net)


@pytest.mark.parametrize(
    "layer", [nn.Embedding(4, 3), nn.EmbeddingBag(4, 3), nn.LayerNorm((2, 3)), nn.Conv2d(4, 4, 3, groups=4)]
)
def test_nothing_is_said_of_units_that_see_different_inputs(layer):
    assert nnw.init(nn.Sequential(layer), "0.weight", "ones").warnings == ()


@pytest.mark.parametrize(
    ("how", "values", "hint"),
    [
        ("constant_", (1,), "Parameters of constant_ go by keyword: val=1."),
        ("uniform", (-1, 1), "Parameters of uniform_ go by keyword: a=-1, b=1."),
        ("normal_", (0, 1, 7), "The signature is normal_(mean=0.0, std=1.0)."),
    ],
)
def test_parameters_without_their_names_are_told_by_name(how, values, hint):
    net = nn.Linear(2, 3)
    before = net.weight.clone()
    with pytest.raises(nnw.InitializerError) as raised:
        nnw.init(net, "weight", how, *values)
    assert raised.value.hint == hint
    assert torch.equal(net.weight, before)


def test_several_targets_or_arguments_of_a_function_say_how_they_are_written():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))
    for verb in (nnw.freeze, nnw.unfreeze):
        with pytest.raises(nnw.InvalidTargetError, match=r'one list: \["0", "2.bias"\]'):
            verb(net, "0", "1")
    with pytest.raises(nnw.InvalidTargetError, match=r"lambda m: fn\(m, 0.1\)"):
        nnw.apply(net, "Linear", nn.init.normal_, 0.1)
