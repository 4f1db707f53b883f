"""What the tests of torch's files save, and how they compare it."""

from __future__ import annotations

import io

import pytest
import torch


def saved(content, folder, *, name="it.pt", **kwargs):
    path = folder / name
    torch.save(content, path, **kwargs)
    return path


def quantized_by_channel():
    scales, zeros = torch.tensor([0.1, 0.2]), torch.tensor([1, -2])
    return torch.quantize_per_channel(torch.randn(2, 3), scales, zeros, 0, torch.qint8)


def unsigned():
    made = torch.tensor([1, 2, 65535], dtype=torch.uint16)
    try:
        torch.save(made, io.BytesIO())
    except KeyError:
        pytest.skip(f"torch {torch.__version__} can't save uint16")
    return made


KINDS = {
    "float32": lambda: torch.randn(4, 3),
    "parameter": lambda: torch.nn.Parameter(torch.randn(3)),
    "frozen parameter": lambda: torch.nn.Parameter(torch.randn(3), requires_grad=False),
    "bfloat16": lambda: torch.randn(5).bfloat16(),
    "float8": lambda: torch.randn(5).to(torch.float8_e4m3fn),
    "uint16": unsigned,
    "bool": lambda: torch.tensor([True, False]),
    "complex": lambda: torch.randn(3, dtype=torch.complex64),
    "conjugated": lambda: torch.randn(3, dtype=torch.complex64).conj(),
    "negated": lambda: torch.randn(3, dtype=torch.complex64).conj().imag,
    "scalar": lambda: torch.tensor(3.5),
    "empty": lambda: torch.empty(0, 3),
    "transposed": lambda: torch.randn(4, 3).t(),
    "sliced": lambda: torch.randn(6, 4)[1:5:2, ::3],
    "expanded": lambda: torch.randn(1, 3).expand(4, 3),
    "sliding": lambda: torch.randn(6).as_strided((4, 3), (1, 1)),
    "channels last": lambda: torch.randn(1, 2, 3, 3).to(memory_format=torch.channels_last),
    "quantized": lambda: torch.quantize_per_tensor(torch.randn(2, 3), 0.1, 3, torch.quint8),
    "quantized by channel": quantized_by_channel,
    "coo": lambda: torch.eye(3).to_sparse(),
    "uncoalesced": lambda: torch.sparse_coo_tensor([[1, 1]], [2.0, 3.0], (4,)),
    "csr": lambda: torch.eye(4).to_sparse_csr(),
    "csc": lambda: torch.eye(4).to_sparse_csc(),
    "bsr": lambda: torch.eye(4).to_sparse_bsr((2, 2)),
    "bsc": lambda: torch.eye(4).to_sparse_bsc((2, 2)),
}


T = torch.Tensor
ROWS, COLUMNS = (T.crow_indices, T.col_indices, T.values), (T.ccol_indices, T.row_indices, T.values)
PARTS = {
    torch.sparse_coo: (T._indices, T._values),
    torch.sparse_csr: ROWS,
    torch.sparse_bsr: ROWS,
    torch.sparse_csc: COLUMNS,
    torch.sparse_bsc: COLUMNS,
}


def same(a, b):
    """Whether two tensors are alike to the last bit, in layout and in how they lie."""
    if (a.dtype, a.shape, a.layout) != (b.dtype, b.shape, b.layout):
        return False
    if a.layout in PARTS:
        parts = [[part(each) for part in PARTS[a.layout]] for each in (a, b)]
        if a.layout == torch.sparse_coo and a.is_coalesced() != b.is_coalesced():
            return False
        return all(same(x, y) for x, y in zip(*parts, strict=True))
    if a.is_quantized:
        return a.qscheme() == b.qscheme() and same(a.int_repr(), b.int_repr()) and same(a.dequantize(), b.dequantize())
    if (a.stride(), a.is_conj(), a.is_neg()) != (b.stride(), b.is_conj(), b.is_neg()):
        return False
    plain = [each.resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8) for each in (a, b)]
    return torch.equal(*plain)
