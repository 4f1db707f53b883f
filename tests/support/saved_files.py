"""What the tests of saving share: nets, odd tensors, equality bit for bit, and the plain libraries' own reading."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


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
        return isinstance(b, torch.Tensor) and same_tensors(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def same_tensors(a, b):
    if (a.dtype, a.shape, a.layout) != (b.dtype, b.shape, b.layout):
        return False
    if hasattr(a, "__tensor_flatten__"):
        names, rest = a.__tensor_flatten__()
        return rest == b.__tensor_flatten__()[1] and all(same(getattr(a, name), getattr(b, name)) for name in names)
    if a.is_quantized and str(a) != str(b):
        return False
    parts = [each.int_repr() if a.is_quantized else each.to_dense() for each in (a, b)]
    return not a.numel() or torch.equal(*map(raw, parts))


def loaded(path):
    """A state dict as the plain libraries read it."""
    path = str(path)
    if path.endswith("/"):
        index = json.loads(Path(path, "model.safetensors.index.json").read_text("utf-8"))
        made = {}
        for file in dict.fromkeys(index["weight_map"].values()):
            made |= with_ties(path + file)
        return made
    return with_ties(path) if path.endswith(".safetensors") else torch.load(path, weights_only=True)


def with_ties(file):
    data = Path(file).read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header.pop("__metadata__", {})
    found = load_file(file)
    # In the file's order, which is not the one of safetensors 0.5.
    made = {name: found[name] for name in header}
    made |= {name: made[kept] for name, kept in metadata.items() if kept in made}
    return made


def sha256_of(file):
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def sum_beside(file):
    """Write a file's SHA-256 beside it, as sha256sum does."""
    file.with_name(f"{file.name}.sha256").write_text(f"{sha256_of(file)}  {file.name}\n")


def names(folder):
    """What is in a folder."""
    return sorted(each.name for each in Path(folder).iterdir())


DTYPES = [
    torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
    torch.uint16, torch.uint32, torch.uint64, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
]  # fmt: skip
if hasattr(torch, "float8_e8m0fnu"):
    DTYPES.append(torch.float8_e8m0fnu)


def odd_tensors():
    """Tensors of all kinds by what is odd in them."""
    torch.manual_seed(0)
    huge = torch.randn(1000, 100)
    kinds = {
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "bool": torch.tensor([True, False, True]),
        "nan": torch.tensor([float("nan"), -0.0, float("inf")]),
        "transposed": torch.randn(3, 5).t(),
        "channels last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "column": huge[:, 7],
        "slice": huge[500:502],
        "expanded": torch.randn(3).expand(400, 3),
        "every other": torch.randn(4, 9)[:, ::2],
        "large transposed": torch.randn(1200, 700).t(),
        "conjugate": torch.randn(4, dtype=torch.complex64).conj(),
        "negative view": torch.randn(4, dtype=torch.complex64).conj().imag,
    }
    kinds |= {str(dtype): torch.arange(5).to(dtype) for dtype in DTYPES}
    return kinds


def torch_only():
    """Tensors that safetensors has no form for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        per_tensor = torch.quantize_per_tensor(torch.randn(3, 4), 0.1, 2, torch.qint8)
        scales, zeros = torch.rand(3) + 0.1, torch.zeros(3, dtype=torch.long)
        by_channel = torch.quantize_per_channel(torch.randn(3, 4), scales, zeros, 0, torch.quint8)
    matrix = torch.tensor([[0.0, 1, 0, 0], [2, 0, 0, 3], [0, 0, 0, 0], [0, 0, 4, 0]])
    return {
        "complex128": torch.randn(3, dtype=torch.complex128),
        "complex32": torch.randn(3).to(torch.complex32),
        "bits8": torch.arange(3).to(torch.uint8).view(torch.bits8),
        "quantized": per_tensor,
        "quantized by channel": by_channel,
        "quantized view": per_tensor[1:, ::2],
        "coo": matrix.to_sparse(),
        "uncoalesced": torch.sparse_coo_tensor([[0, 0], [1, 1]], [1.0, 2.0], (2, 2)),
        "csr": matrix.to_sparse_csr(),
        "csc": matrix.to_sparse_csc(),
        "bsr": matrix.to_sparse_bsr((2, 2)),
        "bsc": matrix.to_sparse_bsc((2, 2)),
    }


class Throwing(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self._register_state_dict_hook(self.throw)

    def throw(self, *_):
        raise RuntimeError("the hook fails")


def circular():
    net = nn.Sequential(nn.Linear(2, 2))
    net.add_module("again", net)
    return net


BY_PATH = {
    "non-string keys": (lambda: HomeMade(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10)), "TypeError"),
    "a circle": (circular, "RecursionError"),
    "a throwing hook": (Throwing, "the hook fails"),
}
