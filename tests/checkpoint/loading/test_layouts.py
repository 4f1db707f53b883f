"""Known layouts: real pairs of them, their renames, and values that lie otherwise in the file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch

import nnwidgets as nnw
from tests.checkpoint.loading.test_renames import model_of

PAIRS = tomllib.loads(Path(__file__).with_name("layout_pairs.toml").read_text(encoding="utf-8"))["pair"]


def size(text):
    return () if text == "scalar" else tuple(map(int, text.split(",")))


def rows_of(pair):
    """Name in the file, path in the model, shapes on both sides, and whether a rename leads from one to the other."""
    for line in pair["rows"].strip().splitlines():
        has_rename = not line.startswith("!")
        name, path, shape = line.removeprefix("!").split()
        path, _, ours = (name if path == "=" else path).partition("@")
        for number in "01" if "#" in line else "0":
            yield name.replace("#", number), path.replace("#", number), size(shape), size(ours or shape), has_rename


def sides_of(pair):
    """A file's state, a model, and the right renames."""
    rows = list(rows_of(pair))
    state = {name: torch.full(shape, float(index)) for index, (name, _, shape, _, _) in enumerate(rows) if name != "-"}
    model = model_of({tuple(path.split(".")): ours for _, path, _, ours, _ in rows if path != "-"})
    right = {
        name: path for name, path, _, _, has_rename in rows if has_rename and "-" not in {name, path} and name != path
    }
    return state, model, right


def found_in(pair, folder):
    state, model, right = sides_of(pair)
    torch.save(state, folder / "x.pt")
    return dict(nnw.plan(model, folder / "x.pt").renames), right


def test_there_are_forty_pairs_each_with_its_source():
    assert len({pair["title"] for pair in PAIRS}) == len(PAIRS) >= 40
    assert all(pair["source"].startswith("https://") for pair in PAIRS)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["title"])
def test_no_rename_of_a_real_pair_is_wrong(pair, tmp_path):
    found, right = found_in(pair, tmp_path)
    assert {name: path for name, path in found.items() if right.get(name) != path} == {}


def test_nine_of_ten_renames_of_real_pairs_are_found(tmp_path):
    n_found, n_right, lacking = 0, 0, {}
    for pair in PAIRS:
        found, right = found_in(pair, tmp_path)
        n_right += len(right)
        n_found += len(found.items() & right.items())
        lacking[pair["title"]] = sorted(right.items() - found.items())
    assert n_found >= 0.9 * n_right, (n_found, n_right, {title: those for title, those in lacking.items() if those})
