"""Tensors to try a change on, that lie in memory as the model's do and share what those share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch


class Scratch:
    """Stand-ins for some tensors of a model, over memory of their own, with the same values."""

    def __init__(self, tensors: Iterable[Any]) -> None:
        """Copy the memory of plain strided or parameter ``tensors``, storage by storage."""
        self._of: dict[int, Any] = {}
        self._pieces: list[tuple[torch.Tensor, torch.Tensor]] = []
        with plain_torch():
            held: dict[tuple[torch.device, int], list[tuple[Any, torch.Tensor]]] = {}
            for tensor in tensors:
                data = as_plain_tensor(tensor)
                storage = data.untyped_storage().data_ptr() if data.numel() else -id(tensor)
                held.setdefault((data.device, storage), []).append((tensor, data))
            for pairs in held.values():
                self._copy(pairs)

    def of(self, tensor: Any) -> Any:
        """The stand-in of a tensor: plain, without gradient."""
        return self._of[id(tensor)]

    def renew(self) -> None:
        """Copy the tensors' memory once more, from where it was at first."""
        with plain_torch():
            for own, source in self._pieces:
                own.copy_(source)

    def memo(self) -> dict[int, Any]:
        """What ``copy.deepcopy`` takes for the copies it has made already; parameters stay parameters."""
        return dict(self._of)

    def _copy(self, pairs: list[tuple[Any, torch.Tensor]]) -> None:
        first = min(data.data_ptr() for _, data in pairs)
        last = max(data.data_ptr() + _reach(data) for _, data in pairs)
        source = pairs[0][1]
        storage = source.untyped_storage()
        low = first - storage.data_ptr() if source.numel() else 0
        n_bytes = last - first if source.numel() else 0
        flat = torch.empty(0, dtype=torch.uint8, device=source.device)
        own = torch.empty(n_bytes, dtype=torch.uint8, device=source.device)
        own.copy_(flat.set_(storage, low, (n_bytes,), (1,)))
        self._pieces.append((own, flat))
        for tensor, data in pairs:
            if id(tensor) in self._of:
                continue
            bare = torch.empty(0, dtype=data.dtype, device=data.device)
            offset = (data.data_ptr() - first) // data.element_size() if data.numel() else 0
            made: Any = bare.set_(own.untyped_storage(), offset, tuple(data.shape), data.stride())
            if type(tensor) is nn.Parameter:
                made = nn.Parameter(made, requires_grad=tensor.requires_grad)
            self._of[id(tensor)] = made


def _reach(data: torch.Tensor) -> int:
    if not data.numel():
        return 0
    reach = 1 + sum((size - 1) * stride for size, stride in zip(data.shape, data.stride(), strict=True))
    return reach * data.element_size()
