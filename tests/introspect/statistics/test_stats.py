"""The numbers of `stats` against NumPy's float64 ones, over dtypes, distributions and sizes."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.statistics.stats import stats

SIZES = [1, 2, 3, 65_536, 393_217, 1_000_003]
DISTRIBUTIONS = {
    "normal": torch.randn,
    "far from zero": lambda n: torch.randn(n) + 1e6,
    "positive": lambda n: torch.rand(n) + 0.5,
    "negative": lambda n: -torch.rand(n) - 0.5,
    "range beyond float32": lambda n: (torch.rand(n) * 2 - 1) * 3e38,
    "subnormal": lambda n: torch.randn(n) * 1e-40,
    "least subnormals": lambda n: torch.randint(-3, 4, (n,), dtype=torch.int32).float() * 2.0**-149,
    "huge and tiny": lambda n: torch.randn(n) * 10.0 ** torch.randint(-44, 38, (n,)),
    "all zero": torch.zeros,
    "one value": lambda n: torch.full((n,), 3.3),
    "on the edges": lambda n: torch.randint(-32, 33, (n,)).float() / 8,
    "mostly zero": lambda n: torch.randn(n) * (torch.rand(n) < 0.01),
    "one outlier": lambda n: torch.cat([torch.randn(n - 1), torch.tensor([1e30])]),
    "int64": lambda n: torch.randint(-(2**63), 2**63 - 1, (n,)),
    "int32": lambda n: torch.randint(-5, 70, (n,), dtype=torch.int32),
    "int16": lambda n: torch.randint(-32768, 32768, (n,), dtype=torch.int16),
    "int8": lambda n: torch.randint(-128, 128, (n,), dtype=torch.int8),
    "uint8": lambda n: torch.randint(0, 256, (n,), dtype=torch.uint8),
    "bool": lambda n: torch.rand(n) > 0.7,
    "float64": lambda n: torch.randn(n, dtype=torch.float64),
    "float64 of 1e300": lambda n: torch.randn(n, dtype=torch.float64) * 1e300,
    "float64 of 1e-310": lambda n: torch.randn(n, dtype=torch.float64) * 1e-310,
    "float64 next to each other": lambda n: 1.0 + torch.randint(0, 9, (n,)).double() * 2.0**-52,
    "bfloat16": lambda n: torch.randn(n).bfloat16(),
    "float16": lambda n: torch.randn(n).half(),
    "float8_e4m3fn": lambda n: torch.randn(n).to(torch.float8_e4m3fn),
    "float8_e5m2": lambda n: torch.randn(n).to(torch.float8_e5m2),
}


def assert_as_numpy(tensor, found, bins=64):
    values = tensor.detach().reshape(-1).to(torch.float64).numpy()
    finite = values[np.isfinite(values)]
    assert found.n == values.size
    assert (found.n_nan, found.n_inf) == (np.isnan(values).sum(), np.isinf(values).sum())
    assert found.n_zero == (values == 0).sum()
    assert len(found.hist_counts) <= bins
    if finite.size == 0:
        assert found.hist_counts == found.hist_edges == ()
        assert math.isnan(found.mean)
        assert math.isnan(found.min)
        assert found.norm == 0.0
        return
    assert (found.min, found.max) == (finite.min(), finite.max())
    edges = np.array(found.hist_edges)
    assert len(edges) == len(found.hist_counts) + 1
    assert edges[0] <= finite.min()
    assert edges[-1] >= finite.max()
    assert (np.diff(edges) > 0).all()
    assert found.hist_counts == tuple(np.histogram(finite, bins=edges)[0])
    largest = max(abs(found.min), abs(found.max)) or 1.0
    scaled = finite / largest
    mean = math.fsum(scaled) / finite.size
    assert found.mean / largest == pytest.approx(mean, rel=1e-12, abs=1e-13)
    assert found.norm / largest == pytest.approx(math.sqrt(math.fsum(scaled * scaled)), rel=1e-12)
    if finite.size < 2:
        assert math.isnan(found.std)
    else:
        spread = math.sqrt(math.fsum((scaled - mean) ** 2) / (finite.size - 1))
        assert found.std / largest == pytest.approx(spread, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_field_is_numpys_in_float64(name):
    torch.manual_seed(0)
    for n in SIZES:
        tensor = DISTRIBUTIONS[name](n)
        assert_as_numpy(tensor, stats(tensor))


@pytest.mark.parametrize("bins", [1, 2, 3, 64, 100, 129, 300, 4096])
@pytest.mark.parametrize("name", ["normal", "far from zero", "int8", "huge and tiny", "bfloat16", "float64"])
def test_any_number_of_bins_counts_as_numpy(name, bins):
    torch.manual_seed(1)
    tensor = DISTRIBUTIONS[name](150_001)
    assert_as_numpy(tensor, stats(tensor, bins=bins), bins)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.float8_e5m2])
@pytest.mark.parametrize("bad", [(math.nan,), (math.inf,), (-math.inf,), (math.nan, math.inf, -math.inf)])
@pytest.mark.parametrize("shift", [0.0, 1.0, 1000.0, -50.0])
def test_nan_and_infinite_elements_are_counted_and_left_out(dtype, bad, shift):
    torch.manual_seed(2)
    tensor = torch.randn(400_001) + shift
    tensor[torch.rand(400_001) < 0.2] = 0.0
    if shift == 1.0:
        tensor = tensor.abs()
    if shift == 1000.0:
        tensor = tensor.abs() + 1.0
    for value in bad:
        tensor[torch.rand(400_001) < 0.1] = value
    tensor = tensor.to(dtype)
    assert_as_numpy(tensor, stats(tensor))


@pytest.mark.parametrize("n_finite", [0, 1, 2])
def test_a_tensor_of_hardly_anything_finite_has_the_rest_counted(n_finite):
    tensor = torch.full((1000,), math.nan)
    tensor[10:20] = math.inf
    tensor[500 : 500 + n_finite] = torch.tensor([-7.5, 3.0])[:n_finite]
    assert_as_numpy(tensor, stats(tensor))


@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), max_size=40),
    st.integers(1, 200),
)
@settings(max_examples=300)
def test_any_float32_values_count_as_numpy(values, bins):
    tensor = torch.tensor(values, dtype=torch.float32)
    assert_as_numpy(tensor, stats(tensor, bins=bins), bins)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=40), st.integers(1, 200))
@settings(max_examples=300)
def test_any_float64_values_count_as_numpy(values, bins):
    tensor = torch.tensor(values, dtype=torch.float64)
    found = stats(tensor, bins=bins)
    finite = np.array([value for value in values if math.isfinite(value)])
    if finite.size:
        assert found.hist_counts == tuple(np.histogram(finite, bins=np.array(found.hist_edges))[0])
        assert found.min <= found.mean <= found.max
        assert (found.min, found.max) == (finite.min(), finite.max())
    assert found.n_zero == sum(value == 0 for value in values)


def test_the_deviation_holds_when_the_mean_is_a_million_times_larger():
    torch.manual_seed(3)
    tensor = (torch.randn(2_000_000, dtype=torch.float64) + 1e6).float()
    wide = tensor.double()
    assert stats(tensor).std == pytest.approx(wide.std().item(), rel=1e-10)
    assert stats(wide * 1e6).std == pytest.approx((wide * 1e6).std().item(), rel=1e-9)


def test_the_deviation_holds_when_only_one_block_has_a_large_mean():
    torch.manual_seed(4)
    tensor = torch.cat([torch.randn(800_000), torch.randn(800_000) * 1e-3 + 1e5]).double()
    values = tensor.float().tolist()
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    assert stats(tensor.float()).std == pytest.approx(spread, rel=1e-14)


def test_the_norm_is_right_where_float32_sums_are_not():
    tensor = torch.ones(1).expand(2**26 + 8).contiguous()
    found = stats(tensor)
    assert found.norm == math.sqrt(2**26 + 8)
    assert found.mean == 1.0
    assert found.hist_counts == (2**26 + 8,)


def test_each_power_of_two_bin_keeps_its_lower_edge():
    found = stats(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]), bins=8)
    assert found.hist_edges == (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
    assert found.hist_counts == (1, 1, 1, 1, 1)


def test_an_empty_tensor_has_no_numbers_but_zero_counts():
    found = stats(torch.empty(0, 3))
    assert (found.n, found.n_zero, found.n_nan, found.norm, found.hist_counts) == (0, 0, 0, 0.0, ())
    assert math.isnan(found.mean)


@pytest.mark.parametrize("bins", [0, -1, 4097, 2.0, True, None, "64"])
def test_a_senseless_number_of_bins_is_refused(bins):
    with pytest.raises(InvalidTargetError, match=r"bins is .*expected a whole number from 1 to 4096"):
        stats(torch.ones(3), bins=bins)


def test_the_fields_are_plain_numbers():
    found = stats(torch.randn(100))
    assert all(type(count) is int for count in found.hist_counts)
    assert all(type(edge) is float for edge in found.hist_edges)
    assert json.loads(json.dumps([found.n, found.mean, found.n_zero, list(found.hist_counts)]))[0] == 100
