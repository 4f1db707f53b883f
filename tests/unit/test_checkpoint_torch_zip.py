"""Files of torch.save are opened, described and read as torch reads them, bit for bit."""

from __future__ import annotations

import warnings

import pytest
import torch

from nnwidgets.checkpoint import peek
from nnwidgets.checkpoint.content import name_of, storages_of, tensors_in
from nnwidgets.checkpoint.formats import opened
from tests.unit.torch_files import KINDS, same, saved


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shared", [False, True])
def test_a_tensor_of_every_kind_is_read_as_torch_reads_it(kind, shared, tmp_path):
    file = saved({"it": KINDS[kind](), "beside": torch.arange(3)}, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch.load(file, weights_only=True)
        with opened(file) as held:
            found = {
                name_of(steps): held.tensor(each, {} if shared else None) for steps, each in tensors_in(held.content)
            }
            held.verify(storage for _, each in tensors_in(held.content) for storage in storages_of(each))
    assert held.departures == []
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert same(tensor, expected[name]), name


def test_names_shapes_and_ties_are_told_without_reading_tensors(tmp_path):
    weight = torch.randn(4, 3)
    file = saved({"a": weight, "b": weight.t(), "c": torch.zeros(2)}, tmp_path)
    index = peek(file)
    assert index.format == "torch-zip"
    assert [(each.name, each.shape, each.tie) for each in index.tensors] == [
        ("a", (4, 3), "A"),
        ("b", (3, 4), "A"),
        ("c", (2,), None),
    ]
