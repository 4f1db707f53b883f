"""Whatever is said of candidates, and whatever is wrong with one, is said in Chinese too."""

import itertools
import re

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.edit.init_comparison.comparison_records import SignalBand, SignalPoint
from nnwidgets.edit.init_comparison.signal_curves import Flaws
from nnwidgets.edit.init_comparison.verdicts import compare, judge
from tests.support.chinese import in_chinese

NAMES = re.compile(r"normal_ std=0\.01|xavier_\w+|\bh\.\d\.mlp|ValueError: too large|NaN|nan")
NAN = float("nan")
WAYS = {
    "kept": [0.5, 0.5, 0.5, 0.5], "falling": [1, 0.1, 0.01, 0.001], "growing": [1, 10, 100, 1000],
    "far between": [1, 300, 0.001, 1], "infinite": [1, None, 1, 1], "zero": [1, 1, 0, 0], "zero once": [1, 1, 1, 0],
    "two": [1, 0.5], "one": [0.5], "nothing": [],
}  # fmt: skip
FLAWS = (
    Flaws(), Flaws(n_symmetric=1, n_weights=3), Flaws(n_symmetric=3, n_weights=4), Flaws(n_saturated=1, n_flat_kinds=3),
    Flaws(n_saturated=3, n_flat_kinds=4), Flaws(n_silent=1, n_units=4), Flaws(2, 4, 3, 4, 30, 40),
)  # fmt: skip
PLACES = ("forward at h.1.mlp", "loss", "backward", "step")
ERRORS = (None, *(f"ValueError: too large in the {place}" for place in PLACES))


def english_in(text):
    return re.findall("[A-Za-z]{2,}", NAMES.sub("", in_chinese(text)))


def bands(way, n):
    found = [SignalBand(*3 * [NAN if std is None else std], std is None, std == 0) for std in way]
    return found or [None] * n


def judged(forward, backward, share, flaws, error, *, is_layer, at=0):
    n = max(len(forward), len(backward), 1)
    points = [SignalPoint("" if n == 1 else f"h.{each}.mlp", at, "Linear", is_layer) for each in range(n)]
    return judge(
        "normal_ std=0.01", points, (bands(forward, n), bands(backward, n)), [1.0, *[share] * (n - 1)],
        layers=range(n), flaws=flaws, error=error,
    )  # fmt: skip


def all_kinds():
    """Every clause that a verdict has, in each place that it can have among others."""
    ways = [pair for pair in itertools.product(WAYS.values(), repeat=2) if len({*map(len, pair)} - {0}) < 2]
    others = itertools.cycle(itertools.product(FLAWS, ERRORS, (1.0, 1e-5), (True, False), (0, 1)))
    for (forward, backward), n in itertools.product(ways, range(3)):
        flaws, error, share, is_layer, at = next(itertools.islice(others, 3 + n, None))
        yield judged(forward, backward, share, flaws, error, is_layer=is_layer, at=at)


def test_each_verdict_and_each_comparison_is_chinese_throughout():
    every = list(all_kinds())
    assert len({each.verdict for each in every}) > 100
    assert {each.verdict: left for each in every if (left := english_in(each.verdict))} == {}
    together = [compare(every[at : at + n]) for at in range(0, len(every) - 3, 5) for n in (1, 2, 3)]
    for way, begins in (([0.5] * 4, "All keep the signal"), ([0.5], "There is one")):
        for back, is_layer in itertools.product((way, []), (True, False)):
            clean = judged(way, back, 1.0, Flaws(), None, is_layer=is_layer)
            together.append(compare([clean, clean]))
            assert together[-1].startswith(begins)
    assert {each: left for each in together if (left := english_in(each))} == {}
    assert in_chinese(f"as it is: {clean.verdict}") == f"as it is：{in_chinese(clean.verdict)}"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"inits": {"xavier_1": "normal_ std=wide"}}, "xavier_1：std=wide 不是"),
        ({"inits": {"xavier_1": "normal_ std=-1"}}, "xavier_1："),
        ({"inits": {"xavier_1": "orthogonal_"}, "target": "0.bias"}, "xavier_1："),
        ({"inits": {"xavier_1": 3}}, "xavier_1：3 不是可比较的候选。"),
        ({"inits": ["normal_"], "target": "Linar"}, "normal_："),
        ({"inits": {"xavier_1": "kaimin_normal_"}}, "xavier_1："),
    ],
)
def test_what_is_wrong_with_a_candidate_is_told_behind_its_name(options, told):
    with pytest.raises(nnw.NNWidgetsError) as raised:
        nnw.compare_inits(nn.Sequential(nn.Linear(4, 3)), torch.randn(2, 4), **options)
    said = in_chinese(raised.value.message)
    assert said.startswith(told)
    assert re.search("[一-鿿]{3}", said)
