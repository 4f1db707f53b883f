"""What the names that a torch file may import stand for: each makes a description, and none runs anything of the file.

The names are those that ``torch.load(weights_only=True)`` takes by default. A rebuild function of torch's becomes one
of ours that checks its arguments and describes the tensor; a dtype is itself; all else is unknown here.
Source: ``_get_allowed_globals`` in ``torch/_weights_only_unpickler.py``, the functions in ``torch/_utils.py``.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from nnwidgets.checkpoint.content import Composed, Described, Opaque, Strided, dtype_name
from nnwidgets.checkpoint.formats.base import span


class Malformed(Exception):  # noqa: N818 - told on as a CorruptCheckpointError by who knows the file
    """What was found makes no sense; the text continues ``"<file> "``."""


Call = Callable[[Any, list[str]], Any]
"""Takes a function's arguments and a list for remarks, gives what it would make."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Known:
    """A function or class that a file may name, and what calling it gives.

    Attributes:
        class_name: Its whole name.
        call: What stands for it; None for what is named and never called.
    """

    class_name: str
    call: Call | None = None

    def __repr__(self) -> str:
        return f"<{self.class_name}>"


@dataclass(frozen=True, slots=True, eq=False)
class StorageType:
    """A class of storages, such as ``torch.FloatStorage``.

    Attributes:
        dtype: Of its elements.
        is_untyped: Whether it counts bytes: its tensors bring their dtype.
    """

    dtype: torch.dtype
    is_untyped: bool = False


def _tensor(args: Any, _notes: list[str]) -> Strided:
    whole, first, shape, strides = _taken("_rebuild_tensor", args, 4)
    return _view(whole, whole_dtype(whole), first, shape, strides)


def _tensor_v2(args: Any, _notes: list[str]) -> Strided:
    whole, first, shape, strides, requires_grad, hooks, *more = _taken("_rebuild_tensor_v2", args, 6, 7)
    _no_hooks(hooks)
    return _view(whole, whole_dtype(whole), first, shape, strides, requires_grad, *more)


def _tensor_v3(args: Any, _notes: list[str]) -> Strided:
    whole, first, shape, strides, requires_grad, hooks, dtype, *more = _taken("_rebuild_tensor_v3", args, 7, 8)
    _no_hooks(hooks)
    whole_dtype(whole)
    if type(dtype) is not torch.dtype:
        raise Malformed(f"gives a tensor the dtype {_said(dtype)}")
    return _view(whole, dtype, first, shape, strides, requires_grad, *more)


def _parameter(args: Any, _notes: list[str]) -> Described:
    data, requires_grad, hooks = _taken("_rebuild_parameter", args, 3)
    _no_hooks(hooks)
    return _as_parameter(data, requires_grad)


def _parameter_with_state(args: Any, notes: list[str]) -> Described:
    data, requires_grad, hooks, state = _taken("_rebuild_parameter_with_state", args, 4)
    _no_hooks(hooks)
    _not_read(state, notes)
    return _as_parameter(data, requires_grad)


def _from_type(args: Any, notes: list[str]) -> Any:
    func, kind, rest, state = _taken("_rebuild_from_type_v2", args, 4)
    if type(func) is not Known or func.call is None:
        raise Malformed(f"rebuilds a tensor by {_said(func)}")
    made = func.call(rest, notes)
    _not_read(state, notes)
    if isinstance(made, Strided | Composed) and kind is _PARAMETER:
        return replace(made, is_parameter=True)
    if kind is not _TENSOR:
        _note(notes, f"Tensors of class {_said(kind)} are read as plain ones.")
    return made


def _quantized(args: Any, _notes: list[str]) -> Strided:
    whole, first, shape, strides, quantizer, requires_grad, hooks = _taken("_rebuild_qtensor", args, 7)
    _no_hooks(hooks)
    made = _view(whole, whole_dtype(whole), first, shape, strides, requires_grad)
    return replace(made, quantizer=_quantizer(quantizer, made))


def _quantizer(found: Any, made: Strided) -> tuple[Any, ...]:
    if made.dtype not in INTEGERS:
        raise Malformed(f"has a quantized tensor of {dtype_name(made.dtype)}, expected one of {_names(INTEGERS)}")
    if type(found) is tuple and found and found[0] is torch.per_tensor_affine and len(found) == 3:  # noqa: PLR2004
        _, scale, zero_point = found
        if type(scale) in (int, float) and type(zero_point) is int and abs(zero_point) < _INT32:
            return found
    if type(found) is tuple and found and found[0] in _PER_CHANNEL and len(found) == 4:  # noqa: PLR2004
        _, *given, axis = found
        if type(axis) is not int or not 0 <= axis < len(made.shape):
            raise Malformed(f"quantizes along axis {_said(axis)} of a tensor of {len(made.shape)} dimensions")
        for each in given:
            n = len(each) if type(each) is list else each.n_elements if type(each) is Strided else -1
            if n != made.shape[axis] or (type(each) is list and any(type(one) not in (int, float) for one in each)):
                raise Malformed(f"quantizes {made.shape[axis]} channels by {_said(each)}")
            if type(each) is Strided:
                _own(each)
        return found
    raise Malformed(f"quantizes a tensor by {_said(found)}")


def _sparse(args: Any, _notes: list[str]) -> Composed:
    layout, data = _taken("_rebuild_sparse_tensor", args, 2)
    roles = _PARTS.get(layout) if type(layout) is torch.layout else None
    if roles is None:
        raise Malformed(f"has a sparse tensor of layout {_said(layout)}")
    most = len(roles) + 2 if layout is torch.sparse_coo else len(roles) + 1
    *parts, shape, coalesced = _padded(_taken("_rebuild_sparse_tensor", data, len(roles) + 1, most), len(roles) + 2)
    if coalesced is not None and type(coalesced) is not bool:
        raise Malformed(f"has a sparse tensor that is coalesced: {_said(coalesced)}")
    for each in parts:
        if type(each) is not Strided:
            raise Malformed(f"has a sparse tensor made of {_said(each)}")
        _own(each)
    shape = _sizes(shape, "shape")
    return Composed(
        parts[-1].dtype, shape, str(layout).removeprefix("torch."), tuple(zip(roles, parts, strict=True)), coalesced
    )


def _from_cpu(args: Any, _notes: list[str]) -> Described:
    data, dtype, _device, requires_grad = _taken("_rebuild_device_tensor_from_cpu_tensor", args, 4)
    if not isinstance(data, Strided | Composed) or data.dtype is not dtype:
        raise Malformed(f"rebuilds a tensor of {_said(dtype)} from {_said(data)}, expected one of the same dtype")
    return replace(data, requires_grad=_flag(requires_grad))


def _meta(args: Any, _notes: list[str]) -> Composed:
    dtype, shape, strides, requires_grad = _taken("_rebuild_meta_tensor_no_storage", args, 4)
    if type(dtype) is not torch.dtype:
        raise Malformed(f"gives a tensor the dtype {_said(dtype)}")
    _sizes(strides, "strides")
    return Composed(dtype, _sizes(shape, "shape"), "meta", (), requires_grad=_flag(requires_grad))


def _unreadable(name: str) -> Call:
    def made(_args: Any, notes: list[str]) -> Opaque:
        _note(notes, f"What {name} makes isn't read.")
        return Opaque(name)

    return made


def _ordered(args: Any, _notes: list[str]) -> dict[Any, Any]:
    found = _taken("OrderedDict", args, 0, 1)
    if not found:
        return {}
    if type(found[0]) is dict:
        return dict(found[0])
    if type(found[0]) is list and all(type(each) in (list, tuple) and len(each) == _PAIR for each in found[0]):
        return {checked_key(key): value for key, value in found[0]}
    raise Malformed(f"makes a dict of {_said(found[0])}")


def _default(args: Any, _notes: list[str]) -> dict[Any, Any]:
    found = _taken("defaultdict", args, 0, 1)
    if found and found[0] is not None and type(found[0]) is not Known:
        raise Malformed(f"makes a defaultdict of {_said(found[0])}")
    return {}


def _set(args: Any, _notes: list[str]) -> set[Any]:
    (found,) = _taken("set", args, 1)
    if type(found) not in (list, tuple, set):
        raise Malformed(f"makes a set of {_said(found)}")
    return {checked_key(each) for each in found}


def _size(args: Any, _notes: list[str]) -> torch.Size:
    (found,) = _taken("torch.Size", args, 1)
    return torch.Size(_sizes(tuple(found) if type(found) is list else found, "shape"))


def _device(args: Any, _notes: list[str]) -> torch.device:
    found = _taken("torch.device", args, 1, 2)
    try:
        return torch.device(*found)
    except (RuntimeError, TypeError) as error:
        raise Malformed(f"names a device that is none ({error})") from None


def _layout(args: Any, _notes: list[str]) -> torch.layout:
    (found,) = _taken("_get_layout", args, 1)
    for layout in (torch.strided, *_PARTS):
        if type(found) is str and str(layout) == found:
            made: torch.layout = layout
            return made
    raise Malformed(f"names a layout {_said(found)}")


def _encode(args: Any, _notes: list[str]) -> bytes:
    text, encoding = _taken("_codecs.encode", args, 2)
    if type(text) is not str or encoding not in ("latin1", "latin-1", "utf-8"):
        raise Malformed(f"encodes {_said(text)} as {_said(encoding)}")
    try:
        return text.encode(encoding)
    except UnicodeError:
        raise Malformed(f"has bytes that aren't {encoding}") from None


def _bytearray(args: Any, _notes: list[str]) -> bytearray:
    found = _taken("bytearray", args, 0, 1)
    if found and type(found[0]) is not bytes:
        raise Malformed(f"makes a bytearray of {_said(found[0])}")
    return bytearray(*found)


def _complex(args: Any, _notes: list[str]) -> complex:
    real, imaginary = _taken("complex", args, 2)
    if not {type(real), type(imaginary)} <= {int, float}:
        raise Malformed(f"makes a complex number of {_said(args)}")
    try:
        return complex(real, imaginary)
    except OverflowError:
        raise Malformed("has a complex number out of range") from None


def whole_dtype(whole: Any) -> torch.dtype:
    """The dtype of a storage, as `StorageType` gives it."""
    if type(whole) is not Strided:
        raise Malformed(f"makes a tensor over {_said(whole)}, expected a storage")
    return whole.dtype


def checked_key(key: Any) -> Any:
    """A key of a dict or item of a set, made sure that hashing it is quick and tells it from others.

    Raises:
        Malformed: It is none that a checkpoint has: text, numbers, None, dtypes, short tuples of them.
    """
    if type(key) is str:
        return key
    waiting: list[tuple[Any, int]] = [(key, 0)]
    while waiting:
        each, depth = waiting.pop()
        kind = type(each)
        if kind is tuple and depth < _DEEPEST_KEY and len(each) <= _LONGEST_KEY:
            waiting += [(one, depth + 1) for one in each]
        # Hashes of integers beyond this wrap round, and can be made to meet.
        elif kind not in _KEYS or (kind is int and abs(each) >= _MOST_KEY):
            raise Malformed(f"has the key {_said(key)}, expected text, a number, None, a dtype or a tuple of such")
    return key


def _view(  # noqa: PLR0917 - as torch's own takes them
    whole: Strided, dtype: torch.dtype, first: Any, shape: Any, strides: Any,
    requires_grad: Any = False, metadata: Any = None,
) -> Strided:  # fmt: skip
    made = Strided(
        dtype, _sizes(shape, "shape"), _sizes(strides, "strides"), whole.storage, first,
        requires_grad=_flag(requires_grad),
    )  # fmt: skip
    if len(made.shape) != len(made.strides):
        raise Malformed(f"has a tensor of shape {made.shape} with strides {made.strides}")
    if type(first) is not int or not 0 <= first <= _MOST:
        raise Malformed(f"has a tensor that begins at element {_said(first)} of its storage")
    if dtype in _PACKED:
        raise Malformed(f"has a tensor of {dtype_name(dtype)}, several elements to a byte, which isn't read")
    needed = (first + span(made)) * dtype.itemsize
    if needed > whole.storage.n_bytes:
        raise Malformed(
            f"has a tensor of shape {made.shape} that needs {needed:,} bytes of storage {whole.storage.key!r}, and "
            f"that has {whole.storage.n_bytes:,}"
        )
    if metadata:
        if type(metadata) is not dict or not all(
            key in ("conj", "neg") and type(each) is bool for key, each in metadata.items()
        ):
            raise Malformed(f"has a tensor with the flags {_said(metadata)}, expected conj and neg")
        conj, neg = metadata.get("conj", False), metadata.get("neg", False)
        if conj and not dtype.is_complex:
            raise Malformed(f"has a conjugated tensor of {dtype_name(dtype)}")
        made = replace(made, is_conjugated=conj, is_negated=neg)
    return made


def _sizes(found: Any, what: str) -> tuple[int, ...]:
    if type(found) is torch.Size:
        found = tuple(found)
    if type(found) is not tuple or len(found) > _MOST_DIMENSIONS:
        raise Malformed(f"has a tensor whose {what} is {_said(found)}, expected up to {_MOST_DIMENSIONS} whole numbers")
    product = 1
    for each in found:
        if type(each) is not int or not 0 <= each <= _MOST:
            raise Malformed(f"has a tensor whose {what} is {_said(found)}, expected whole numbers, none negative")
        product *= each or 1
    if what == "shape" and product > _MOST:
        raise Malformed(f"has a tensor of shape {_said(found)}: more elements than there can be")
    return found


def _own(part: Strided) -> None:
    """A part of another tensor is no larger than its storage: else a few bytes could stand for terabytes."""
    if part.n_elements * part.dtype.itemsize > part.storage.n_bytes:
        raise Malformed(f"has a tensor made of one of shape {part.shape} that repeats {part.storage.n_bytes:,} bytes")


def _as_parameter(data: Any, requires_grad: Any) -> Described:
    if not isinstance(data, Strided | Composed):
        raise Malformed(f"makes a parameter of {_said(data)}")
    return replace(data, is_parameter=True, requires_grad=_flag(requires_grad))


def _flag(found: Any) -> bool:
    if type(found) is not bool:
        raise Malformed(f"has {_said(found)} for requires_grad")
    return found


def _no_hooks(found: Any) -> None:
    if found is not None and (type(found) is not dict or found):
        raise Malformed(f"has a tensor with hooks: {_said(found)}")


def _not_read(state: Any, notes: list[str]) -> None:
    if state and state != (None, None):
        _note(notes, "Attributes that were set on tensors aren't read.")


def _note(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)


def _taken(name: str, args: Any, *lengths: int) -> tuple[Any, ...]:
    if type(args) is not tuple or not lengths[0] <= len(args) <= lengths[-1]:
        given = f"{len(args)} arguments" if type(args) is tuple else _said(args)
        raise Malformed(f"passes {given} to {name}, expected {' or '.join(map(str, dict.fromkeys(lengths)))}")
    return args


def _padded(found: tuple[Any, ...], length: int) -> tuple[Any, ...]:
    return found + (None,) * (length - len(found))


def _said(value: Any) -> str:
    return said(value)


def said(value: Any) -> str:
    """A value of a file in a few words, whatever it holds."""
    if type(value) in (dict, list, tuple, set):
        if len(value) <= _FEW and all(type(each) in (int, float, bool, str, type(None)) for each in value):
            return repr(value)[:_MOST_SAID]
        return f"a {type(value).__name__} of {len(value)}"
    if type(value) is str:
        return repr(value[:_MOST_SAID])
    if type(value) is Strided:
        return f"a tensor of shape {value.shape}"
    return repr(value)[:_MOST_SAID]


def _names(dtypes: Any) -> str:
    return ", ".join(sorted(map(dtype_name, dtypes)))


_PARAMETER = Known("torch.nn.parameter.Parameter")
_TENSOR = Known("torch.Tensor")
INTEGERS = {torch.quint8: torch.uint8, torch.qint8: torch.int8, torch.qint32: torch.int32}
"""The integers that quantized elements are."""
_PACKED = {torch.quint4x2, torch.quint2x4}
_PER_CHANNEL = (torch.per_channel_affine, torch.per_channel_affine_float_qparams)
_COMPRESSED = ("crow_indices", "col_indices", "values"), ("ccol_indices", "row_indices", "values")
_PARTS: dict[Any, tuple[str, ...]] = {
    torch.sparse_coo: ("indices", "values"),
    torch.sparse_csr: _COMPRESSED[0],
    torch.sparse_bsr: _COMPRESSED[0],
    torch.sparse_csc: _COMPRESSED[1],
    torch.sparse_bsc: _COMPRESSED[1],
}
_KEYS = {str, int, float, bool, bytes, type(None), torch.dtype, torch.device, torch.layout}
_MOST = 2**62
_INT32 = 2**31
_MOST_KEY = 2**61 - 1
_MOST_DIMENSIONS = 64
_DEEPEST_KEY = 4
_LONGEST_KEY = 100
_PAIR = 2
_FEW = 8
_MOST_SAID = 100

_CALLS: dict[str, Call] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter_with_state,
    "torch._utils._rebuild_qtensor": _quantized,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _from_cpu,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.serialization._get_layout": _layout,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": _ordered,
    "collections.Counter": _ordered,
    "collections.defaultdict": _default,
    "_codecs.encode": _encode,
    "builtins.bytearray": _bytearray,
    "builtins.set": _set,
    "builtins.complex": _complex,
}
_OLD = ("Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "Float", "Double", "BFloat16")
_UNREADABLE = ("_rebuild_nested_tensor", "_rebuild_wrapper_subclass", "_rebuild_device_tensor_from_numpy")


@functools.cache
def known() -> dict[str, Any]:
    """What each name that a file may import stands for."""
    made: dict[str, Any] = {name: Known(name, call) for name, call in _CALLS.items()}
    for name in _UNREADABLE:
        made[f"torch._utils.{name}"] = Known(f"torch._utils.{name}", _unreadable(name))
    made |= {each.class_name: each for each in (_PARAMETER, _TENSOR)}
    made["torch.storage.TypedStorage"] = Known("torch.storage.TypedStorage")
    # Classes of tensors before torch 0.4.
    for place in ("torch", "torch.sparse", "torch.cuda", "torch.cuda.sparse"):
        made |= {f"{place}.{each}Tensor": Known(f"{place}.{each}Tensor") for each in _OLD}
    # Named by a defaultdict, never called.
    made |= {f"builtins.{name}": Known(f"builtins.{name}") for name in ("int", "float", "str", "list", "dict", "bool")}
    for name, value in vars(torch).items():
        if type(value) in (torch.dtype, torch.qscheme):
            made[f"torch.{name}"] = made[str(value)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in vars(torch).items():
            if isinstance(value, type) and name.endswith("Storage") and name not in ("TypedStorage", "UntypedStorage"):
                made[f"torch.{name}"] = made[f"torch.cuda.{name}"] = StorageType(value.dtype)  # type: ignore[attr-defined]
    made["torch.storage.UntypedStorage"] = StorageType(torch.uint8, is_untyped=True)
    return made
