"""What a function may not change in modules: their registries, their attributes, and where tensors lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from nnwidgets.edit.over_ranks.part import data_of
from nnwidgets.errors import Advice, AdvisedText, InitializerError
from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.safe_access.objects import instance_dict, is_a
from nnwidgets.introspect.safe_access.tensors import plain_torch, unreadable_reason

_REGISTRIES = ("_parameters", "_buffers", "_modules")


class Structure:
    """Modules, and all below them, as they were."""

    def __init__(self, modules: Iterable[Any]) -> None:
        distinct: dict[int, Any] = {}
        tensors: dict[int, tuple[str, Any]] = {}
        for each in modules:
            # What lies below one that was read was read with it.
            if id(each) not in distinct:
                live = LiveModel(each)
                distinct.update((id(found), found) for found in live.modules.values())
                for path, tensor in live.tensors.items():
                    tensors.setdefault(id(tensor), (path, tensor))
        self._owns = [(own, dict(own)) for own in map(instance_dict, distinct.values())]
        self._registries = [(held, dict(held)) for own, _ in self._owns for held in _registries(own)]
        self._tensors = [
            (path, tensor, _lying(tensor), bool(tensor.requires_grad)) for path, tensor in tensors.values()
        ]

    def verify(self, label: str) -> None:
        """Raise where a tensor was replaced, got other memory, or a registry changed.

        Raises:
            InitializerError: And what to do instead.
        """
        for held, before in self._registries:
            if not _same(held, before):
                name = next((key for key in [*held, *before] if held.get(key, self) is not before.get(key, self)), "")
                raise InitializerError(
                    f"{label} replaced or removed {name!s:.80}, expected changes in place.",
                    path=str(name),
                    hint="Write into the tensor: m.weight.copy_(values). Nothing was changed.",
                )
        for path, tensor, lying, asks in self._tensors:
            if _lying(tensor) != lying:
                raise InitializerError(
                    f"{label} gave {path} other memory (as .data = … does), which would break its ties and views.",
                    path=path,
                    hint="Write into it: m.weight.copy_(values). Nothing was changed.",
                )
            if tensor.requires_grad is not asks:
                raise InitializerError(
                    f"{label} changed requires_grad of {path}.",
                    path=path,
                    hint=AdvisedText("Use ", Advice.FREEZE, " for that."),
                )

    def restore(self) -> None:
        """Put everything back but the bytes; may be called again."""
        for own, before in self._owns:
            _put_back(own, before)
        for held, before in self._registries:
            _put_back(held, before)
        with torch.no_grad():
            for _, tensor, lying, asks in self._tensors:
                if lying is not None and _lying(tensor) != lying:
                    storage, offset, size, stride, dtype = lying[1:]
                    with plain_torch():
                        bare = torch.empty(0, dtype=dtype, device=storage.device)
                        tensor.data = bare.set_(storage, offset, size, stride)
                if tensor.is_leaf and tensor.requires_grad is not asks:
                    tensor.requires_grad_(asks)


class _Lying(tuple[Any, ...]):
    """Where a tensor lies: an address to compare by, and what it takes to lay it there again."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Lying) and self[0] == other[0] and self[2:] == other[2:]

    __hash__ = tuple.__hash__


def _lying(tensor: Any) -> _Lying | None:
    if unreadable_reason(tensor) is not None or tensor.layout is not torch.strided:
        return None
    data = data_of(tensor)
    storage = data.untyped_storage()
    return _Lying((storage.data_ptr(), storage, data.storage_offset(), tuple(data.shape), data.stride(), data.dtype))


def _registries(own: dict[str, Any]) -> Iterator[dict[Any, Any]]:
    for name in _REGISTRIES:
        held: Any = own.get(name)
        if is_a(held, dict):
            yield held


def _same(held: dict[Any, Any], before: dict[Any, Any]) -> bool:
    return len(held) == len(before) and all(
        one is other and mine is yours for (one, mine), (other, yours) in zip(held.items(), before.items(), strict=True)
    )


def _put_back(held: dict[Any, Any], before: dict[Any, Any]) -> None:
    if not _same(held, before):
        held.clear()
        held.update(before)
