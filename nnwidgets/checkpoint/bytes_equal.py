"""Whether two runs of memory hold the same bytes, at the C library's speed and in the calling thread alone."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

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


def are_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two plain tensors of whatever layout are one in shape, dtype, bits, and in how codes are meant.

    Example:
        >>> codes = [torch.quantize_per_tensor(torch.ones(2), scale, 0, torch.qint8) for scale in (0.5, 1.0)]
        >>> are_same(codes[0], codes[0].clone()), are_same(*codes), are_same(torch.ones(2), torch.ones(2, 1))
        (True, False, False)
    """
    if (one.shape, one.dtype, one.layout) != (other.shape, other.dtype, other.layout):
        return False
    is_alike = quantizer_of(one) == quantizer_of(other)
    return is_alike and is_same(as_contiguous_cpu(one), as_contiguous_cpu(other))


def quantizer_of(data: torch.Tensor) -> tuple[Any, ...] | None:
    """What the codes of a quantized tensor mean: its scheme, scales, zero points and axis; None of any other."""
    if not data.is_quantized:
        return None
    scheme = data.qscheme()
    if scheme in _PER_TENSOR:
        return scheme, data.q_scale(), data.q_zero_point()
    scales, zeros = data.q_per_channel_scales(), data.q_per_channel_zero_points()
    return scheme, scales.tolist(), zeros.tolist(), data.q_per_channel_axis()


_PER_TENSOR = {torch.per_tensor_affine, torch.per_tensor_symmetric}
