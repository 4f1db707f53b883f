"""Torch files that were cut short or had a bit turned: an error that says so, or what was written.

A zip file has a checksum of each member, so that no turned bit gives another value. A legacy file has none: there a
turned bit within a tensor's bytes changes one element of it, and one within the pickle may make another sound pickle;
what holds is that nothing but our own errors comes of it, and that no tensor reaches beyond its storage.
"""

from __future__ import annotations

import random
import warnings

import pytest
import torch

from nnwidgets.checkpoint.description import name_of, storages_of, tensors_in
from nnwidgets.checkpoint.formats import open_checkpoint
from nnwidgets.errors import CorruptCheckpointError, UnsafeCheckpointError
from tests.support.torch_files import same

N_CUTS, N_TURNS = 200, 500


def written():
    torch.manual_seed(0)
    weight = torch.randn(3, 4)
    return {
        "model": {
            "weight": weight,
            "tied": weight.t(),
            "parameter": torch.nn.Parameter(torch.randn(5)),
            "half": torch.randn(2).bfloat16(),
            "n": torch.tensor(7),
            "sparse": torch.eye(3).to_sparse(),
            "quantized": torch.quantize_per_tensor(torch.randn(3), 0.1, 3, torch.quint8),
            "conjugated": torch.randn(2, dtype=torch.complex64).conj(),
        },
        "epoch": 3,
        "lr": [0.1, None, True, "cosine", (1, 2)],
    }


def everything(path):
    """All that is in a file: plain values as text, and tensors by name."""
    with open_checkpoint(path) as held:
        described = list(tensors_in(held.content))
        held.verify(storage for _, each in described for storage in storages_of(each))
        tensors = {name_of(steps): (each, held.tensor(each)) for steps, each in described}
        return repr(without_tensors(held.content)), tensors


def without_tensors(value):
    if type(value) is dict:
        return {key: without_tensors(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(without_tensors, value))
    return "a tensor" if hasattr(value, "shape") and hasattr(value, "n_elements") else value


BOTH = pytest.mark.parametrize("sound", ["zip", "legacy"], indirect=True)


@pytest.fixture(scope="module")
def sound(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "it.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(written(), path, _use_new_zipfile_serialization=request.param == "zip")
        return request.param, path.read_bytes(), everything(path)


def alike(found, expected):
    values, tensors = found
    return (
        values == expected[0]
        and tensors.keys() == expected[1].keys()
        and all(
            same(tensor, expected[1][name][1])
            and (described.is_parameter, described.requires_grad)
            == (expected[1][name][0].is_parameter, expected[1][name][0].requires_grad)
            for name, (described, tensor) in tensors.items()
        )
    )


def read_or_refused(held, path):
    """What is in a file of these bytes; None where it is refused as it should be."""
    path.write_bytes(held)
    try:
        return everything(path)
    except (CorruptCheckpointError, UnsafeCheckpointError):
        return None


@BOTH
def test_a_file_that_was_cut_short_is_refused(sound, tmp_path):
    _, held, _ = sound
    lengths = sorted({round(index * (len(held) - 1) / (N_CUTS - 1)) for index in range(N_CUTS)})
    assert len(lengths) == N_CUTS
    for length in lengths:
        assert read_or_refused(held[:length], tmp_path / "it.pt") is None, length


@pytest.mark.parametrize("sound", ["zip"], indirect=True)
def test_a_turned_bit_is_noticed_or_changes_nothing_in_a_zip_file(sound, tmp_path):
    _, held, expected = sound
    draw = random.Random(0)  # noqa: S311 - the same damage each time
    n_refused = 0
    for bit in draw.sample(range(8 * len(held)), N_TURNS):
        turned = bytearray(held)
        turned[bit // 8] ^= 1 << bit % 8
        found = read_or_refused(bytes(turned), tmp_path / "it.pt")
        assert found is None or alike(found, expected), f"bit {bit}"
        n_refused += found is None
    assert n_refused > N_TURNS // 4


@pytest.mark.parametrize("sound", ["legacy"], indirect=True)
def test_a_turned_bit_gives_no_other_error_in_a_legacy_file(sound, tmp_path):
    _, held, _ = sound
    draw = random.Random(0)  # noqa: S311 - the same damage each time
    n_refused = 0
    for bit in draw.sample(range(8 * len(held)), N_TURNS):
        turned = bytearray(held)
        turned[bit // 8] ^= 1 << bit % 8
        found = read_or_refused(bytes(turned), tmp_path / "it.pt")
        n_refused += found is None
        for described, _ in () if found is None else found[1].values():
            assert all(each.offset + each.n_bytes <= len(held) for each in storages_of(described))
    assert n_refused > N_TURNS // 4


@BOTH
def test_several_turned_bytes_give_no_other_error(sound, tmp_path):
    form, held, expected = sound
    draw = random.Random(1)  # noqa: S311 - the same damage each time
    for _ in range(N_TURNS):
        turned = bytearray(held)
        for _ in range(draw.randint(2, 8)):
            turned[draw.randrange(len(held))] = draw.randrange(256)
        found = read_or_refused(bytes(turned), tmp_path / "it.pt")
        assert found is None or form == "legacy" or alike(found, expected)
