"""The heat map's window: which cells, which element of each, and its exact text."""

import ast
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.heatmap.matrix_view import matrix_shape
from nnwidgets.introspect.heatmap.window import window
from nnwidgets.introspect.statistics.exact_stats import CancelledError


def as_matrix(tensor):
    return tensor.reshape(1, -1) if tensor.dim() < 2 else tensor.reshape(tensor.shape[0], -1)


def expected_cells(tensor, found):
    matrix = as_matrix(tensor).double()
    rows = []
    for i in range(found.shape[0]):
        cells = []
        for j in range(found.shape[1]):
            top, left = found.row + i * found.row_step, found.column + j * found.column_step
            block = matrix[top : top + found.row_step, left : left + found.column_step].reshape(-1)
            if block.isnan().any():
                cells.append(math.nan)
            else:
                low, high = block.min().item(), block.max().item()
                cells.append(low if -low > high else high)
        rows.append(cells)
    return rows


def assert_cells(tensor, found):
    expected = torch.tensor(expected_cells(tensor, found), dtype=torch.float64).float()
    assert torch.tensor(found.cells()).nan_to_num(nan=12345.0).equal(expected.nan_to_num(nan=12345.0))


TENSORS = {
    "matrix": torch.randn(37, 55),
    "transposed": torch.randn(55, 37).t(),
    "every other column": torch.randn(37, 90)[:, ::2],
    "four dimensions": torch.randn(17, 3, 5, 4),
    "channels last": torch.randn(17, 3, 5, 4).to(memory_format=torch.channels_last),
    "inner dimensions swapped": torch.randn(17, 6, 5).transpose(1, 2),
    "outer dimensions swapped": torch.randn(6, 17, 5).transpose(0, 1),
    "vector": torch.randn(3000),
    "strided vector": torch.randn(3000)[::3],
    "scalar": torch.tensor(-4.5),
    "expanded": torch.randn(1, 40).expand(30, 40),
    "wide": torch.randn(2, 9001),
    "tall": torch.randn(9001, 2),
    "float64": torch.randn(40, 30).double(),
    "bfloat16": torch.randn(40, 30).bfloat16(),
    "float8": torch.randn(40, 30).to(torch.float8_e4m3fn).float(),
    "int64": torch.randint(-(2**40), 2**40, (40, 30)),
    "bool": torch.rand(40, 30) > 0.9,
    "one row": torch.randn(1, 100),
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("limit", [(1, 1), (5, 7), (3, 1000), (1000, 2), (1000, 1000)])
def test_a_cell_is_the_largest_magnitude_of_its_block_with_its_sign(name, limit):
    tensor = TENSORS[name]
    found = window(tensor, max_rows=limit[0], max_columns=limit[1])
    assert found.shape[0] <= limit[0]
    assert found.shape[1] <= limit[1]
    assert (found.n_rows, found.n_columns) == tuple(as_matrix(tensor).shape)
    assert found.tensor_shape == tuple(tensor.shape)
    assert_cells(tensor, found)


@given(st.data())
@settings(max_examples=150)
def test_any_part_of_any_matrix_is_shown_as_asked(data):
    rows, columns = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    tensor = torch.randn(rows, columns, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    n_rows, n_columns = data.draw(st.integers(1, 50)), data.draw(st.integers(1, 50))
    found = window(
        tensor,
        row=row,
        column=column,
        rows=n_rows,
        columns=n_columns,
        max_rows=data.draw(st.integers(1, 50)),
        max_columns=data.draw(st.integers(1, 50)),
    )
    assert (found.row, found.column) == (row, column)
    part = tensor[row : row + n_rows, column : column + n_columns]
    shifted = window(part.clone(), max_rows=found.shape[0], max_columns=found.shape[1])
    assert found.shape == shifted.shape
    assert found.cells() == shifted.cells()


@pytest.mark.parametrize("shape", [(3, 1_500_000), (1_500_000,), (700, 3000), (3, 700_000, 2), (2_500_000, 1)])
def test_a_tensor_larger_than_a_piece_is_thinned_the_same(shape):
    torch.manual_seed(0)
    tensor = torch.randn(shape)
    for limit in ((2, 3), (100, 100)):
        found = window(tensor, max_rows=limit[0], max_columns=limit[1])
        assert_cells(tensor, found)
    if tensor.dim() == 3:
        assert_cells(tensor.transpose(1, 2), window(tensor.transpose(1, 2), max_rows=2, max_columns=3))


def test_nan_and_infinities_are_shown_wherever_one_is():
    tensor = torch.zeros(100, 100)
    tensor[5, 5], tensor[25, 5], tensor[45, 5], tensor[46, 6] = math.nan, math.inf, -math.inf, math.nan
    cells = window(tensor, max_rows=5, max_columns=5).cells()
    assert math.isnan(cells[0][0])
    assert cells[1][0] == math.inf
    assert math.isnan(cells[2][0])
    assert cells[3] == [0.0] * 5


def test_a_finite_value_beyond_float32_is_not_shown_as_infinite():
    found = window(torch.tensor([[1e300, -1e300, math.inf]], dtype=torch.float64))
    largest = torch.finfo(torch.float32).max
    assert found.cells() == [[largest, -largest, math.inf]]
    assert found.texts == [["1e+300", "-1e+300", "inf"]]


def test_a_sparse_matrix_shows_its_stored_elements_among_zeros():
    torch.manual_seed(1)
    dense = torch.randn(60, 40)
    dense[dense < 1] = 0
    for sparse in (dense.to_sparse(), dense.to_sparse_csr(), dense.to_sparse_csc(), dense.to_sparse_bsr((5, 5))):
        for limit in (5, 100):
            assert_cells(dense, window(sparse, max_rows=limit, max_columns=limit))
    hybrid = torch.randn(20, 3, 4)
    assert_cells(hybrid, window(hybrid.to_sparse(1), max_rows=6, max_columns=5))
    found = window(dense.to_sparse(), row=10, column=7, rows=20, columns=15)
    assert_cells(dense, found)
    assert found.texts[3][2] == window(dense, row=13, column=9, rows=1, columns=1).texts[0][0]


def test_a_quantized_matrix_shows_what_its_codes_stand_for():
    x = torch.randn(30, 20)
    by_tensor = torch.quantize_per_tensor(x, 0.05, 3, torch.qint8)
    by_channel = torch._make_per_channel_quantized_tensor(
        (x * 30).to(torch.int8), torch.rand(20) + 0.1, torch.arange(20), 1
    )
    for quantized in (by_tensor, by_channel):
        for limit in (7, 100):
            assert_cells(quantized.dequantize(), window(quantized, max_rows=limit, max_columns=limit))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), (1, 1, (), ())),
        ((5,), (1, 5, (), (0,))),
        ((5, 3), (5, 3, (0,), (1,))),
        ((5, 3, 2, 2), (5, 12, (0,), (1, 2, 3))),
        ((0, 3), (0, 3, (0,), (1,))),
    ],
)
def test_a_tensor_is_laid_out_by_its_first_dimension(shape, expected):
    assert matrix_shape(shape) == expected
    found = window(torch.zeros(shape))
    assert (found.n_rows, found.n_columns, found.row_axes, found.column_axes) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float64])
def test_texts_read_back_as_the_very_element_in_as_few_digits_as_do(dtype):
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    low, high = (
        (0, 256) if bits is torch.uint8 else (-(2 ** (8 * dtype.itemsize - 1)), 2 ** (8 * dtype.itemsize - 1) - 1)
    )
    tensor = torch.randint(low, high, (50, 60), generator=torch.Generator().manual_seed(0)).to(bits).view(dtype)
    texts = window(tensor).texts
    for text, value in zip(itertools.chain(*texts), tensor.reshape(-1).double().tolist(), strict=True):
        back = torch.tensor(float(text), dtype=torch.float64).to(dtype).double().item()
        assert back == value or (math.isnan(back) and math.isnan(value))
        digits = text.lstrip("-").split("e")[0].replace(".", "").strip("0")
        if len(digits) > 1:
            fewer = torch.tensor(float(f"{value:.{len(digits) - 1}g}"), dtype=torch.float64).to(dtype).double().item()
            assert fewer != value


def test_texts_of_whole_complex_and_truth_values_are_plain():
    assert window(torch.tensor([2**62 + 1, -3])).texts == [[str(2**62 + 1), "-3"]]
    assert window(torch.tensor([True, False])).texts == [["True", "False"]]
    assert window(torch.tensor([1 - 2.5j])).texts == [["1.0-2.5j"]]
    assert complex(window(torch.randn(1, dtype=torch.complex64)).texts[0][0])
    assert window(torch.tensor([0.1, 1e-45, -0.0])).texts == [["0.1", "1e-45", "-0.0"]]
    assert ast.literal_eval(window(torch.tensor([0.3])).texts[0][0]) == 0.3


def test_texts_are_given_only_where_nothing_is_thinned_and_cells_are_few():
    assert window(torch.zeros(64, 64)).texts is not None
    assert window(torch.zeros(64, 65)).texts is None
    assert window(torch.zeros(10, 10), max_rows=9).texts is None
    assert window(torch.zeros(64, 650), columns=64).texts is not None


def test_full_colour_is_nearly_the_largest_magnitude_and_never_zero():
    torch.manual_seed(2)
    assert window(torch.randn(1000, 100)).scale == pytest.approx(2.81, abs=0.15)
    assert window(torch.zeros(10, 10)).scale == 1.0
    assert window(torch.full((10,), math.nan)).scale == 1.0
    assert window(torch.tensor([0.0] * 500 + [-3.0])).scale == 3.0
    outlier = torch.randn(1000, 100)
    outlier[0, 0] = 1e30
    assert window(outlier).scale < 4
    assert window(torch.tensor([3 + 4j])).scale == 5.0
    few = torch.randn(8, 8, generator=torch.Generator().manual_seed(0)) * 0.1
    largest = few.abs().max().item()
    few[0, 0] = 100
    assert window(few).scale == pytest.approx(largest)
    assert window(torch.eye(8)).scale == 1.0


@pytest.mark.parametrize(
    "bad", [{"row": -1}, {"column": -2}, {"rows": 0}, {"columns": -1}, {"max_rows": 0}, {"max_columns": 5000}]
)
def test_a_senseless_window_is_refused(bad):
    with pytest.raises(InvalidTargetError):
        window(torch.zeros(3, 3), **bad)


def test_a_window_beyond_the_end_is_brought_inside():
    found = window(torch.zeros(3, 4), row=99, column=99, rows=5, columns=5)
    assert (found.row, found.column, found.shape) == (2, 3, (1, 1))


def test_an_empty_tensor_has_no_cells():
    assert window(torch.empty(0, 3)).cells() == []
    assert window(torch.empty(3, 0)).shape == (3, 0)
    assert window(torch.empty(0)).values == b""


@pytest.mark.parametrize("layout", [torch.strided, torch.sparse_coo])
def test_reading_ends_where_it_is_told_to(layout):
    tensor = torch.eye(2_048)
    asked = []

    def cancelled():
        asked.append(True)
        return len(asked) == 2

    with pytest.raises(CancelledError):
        window(tensor if layout is torch.strided else _many(), cancelled=cancelled)
    assert len(asked) == 2


def _many():
    """A sparse tensor of more elements than one piece holds."""
    return torch.ones(2_048, 1_024).to_sparse()
