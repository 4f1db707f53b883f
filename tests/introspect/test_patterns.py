"""Targets: paths, globs, classes and words, none of them a regular expression."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect.patterns import glob, match, searchable


@pytest.fixture(scope="module")
def tree():
    net = nn.Sequential()
    net.add_module("block1", nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    net.add_module("block2", nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    odd = nn.Module()
    odd._modules[nn.ReLU] = nn.Linear(1, 1)
    odd._modules["a.b"] = nn.Linear(1, 1)
    net.add_module("odd", odd)
    net.add_module("again", net.block1)
    return nnw.tree(net)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("block1.0.weight", ("block1.0.weight",)),
        ("block*.0.weight", ("block1.0.weight", "block2.0.weight")),
        ("block?.0", ("block1.0", "block2.0")),
        ("*.weight", ()),
        ("*.*.weight", ("block1.0.weight", "block2.0.weight", "odd[0].weight", 'odd["a.b"].weight')),
        ("**.bias", ("block1.0.bias", "block2.0.bias", "odd[0].bias", 'odd["a.b"].bias')),
        ("odd[*].weight", ("odd[0].weight", 'odd["a.b"].weight')),
        ("odd*", ("odd",)),
        ("Linear", ("block1.0", "block2.0", "odd[0]", 'odd["a.b"]')),
        ("Linear.bias", ("block1.0.bias", "block2.0.bias", "odd[0].bias", 'odd["a.b"].bias')),
        ("again.0.weight", ("again.0.weight",)),
        ("RELU", ("block1.1", "block2.1")),
        ("block2 weig", ("block2.0.weight",)),
        (".*", ()),
        ("nothing", ()),
        ("Lin*.bias", ("block1.0.bias", "block2.0.bias", "odd[0].bias", 'odd["a.b"].bias')),
        (
            "nn.Linear.*",
            (
                "block1.0.weight",
                "block1.0.bias",
                "block2.0.weight",
                "block2.0.bias",
                "odd[0].weight",
                "odd[0].bias",
                'odd["a.b"].weight',
                'odd["a.b"].bias',
            ),
        ),
        ("Re*", ("block1.1", "block2.1")),
        ("?eLU", ("block1.1", "block2.1")),
        ("*.gone", ()),
    ],
)
def test_patterns(tree, pattern, expected):
    assert match(tree, pattern).paths == expected


@pytest.mark.parametrize("pattern", ["", "  ", "x" * 5_000, 3])
def test_what_can_be_no_target_is_refused(tree, pattern):
    with pytest.raises(nnw.InvalidTargetError):
        match(tree, pattern)


def test_words_can_be_left_out(tree):
    assert match(tree, "weig", words=False).meaning == "nothing"


def by_definition(pattern, text):
    """The textbook definition of a glob, tried every way."""
    reach = {0}
    at = 0
    while at < len(pattern):
        stars = len(pattern) - at - len(pattern[at:].lstrip("*"))
        if stars:
            at += stars
            grown = set()
            for start in reach:
                end = start
                grown.add(end)
                while end < len(text) and (stars > 1 or text[end] != "."):
                    end += 1
                    grown.add(end)
            reach = grown
        else:
            wanted = pattern[at]
            at += 1
            reach = {
                i + 1 for i in reach if i < len(text) and (text[i] == wanted or (wanted == "?" and text[i] != "."))
            }
    return len(text) in reach


@given(st.text("ab.*?", max_size=9), st.text("ab.", max_size=9))
@settings(max_examples=1500)
def test_globs_are_what_their_definition_says(pattern, text):
    assert bool(glob(pattern).match(searchable(text))) == by_definition(pattern, text)


def test_patterns_made_to_backtrack_do_not():
    assert not glob("*a" * 500 + "b").match("a" * 2_000)
    assert not glob("**a" * 500 + "b").match("a" * 2_000)


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.h = nn.ModuleList(nn.ReLU() for _ in range(13))
        for number in range(1, 13):
            self.add_module(f"layer{number}", nn.ReLU())
        self._modules[object()] = nn.ReLU()
        self.add_module("a", nn.Sequential(nn.ReLU()))
        self.add_module("{x}", nn.ReLU())


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("h.{0,2}", ("h.0", "h.2")),
        ("{a,h}.0", ("h.0", "a.0")),
        ("h.{0…11}", tuple(f"h.{i}" for i in range(12))),
        ("h.{9..11}", ("h.9", "h.10", "h.11")),
        ("h.{11-9}", ("h.9", "h.10", "h.11")),
        ("h.[9-11]", ("h.9", "h.10", "h.11")),
        ("h[1-2]", ("h.1", "h.2")),
        ("h.1[0-1]", ("h.10", "h.11")),
        ("h.10-12", ("h.10", "h.11", "h.12")),
        ("layer[2-3]", ("layer2", "layer3")),
        ("layer{1…2}*", ("layer1", "layer2")),
        ("{h.0,layer1}", ("h.0", "layer1")),
        ("h.{{0,1},7}", ("h.0", "h.1", "h.7")),
        ("[0-40]", ("[13]",)),
        ("{x}", ("{x}",)),
        ("{ReLU,Missing}", tuple([f"h.{i}" for i in range(13)])),
    ],
)
def test_choices_and_ranges_of_whole_numbers(pattern, expected):
    paths = match(nn_tree(), pattern).paths
    assert paths[: len(expected)] == expected
    assert pattern == "{ReLU,Missing}" or len(paths) == len(expected)


@functools.cache
def nn_tree():
    return nnw.tree(Blocks())


@given(st.integers(0, 3_000), st.integers(0, 3_000), st.integers(0, 4_000))
def test_a_range_has_each_number_from_its_first_to_its_last(low, high, number):
    fits = glob(f"h.{{{low}…{high}}}.w").match(f"h.{number}.w") is not None
    assert fits == (min(low, high) <= number <= max(low, high))


def test_braces_without_end_are_refused_and_not_gone_through():
    with pytest.raises(nnw.InvalidTargetError, match="more than 500 targets"):
        match(nn_tree(), "{a,b}" * 300)
