"""`stats` of tensors that aren't one run of plain numbers."""

import math

import pytest
import torch

from nnwidgets.introspect.statistics.stats import stats


def same(tensor, dense):
    found, expected = stats(tensor), stats(dense)
    for field in ("n", "min", "max", "n_zero", "n_nan", "n_inf", "hist_counts", "hist_edges", "is_exact"):
        assert getattr(found, field) == getattr(expected, field), field
    for field in ("mean", "std", "norm"):
        assert getattr(found, field) == pytest.approx(getattr(expected, field), rel=1e-12, nan_ok=True), field


BASE = torch.randn(60, 70, 150, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.transpose(0, 2),
        lambda x: x.permute(1, 2, 0)[:, ::3],
        lambda x: x[::7, 3:, 1::2],
        lambda x: x[:, :, 5],
        lambda x: x[3, 4, 5],
        lambda x: x.unfold(2, 5, 2),
        lambda x: x.as_strided((1000, 1000), (1, 1)),
        lambda x: x[:, None, :, None],
        lambda x: x.flip(0)[::2],
        lambda x: x.view(600, 7, 150).transpose(0, 1)[:, 5:500],
    ],
)
def test_a_view_counts_its_own_elements_once_each(view):
    same(view(BASE), view(BASE).contiguous().clone())
    same(view(BASE.bfloat16()), view(BASE.bfloat16()).contiguous().clone())


@pytest.mark.parametrize("shape", [(2, 60, 70, 150), (60, 3, 70, 150), (5, 5)])
def test_an_expanded_element_counts_as_often_as_it_repeats(shape):
    if len(shape) == 2:
        expanded = torch.tensor(-2.5).expand(shape)
    else:
        expanded = BASE.unsqueeze(0 if shape[0] == 2 else 1).expand(shape)
    same(expanded, expanded.contiguous())


def test_a_sparse_tensors_implicit_zeros_count():
    dense = BASE[:, :, 0].clone()
    dense[dense < 1] = 0
    for sparse in (dense.to_sparse(), dense.to_sparse_csr(), dense.to_sparse_csc(), dense.to_sparse_bsr((10, 10))):
        same(sparse, dense)


def test_a_repeated_sparse_index_counts_as_its_sum():
    sparse = torch.sparse_coo_tensor([[0, 0, 2]], [1.0, 2.0, math.nan], (4,))
    same(sparse, torch.tensor([3.0, 0.0, math.nan, 0.0]))


def test_a_hybrid_sparse_tensor_counts_its_dense_parts():
    dense = torch.randn(40, 3, 5)
    dense[::2] = 0
    same(dense.to_sparse(1), dense)


def test_a_quantized_tensor_counts_as_what_it_stands_for():
    x = BASE[:, :, 1].contiguous()
    for dtype in (torch.qint8, torch.quint8, torch.qint32):
        quantized = torch.quantize_per_tensor(x, 0.037, 5, dtype)
        same(quantized, quantized.dequantize())
    by_channel = torch._make_per_channel_quantized_tensor(
        (x * 30).to(torch.int8), torch.rand(70) + 0.1, torch.arange(70) % 9, 1
    )
    same(by_channel, by_channel.dequantize())
    same(quantized.t(), quantized.dequantize().t())


def test_a_complex_tensor_counts_by_magnitude():
    x = torch.randn(3000, dtype=torch.complex64)
    x[:10] = 0
    x[10:13] = complex(math.nan, 1)
    x[13:15] = complex(math.inf, 2)
    same(x, x.to(torch.complex128).abs())
    same(x.conj(), x.to(torch.complex128).abs())
    assert stats(x[15:]).norm == pytest.approx(torch.linalg.vector_norm(x[15:].to(torch.complex128)).item())


def test_a_negative_view_counts_with_its_sign():
    view = torch.randn(200_000, dtype=torch.complex64).conj().imag
    assert view.is_neg()
    same(view, view.resolve_neg())


def test_an_mkldnn_tensor_counts_as_its_numbers():
    same(BASE[:, :, 2].contiguous().to_mkldnn(), BASE[:, :, 2])


def test_a_zero_tensor_without_memory_counts_as_zeros():
    assert stats(torch._efficientzerotensor(5)).n_zero == 5


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
def test_unsigned_integers_count_as_their_values(dtype):
    x = torch.tensor([0, 1, 2, 65_535] * 50_000, dtype=torch.int64)
    same(x.to(dtype), x.double())


def test_large_unsigned_integers_count_as_their_float64_values():
    found = stats(torch.tensor([2**64 - 1, 2**63], dtype=torch.uint64))
    assert (found.min, found.max) == (2.0**63, 2.0**64)
