"""`check` finds NaN and infinities wherever they are, as far as its budget goes."""

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect.checks import data_findings
from nnwidgets.introspect.safe_access.scan import read
from tests.support.checked_models import apply_fix, codes, only


def test_nan_and_infinities_are_found_wherever_they_are():
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.complex64):
        net = nn.Linear(3000, 2000, bias=False).to(dtype)
        assert nnw.check(net) == ()
        with torch.no_grad():
            net.weight[1999, 2999] = float("nan")
            net.weight[0, 0] = float("inf")
        finding = only(net, "nan-or-inf")
        assert (finding.severity, finding.path) == ("error", "weight")
        assert finding.message.startswith("1 NaN and 1 infinite of its 6,000,000 elements")
        if dtype is not torch.complex64:
            apply_fix(finding, net)
            assert nnw.check(net) == ()


def test_large_finite_values_whose_sum_overflows_are_no_infinities():
    net = nn.Linear(4, 4)
    with torch.no_grad():
        net.weight.fill_(3e38)[0, 0] = -3e38
    assert "nan-or-inf" not in {code for code, _, _ in codes(net)}
    half = nn.Linear(100, 100).half()
    with torch.no_grad():
        half.weight.uniform_(60_000, 65_000)
    assert nnw.check(half) == ()


def test_infinities_of_a_mask_are_no_problem_its_nan_is():
    net = nn.Linear(2, 2)
    net.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(1))
    assert nnw.check(net) == ()
    net.mask[0, 0] = float("nan")
    assert codes(net) == [("nan-or-inf", "warning", "mask")]


def test_views_expanded_sparse_quantized_and_float8_tensors_are_read_or_left_alone():
    net = nn.Module()
    net.register_buffer("strided", torch.rand(50, 60, 70).permute(2, 0, 1)[:, ::2])
    net.register_buffer("expanded", torch.tensor([float("nan")]).expand(10, 10))
    net.register_buffer("sparse", torch.eye(3).to_sparse())
    net.register_buffer("float8", torch.rand(4, 4).to(torch.float8_e4m3fn))
    net.register_buffer("empty", torch.rand(0, 3))
    net.register_buffer("scalar", torch.tensor(float("nan")))
    freed = torch.rand(4)
    freed.untyped_storage().resize_(0)
    net.register_buffer("freed", freed)
    net.quantized = torch.ao.nn.quantized.Linear(3, 3)
    assert [path for code, _, path in codes(net) if code == "nan-or-inf"] == ["expanded", "scalar"]


def test_reading_the_data_can_be_cancelled():
    reading = read(nn.Sequential(*[nn.Linear(8, 8) for _ in range(10)]))
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(nnw.NNWidgetsError) as raised:
        data_findings(reading, cancelled=cancelled)
    assert raised.value.code == "cancelled"
    assert len(asked) == 4


def test_what_is_beyond_the_budget_is_sampled_and_said():
    net = nn.Linear(1000, 1000)
    with torch.no_grad():
        net.weight.fill_(float("nan"))
        net.bias[500] = float("nan")
    found = data_findings(read(net), exact_bytes=10_000)
    assert [(finding.code, finding.severity, finding.path) for finding in found] == [
        ("nan-or-inf", "error", "weight"),
        ("nan-or-inf", "error", "bias"),
        ("not-read", "note", ""),
    ]
    assert "(seen in a sample)" in found[0].message
    assert found[1].message.startswith("1 NaN of its 1,000 elements:")
