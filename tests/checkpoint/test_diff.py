"""What differs between two state dicts, and by how much, compared with torch."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.diffing.operands import PIECE_BYTES


def changed(a, b):
    (found,) = nnw.diff(a, b).changed
    return found


def test_names_are_added_removed_changed_or_equal():
    a = {"gone": torch.zeros(1), "kept": torch.ones(2), "moved": torch.zeros(3)}
    b = {"new": torch.zeros(1), "kept": torch.ones(2), "moved": torch.tensor([0.0, 0.0, 2.0])}
    found = nnw.diff(a, b)
    assert (found.added, found.removed, found.equal) == (("new",), ("gone",), ("kept",))
    assert [(each.path, each.kind, each.max_abs_difference, each.n_different) for each in found.changed] == [
        ("moved", "values", 2.0, 1)
    ]
    assert not found.is_equal
    assert nnw.diff(a, a).is_equal


def test_files_models_and_dicts_are_compared_with_each_other(tmp_path):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    save_file(net.state_dict(), tmp_path / "x.safetensors")
    torch.save(net.state_dict(), tmp_path / "x.pt")
    sides = [net, tmp_path / "x.safetensors", str(tmp_path / "x.pt"), dict(net.state_dict())]
    for one in sides:
        for other in sides:
            found = nnw.diff(one, other)
            assert found.is_equal
            assert set(found.equal) == set(net.state_dict())
    assert (nnw.diff(net, sides[1]).a, nnw.diff(net, sides[1]).b) == ("net", "x.safetensors")


def test_what_training_changed_is_told_as_torch_tells_it(tmp_path):
    net = nn.Linear(300, 200)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.save(before, tmp_path / "before.pt")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(10):
        optimizer.zero_grad()
        net(torch.randn(8, 300)).square().mean().backward()
        optimizer.step()
    for each in nnw.diff(tmp_path / "before.pt", net).changed:
        a, b = before[each.path].double(), net.state_dict()[each.path].double()
        assert each.max_abs_difference == pytest.approx(float((b - a).abs().max()), rel=2**-23)
        assert each.relative_norm == pytest.approx(float((b - a).norm() / a.norm()), rel=1e-6)
        assert each.n_different == int((a != b).sum())


NUMBERS = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 1.0]))


@settings(max_examples=150)
@given(st.data(), st.integers(1, 30), st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]))
def test_any_numbers_are_compared_as_written(data, n, dtype):
    values = st.lists(NUMBERS, min_size=n, max_size=n)
    a, b = (torch.tensor(data.draw(values), dtype=torch.float64).to(dtype) for _ in range(2))
    found = nnw.diff({"x": a}, {"x": b})
    words = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    n_bits = int((a.view(words) != b.view(words)).sum())
    assert found.is_equal == (n_bits == 0)
    if n_bits:
        (each,) = found.changed
        assert each.n_different == n_bits
        x, y = a.double(), b.double()
        odd = bool((x.isnan() ^ y.isnan()).any())
        assert math.isnan(each.max_abs_difference) == odd
        if not odd:
            gaps = [
                0.0 if p == q or (math.isnan(p) and math.isnan(q)) else abs(q - p)
                for p, q in zip(x.tolist(), y.tolist(), strict=True)
            ]
            assert each.max_abs_difference == pytest.approx(max(gaps), rel=2**-23, abs=0)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_other_dtypes_have_differences_too(dtype):
    a = torch.tensor([0, 1, 1]).to(dtype)
    b = torch.tensor([1, 1, 0]).to(dtype)
    each = changed({"x": a}, {"x": b})
    assert (each.kind, each.max_abs_difference, each.n_different) == ("values", 1.0, 2)
    assert each.relative_norm == pytest.approx(1.0)


def test_another_dtype_or_shape_is_a_difference_of_its_own():
    each = changed({"x": torch.tensor([1.0, 0.1])}, {"x": torch.tensor([1.0, 0.1], dtype=torch.float64)})
    assert (each.kind, each.dtypes, each.n_different) == ("dtype", ("float32", "float64"), 1)
    assert each.max_abs_difference == abs(float(torch.tensor(0.1)) - 0.1)
    each = changed({"x": torch.zeros(2, 3)}, {"x": torch.zeros(3, 2)})
    assert (each.kind, each.shapes, each.max_abs_difference) == ("shape", ((2, 3), (3, 2)), None)


@pytest.mark.parametrize("turned", [False, True])
def test_a_difference_anywhere_in_a_large_tensor_is_found(tmp_path, turned):
    n = PIECE_BYTES // 400 * 3 + 7
    a = torch.randn(n, 100)
    for row in (0, n // 2, n - 1):
        b = a.clone()
        b[row, 99] += 1.0
        other = b.t().contiguous().t() if turned else b
        save_file({"x": a}, tmp_path / "x.safetensors")
        each = changed(tmp_path / "x.safetensors", {"x": other})
        assert each.n_different == 1
        assert each.relative_norm == pytest.approx(
            float((b.double() - a.double()).norm() / a.double().norm()), rel=1e-6
        )


def test_views_sparse_and_quantized_tensors_are_compared_by_what_they_mean():
    dense = torch.eye(3)
    assert nnw.diff({"x": dense.t()}, {"x": dense.contiguous()}).is_equal
    assert nnw.diff({"x": dense.to_sparse()}, {"x": dense.to_sparse()}).is_equal
    assert changed({"x": dense.to_sparse()}, {"x": (dense * 2).to_sparse()}).n_different == 3
    values = torch.randn(5)
    one = torch.quantize_per_tensor(values, 0.1, 0, torch.qint8)
    assert nnw.diff({"x": one}, {"x": one.clone()}).is_equal
    scaled = torch._make_per_tensor_quantized_tensor(one.int_repr(), 0.2, 0)
    found = changed({"x": one}, {"x": scaled})
    assert found.max_abs_difference == pytest.approx(float(one.dequantize().abs().max()), rel=1e-6)
    shifted = torch._make_per_tensor_quantized_tensor(one.int_repr() + 1, 0.1, 1)
    assert torch.equal(one.dequantize(), shifted.dequantize())
    assert changed({"x": one}, {"x": shifted}).n_different == 0, "other codes for the same numbers"
    conjugated = torch.randn(4, dtype=torch.complex64).conj()
    assert nnw.diff({"x": conjugated}, {"x": conjugated.resolve_conj()}).is_equal


def test_a_shared_weight_is_compared_under_each_of_its_names(tmp_path):
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, shared)
    save_file({name: value.clone() for name, value in net.state_dict().items()}, tmp_path / "x.safetensors")
    assert set(nnw.diff(tmp_path / "x.safetensors", net).equal) == set(net.state_dict())


def test_what_cannot_be_compared_is_said():
    with pytest.raises(nnw.InvalidTargetError, match="can't be compared, expected a path"):
        nnw.diff(3, nn.Linear(1, 1))
    with pytest.raises(nnw.InvalidTargetError, match="weight can't be compared: no data"):
        nnw.diff(nn.Linear(1, 1), nn.Linear(1, 1, device="meta"))


class StopError(Exception):
    pass


def test_a_comparison_can_be_cancelled():
    seen = []

    def stop(done, total):
        seen.append((done, total))
        raise StopError

    with pytest.raises(StopError):
        nnw.diff({"x": torch.zeros(PIECE_BYTES)}, {"x": torch.zeros(PIECE_BYTES)}, progress=stop)
    assert len(seen) >= 1


def test_a_single_long_row_takes_no_more_memory_than_any_other(tmp_path):
    row = torch.zeros(1, 2**25)
    save_file({"row": row}, tmp_path / "a.safetensors")
    row[0, 5] = 3
    save_file({"row": row}, tmp_path / "b.safetensors")
    del row
    code = (
        "import sys, nnwidgets as nnw\n"
        "peak = lambda: int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "nnw.diff(*sys.argv[3:])\n"
        "before = peak()\n"
        "(found,) = nnw.diff(*sys.argv[1:3]).changed\n"
        "print(found.n_different, found.max_abs_difference, peak() - before)\n"
    )
    small = [str(tmp_path / name) for name in ("c.safetensors", "d.safetensors")]
    save_file({"row": torch.zeros(1, 2**21)}, small[0])
    save_file({"row": torch.ones(1, 2**21)}, small[1])
    files = [str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors"), *small]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=True)
    n, greatest, extra_kib = done.stdout.split()
    assert (n, greatest) == ("1", "3.0")
    assert int(extra_kib) < 64 * 1024


@pytest.mark.parametrize("kept", ["0.weight", "2.weight"])
def test_names_of_one_tensor_that_a_file_has_once_are_equal(kept, tmp_path):
    net = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 3), nn.Linear(3, 5, bias=False))
    net[2].weight = net[0].weight
    state = {name: each.clone() for name, each in net.state_dict().items()}
    gone = {"0.weight", "2.weight"} - {kept}
    # As transformers' save_pretrained leaves it out: nothing in the file says that it was tied.
    save_file({name: each for name, each in state.items() if name not in gone}, tmp_path / "x.safetensors")
    assert nnw.diff(net, tmp_path / "x.safetensors").is_equal
    assert nnw.diff(tmp_path / "x.safetensors", net).is_equal
    with torch.no_grad():
        net[0].weight[0, 0] += 1
    assert {each.path for each in nnw.diff(net, tmp_path / "x.safetensors").changed} == {"0.weight", "2.weight"}
    net[2].weight = nn.Parameter(net[0].weight.detach().clone())
    assert nnw.diff(net, tmp_path / "x.safetensors").removed == tuple(gone)


def test_comparing_live_models_asks_none_for_its_class():
    asked = []

    class Loud(nn.Module):
        @property
        def __class__(self):
            asked.append("__class__")
            return Loud

    net = Loud()
    net.layer = nn.Linear(2, 2)
    asked.clear()
    assert nnw.diff(net, net).is_equal
    assert asked == []


def test_sides_are_called_as_the_callers_variables_else_by_class_and_told_apart_where_they_are_alike(tmp_path):
    ours, theirs = nn.Linear(2, 3), nn.Linear(2, 3)
    before = ours.state_dict()
    nnw.save(ours, tmp_path / "last.pt")
    assert str(nnw.diff(ours, theirs)).startswith("ours → theirs")
    assert str(nnw.diff(before, ours)).startswith("before = ours")
    assert str(nnw.diff(tmp_path / "last.pt", ours)).startswith("last.pt = ours")
    assert str(nnw.diff(nn.ReLU(), nn.ReLU())).startswith("ReLU (a) = ReLU (b)")
    with pytest.raises(AssertionError, match=r"^ours → theirs"):
        nnw.assert_equal(ours, theirs)
