"""What a moment of training says of parameters and modules, against torch's own norms."""

from __future__ import annotations

import copy
import gc
import math
import weakref

import pytest
import torch
from torch import nn

from nnwidgets.introspect.statistics.training_norms import FiniteWatch, Pulse


def trained(net, x, loss_of, lr=0.1):
    """One step of SGD between two beats of the pulse: what it says, and the parameters before."""
    optimizer, pulse = torch.optim.SGD(net.parameters(), lr=lr), Pulse()
    loss_of(net(x)).backward()
    pulse.before_step(net)
    before = copy.deepcopy(net)
    optimizer.step()
    return pulse.beats(net), before


def norm(*tensors):
    return math.sqrt(sum(tensor.detach().double().norm().item() ** 2 for tensor in tensors))


def test_norms_gradients_and_steps_are_torchs():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    beats, before = trained(net, torch.randn(16, 4), lambda y: y.square().sum())
    for path, parameter in net.named_parameters():
        moved = norm(parameter - before.get_parameter(path)) / norm(parameter)
        assert beats[path] == pytest.approx((norm(parameter), norm(parameter.grad), moved), rel=1e-5)
    of_first = [net[0].weight, net[0].bias]
    assert beats["0"][:2] == pytest.approx((norm(*of_first), norm(*(each.grad for each in of_first))), rel=1e-5)
    every = list(net.parameters())
    moved = norm(*(a - b for a, b in zip(every, before.parameters(), strict=True))) / norm(*every)
    assert beats[""] == pytest.approx((norm(*every), norm(*(each.grad for each in every)), moved), rel=1e-5)
    assert "1" not in beats


def test_the_step_of_a_large_tensor_is_told_from_a_sample_near_the_truth():
    torch.manual_seed(0)
    net = nn.Linear(512, 700, bias=False)
    beats, before = trained(net, torch.randn(8, 512), lambda y: y.square().sum(), lr=1e-3)
    assert beats["weight"].update == pytest.approx(norm(net.weight - before.weight) / norm(net.weight), rel=0.1)


def test_a_single_nan_anywhere_is_seen_in_its_tensor_and_in_all_modules_around_it():
    net = nn.Sequential(nn.Sequential(nn.Linear(300, 300), nn.Linear(2, 2)), nn.Linear(2, 2))
    net[0][0].weight.grad = torch.zeros(300, 300)
    net[0][0].weight.grad[123, 77] = math.nan
    net[0][1].weight.grad = torch.ones(2, 2)
    beats = Pulse().beats(net)
    broken = {path for path, beat in beats.items() if beat.gradient is not None and math.isnan(beat.gradient)}
    assert broken == {"0.0.weight", "0.0", "0", ""}
    assert not any(math.isnan(beat.norm) for beat in beats.values())


def test_a_tied_tensor_counts_once_and_what_does_not_train_not_at_all():
    net = nn.ModuleDict({"embed": nn.Embedding(5, 3), "head": nn.Linear(3, 5), "frozen": nn.Linear(3, 3)})
    net["head"].weight = net["embed"].weight
    net["frozen"].requires_grad_(False)
    beats = Pulse().beats(net)
    assert set(beats) == {"embed.weight", "embed", "head.bias", "head", ""}
    assert beats[""].norm == pytest.approx(norm(net["embed"].weight, net["head"].bias))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(3, 3, dtype=torch.bfloat16),
        lambda: nn.Linear(3, 3, dtype=torch.float64),
        lambda: nn.Linear(3, 3, dtype=torch.complex64),
        lambda: nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last),
        lambda: nn.Embedding(9, 2, sparse=True),
    ],
    ids=["bfloat16", "float64", "complex64", "channels_last", "sparse gradient"],
)
def test_every_kind_of_parameter_that_trains(make):
    torch.manual_seed(0)
    net, pulse = make(), Pulse()
    if isinstance(net, nn.Embedding):
        net(torch.tensor([1, 1, 4])).sum().backward()
    else:
        net.weight.grad = torch.ones_like(net.weight)
    pulse.before_step(net)
    with torch.no_grad():
        net.weight.mul_(2)
    beat = pulse.beats(net)["weight"]
    grad = net.weight.grad.to_dense()
    assert beat.norm == pytest.approx(torch.linalg.vector_norm(net.weight.detach()).item(), rel=1e-2)
    assert beat.gradient == pytest.approx(torch.linalg.vector_norm(grad).item(), rel=1e-2)
    assert beat.update == pytest.approx(0.5, rel=1e-2)


def test_what_has_no_data_yet_is_left_out_and_a_tensor_replaced_meanwhile_has_no_step():
    net = nn.ModuleList([nn.LazyLinear(2), nn.Linear(2, 2, device="meta"), nn.Linear(2, 2), nn.Linear(2, 2)])
    pulse = Pulse()
    pulse.before_step(net)
    net[2].weight = nn.Parameter(torch.ones(2, 2))
    beats = pulse.beats(net)
    assert set(beats) == {"", "2", "2.weight", "2.bias", "3", "3.weight", "3.bias"}
    assert beats["2.weight"].update is None
    assert beats["3.weight"].update == 0
    with torch.no_grad():
        nn.init.zeros_(net[3].bias)
    assert Pulse().beats(net)["3.bias"] == (0.0, None, None)


def test_it_changes_nothing():
    net = nn.Linear(3, 3)
    net(torch.ones(1, 3)).sum().backward()
    before = copy.deepcopy(net.state_dict()), net.weight.grad.clone(), torch.get_rng_state()
    versions = [parameter._version for parameter in net.parameters()]
    pulse = Pulse()
    pulse.before_step(net)
    pulse.beats(net)
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before[0].items())
    assert torch.equal(net.weight.grad, before[1])
    assert torch.equal(torch.get_rng_state(), before[2])
    assert [parameter._version for parameter in net.parameters()] == versions


def with_gradients():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    return net


def test_the_watch_names_the_first_tensor_with_nan_or_infinities_and_counts_them():
    net, watch = with_gradients(), FiniteWatch()
    assert watch.look(net) is None
    net[1].weight.grad[0, 0] = float("inf")
    net[1].bias.grad[2] = float("nan")
    assert watch.look(net) == ("1.weight", "gradient", 2)
    net[1].weight.grad.zero_()
    net[1].bias.grad.zero_()
    assert watch.look(net) is None


def test_the_watch_takes_no_large_numbers_for_infinities_and_reads_values_where_no_gradient_is():
    net, watch = with_gradients(), FiniteWatch()
    net[0].weight.grad.fill_(3e38)
    assert watch.look(net) is None
    with torch.no_grad():
        net[1].bias[0] = float("nan")
    assert watch.look(net) is None, "its gradient is what is read"
    net[1].bias.grad = None
    assert watch.look(net) == ("1.bias", "value", 1)


def test_the_watch_follows_a_model_whose_parameters_are_replaced_and_keeps_none_of_them():
    net, watch = with_gradients(), FiniteWatch()
    watch.look(net)
    held = weakref.ref(net[1].weight)
    net[1] = nn.Linear(3, 3)
    gc.collect()
    assert held() is None
    with torch.no_grad():
        net[1].weight[0, 0] = float("nan")
    assert watch.look(net) == ("1.weight", "value", 1)
