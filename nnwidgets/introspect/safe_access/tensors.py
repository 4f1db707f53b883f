"""Whether a tensor's data can be read, and a plain view of it that runs none of a subclass's code.

Reading some tensors raises, and reading one whose storage was freed ends the process, so everything here looks at sizes
and addresses before any element is touched. Attributes are read by torch's own descriptors, which a subclass can't
shadow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from itertools import chain, compress, repeat
from operator import le
from typing import Any

import torch
import torch._ops
from torch.nn.parameter import UninitializedTensorMixin  # type: ignore[attr-defined] # torch names it in no __all__
from torch.utils._python_dispatch import _disable_current_modes

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import counted
from nnwidgets.introspect.safe_access import objects
from nnwidgets.introspect.safe_access.holders import local_shard, ranks_in_one
from nnwidgets.introspect.safe_access.own_values import GRADIENTS, VALUES

_PACKED = {torch.quint4x2, torch.quint2x4}
_SPARSE = {torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}

_n_modes_before_dispatch: Any = torch._ops._len_torch_dispatch_stack_pre_dispatch  # noqa: SLF001 - the same


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
    if parts_here((tensor,)) is not None:
        return None
    if not objects.is_tensor(tensor):
        return f"not a tensor but {_describe(tensor)}"
    with objects.no_torch_function():
        try:
            with _refusing_dispatch(type(tensor)):
                return _reason(tensor)
        except RuntimeError as error:
            return f"torch can't look at it: {objects.reason(error).rstrip('.')}"


def how_to_read(tensor: object) -> str:
    """Say what gives a tensor data that can be read, one sentence, or "" where nothing is known to.

    Example:
        >>> import torch
        >>> how_to_read(torch.empty(2, device="meta"))
        'Give it memory first: model.to_empty(device="cpu"), and then values.'
    """
    reason = unreadable_reason(tensor) or ""
    return next((hint for part, hint in _HOW_TO_READ if part in reason), "")


_HOW_TO_READ = (
    ("lazy parameter", "Run one forward first."),
    ("on the meta device", 'Give it memory first: model.to_empty(device="cpu"), and then values.'),
    ("nested tensor", "Work on its parts, which unbind() gives."),
    ("storage was freed", "Gather its parts first, with what shards it."),
    ("function transform", "Do it outside of the transform."),
    ("behind its own code", "Use the tensors that it is made of."),
    ("(LocalTensor)", "Use that of one rank: tensor.to_local()._local_tensors[0], or without to_local()."),
)
"""A part of the reason, and what helps."""


def as_plain_tensor(tensor: object) -> torch.Tensor:
    """Return a tensor's data as a plain ``torch.Tensor`` that shares its memory, for reading only.

    A strided tensor is rebuilt over its storage, so neither ``__torch_function__`` nor ``__torch_dispatch__`` of a
    subclass runs, no gradient is tracked and the version counter is not shared. A DTensor gives its local shard.
    Sparse and quantized tensors are detached and keep their layout.

    Raises:
        InvalidTargetError: It isn't a tensor, or its data can't be read; the message says why.

    Example:
        >>> import torch
        >>> as_plain_tensor(torch.nn.Parameter(torch.ones(2)))
        tensor([1., 1.])
    """
    known = parts_here((tensor,))
    if known is not None:
        return known[0]
    reason = unreadable_reason(tensor)
    if reason is not None:
        hint = how_to_read(tensor) if objects.is_tensor(tensor) else "Pass a torch.Tensor."
        raise InvalidTargetError(f"This can't be read: {reason}.", hint=hint)
    with plain_torch():
        found: torch.Tensor = VALUES.read_one(tensor, lambda: _plain(local_shard(tensor)))
        return found


def gradient_of(tensor: Any) -> Any:
    """Return ``tensor.grad``; None for an inner node of a graph, which has none and warns when asked.

    Example:
        >>> import torch
        >>> gradient_of(torch.ones(2, requires_grad=True) * 2) is None
        True
    """
    try:
        return GRADIENTS.read_one(tensor, lambda: _grad(tensor) if is_leaf(tensor) or _retains_grad(tensor) else None)
    except RuntimeError:  # of a view whose base was changed in place, as FSDP leaves them
        return None


def shares_storage(one: object, other: object) -> bool:
    """Whether two tensors lie in one storage, the same bytes of it or not; False where that can't be read.

    Example:
        >>> import torch
        >>> whole = torch.ones(4)
        >>> shares_storage(whole, whole[2:]), shares_storage(whole, torch.ones(4))
        (True, False)
    """
    if unreadable_reason(one) is not None or unreadable_reason(other) is not None:
        return False
    with plain_torch():
        first, second = (as_plain_tensor(each).untyped_storage().data_ptr() for each in (one, other))
    return first == second != 0


@contextmanager
def plain_torch() -> Iterator[None]:
    """Compute on plain tensors as if nothing around were in force: no gradient, autocast, mode or subclass.

    Example:
        >>> import torch
        >>> with torch.device("meta"), plain_torch():
        ...     torch.ones(2, device="cpu").sum().item()
        2.0
    """
    # Where there are none, asking torch to leave them costs more than all the rest, the first time seconds.
    without_modes = _disable_current_modes() if _n_modes() else nullcontext()
    without_autocast = torch._C._DisableAutocast()  # noqa: SLF001 - autocast(enabled=False) is for one kind of device
    # The public guards leave modes of torch functions on.
    with torch._C.DisableTorchFunction(), without_modes, without_autocast, torch.no_grad():  # noqa: SLF001
        yield


def _n_modes() -> int:
    """How many dispatch modes are in force."""
    return int(torch._C._len_torch_dispatch_stack() + _n_modes_before_dispatch())  # noqa: SLF001 - nothing public tells it


_BASE: Any = torch._C.TensorBase  # noqa: SLF001 - its methods can't be overridden by a subclass or an instance
_data: Any = _BASE.data.__get__
_dtype: Any = _BASE.dtype.__get__
_grad: Any = _BASE.grad.__get__
_is_cpu: Any = _BASE.is_cpu.__get__
_retains_grad: Any = _BASE.retains_grad.__get__
_layout: Any = _BASE.layout.__get__
_n_bytes: Any = _BASE.nbytes.__get__
_offset: Any = _BASE.storage_offset
_storage: Any = _BASE.untyped_storage
_itemsize: Any = _BASE.element_size
_ODDITIES: tuple[Any, ...] = (
    torch._C._functorch.is_functorch_wrapped_tensor,  # noqa: SLF001 - nothing public tells it
    torch._is_functional_tensor,  # noqa: SLF001 - the same
    _BASE._is_zerotensor,  # noqa: SLF001 - the same
    _BASE.is_nested.__get__,
)


def plain_runs(tensors: Sequence[Any]) -> list[torch.Tensor] | None:
    """The data of tensors, as `as_plain_tensor` gives it, where each is one run of memory; else None.

    What is asked of all of them is asked at once: of many small ones, one by one costs ten times as much.
    """
    return VALUES.read(tensors, lambda: _runs(tensors))


def parts_here(tensors: Sequence[Any]) -> list[torch.Tensor] | None:
    """The same, of DTensors too, of which the local shards are given."""
    return VALUES.read(tensors, lambda: _runs(list(map(local_shard, tensors))))


def _runs(tensors: Sequence[Any]) -> list[torch.Tensor] | None:
    if not objects.ORDINARY.issuperset(map(id, map(type, tensors))) or _n_modes():
        return None
    with objects.no_torch_function():
        is_plain = (
            all(map(_is_cpu, tensors))
            and {torch.strided}.issuperset(map(_layout, tensors))
            and _NUMBERS.issuperset(map(_dtype, tensors))
            and not any(chain.from_iterable(map(map, _ODDITIES, repeat(tensors))))
            and all(map(_BASE.is_contiguous, tensors))
        )
        if not is_plain:
            return None
        ends = map(
            int.__add__, map(_n_bytes, tensors), map(int.__mul__, map(_offset, tensors), map(_itemsize, tensors))
        )
        storages = list(map(_storage, tensors))
        is_whole = all(map(le, ends, map(torch.UntypedStorage.nbytes, storages)))
        has_address = all(map(torch.UntypedStorage.data_ptr, compress(storages, map(_n_bytes, tensors))))
        return list(map(_data, tensors)) if is_whole and has_address else None


_NUMBERS = {
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128, torch.bool,
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
}  # fmt: skip


def _refusing_dispatch(kind: type) -> AbstractContextManager[None]:
    handler = objects.class_attribute(kind, "__torch_dispatch__")
    is_disabled = handler is torch._C._disabled_torch_dispatch_impl  # noqa: SLF001 - what a class without one has
    return nullcontext() if is_disabled else objects.refusing_dispatch(kind)


def torch_attribute(tensor: Any, name: str) -> Any:
    """Return torch's own attribute or bound method of that name, whatever the subclass makes of it."""
    return getattr(torch.Tensor, name).__get__(tensor)


def is_leaf(tensor: Any) -> bool:
    """Whether nothing computed it; not where torch can't tell: of FSDP's views, whose base was written to since."""
    try:
        return bool(torch_attribute(tensor, "is_leaf"))
    except RuntimeError:
        return False


def _reason(tensor: Any) -> str | None:  # noqa: PLR0911 - one reason a line
    if UninitializedTensorMixin in objects.type_mro(type(tensor)):
        return "not yet: a lazy parameter gets its shape at the first forward"
    if torch_attribute(tensor, "device").type == "meta":
        return "no data: on the meta device"
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor) or torch._is_functional_tensor(tensor):  # noqa: SLF001
        return "no data of its own: it belongs to a function transform that is running"
    if torch_attribute(tensor, "is_nested"):
        return "a nested tensor: its parts have shapes of their own"
    local = local_shard(tensor)
    if local is None:
        return "a DTensor whose local shard can't be found"
    if local is not tensor:
        return unreadable_reason(local)
    return _dtype_reason(torch_attribute(tensor, "dtype")) or _layout_reason(tensor)


def _dtype_reason(dtype: torch.dtype) -> str | None:
    if dtype in _PACKED:
        return f"packed below a byte: {_name(dtype)}"
    return None if dtype.is_complex or _converts(dtype) else f"torch converts {_name(dtype)} to no number"


@cache
def _converts(dtype: torch.dtype) -> bool:
    if str(dtype).startswith(("torch.qint", "torch.quint")):
        return True
    with plain_torch():
        byte = torch.zeros(dtype.itemsize, dtype=torch.uint8, device="cpu")
        try:
            byte.view(dtype).to(torch.float64)
        except RuntimeError:
            return False
    return True


def _layout_reason(tensor: Any) -> str | None:
    layout = torch_attribute(tensor, "layout")
    if layout is torch.strided:
        return None if torch_attribute(tensor, "_is_zerotensor")() else _storage_reason(tensor)
    if layout is torch.sparse_coo:
        return _storage_reason(torch_attribute(tensor, "_values")()) or _storage_reason(
            torch_attribute(tensor, "_indices")()
        )
    if layout in _SPARSE:
        return _storage_reason(torch_attribute(tensor, "values")())
    return None if _name(layout) == "_mkldnn" else f"its layout, {_name(layout)}, can't be read in parts"


def _storage_reason(tensor: Any) -> str | None:
    if torch_attribute(tensor, "numel")() == 0:
        return None
    storage = torch_attribute(tensor, "untyped_storage")()
    if storage.device.type == "meta":
        return "no data: a fake tensor"
    held = storage.nbytes()
    sizes, strides = torch_attribute(tensor, "size")(), torch_attribute(tensor, "stride")()
    reach = 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    needed = (torch_attribute(tensor, "storage_offset")() + reach) * torch_attribute(tensor, "element_size")()
    if held == 0:
        return "its storage was freed"
    if held < needed:
        return f"its storage holds {counted(held, 'byte')}, its elements reach to byte {needed}"
    return None if _address(storage) else _behind_code(tensor)


def _behind_code(tensor: Any) -> str:
    n_ranks = len(ranks_in_one(tensor))
    if n_ranks:
        return f"it stands for the parts of {counted(n_ranks, 'rank')} that torch plays in one process (LocalTensor)"
    return f"no data of its own: {objects.type_name(type(tensor))} keeps it behind its own code"


def _address(storage: torch.UntypedStorage) -> int:
    try:
        return storage.data_ptr()
    except RuntimeError:  # of a subclass that only wraps others
        return 0


def _plain(tensor: Any) -> torch.Tensor:
    if torch_attribute(tensor, "_is_zerotensor")():
        zero = torch.zeros((), dtype=torch_attribute(tensor, "dtype"), device=torch_attribute(tensor, "device"))
        return zero.expand(torch_attribute(tensor, "size")())
    if torch_attribute(tensor, "layout") is not torch.strided or torch_attribute(tensor, "is_quantized"):
        detached: torch.Tensor = torch_attribute(tensor, "detach")()
        return detached
    bare = torch.empty(0, dtype=torch_attribute(tensor, "dtype"), device=torch_attribute(tensor, "device"))
    place = (torch_attribute(tensor, name)() for name in ("storage_offset", "size", "stride"))
    bare.set_(torch_attribute(tensor, "untyped_storage")(), *place)
    if torch_attribute(tensor, "is_conj")():
        bare = torch.conj(bare)
    if torch_attribute(tensor, "is_neg")():
        bare = torch._neg_view(bare)  # noqa: SLF001 - torch makes negative views in no public way
    return bare


def _describe(value: object) -> str:
    if value is None:
        return "None"
    name = objects.type_name(type(value))
    return f"{'an' if name[:1].lower() in {*'aeiou'} else 'a'} {name}"


def _name(value: object) -> str:
    return str(value).removeprefix("torch.")
