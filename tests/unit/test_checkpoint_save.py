"""What is saved is what torch and safetensors read, bit for bit, and what `read` gives back."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import nnwidgets as nnw


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 256)
        self.out = nn.Linear(256, 10)

    def forward(self, x):
        return self.out(F.relu(self.hidden(x)))


class HomeMade(nn.Module):
    """Its keys are the modules themselves, as a tutorial has it."""

    def __init__(self, *blocks):
        super().__init__()
        for block in blocks:
            self._modules[block] = block

    def forward(self, x):
        for block in self._modules.values():
            x = block(x)
        return x


class Fixed(nn.Module):
    """A plain random tensor, one layer used twice."""

    def __init__(self):
        super().__init__()
        self.rand_weight = torch.rand((20, 20))
        self.linear = nn.Linear(20, 20)

    def forward(self, x):
        x = F.relu(torch.mm(self.linear(x), self.rand_weight) + 1)
        x = self.linear(x)
        while x.abs().sum() > 1:
            x = x / 2
        return x.sum()


def blocks():
    net = nn.Sequential()
    for number in range(4):
        net.add_module(f"block {number}", nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4)))
    return net


def shared():
    layer = nn.Linear(8, 8)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(8, 1))


NETS = {
    "sequential": lambda: nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10)),
    "mlp": MLP,
    "fixed": Fixed,
    "chimera": lambda: nn.Sequential(nn.Sequential(MLP(), nn.Linear(10, 20)), nn.Linear(20, 20), Fixed()),
    "blocks": blocks,
    "shared": shared,
    "no parameters": lambda: nn.Sequential(nn.ReLU(), nn.Flatten()),
    "statistics": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)),
}
FILES = ["net.pt", "net.params", "net.safetensors", "folder/"]


def raw(tensor):
    """Bits of a strided tensor."""
    return tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)


def same(a, b):
    """Whether two things are the same: types, containers, dtypes, layouts, bits."""
    if isinstance(a, torch.Tensor):
        if not isinstance(b, torch.Tensor) or (a.dtype, a.shape, a.layout) != (b.dtype, b.shape, b.layout):
            return False
        if a.is_quantized and str(a) != str(b):
            return False
        parts = [each.int_repr() if a.is_quantized else each.to_dense() for each in (a, b)]
        return not a.numel() or torch.equal(*map(raw, parts))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def loaded(path):
    """A state dict as the plain libraries read it."""
    path = str(path)
    if path.endswith("/"):
        index = json.loads(open(path + "model.safetensors.index.json").read())  # noqa: SIM115, PTH123
        made = {}
        for file in dict.fromkeys(index["weight_map"].values()):
            made |= with_ties(path + file)
        return made
    return with_ties(path) if path.endswith(".safetensors") else torch.load(path, weights_only=True)


def with_ties(file):
    made = load_file(file)
    with safe_open(file, "pt") as held:
        metadata = held.metadata() or {}
    made |= {name: made[kept] for name, kept in metadata.items() if kept in made}
    return made


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", NETS)
def test_a_tutorials_net_comes_back_through_the_plain_libraries_and_through_read(name, file, tmp_path):
    torch.manual_seed(0)
    net = NETS[name]()
    path = f"{tmp_path}/{file}"
    report = nnw.save(net, path)
    state = net.state_dict()
    assert report.verified
    assert report.warnings == ()
    assert report.n_tensors == len(state)
    for found in (loaded(path), *([] if file.endswith("/") else [nnw.read(path)])):
        assert same(dict(state), {key: found[key] for key in state})
        assert len(found) == len(state)
    torch.manual_seed(1)
    fresh = NETS[name]()
    fresh.load_state_dict(loaded(path))
    assert same(dict(fresh.state_dict()), dict(state))
