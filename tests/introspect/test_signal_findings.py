"""What a run through the layers finds: what theory says of deep nets, and what was planted."""

import math
import re
from collections import OrderedDict

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.chinese import saying

INITS = {
    "constant": lambda weight: nn.init.constant_(weight, 0.1),
    "normal 0.01": lambda weight: nn.init.normal_(weight, std=0.01),
    "normal 1": nn.init.normal_,
    "xavier": nn.init.xavier_normal_,
    "kaiming": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
}
THEORY = {
    ("Tanh", "constant"): {"saturated"},
    ("Tanh", "normal 0.01"): {"vanishing-signal", "vanishing-gradient"},
    ("Tanh", "normal 1"): {"saturated", "exploding-gradient"},
    ("Tanh", "xavier"): set(),
    ("Tanh", "kaiming"): set(),
    ("Tanh", "orthogonal"): set(),
    ("ReLU", "constant"): {"exploding-signal", "exploding-gradient", "symmetric-units"},
    ("ReLU", "normal 0.01"): {"vanishing-signal", "vanishing-gradient"},
    ("ReLU", "normal 1"): {"exploding-signal", "exploding-gradient"},
    ("ReLU", "xavier"): set(),
    ("ReLU", "kaiming"): set(),
    ("ReLU", "orthogonal"): set(),
}
WIDTH = 128


@pytest.fixture(scope="module", autouse=True)
def _each_finding_has_its_chinese():
    with saying("activations", lambda found: [each.message for each in found.findings]):
        yield


def deep(activation, init, n_layers=20):
    torch.manual_seed(0)
    layers = [each for _ in range(n_layers) for each in (nn.Linear(WIDTH, WIDTH), activation())]
    net = nn.Sequential(*layers, nn.Linear(WIDTH, 10))
    for layer in net[::2]:
        init(layer.weight)
        nn.init.zeros_(layer.bias)
    return net


def codes(net, x, **options):
    return {found.code for found in nnw.activations(net, x, **options).findings if found.severity != "note"}


@pytest.mark.parametrize(("activation", "init"), THEORY)
def test_a_deep_net_gets_the_verdict_of_theory_and_its_fix_mends_it(activation, init):
    net, x = deep(getattr(nn, activation), INITS[init]), torch.randn(256, WIDTH)
    found = [each for each in nnw.activations(net, x, loss="noise").findings if each.severity != "note"]
    assert {each.code for each in found} == THEORY[activation, init]
    for each in found:
        exec(each.fix, {"torch": torch, "net": net})  # noqa: S102 - the product's own words, which are to be true
    assert codes(net, x, loss="noise") == set()


@pytest.mark.parametrize(("gain", "factor"), [(1.0, math.sqrt(1 / 2)), (math.sqrt(2), 1.0)])
def test_the_std_through_a_relu_net_is_that_of_he(gain, factor):
    x = torch.randn(2048, WIDTH)
    net = deep(nn.ReLU, lambda weight: nn.init.normal_(weight, std=gain / math.sqrt(WIDTH)), n_layers=6)
    calls = [call for call in nnw.activations(net, x).calls if call.class_name == "Linear"][:-1]
    squares = [call.outputs[0].values.norm ** 2 / call.outputs[0].values.n for call in calls]
    for at, square in enumerate(squares):
        assert math.sqrt(square) == pytest.approx(gain * factor**at, rel=0.25)


def test_the_call_where_nan_is_born_is_named_with_what_went_in():
    class Root(nn.Module):
        def forward(self, x):
            return x.sqrt()

    net = nn.Sequential(nn.Linear(4, 8), Root(), nn.Linear(8, 2))
    (found,) = [each for each in nnw.activations(net, torch.randn(64, 4)).findings if each.code == "first-nan"]
    assert (found.path, found.fix) == ("1", None)
    values = net[0](torch.zeros(0, 4))
    assert "Its input goes from -" in found.message
    assert values.shape == (0, 8)
    with torch.no_grad():
        net[0].weight[3, 1] = math.nan
    (found,) = [each for each in nnw.activations(net, torch.randn(64, 4)).findings if each.code == "first-nan"]
    assert found.path == "0"
    assert "64 of 512 values" in found.message
    assert "in its own weight" in found.message
    exec(found.fix, {"torch": torch, "net": net})  # noqa: S102 - as above
    assert not torch.isnan(net[0].weight).any()
    (found,) = nnw.activations(net[2], torch.full((3, 8), math.nan)).findings
    assert "NaN in its input already" in found.message


def test_dead_units_are_told_where_they_are_and_not_what_chance_makes():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    assert nnw.activations(net, torch.randn(4, 3, 8, 8)).findings == ()
    with torch.no_grad():
        net[0].bias[:3] = -100
    (found,) = nnw.activations(net, torch.randn(4, 3, 8, 8)).findings
    assert (found.code, found.severity, found.path, found.fix) == ("dead-units", "note", "1", None)
    assert "3 of 8 units are 0 for all of this batch, each with 144 values" in found.message
    with torch.no_grad():
        net[0].bias[:] = -100
    (found,) = nnw.activations(net, torch.randn(4, 3, 8, 8)).findings
    assert found.severity == "error"
    exec(found.fix, {"torch": torch, "net": net})  # noqa: S102 - as above
    assert nnw.activations(net, torch.randn(4, 3, 8, 8)).findings == ()
    small = nn.Sequential(nn.Linear(8, 64), nn.ReLU())
    assert nnw.activations(small, torch.randn(1, 8)).findings == ()


def test_folded_shares_are_told_as_far_as_they_go():
    net = deep(nn.Tanh, INITS["normal 1"], n_layers=5)
    with torch.no_grad():
        net[0].weight.mul_(0.1)
        net[2].weight.mul_(0.5)
    x = torch.randn(64, WIDTH)
    run = nnw.activations(net, x)
    (found,) = [each for each in run.findings if each.code == "saturated"]
    _, first, *others = [call.outputs[0].n_saturated / (64 * WIDTH) for call in run.calls if call.class_name == "Tanh"]
    assert first < max(others)
    assert found.message.startswith(f"{100 * first:.0f} % of the values")
    assert found.message.endswith(f" At 3 more places it is up to {100 * max(others):.0f} %: 5 … 9.")


def test_what_the_same_lines_mend_is_told_once_whatever_its_places_are_called():
    steep = deep(nn.Tanh, INITS["normal 1"], n_layers=6)
    named = nn.Sequential(OrderedDict((f"step{at}", each) for at, each in enumerate(steep)))
    (found,) = nnw.activations(named, torch.randn(64, WIDTH)).findings
    assert (found.code, found.path) == ("saturated", "step1")
    assert re.search(r"At 5 more places it is up to \d+ %: step3 … step11\.$", found.message)
    fading = nnw.activations(deep(nn.Tanh, INITS["normal 0.01"]), torch.randn(64, WIDTH), loss="noise").findings
    assert {each.code for each in fading} == {"vanishing-signal", "vanishing-gradient"}
    assert str(fading).count("for layer in (net[0], net[2]") == 1
    assert f"The lines for {fading[0].path} mend it too." in str(fading)


def test_a_weight_that_is_made_of_others_has_depth_and_no_fix_that_would_be_lost():
    net = deep(nn.Tanh, INITS["normal 0.01"])
    net.apply(lambda each: nn.utils.parametrizations.weight_norm(each) if type(each) is nn.Linear else None)
    found = nnw.activations(net, torch.randn(64, WIDTH), loss="noise").findings
    assert {(each.code, each.fix) for each in found} == {("vanishing-signal", None), ("vanishing-gradient", None)}


def test_units_with_biases_of_their_own_are_not_said_to_stay_alike():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.weight.fill_(0.1)
        net[0].bias.fill_(0.1)
    x, y = torch.rand(64, 4), torch.randn(64, 1)
    assert codes(net, x, loss=y) == {"symmetric-units"}
    with torch.no_grad():
        net[0].bias.copy_(torch.linspace(0.1, 1, 8))
    assert codes(net, x, loss=y) == set()


def test_a_layer_is_the_first_to_make_infinite_values_of_finite_ones():
    class Overflow(nn.Module):
        def forward(self, x):
            return x.div(0).abs()

    class Clamp(nn.Module):
        def forward(self, x):
            return x.clamp(max=1e38)

    net = nn.Sequential(nn.Linear(4, 4), Overflow(), Clamp(), nn.Linear(4, 4))
    with torch.no_grad():
        net[3].weight.fill_(10)
    (found,) = nnw.activations(net, torch.rand(64, 4)).findings
    assert found.path == "3"
    assert found.message.startswith("The first layer that makes infinite values of finite ones: ")


def test_findings_are_on_the_page():
    net = deep(nn.Tanh, INITS["normal 0.01"])
    told = str(nnw.activations(net, torch.randn(64, WIDTH), loss="noise"))
    assert "vanishing-signal" in told
    assert "per layer, over 15 layers" in told
