"""Values and names of any kind as short text: as they are written where they are short, and nothing that runs on."""

from __future__ import annotations

import pytest

import nnwidgets as nnw
from nnwidgets.errors import Advice, AdvisedText
from nnwidgets.formatting import repr_start, short_repr

VALUES = [
    {}, [], (), set(), frozenset(), (1,), (1, 2), [[], {"a": (None,)}], {1}, frozenset({"a"}), "a'b", b"\xff", 1.5,
    bytearray(b"x"), {"lr": 0.1, "betas": (0.9, 0.999), (1, 2): {3}}, -1, True, 2 + 3j, range(3),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_start_of_a_short_value_is_all_of_its_repr(value):
    assert repr_start(value) == repr(value)
    assert repr(value).startswith(repr_start(value, 3))


def test_the_start_of_a_value_that_is_deep_or_stands_for_much_is_all_that_is_made():
    deep = wide = []
    for _ in range(100_000):
        deep = [deep]
    for _ in range(100):
        wide = [wide, wide]
    assert repr_start(deep, 50) == "[" * 50
    assert repr_start(wide, 120).startswith("[" * 100)
    assert repr_start([b"x" * 10_000_000] * 10, 8) == "[b'xxxxx"
    assert short_repr([b"x" * 10_000_000, set(range(100))]).startswith("[b'xxxx")
    assert len(short_repr([b"x" * 10_000_000, set(range(100_000))])) < 200


def test_an_object_that_is_in_a_set_of_its_own_is_told_in_short():
    described = nnw.Described("here.A")
    object.__setattr__(described, "state", {described})
    assert repr(described).startswith("Described('here.A', set([Described('here.A'")


def test_no_name_in_an_error_moves_the_cursor_hides_or_runs_on():
    error = nnw.NNWidgetsError("is \x1b[2J\u202e\ud800 " + "x" * 100_000, hint="Rename \r it.")
    assert str(error).startswith("is \\x1b[2J\\u202e\\ud800 xxx")
    assert str(error).endswith("… Rename \\r it.")
    assert len(str(error)) < 11_000
    advised = nnw.NNWidgetsError("It is there.", hint=AdvisedText("Pass \x07", Advice.OVERWRITE, "\n."))
    assert str(advised) == "It is there. Pass \\x07overwrite=True\\n."
    assert advised.advice is Advice.OVERWRITE
