"""`assert_equal`: silent where two state dicts are the same, else an AssertionError that says in what they differ."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import nnwidgets as nnw

MODEL = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def differs(a, b, **keywords):
    """The text of the AssertionError; None where there is none."""
    try:
        assert nnw.assert_equal(a, b, **keywords) is None
    except AssertionError as error:
        return str(error)
    return None


def test_models_files_and_state_dicts_with_the_same_bits_are_equal(tmp_path):
    nnw.save(MODEL, tmp_path / "net.pt")
    nnw.save(MODEL, tmp_path / "net.safetensors")
    sides = [MODEL, copy.deepcopy(MODEL), MODEL.state_dict(), tmp_path / "net.pt", str(tmp_path / "net.safetensors")]
    assert [differs(one, other) for one in sides for other in sides] == [None] * len(sides) ** 2


def test_what_differs_is_told_by_name_and_amount(tmp_path):
    nnw.save(MODEL, tmp_path / "net.pt")
    other = copy.deepcopy(MODEL)
    with torch.no_grad():
        other[0].weight[1, 2] += 0.5
    other[1] = nn.Identity()
    told = differs(tmp_path / "net.pt", other)
    assert "changed  0.weight" in told
    assert "1 elements" in told
    assert "0.5" in told
    assert "removed  1.running_var" in told


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize("tolerance", [(0.0, 0.0), (1e-3, 0.0), (0.0, 1e-3), (1e-3, 1e-3)])
def test_tolerances_let_pass_what_those_of_torch_do(dtype, tolerance):
    rtol, atol = tolerance
    base = torch.linspace(-2, 2, 64).to(dtype)
    for step in (0.0, 5e-4, 2e-3, 0.1):
        for other in (base + step, base * (1 + step)):
            passes = differs({"x": base}, {"x": other}, rtol=rtol, atol=atol) is None
            try:
                torch.testing.assert_close(base.to(torch.complex128), other.to(torch.complex128), rtol=rtol, atol=atol)
            except AssertionError:
                assert not passes
            else:
                assert passes


def test_tolerances_let_no_other_dtype_no_whole_number_and_no_lost_name_pass():
    far = {"rtol": 1.0, "atol": 10.0}
    assert "float64 became float32" in differs({"x": torch.ones(2).double()}, {"x": torch.ones(2)}, **far)
    assert "~ changed" in differs({"n": torch.tensor(3)}, {"n": torch.tensor(4)}, **far)
    assert "removed" in differs({"x": torch.ones(2), "y": torch.ones(2)}, {"x": torch.ones(2)}, **far)
    assert "~ changed" in differs({"x": torch.tensor([1.0])}, {"x": torch.tensor([float("nan")])}, **far)
    assert differs({"x": torch.tensor([float("nan"), 1.0])}, {"x": torch.tensor([float("nan"), 1.5])}, **far) is None


def test_a_difference_beyond_the_tolerance_in_any_piece_of_a_large_tensor_is_found():
    base = torch.zeros(3_000_000)
    other = base + 1e-6
    other[2_999_999] = 1.0
    assert differs({"x": base}, {"x": base + 1e-6}, atol=1e-5) is None
    assert "~ changed" in differs({"x": base}, {"x": other}, atol=1e-5)


def test_what_is_close_is_listed_apart_and_is_not_equal():
    found = nnw.diff({"x": torch.zeros(2)}, {"x": torch.full((2,), 1e-6)}, atol=1e-5)
    assert ([each.path for each in found.close], found.changed) == (["x"], ())
    assert (found.is_close, found.is_equal) == (True, False)
    assert "close enough" in str(found)


def test_names_have_to_be_the_same_unless_a_rename_is_given():
    a = {f"module.{name}": value for name, value in MODEL.state_dict().items()}
    assert nnw.diff(a, MODEL).is_equal
    assert "Compared under another name: module.0.weight as 0.weight" in str(nnw.diff(a, MODEL))
    assert "added" in differs(a, MODEL)
    assert differs(a, MODEL, rename={"module.": ""}) is None


@pytest.mark.parametrize("tolerance", [-1e-3, float("nan"), float("inf"), "1e-3", None, True])
def test_a_tolerance_that_is_none_is_refused(tolerance):
    with pytest.raises(nnw.InvalidTargetError, match=r"rtol is .*expected a number"):
        nnw.assert_equal(MODEL, MODEL, rtol=tolerance)
