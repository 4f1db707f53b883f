"""NumPy's arrays and numbers, described from the bytes that a pickle has of them; NumPy itself is not asked.

An array becomes a tensor where torch has its dtype, a number Python's; all others are described as objects.
Source: ``array_reduce`` and ``array_setstate`` in NumPy's ``methods.c``, ``arraydescr_reduce`` in ``descriptor.c``.
"""

from __future__ import annotations

import math
import struct
import sys
from itertools import accumulate, count
from operator import mul
from typing import Any

import torch

from nnwidgets.checkpoint.description import Opaque, Storage, Strided
from nnwidgets.checkpoint.formats.malformed import Malformed
from nnwidgets.checkpoint.formats.pickle.arguments import Account, AllowedName, Call, check_count, sizes
from nnwidgets.formatting import counted


def array_with_state(onto: Opaque, state: Any, account: Account) -> Strided | None:
    """The tensor that an empty array becomes with its state; None where torch has none such."""
    if onto.class_name not in _ARRAYS or type(state) is not tuple or len(state) != _STATE:
        return None
    _, shape, dtype, is_fortran, held = state
    return _tensor(held, dtype, shape, account, is_fortran=is_fortran is True)


def _reconstruct(args: Any, _account: Account) -> Opaque:
    kind, *_ = check_count("numpy's _reconstruct", args, 3)
    return Opaque(kind.class_name if type(kind) is AllowedName else "numpy.ndarray")


def _from_buffer(args: Any, account: Account) -> Any:
    held, dtype, shape, order = check_count("numpy's _frombuffer", args, 4)
    made = _tensor(held, dtype, shape, account, is_fortran=order == "F")
    return Opaque("numpy.ndarray", args) if made is None else made


def _tensor(held: Any, dtype: Any, shape: Any, account: Account, *, is_fortran: bool) -> Strided | None:
    code, is_swapped = _code(dtype)
    if type(held) in (str, bytes, bytearray):
        # Each array has bytes of its own, whoever else has the same.
        account.copy(len(held))
    if type(held) is str:  # how bytes of Python 2 are read
        held = held.encode("utf-8", "surrogatepass")
    if code not in _DTYPES or type(held) not in (bytes, bytearray):
        return None
    shape, kind = sizes(shape, "shape"), _DTYPES[code]
    if math.prod(shape) * kind.itemsize != len(held):
        raise Malformed(f"has an array of shape {shape} and dtype {code} with {counted(len(held), 'byte')}")
    steps = [max(each, 1) for each in (shape if is_fortran else reversed(shape))]
    strides = [1, *accumulate(steps, mul)][: len(shape)]
    storage = Storage(f"array{next(_NUMBERS)}", 0, 0, len(held), None, is_swapped, bytes(held))
    return Strided(kind, shape, tuple(strides if is_fortran else reversed(strides)), storage)


def _scalar(args: Any, _account: Account) -> Any:
    dtype, *rest = check_count("numpy's scalar", args, 1, 2)
    held = rest[0] if rest else b""
    code, is_swapped = _code(dtype)
    if type(held) is str:
        held = held.encode("utf-8", "surrogatepass")
    if code not in _NUMBERS_AS or type(held) is not bytes:
        return Opaque("numpy.generic", args)
    form = struct.Struct((">" if is_swapped is (sys.byteorder == "little") else "<") + _NUMBERS_AS[code])
    if form.size != len(held):
        raise Malformed(f"has a number of dtype {code} with {counted(len(held), 'byte')}")
    made = form.unpack(held)
    return complex(*made) if len(made) > 1 else made[0]


def _dtype(args: Any, _account: Account) -> Opaque:
    return Opaque("numpy.dtype", args)


def _code(dtype: Any) -> tuple[str, bool]:
    """The dtype's kind and size, such as ``"f4"``, and whether its bytes are in the order that this machine hasn't."""
    if type(dtype) is not Opaque or dtype.class_name != "numpy.dtype" or type(dtype.arguments) is not tuple:
        return "", False
    code = dtype.arguments[0] if dtype.arguments else ""
    order = dtype.state[1] if type(dtype.state) is tuple and len(dtype.state) > 1 else "="
    if type(code) is not str:
        return "", False
    if code[:1] in _ORDERS:
        code, order = code[1:], code[0]
    foreign = "<" if sys.byteorder == "big" else ">"
    return code, order == foreign


_ORDERS = ("<", ">", "=", "|")
_STATE = 5
_NUMBERS = count()
_ARRAYS = ("numpy.ndarray", "numpy.matrix", "numpy.memmap")
_DTYPES = {
    "b1": torch.bool, "i1": torch.int8, "i2": torch.int16, "i4": torch.int32, "i8": torch.int64, "u1": torch.uint8,
    "u2": torch.uint16, "u4": torch.uint32, "u8": torch.uint64, "f2": torch.float16, "f4": torch.float32,
    "f8": torch.float64, "c8": torch.complex64, "c16": torch.complex128, "bfloat16": torch.bfloat16,
    "float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2,
}  # fmt: skip
_NUMBERS_AS = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q", "f2": "e",
    "f4": "f", "f8": "d", "c8": "ff", "c16": "dd",
}  # fmt: skip

CALLS: dict[str, Call] = {"numpy.dtype": _dtype}
for _core in ("numpy.core", "numpy._core"):
    CALLS |= {
        f"{_core}.multiarray._reconstruct": _reconstruct,
        f"{_core}.multiarray.scalar": _scalar,
        f"{_core}.numeric._frombuffer": _from_buffer,
    }
"""The functions, by name."""
