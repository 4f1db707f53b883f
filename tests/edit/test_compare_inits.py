"""Initializers tried on stand-ins: what they do to the signal, and the model as it was."""

import hashlib
import math
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import nnwidgets as nnw

WIDTH = 64


def deep(activation=nn.ReLU, n_layers=20, width=WIDTH):
    torch.manual_seed(0)
    net = nn.Sequential(*[each for _ in range(n_layers) for each in (nn.Linear(width, width), activation())])
    for layer in net[::2]:
        nn.init.zeros_(layer.bias)
    return net


def batch(n=128, width=WIDTH):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(1))


def digest(net):
    """All that a model is made of: bytes, addresses, versions, identities, hooks, flags, and the random generators."""
    told = []
    for name, module in net.named_modules():
        for key, value in sorted(vars(module).items()):
            if isinstance(value, dict | OrderedDict):
                told.append((name, key, [(each, id(held)) for each, held in value.items()]))
            else:
                told.append((name, key, id(value)))
    for name, tensor in (*net.named_parameters(remove_duplicate=False), *net.named_buffers(remove_duplicate=False)):
        raw = bytes(tensor.detach().contiguous().flatten().view(torch.uint8).tolist())
        told += [(name, hashlib.sha256(raw).hexdigest(), tensor.data_ptr(), tensor._version, tensor.requires_grad)]
        told += [(id(tensor.grad), id(tensor.grad_fn), tensor._backward_hooks and list(tensor._backward_hooks))]
    hooks = torch.nn.modules.module
    told.append((len(hooks._global_forward_hooks), len(hooks._global_forward_pre_hooks)))
    told.append(hashlib.sha256(bytes(torch.get_rng_state().tolist())).hexdigest())
    return told


class Twisted(nn.Module):
    """Ties, a norm's buffers, an embedding, a recurrent layer that keeps its weights in a list, a call made twice."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.rnn = nn.LSTM(8, 8, batch_first=True)
        self.norm = nn.BatchNorm1d(8)
        self.inner = nn.Linear(8, 8)
        self.old = nn.utils.weight_norm(nn.Linear(8, 8))
        self.new = parametrizations.orthogonal(nn.Linear(8, 8))
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(8, 11, bias=False)
        self.out.weight = self.words.weight
        self.kept = [self.inner.weight]

    def forward(self, x):
        seen = self.rnn(self.words(x))[0][:, -1]
        seen = self.drop(self.inner(self.inner(self.norm(seen)))) @ self.kept[0]
        return {"logits": self.out(self.new(self.old(seen))), "n": 3}


def squares(out):
    return out["logits"].square().mean()


def words():
    return torch.arange(24).remainder(11).view(6, 4)


@pytest.mark.parametrize("name", ["normal_ std=0.01", "normal_", "kaiming_normal_ nonlinearity=relu", "orthogonal_"])
def test_the_std_through_a_relu_net_is_that_of_he(name):
    net = deep()
    found = nnw.compare_inits(net, batch(128), inits=[name], seeds=2)
    variance = {"normal_ std=0.01": 1e-4, "normal_": 1.0, "orthogonal_": 1 / WIDTH}.get(name, 2 / WIDTH)
    factor = math.sqrt(WIDTH * variance / 2)  # He et al. 2015, equation 9
    stds = [band.mean for point, band in zip(found.points, found.candidates[0].forward, strict=True) if point.is_layer]
    rate = (stds[-1] / stds[0]) ** (1 / (len(stds) - 1))
    assert len(stds) == 20
    assert rate == pytest.approx(factor, rel=0.1)
    gradients = [
        band.mean for point, band in zip(found.points, found.candidates[0].backward, strict=True) if point.is_layer
    ]
    back = (gradients[0] / gradients[-1]) ** (1 / (len(gradients) - 1))
    assert back == pytest.approx(factor, rel=0.1)
    low, high = found.candidates[0].forward[0].low, found.candidates[0].forward[0].high
    assert low < stds[0] < high


THEORY = {
    (nn.ReLU, "constant_ val=0.1"): "stay alike",
    (nn.ReLU, "normal_ std=0.01"): "std falls to 0.0",
    (nn.ReLU, "normal_"): "std grows 5",
    (nn.ReLU, "xavier_normal_"): "std falls to 0.",
    (nn.ReLU, "kaiming_normal_"): "std keeps",
    (nn.ReLU, "orthogonal_"): "std falls to 0.",
    (nn.Tanh, "constant_ val=0.1"): "saturated",
    (nn.Tanh, "normal_ std=0.01"): "std falls to 0.0",
    (nn.Tanh, "normal_"): "activations are saturated",
    (nn.Tanh, "xavier_normal_"): "std keeps",
    (nn.Tanh, "orthogonal_"): "std keeps",
}


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_each_gets_the_verdict_that_theory_gives(activation):
    wanted = {name: said for (kind, name), said in THEORY.items() if kind is activation}
    found = nnw.compare_inits(deep(activation), batch(), inits=list(wanted), seeds=1)
    for name, said in wanted.items():
        assert said in found[name].verdict
    good = "kaiming_normal_" if activation is nn.ReLU else "xavier_normal_"
    assert found.verdict.split(". ")[-1].startswith(f"{good} keeps ")


def test_what_is_the_same_for_all_samples_is_no_signal():
    net = nn.Sequential(*[each for _ in range(10) for each in (nn.Linear(WIDTH, WIDTH), nn.ReLU())])
    (found,) = nnw.compare_inits(net, batch(), inits=["normal_ std=0.001"]).candidates
    assert "std keeps" not in found.verdict
    assert "differs from sample to sample" in found.verdict


@pytest.mark.parametrize("make", [Twisted, lambda: Twisted().eval()])
def test_the_model_is_bit_for_bit_as_it_was_and_apply_gives_the_very_numbers(make):
    torch.manual_seed(0)
    net, x = make(), words()
    net(x)["logits"].sum().backward()
    net.inner.weight.register_hook(lambda gradient: gradient * 2)
    before, trainer = digest(net), torch.optim.SGD(net.parameters(), lr=0.1)
    inits = {
        "xavier": "xavier_uniform_",
        "recipe": {"inner.weight": "normal_ std=0.02", "Linear.bias": "ones_", "rnn": "uniform_"},
        "mine": lambda tensor: tensor.mul_(2).add_(torch.randn(tensor.shape)),
        "reset": {"rnn": "reset", "inner": "reset"},
        "now": None,
    }
    found = nnw.compare_inits(net, x, inits=inits, steps=2, loss=squares)
    assert digest(net) == before
    assert [each.error for each in found.candidates] == [None] * 5
    assert found["reset"].forward != found["now"].forward
    inits.pop("now")
    before_apply = nnw.compare_inits(net, x, inits=inits, seeds=1, loss=squares)
    for name in inits:
        change = found.apply(name)
        (after,) = nnw.compare_inits(net, x, inits=[None], loss=squares).candidates
        assert before_apply[name].forward == after.forward
        assert before_apply[name].backward == after.backward
        assert nnw.undo(net).label == change.label
    assert found.apply("recipe", seed=7, preview=True).is_preview
    assert digest(net)[-1] == before[-1]
    assert trainer.state == {}
