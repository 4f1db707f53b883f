"""Tensors to try a change on, that lie in memory as the model's do and share what those share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import nn

from nnwidgets.edit.over_ranks.draw import free_bytes
from nnwidgets.formatting import short_bytes
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch


class Scratch:
    """Stand-ins for some tensors of a model, over memory of their own, with the same values."""

    def __init__(self, tensors: Iterable[Any]) -> None:
        """Copy the memory of plain strided or parameter ``tensors``, storage by storage.

        Raises:
            MemoryError: There is no room for it. Nothing was allocated, where the system tells what is free.
        """
        self._of: dict[int, Any] = {}
        self._pieces: list[tuple[torch.Tensor, torch.Tensor]] = []
        with plain_torch():
            runs = runs_of(tensors)
            needed: Counter[torch.device] = Counter()
            for run in runs:
                needed[run.pairs[0][1].device] += run.last - run.first
            for device, n_bytes in needed.items():
                free = free_bytes(device)
                if free is not None and n_bytes > free:
                    raise MemoryError(f"{short_bytes(free)} are free")
            for run in runs:
                self._copy(run)

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

    def _copy(self, run: Run) -> None:
        pairs, first, last = run
        source = pairs[0][1]
        storage = source.untyped_storage()
        low, n_bytes = first - storage.data_ptr() if source.numel() else 0, last - first
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


class Run(NamedTuple):
    """What some tensors take up of one storage.

    Attributes:
        pairs: The tensors, each with its data.
        first: The address of the first byte of any of them.
        last: That behind their last.
    """

    pairs: list[tuple[Any, torch.Tensor]]
    first: int
    last: int


def runs_of(tensors: Iterable[Any]) -> list[Run]:
    """The memory of plain strided or parameter tensors, storage by storage.

    Example:
        >>> whole = torch.zeros(8)
        >>> [run.last - run.first for run in runs_of([whole[2:4], whole[5:6]])]
        [16]
    """
    held: dict[tuple[torch.device, int], list[tuple[Any, torch.Tensor]]] = {}
    for tensor in tensors:
        data = as_plain_tensor(tensor)
        storage = data.untyped_storage().data_ptr() if data.numel() else -id(tensor)
        held.setdefault((data.device, storage), []).append((tensor, data))
    return [
        Run(pairs, min(data.data_ptr() for _, data in pairs), max(data.data_ptr() + _reach(data) for _, data in pairs))
        for pairs in held.values()
    ]


def _reach(data: torch.Tensor) -> int:
    if not data.numel():
        return 0
    reach = 1 + sum((size - 1) * stride for size, stride in zip(data.shape, data.stride(), strict=True))
    return reach * data.element_size()
