"""One short line on what a module does with shapes, from its plain integers and floats: ``20 → 256``, ``p = 0.1``."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from torch import nn

from nnwidgets.introspect.safe_access.objects import type_mro, type_name

Own = dict[str, Any]
Summarizer = Callable[[Own], str]

_MOST_SIZES = 8


_LARGEST = 10**18


@lru_cache(maxsize=4096)
def _arrow(n_in: int, n_out: int) -> str:
    return f"{n_in} → {n_out}"


@lru_cache(maxsize=4096)
def _probability(p: float) -> str:
    return f"p = {p:g}"


def _size(own: Own, name: str) -> str:
    value = own.get(name)
    return str(value) if type(value) is int and -_LARGEST < value < _LARGEST else "?"


def _ways(before: str, after: str) -> Summarizer:
    def summarize(own: Own) -> str:
        n_in, n_out = own.get(before), own.get(after)
        if type(n_in) is int and type(n_out) is int and 0 < n_in < _LARGEST and 0 < n_out < _LARGEST:
            return _arrow(n_in, n_out)
        first, second = _size(own, before), _size(own, after)
        lazy = first == "0" and before in {"in_features", "in_channels"}
        return "" if first == second == "?" else f"{'?' if lazy else first} → {second}"

    return summarize


def _one(name: str) -> Summarizer:
    def summarize(own: Own) -> str:
        size = _size(own, name)
        return "" if size == "?" else size

    return summarize


def _sizes(name: str) -> Summarizer:
    def summarize(own: Own) -> str:
        value = own.get(name)
        if type(value) is not tuple or not 0 < len(value) <= _MOST_SIZES:
            return ""
        return " × ".join([str(size) if type(size) is int and abs(size) < _LARGEST else "?" for size in value])

    return summarize


def _chance(own: Own) -> str:
    value = own.get("p")
    return _probability(value) if type(value) is float else ""


_BY_CLASS: dict[type, Summarizer] = {
    nn.Linear: _ways("in_features", "out_features"),
    nn.Bilinear: _ways("in1_features", "out_features"),
    nn.modules.conv._ConvNd: _ways("in_channels", "out_channels"),  # noqa: SLF001 - the base all convolutions share
    nn.Embedding: _ways("num_embeddings", "embedding_dim"),
    nn.EmbeddingBag: _ways("num_embeddings", "embedding_dim"),
    nn.RNNBase: _ways("input_size", "hidden_size"),
    nn.RNNCellBase: _ways("input_size", "hidden_size"),
    nn.MultiheadAttention: _one("embed_dim"),
    nn.LayerNorm: _sizes("normalized_shape"),
    nn.modules.batchnorm._NormBase: _one("num_features"),  # noqa: SLF001 - the base of batch and instance norms
    nn.GroupNorm: _one("num_channels"),
    nn.modules.dropout._DropoutNd: _chance,  # noqa: SLF001 - the base all dropouts share
}
if hasattr(nn, "RMSNorm"):
    _BY_CLASS[nn.RMSNorm] = _sizes("normalized_shape")

_BY_ID = {id(kind): summarize for kind, summarize in _BY_CLASS.items()}

_BY_NAME: dict[str, Summarizer] = {
    "Conv1D": _ways("nx", "nf"),
    "Linear": _ways("in_features", "out_features"),
    "Conv1d": _ways("in_channels", "out_channels"),
    "Conv2d": _ways("in_channels", "out_channels"),
    "Conv3d": _ways("in_channels", "out_channels"),
    "Embedding": _ways("num_embeddings", "embedding_dim"),
}
"""Layers outside torch.nn that say their sizes as those inside do: quantized ones, transformers' ``Conv1D``."""


def summarizer(kind: type) -> Summarizer | None:
    """What summarizes modules of a class, or None."""
    for base in type_mro(kind):
        known = _BY_ID.get(id(base))
        if known:
            return known
    return _BY_NAME.get(type_name(kind))
