"""Whether a tensor's data can be read, and a plain view of it that runs none of a subclass's code.

Reading some tensors raises, and reading one whose storage was freed ends the process, so everything here looks at sizes
and addresses before any element is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.nn.parameter import UninitializedTensorMixin  # type: ignore[attr-defined] # torch names it in no __all__
from torch.utils._python_dispatch import _disable_current_modes

from nnwidgets.errors import InvalidTargetError

_OPAQUE = (torch.quint4x2, torch.quint2x4)
_QUANTIZED = (torch.qint8, torch.quint8, torch.qint32)
_SPARSE = (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)
_MAX_DTENSOR_NESTING = 4


def unreadable_reason(tensor: object) -> str | None:
    """Say why a tensor's data can't be read now, or None where it can.

    Runs no code of a tensor subclass and touches no element, so it is safe on freed storages.

    Args:
        tensor: Any object.

    Returns:
        A short reason for people, such as ``"no data: on the meta device"``, or None.

    Example:
        >>> import torch
        >>> unreadable_reason(torch.empty(2, device="meta"))
        'no data: on the meta device'
        >>> unreadable_reason(torch.ones(2)) is None
        True
    """
    if not issubclass(type(tensor), torch.Tensor):
        return f"not a tensor but {_described(tensor)}"
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - torch offers no public name for it
        return _reason(tensor)


def plain(tensor: object) -> torch.Tensor:
    """Return a tensor's data as a plain ``torch.Tensor`` that shares its memory, for reading only.

    A strided tensor is rebuilt over its storage, so neither ``__torch_function__`` nor ``__torch_dispatch__`` of a
    subclass runs, no gradient is tracked and the version counter is not shared. A DTensor gives its local shard.
    Sparse and quantized tensors are detached and keep their layout.

    Raises:
        InvalidTargetError: It isn't a tensor, or its data can't be read; the message says why.

    Example:
        >>> import torch
        >>> plain(torch.nn.Parameter(torch.ones(2)))
        tensor([1., 1.])
    """
    reason = unreadable_reason(tensor)
    if reason is not None:
        hint = "Pass a torch.Tensor." if not issubclass(type(tensor), torch.Tensor) else ""
        raise InvalidTargetError(f"This can't be read: {reason}.", hint=hint)
    local = _local(tensor)
    with reading(local.device):
        return _plain(local)


@contextmanager
def reading(device: torch.device) -> Iterator[None]:
    """Compute on plain tensors as if nothing around were in force: no gradient, autocast, mode or subclass.

    Args:
        device: Where the tensors are.

    Example:
        >>> import torch
        >>> with torch.device("meta"), reading(torch.device("cpu")):
        ...     torch.zeros(2).sum().item()
        0.0
    """
    with ExitStack() as stack:
        stack.enter_context(torch._C.DisableTorchFunction())  # noqa: SLF001 - torch offers no public name for it
        stack.enter_context(_disable_current_modes())
        stack.enter_context(torch.no_grad())
        for kind in {"cpu", device.type}:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def _reason(tensor: Any) -> str | None:  # noqa: PLR0911 - one reason a line
    if issubclass(type(tensor), UninitializedTensorMixin):
        return "not yet: a lazy parameter gets its shape at the first forward"
    if tensor.device.type == "meta":
        return "no data: on the meta device"
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor) or torch._is_functional_tensor(tensor):  # noqa: SLF001
        return "no data of its own: it belongs to a function transform that is running"
    if tensor.is_nested:
        return "a nested tensor: its parts have shapes of their own"
    local = _local(tensor)
    if local is None:
        return "a DTensor whose local shard can't be found"
    if local is not tensor:
        return unreadable_reason(local)
    if tensor._is_zerotensor():  # noqa: SLF001 - torch offers no public name for it
        return None
    return _layout_reason(tensor)


def _layout_reason(tensor: Any) -> str | None:  # noqa: PLR0911 - one reason a line
    if tensor.dtype in _OPAQUE or (tensor.is_quantized and tensor.dtype not in _QUANTIZED):
        return f"packed below a byte: {_name(tensor.dtype)}"
    if tensor.layout is torch.strided:
        return _storage_reason(tensor)
    if _has_dispatch(tensor):
        return f"its elements are behind {type(tensor).__name__}'s own code"
    if tensor.layout is torch.sparse_coo:
        return _storage_reason(tensor._values()) or _storage_reason(tensor._indices())  # noqa: SLF001
    if tensor.layout in _SPARSE:
        return _storage_reason(tensor.values())
    if str(tensor.layout) == "torch._mkldnn":
        return None
    return f"its layout, {_name(tensor.layout)}, can't be read in parts"


def _storage_reason(tensor: Any) -> str | None:
    if tensor.numel() == 0:
        return None
    storage = tensor.untyped_storage()
    if storage.device.type == "meta":
        return "no data: a fake tensor"
    held = storage.nbytes()
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    needed = (tensor.storage_offset() + span) * tensor.element_size()
    if held == 0:
        return "its storage was freed"
    if held < needed:
        return f"its storage holds {held} bytes, its elements reach to byte {needed}"
    if _address(storage) == 0:
        return f"no data of its own: a {type(tensor).__name__} keeps it behind its own code"
    return None


def _address(storage: torch.UntypedStorage) -> int:
    try:
        return storage.data_ptr()
    except RuntimeError:
        return 0


def _local(tensor: Any) -> Any:
    """Follow DTensors, and tensors that hold their shard as one does, to the shard; None where it is missing."""
    for _ in range(_MAX_DTENSOR_NESTING):
        if not _is_dtensor(type(tensor)):
            return tensor
        tensor = object.__getattribute__(tensor, "__dict__").get("_local_tensor")
        if not issubclass(type(tensor), torch.Tensor):
            return None
    return tensor


def _is_dtensor(cls: type) -> bool:
    return any(
        base.__name__ == "DTensor" and str(base.__module__).startswith("torch.distributed") for base in cls.__mro__
    )


def _has_dispatch(tensor: Any) -> bool:
    handler = type.__getattribute__(type(tensor), "__torch_dispatch__")
    return handler is not torch._C._disabled_torch_dispatch_impl and type(tensor) is not torch.Tensor  # noqa: SLF001


def _plain(tensor: Any) -> torch.Tensor:
    if tensor._is_zerotensor():  # noqa: SLF001 - no storage behind it, and no other way to know
        return torch.zeros((), dtype=tensor.dtype, device=tensor.device).expand(tensor.shape)
    if tensor.layout is not torch.strided or tensor.is_quantized:
        detached: torch.Tensor = torch.Tensor.detach(tensor)
        return detached
    bare = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    bare.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride())
    if tensor.is_conj():
        bare = torch.conj(bare)
    if tensor.is_neg():
        bare = torch._neg_view(bare)  # noqa: SLF001 - torch makes negative views in no public way
    return bare


def _described(value: object) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name[:80]}"


def _name(value: object) -> str:
    return str(value).removeprefix("torch.")
