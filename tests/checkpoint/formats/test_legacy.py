"""Files of torch.save that are no zip files are read as torch reads them; what they are damaged in is told."""

from __future__ import annotations

import pickle
import warnings

import pytest
import torch

from nnwidgets.checkpoint import peek
from nnwidgets.checkpoint.description import name_of, tensors_in
from nnwidgets.checkpoint.formats import open_checkpoint
from nnwidgets.errors import CorruptCheckpointError
from tests.support.torch_builder import Storage, tensor, torch_legacy
from tests.support.torch_files import KINDS, same, saved


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shared", [False, True])
def test_a_tensor_of_every_kind_is_read_as_it_was_written(kind, shared, tmp_path):
    original = {"it": KINDS[kind](), "beside": torch.arange(3)}
    file = saved(original, tmp_path, _use_new_zipfile_serialization=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Torch writes dtypes that it has no class of storages for, and then can't read them in this format.
        expected = original if kind in ("float8", "uint16") else torch.load(file, weights_only=True)
        with open_checkpoint(file) as held:
            found = {
                name_of(steps): held.tensor(each, {} if shared else None) for steps, each in tensors_in(held.content)
            }
    assert held.format == "torch-legacy"
    assert held.departures == []
    assert found.keys() == expected.keys()
    for name, each in found.items():
        assert same(each, expected[name]), name


def test_names_that_share_a_storage_are_tied_and_share_memory_when_read_together(tmp_path):
    weight = torch.randn(4, 3)
    file = saved({"a": weight, "b": weight.t(), "c": weight[1:]}, tmp_path, _use_new_zipfile_serialization=False)
    assert [(group.kind, group.members) for group in peek(file).ties] == [("overlap", ("a", "b", "c"))]
    with open_checkpoint(file) as held:
        storages = {}
        a, b, c = (held.tensor(each, storages) for _, each in tensors_in(held.content))
    a[1, 2] = 7
    assert b[2, 1] == c[0, 2] == 7


def written(folder, content, storages):
    path = folder / "it.pt"
    path.write_bytes(torch_legacy(content, storages))
    return path


def test_a_part_of_a_storage_as_torch_wrote_before_0_4_is_read(tmp_path):
    part = Storage("torch.FloatStorage", "root", 6, ("part", 2, 3))
    whole = Storage("torch.FloatStorage", "root", 6, None)
    content = {"part": tensor(part, 1, (2,), (1,)), "whole": tensor(whole, 0, (6,), (1,))}
    file = written(tmp_path, content, {"root": (6, torch.arange(6.0).numpy().tobytes())})
    expected = torch.load(file, weights_only=True)
    with open_checkpoint(file) as held:
        found = {name: held.tensor(each) for name, each in held.content.items()}
    assert found["part"].tolist() == expected["part"].tolist() == [3.0, 4.0]
    assert found["whole"].tolist() == expected["whole"].tolist()


def test_a_part_that_reaches_beyond_its_storage_is_refused(tmp_path):
    part = Storage("torch.FloatStorage", "root", 6, ("part", 4, 3))
    file = written(tmp_path, [tensor(part, 0, (3,), (1,))], {"root": (6, bytes(24))})
    with pytest.raises(CorruptCheckpointError, match="element 4 to 7 of 6"):
        open_checkpoint(file)


def test_a_tensor_that_reaches_beyond_its_part_is_refused(tmp_path):
    part = Storage("torch.FloatStorage", "root", 6, ("part", 0, 3))
    file = written(tmp_path, [tensor(part, 0, (4,), (1,))], {"root": (6, bytes(24))})
    with pytest.raises(CorruptCheckpointError, match=r"needs 16 bytes .* that has 12"):
        open_checkpoint(file)


@pytest.mark.parametrize(
    ("storages", "says"),
    [
        ({"other": (4, bytes(16))}, "expected the same ones"),
        ({"root": (3, bytes(16))}, "of 3 elements, and its pickle says 4"),
        ({"root": (4, bytes(12))}, "bytes .* belong to it"),
        ({"root": (4, bytes(16)), "other": (1, bytes(4))}, "lists 2 storages"),
    ],
)
def test_storages_that_are_not_as_the_pickle_says_are_refused(storages, says, tmp_path):
    root = Storage("torch.FloatStorage", "root", 4, None)
    file = written(tmp_path, [tensor(root, 0, (4,), (1,))], storages)
    with pytest.raises(CorruptCheckpointError, match=says):
        open_checkpoint(file)


def test_bytes_after_the_last_storage_are_told_of(tmp_path):
    file = saved([torch.zeros(2)], tmp_path, _use_new_zipfile_serialization=False)
    file.write_bytes(file.read_bytes() + b"more")
    with open_checkpoint(file) as held:
        assert held.departures == ["Its last storage is followed by 4 bytes."]


def test_a_pickle_longer_than_one_read_is_read(tmp_path):
    names = {f"layer.{index}.weight": torch.tensor(float(index)) for index in range(1_500)}
    file = saved(names, tmp_path, _use_new_zipfile_serialization=False)
    assert len(pickle.dumps(list(names))) < file.stat().st_size
    index = peek(file)
    assert index.names == tuple(names)
    with open_checkpoint(file) as held:
        assert held.tensor(held.content["layer.1499.weight"]) == 1499


def test_a_file_that_is_a_pickle_and_not_of_torch_is_read_as_one(tmp_path):
    file = tmp_path / "it.pkl"
    file.write_bytes(pickle.dumps({"lr": 0.1}, protocol=2))
    with open_checkpoint(file) as held:
        assert (held.format, held.content) == ("pickle", {"lr": 0.1})
