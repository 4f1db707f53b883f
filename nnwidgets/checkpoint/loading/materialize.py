"""Tensors without data, on the meta device or lazy, that get memory of their own with what is loaded in it."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedTensorMixin  # type: ignore[attr-defined] # torch names it in no __all__

from nnwidgets.checkpoint.loading.sharded_tensors import like
from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.safe_access.holders import is_dtensor, local_shard
from nnwidgets.introspect.safe_access.objects import is_a, tensor_dict
from nnwidgets.introspect.safe_access.tensors import unreadable_reason


class Materialized:
    """Tensors that stand ready with memory, and take the place of those without it all at once.

    The objects of the model stay the same, so ties and optimizers hold.

    Attributes:
        paths: Names of those that had no data.
        has_lazy: Whether one of them was lazy.
    """

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.has_lazy = False
        self._made: dict[int, tuple[Any, torch.Tensor]] = {}
        self._data: list[tuple[Any, type, torch.Tensor]] = []
        self._n_exchanged = 0

    def prepare(self, path: str, tensor: Any, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Memory on the CPU for a tensor that has none, to be filled.

        Args:
            path: Its.
            tensor: It, on the meta device or lazy.
            shape: What a lazy one will have.
            dtype: What a lazy one will have.

        Raises:
            InvalidTargetError: Something holds a weak reference to it, and then torch can't exchange it.
        """
        self.paths.append(path)
        if id(tensor) in self._made:
            return self._made[id(tensor)][1]
        if is_a(tensor, UninitializedTensorMixin):
            self.has_lazy = True
            made = torch.empty(shape, dtype=dtype, device="cpu")
        else:
            if weakref.getweakrefs(tensor):
                raise InvalidTargetError(
                    f"{path} is on the meta device, and something holds a weak reference to it, so it can't be given "
                    "memory.",
                    path=path,
                    hint='Give the model memory first: net.to_empty(device="cpu").',
                )
            made = _empty_like(tensor)
        self._made[id(tensor)] = tensor, made
        return made

    @property
    def is_changed(self) -> bool:
        """Whether they have taken their places, be it some of them."""
        return self._n_exchanged > 0

    def exchange(self) -> None:
        """Put them in place, or back."""
        pairs = list(self._made.values())
        if self.is_changed:
            for tensor, made in reversed(pairs[: self._n_exchanged]):
                self._put_back(tensor, made)
                self._n_exchanged -= 1
            return
        for tensor, made in pairs:
            self._put(tensor, made)
            self._n_exchanged += 1

    def _put(self, tensor: Any, made: torch.Tensor) -> None:
        if is_a(tensor, UninitializedTensorMixin):
            self._data.append((tensor, type(tensor), tensor.data))
            tensor.materialize(made.shape, device="cpu", dtype=made.dtype)
            tensor.data = made
        else:
            torch.utils.swap_tensors(tensor, made)  # type: ignore[no-untyped-call]

    def _put_back(self, tensor: Any, made: torch.Tensor) -> None:
        for lazy, kind, data in self._data:
            if lazy is tensor:
                tensor.data = data
                tensor.__class__ = kind
                return
        torch.utils.swap_tensors(tensor, made)  # type: ignore[no-untyped-call]


def has_no_data(tensor: Any) -> bool:
    """Whether a tensor is lazy or on the meta device."""
    reason = unreadable_reason(tensor)
    return reason is not None and (is_a(tensor, UninitializedTensorMixin) or tensor.device.type == "meta")


def _empty_like(tensor: Any) -> torch.Tensor:
    with torch.no_grad():
        if is_dtensor(type(tensor)):
            return _empty_part_like(tensor)
        made = torch.empty_like(tensor, device="cpu", requires_grad=False)
        if is_a(tensor, nn.Parameter):
            made = nn.Parameter(made, requires_grad=tensor.requires_grad)
        elif tensor.requires_grad:
            made.requires_grad_(mode=True)
    return made


def _empty_part_like(tensor: Any) -> torch.Tensor:
    """A DTensor spread as another one, with memory for the part that is here, on the device of its mesh."""
    device = tensor._spec.mesh.device_type  # noqa: SLF001 - torch's own record
    made: torch.Tensor = like(torch.empty_like(local_shard(tensor), device=device, requires_grad=False), tensor)
    is_parameter = tensor_dict(tensor).get("_is_param") is True
    return nn.Parameter(made, requires_grad=tensor.requires_grad) if is_parameter else made
