"""Tensors described from the arguments of torch's rebuild functions, each checked.

Source: the functions in ``torch/_utils.py`` and ``torch/_tensor.py``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from nnwidgets.checkpoint.description import Composed, Described, Opaque, Strided, dtype_name
from nnwidgets.checkpoint.formats.malformed import Malformed, brief, note
from nnwidgets.checkpoint.formats.pickle.arguments import MOST, Account, AllowedName, Call, check_count, sizes
from nnwidgets.checkpoint.formats.reader import span
from nnwidgets.formatting import counted


def _tensor(args: Any, _account: Account) -> Strided:
    whole, first, shape, strides = check_count("_rebuild_tensor", args, 4)
    return _view(whole, whole_dtype(whole), first, shape, strides)


def _tensor_v2(args: Any, _account: Account) -> Strided:
    whole, first, shape, strides, requires_grad, hooks, *more = check_count("_rebuild_tensor_v2", args, 6, 7)
    _no_hooks(hooks)
    return _view(whole, whole_dtype(whole), first, shape, strides, requires_grad, *more)


def _tensor_v3(args: Any, _account: Account) -> Strided:
    whole, first, shape, strides, requires_grad, hooks, dtype, *more = check_count("_rebuild_tensor_v3", args, 7, 8)
    _no_hooks(hooks)
    whole_dtype(whole)
    if type(dtype) is not torch.dtype:
        raise Malformed(f"gives a tensor the dtype {brief(dtype)}")
    return _view(whole, dtype, first, shape, strides, requires_grad, *more)


def _parameter(args: Any, _account: Account) -> Described:
    data, requires_grad, hooks = check_count("_rebuild_parameter", args, 3)
    _no_hooks(hooks)
    return _as_parameter(data, requires_grad)


def _parameter_with_state(args: Any, account: Account) -> Described:
    data, requires_grad, hooks, state = check_count("_rebuild_parameter_with_state", args, 4)
    _no_hooks(hooks)
    _not_read(state, account)
    return _as_parameter(data, requires_grad)


def _from_type(args: Any, account: Account) -> Any:
    func, kind, rest, state = check_count("_rebuild_from_type_v2", args, 4)
    if type(func) is not AllowedName or func.call in (None, _from_type):
        raise Malformed(f"rebuilds a tensor by {brief(func)}")
    if func.class_name == _WRAPPER:
        return _wrapper(kind, rest, state, account)
    made = func.call(rest, account)
    _not_read(state, account)
    if isinstance(made, Strided | Composed) and kind is PARAMETER:
        return replace(made, is_parameter=True)
    if kind is not TENSOR:
        note(account.notes, f"Tensors of class {brief(kind)} are read as plain ones.")
    return made


def _wrapper(kind: Any, made_from: Any, state: Any, account: Account) -> Any:
    """A tensor of a class that holds others: that of a DTensor where it is the whole, else an object."""
    if type(kind) is not AllowedName or type(made_from) is not tuple or len(made_from) < _WRAPPED:
        raise Malformed(f"rebuilds a tensor of {brief(kind)} from {brief(made_from)}")
    shape = sizes(made_from[2], "shape")
    made = Opaque(kind.class_name, (made_from[1], shape), state)
    account.copy(made.n_merged)
    held = made.attributes if type(made.attributes) is dict else {}
    local, spec = held.get("_local_tensor"), held.get("_spec")
    if not kind.class_name.endswith(".DTensor") or not isinstance(local, Strided | Composed):
        return made
    placements = spec.attributes.get("placements") if type(spec) is Opaque and type(spec.attributes) is dict else None
    kinds = {"?"}
    if type(placements) is tuple and len(placements) <= _MOST_MESH:
        kinds = {each.class_name.rsplit(".", 1)[-1] if type(each) is Opaque else "?" for each in placements}
    if local.shape == shape and {"Shard", "Replicate", "_StridedShard"} >= kinds:
        note(account.notes, "DTensors of which one rank held the whole are read as plain tensors.")
        return replace(local, is_parameter=held.get("_is_param") is True)
    note(
        account.notes,
        f"A DTensor of shape {shape} is in it only as one rank's part, of shape {local.shape}: described.",
    )
    return made


def _quantized(args: Any, account: Account) -> Strided:
    whole, first, shape, strides, quantizer, requires_grad, hooks = check_count("_rebuild_qtensor", args, 7)
    _no_hooks(hooks)
    made = _view(whole, whole_dtype(whole), first, shape, strides, requires_grad, is_quantized=True)
    _own(made)
    return replace(made, quantizer=_quantizer(quantizer, made, account))


def _quantizer(found: Any, made: Strided, account: Account) -> tuple[Any, ...]:
    if type(found) is tuple and found and found[0] is torch.per_tensor_affine and len(found) == 3:  # noqa: PLR2004
        _, scale, zero_point = found
        if type(scale) in (int, float) and type(zero_point) is int and abs(zero_point) < _INT32:
            return found
    if type(found) is tuple and found and found[0] in _PER_CHANNEL and len(found) == 4:  # noqa: PLR2004
        _, *given, axis = found
        if type(axis) is not int or not 0 <= axis < len(made.shape):
            raise Malformed(
                f"quantizes along axis {brief(axis)} of a tensor of {counted(len(made.shape), 'dimension')}"
            )
        for each in given:
            account.copy(len(each) if type(each) is list else 0)
            n = len(each) if type(each) is list else each.n_elements if type(each) is Strided else -1
            if n != made.shape[axis] or (type(each) is list and any(type(one) not in (int, float) for one in each)):
                raise Malformed(f"quantizes {counted(made.shape[axis], 'channel')} by {brief(each)}")
            if type(each) is Strided:
                _own(each)
        return found
    raise Malformed(f"quantizes a tensor by {brief(found)}")


def _sparse(args: Any, _account: Account) -> Composed:
    layout, data = check_count("_rebuild_sparse_tensor", args, 2)
    roles = _PARTS.get(layout) if type(layout) is torch.layout else None
    if roles is None:
        raise Malformed(f"has a sparse tensor of layout {brief(layout)}")
    most = len(roles) + 2 if layout is torch.sparse_coo else len(roles) + 1
    *parts, shape, coalesced = _pad(check_count("_rebuild_sparse_tensor", data, len(roles) + 1, most), len(roles) + 2)
    if coalesced is not None and type(coalesced) is not bool:
        raise Malformed(f"has a sparse tensor that is coalesced: {brief(coalesced)}")
    for each in parts:
        if type(each) is not Strided:
            raise Malformed(f"has a sparse tensor made of {brief(each)}")
        _own(each)
    shape = sizes(shape, "shape")
    return Composed(
        parts[-1].dtype, shape, str(layout).removeprefix("torch."), tuple(zip(roles, parts, strict=True)), coalesced
    )


def _from_cpu(args: Any, _account: Account) -> Described:
    data, dtype, _device, requires_grad = check_count("_rebuild_device_tensor_from_cpu_tensor", args, 4)
    if not isinstance(data, Strided | Composed) or data.dtype is not dtype:
        raise Malformed(f"rebuilds a tensor of {brief(dtype)} from {brief(data)}, expected one of the same dtype")
    return replace(data, requires_grad=_flag(requires_grad, dtype))


def _from_numpy(args: Any, account: Account) -> Described | Opaque:
    data, dtype, *_ = check_count("_rebuild_device_tensor_from_numpy", args, 4)
    if isinstance(data, Strided) and data.dtype is dtype:
        return _from_cpu(args, account)
    return Opaque("torch._utils._rebuild_device_tensor_from_numpy", args)


def _meta(args: Any, _account: Account) -> Composed:
    dtype, shape, strides, requires_grad = check_count("_rebuild_meta_tensor_no_storage", args, 4)
    if type(dtype) is not torch.dtype:
        raise Malformed(f"gives a tensor the dtype {brief(dtype)}")
    sizes(strides, "strides")
    return Composed(dtype, sizes(shape, "shape"), "meta", (), requires_grad=_flag(requires_grad, dtype))


def whole_dtype(whole: Any) -> torch.dtype:
    """The dtype of a storage, as `StorageType` gives it."""
    if type(whole) is not Strided or whole.strides != (1,):
        raise Malformed(f"makes a tensor over {brief(whole)}, expected a storage")
    return whole.dtype


def _view(  # noqa: PLR0917 - as torch's own takes them
    whole: Strided, dtype: torch.dtype, first: Any, shape: Any, strides: Any,
    requires_grad: Any = False, metadata: Any = None, *, is_quantized: bool = False,
) -> Strided:  # fmt: skip
    if type(first) is not int or not 0 <= first <= MOST:
        raise Malformed(f"has a tensor that begins at element {brief(first)} of its storage")
    width, stored_width = dtype.itemsize, whole.dtype.itemsize
    # A storage may be a view of another one, in files of before torch 0.4.
    begin = whole.first * stored_width
    if begin % width:
        raise Malformed(f"has a tensor of {dtype_name(dtype)} that begins within an element")
    if (dtype in INTEGERS) is not is_quantized:
        raise Malformed(f"has a tensor of {dtype_name(dtype)} {'with' if is_quantized else 'without'} a quantizer")
    made = Strided(
        dtype, sizes(shape, "shape"), sizes(strides, "strides"), whole.storage, begin // width + first,
        requires_grad=_flag(requires_grad, dtype),
    )  # fmt: skip
    if len(made.shape) != len(made.strides):
        raise Malformed(f"has a tensor of shape {made.shape} with strides {made.strides}")
    needed = (first + span(made)) * width
    there = whole.shape[0] * stored_width
    if needed > there:
        raise Malformed(
            f"has a tensor of shape {made.shape} that needs {counted(needed, 'byte')} of storage "
            f"{whole.storage.key[:40]!r}, "
            f"and that has {there:,}"
        )
    if metadata:
        if type(metadata) is not dict or not all(
            key in ("conj", "neg") and type(each) is bool for key, each in metadata.items()
        ):
            raise Malformed(f"has a tensor with the flags {brief(metadata)}, expected conj and neg")
        conj, neg = metadata.get("conj", False), metadata.get("neg", False)
        if (conj and not dtype.is_complex) or (neg and not (dtype.is_floating_point or dtype.is_complex)):
            raise Malformed(f"has a conjugated or negated tensor of {dtype_name(dtype)}")
        made = replace(made, is_conjugated=conj, is_negated=neg)
    return made


def _own(part: Strided) -> None:
    """A tensor that is made anew is no larger than its storage: else a few bytes could stand for terabytes."""
    if part.n_elements * part.dtype.itemsize > part.storage.n_bytes:
        raise Malformed(
            f"has a tensor made of one of shape {part.shape} that repeats {counted(part.storage.n_bytes, 'byte')}"
        )


def _as_parameter(data: Any, requires_grad: Any) -> Described:
    if not isinstance(data, Strided | Composed):
        raise Malformed(f"makes a parameter of {brief(data)}")
    return replace(data, is_parameter=True, requires_grad=_flag(requires_grad, data.dtype))


def _flag(found: Any, dtype: torch.dtype) -> bool:
    if type(found) is not bool or (found and not (dtype.is_floating_point or dtype.is_complex)):
        raise Malformed(f"has {brief(found)} for requires_grad of a tensor of {dtype_name(dtype)}")
    return found


def _no_hooks(found: Any) -> None:
    if found is not None and (type(found) is not dict or found):
        raise Malformed(f"has a tensor with hooks: {brief(found)}")


def _not_read(state: Any, account: Account) -> None:
    if state and state != (None, None):
        note(account.notes, "Attributes that were set on tensors aren't read.")


def _pad(found: tuple[Any, ...], length: int) -> tuple[Any, ...]:
    return found + (None,) * (length - len(found))


def _unreadable(name: str) -> Call:
    def made(args: Any, account: Account) -> Opaque:
        note(account.notes, f"What {name} makes isn't read.")
        return Opaque(name, args)

    return made


PARAMETER = AllowedName("torch.nn.parameter.Parameter")
TENSOR = AllowedName("torch.Tensor")
INTEGERS = {torch.quint8: torch.uint8, torch.qint8: torch.int8, torch.qint32: torch.int32}
"""The integers that quantized elements are."""
_PER_CHANNEL = (torch.per_channel_affine, torch.per_channel_affine_float_qparams)
_COMPRESSED = ("crow_indices", "col_indices", "values"), ("ccol_indices", "row_indices", "values")
_PARTS: dict[Any, tuple[str, ...]] = {
    torch.sparse_coo: ("indices", "values"),
    torch.sparse_csr: _COMPRESSED[0],
    torch.sparse_bsr: _COMPRESSED[0],
    torch.sparse_csc: _COMPRESSED[1],
    torch.sparse_bsc: _COMPRESSED[1],
}
_INT32 = 2**31
_WRAPPER = "torch._utils._rebuild_wrapper_subclass"
_WRAPPED = 8
_MOST_MESH = 8


CALLS: dict[str, Call] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter_with_state,
    "torch._utils._rebuild_qtensor": _quantized,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _from_cpu,
    "torch._utils._rebuild_device_tensor_from_numpy": _from_numpy,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta,
    "torch._tensor._rebuild_from_type_v2": _from_type,
} | {name: _unreadable(name) for name in ("torch._utils._rebuild_nested_tensor", _WRAPPER)}
"""The functions, by name."""
