"""Statistics of parts merged are those of the whole: to the bit where they are counts and ends, else to rounding."""

from __future__ import annotations

import itertools
import math
import sys
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nnwidgets as nnw
from nnwidgets.distributed.merging import tensors
from nnwidgets.distributed.merging.stats import MergedStats, StatsRows, rows_of
from nnwidgets.introspect.statistics.histogram import Histogram, bins_of_many

SAME = ("n", "n_zero", "n_nan", "n_inf", "min", "max", "hist_counts", "hist_edges", "is_exact")


def sent(parts):
    """Rows of the statistics of parts of one tensor, one rank each, through the bytes that travel."""
    rows = [rows_of([nnw.stats(part) if part.numel() else None]) for part in parts]
    return [StatsRows.from_text(each.to_text(), 1) for each in rows]


HUGE = 1e307


def assert_equal(found, whole):
    for name in SAME:
        assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=0, abs=0, nan_ok=True), name
    size = max(abs(whole.min), abs(whole.max))
    # One rounding from the largest number there is, one of two may be infinite.
    whole_std, whole_norm = (min(each, sys.float_info.max) for each in (whole.std, whole.norm))
    # Of the least numbers there are, a part's mean is one of two.
    allowed = {"rel": 1e-12, "abs": 1e-13 * size + 4 * math.ulp(0.0) if math.isfinite(size) else 0.0}
    assert found.mean == pytest.approx(whole.mean, nan_ok=True, **allowed)
    if math.isinf(found.std):
        assert size > HUGE, "a part's deviation, and so the whole's, is infinite only of such numbers"
    else:
        assert found.std == pytest.approx(whole_std, nan_ok=True, **allowed)
    assert min(found.norm, sys.float_info.max) == pytest.approx(whole_norm, rel=1e-12)


floats = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=64),
    st.floats(min_value=-1.0, max_value=1.0),
    st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1.7976931348623157e308, -1.7976931348623157e308, 1e-200]),
)


@settings(max_examples=300)
@given(st.lists(floats, max_size=60), st.lists(st.integers(0, 60), min_size=0, max_size=6))
def test_any_cut_of_any_numbers_gives_the_statistics_of_the_whole(values, cuts):
    whole = torch.tensor(values, dtype=torch.float64)
    ends = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    parts = [whole[begin:end] for begin, end in pairwise(ends)]
    (found,) = MergedStats(sent(parts))
    if values:
        assert_equal(found, nnw.stats(whole))
    else:
        assert found.n == 0


def piece(whole, placements, sizes, coordinate):
    """What a DTensor keeps at a coordinate of a mesh: dimensions cut in turn, the last pieces smaller or empty."""
    for placement, size, at in zip(placements, sizes, coordinate, strict=True):
        if placement is not None:
            cut = list(whole.chunk(size, placement))
            empty = whole.narrow(placement, 0, 0)
            whole = (cut + [empty] * size)[at]
    return whole


meshes = st.lists(st.integers(1, 3), min_size=1, max_size=3)
spreads = ["normal", "wide", "one value", "not finite"]


@settings(max_examples=100)
@given(st.data(), meshes, st.tuples(st.integers(0, 9), st.integers(1, 7)), st.sampled_from(spreads))
def test_any_mesh_gives_the_statistics_of_the_whole(data, sizes, shape, spread):
    placements = [data.draw(st.sampled_from([None, 0, 1])) for _ in sizes]
    cut = [dim for dim, placement in enumerate(placements) if placement is not None]
    n_parts = math.prod(sizes[dim] for dim in cut)
    whole = spread_out(torch.randn(shape, generator=torch.Generator().manual_seed(0)), spread)
    replies = {}
    for rank, coordinate in enumerate(itertools.product(*map(range, sizes))):
        part = piece(whole, placements, sizes, coordinate)
        row = rows_of([nnw.stats(part) if part.numel() else None])
        share = ["held", [coordinate[dim] for dim in cut], n_parts, whole.numel()]
        replies[rank] = {"shares": [share], "share_of": [0], "rows": row.to_text()}
    (found,) = tensors.WholeTensors(replies, ())
    assert (found.of, found.missing, len(found.by_rank)) == ("all", (), math.prod(sizes))
    if whole.numel():
        assert_equal(found, nnw.stats(whole))
    lost = replies.pop(data.draw(st.sampled_from(sorted(replies))))
    if replies:
        (rest,) = tensors.WholeTensors(replies, (9,))
        has_other = any(reply["shares"] == lost["shares"] for reply in replies.values())
        assert (rest.is_exact, rest.missing) == ((True, ()) if has_other else (False, (9,)))


def spread_out(whole, spread):
    if spread == "wide":
        return whole * 10 ** torch.linspace(-20, 20, len(whole))[:, None]
    if spread == "one value":
        return torch.full_like(whole, 0.3)
    if spread == "not finite" and len(whole):
        whole[0, 0], whole[-1, -1] = float("nan"), float("inf")
    return whole


@pytest.mark.parametrize("spread", ["normal", "wide", "far from zero", "one value", "not finite"])
def test_shards_of_large_tensors_give_the_statistics_of_the_whole(spread):
    torch.manual_seed(1)
    whole = torch.randn(257, 33)
    if spread == "wide":
        whole = whole * 10 ** torch.linspace(-20, 20, 257)[:, None]
    elif spread == "far from zero":
        whole = whole + 1e6
    elif spread == "one value":
        whole = torch.full_like(whole, 0.3)
    elif spread == "not finite":
        whole[0, 0], whole[-1, -1], whole[1] = float("nan"), float("inf"), 0.0
    for dim in (0, 1):
        (found,) = MergedStats(sent(whole.chunk(4, dim)))
        assert_equal(found, nnw.stats(whole))


def test_many_tensors_are_merged_at_once_each_by_itself():
    torch.manual_seed(1)
    wholes = [torch.randn(8, n + 1) * 10.0**n for n in range(20)]
    ranks = [rows_of([nnw.stats(whole[2 * rank : 2 * rank + 2]) for whole in wholes]) for rank in range(4)]
    for found, whole in zip(MergedStats(ranks), wholes, strict=True):
        assert_equal(found, nnw.stats(whole))


@settings(max_examples=300)
@given(st.lists(st.tuples(floats, floats), min_size=1, max_size=20), st.integers(2, 100))
def test_bins_of_many_ranges_are_those_of_each(ranges, n_bins):
    ends = [sorted(each) for each in ranges]
    low, high = torch.tensor(ends, dtype=torch.float64).unbind(1)
    for (least, greatest), *found in zip(ends, *map(torch.Tensor.tolist, bins_of_many(low, high, n_bins)), strict=True):
        if math.isfinite(least) and math.isfinite(greatest):
            one = Histogram(n_bins)
            one.cover(least, greatest)
            assert found == [one.exponent, one.first, len(one.counts)]
        else:
            assert found[2] == 0


def said_of(*parts, n_parts=1):
    """What a rank of each part says of one tensor."""
    n = n_parts * parts[0].numel()
    for rank, part in enumerate(parts):
        share = ["held", [] if n_parts == 1 else [rank % n_parts], n_parts, n]
        yield rank, {"shares": [share], "share_of": [0], "rows": rows_of([nnw.stats(part)]).to_text()}


NAN = float("nan")


@pytest.mark.parametrize(
    ("parts", "n_parts", "of"),
    [
        ([[1.0, NAN], [1.0, NAN]], 1, "all"),
        ([[NAN], [NAN]], 1, "all"),
        ([[0.0], [-0.0]], 1, "rank 0: its replicas differ"),
        ([[1.0], [2.0], [1.0], [2.0]], 2, "all"),
        ([[1.0], [2.0], [1.0], [3.0]], 2, "rank 0: its replicas differ"),
        ([[1.0]], 2, "1 of 2 parts"),
    ],
)
def test_what_is_brief_of_many_is_what_each_says(parts, n_parts, of):
    whole = tensors.WholeTensors(dict(said_of(*map(torch.tensor, parts), n_parts=n_parts)), ())
    (brief,), (found,) = whole.brief(), whole
    for name in ("n", "mean", "std", "min", "max", "norm", "n_zero", "n_nan", "n_inf", "is_exact"):
        assert getattr(brief, name) == pytest.approx(getattr(found, name), rel=0, abs=0, nan_ok=True), name
    assert (brief.of, found.of, found.is_exact) == (of, of, of == "all")
    assert (brief.hist_counts, brief.by_rank, len(found.by_rank)) == ((), (), len(parts))


def test_counts_travel_in_the_narrowest_integers_that_hold_them():
    few, many = (len(rows_of([nnw.stats(torch.ones(n))]).to_text()) for n in (255, 256))
    assert few < many
    (found,) = MergedStats(sent([torch.ones(40_000), torch.ones(300)]))
    assert found.hist_counts == (40_300,)


def test_bytes_of_another_number_of_tensors_are_refused():
    text = rows_of([nnw.stats(torch.ones(3))]).to_text()
    for n in (0, 2):
        with pytest.raises(ValueError, match="expected"):
            StatsRows.from_text(text, n)
