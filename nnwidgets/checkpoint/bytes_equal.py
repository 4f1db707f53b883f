"""Whether two runs of memory hold the same bytes, at the C library's speed and in the calling thread alone."""

from __future__ import annotations

import ctypes
import sys

import torch

_library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
_compare = _library.memcmp
_compare.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_compare.restype = ctypes.c_int


def as_contiguous_cpu(data: torch.Tensor) -> torch.Tensor:
    """The elements of a plain tensor on the CPU, dense and in order, as they read; a quantized one's as integers."""
    if data.is_quantized:
        data = data.int_repr()
    if data.layout is not torch.strided:
        data = data.to_dense()
    return data.cpu().resolve_conj().resolve_neg().contiguous()


def is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two contiguous tensors on the CPU, of as many bytes, hold the same ones.

    ``torch.equal`` compares numbers, so that NaN differs from itself and zero equals minus zero, and sends large
    tensors to threads of its own.

    Example:
        >>> nan = torch.tensor([float("nan"), 0.0])
        >>> is_same(nan, nan.clone()), is_same(nan, torch.tensor([float("nan"), -0.0]))
        (True, False)
    """
    n_bytes = one.numel() * one.element_size()
    return n_bytes == 0 or _compare(one.data_ptr(), other.data_ptr(), n_bytes) == 0
