"""Checkpoints of several files, one of them cut short or with a bit turned: an error that says so, or what was written.

Torch's shards and distributed checkpoints have a checksum of each tensor, so no turned bit gives another value. Their
index has none: a bit of a name there makes another name.
"""

from __future__ import annotations

import json
import random

import pytest
import torch
import torch.distributed.checkpoint as dcp

import nnwidgets as nnw
from nnwidgets.errors import CorruptCheckpointError, PathNotFoundError, UnsafeCheckpointError
from tests.support.torch_files import same

N_CUTS, N_TURNS = 200, 500
REFUSALS = (CorruptCheckpointError, PathNotFoundError, UnsafeCheckpointError)
STATE = {"a.weight": torch.randn(7, 5), "a.bias": torch.arange(7.0), "n": torch.tensor(3), "half": torch.ones(3).half()}


def sharded(place):
    place.mkdir()
    names = list(STATE)
    files = {"one.bin": names[:2], "two.bin": names[2:]}
    for file, held in files.items():
        torch.save({name: STATE[name] for name in held}, place / file)
    where = {name: file for file, held in files.items() for name in held}
    index = {"metadata": {"total_size": sum(tensor.nbytes for tensor in STATE.values())}, "weight_map": where}
    (place / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def distributed(place):
    dcp.save(dict(STATE), checkpoint_id=place)


@pytest.fixture(scope="module", params=[sharded, distributed], ids=["sharded", "distributed"])
def folder(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("damaged") / "it"
    request.param(place)
    assert alike(nnw.read(place))
    return place


def alike(found):
    return found.keys() == STATE.keys() and all(same(found[name], tensor) for name, tensor in STATE.items())


def damaged(file, data):
    """What is read with other bytes in a file; None where it is refused as it should be."""
    sound = file.read_bytes()
    file.write_bytes(data)
    try:
        return nnw.read(file.parent)
    except REFUSALS:
        return None
    finally:
        file.write_bytes(sound)


def test_a_file_that_was_cut_short_is_refused(folder):
    files = sorted(folder.iterdir())
    for file in files:
        sound = file.read_bytes()
        n = N_CUTS // len(files) + 1
        for length in sorted({round(index * (len(sound) - 1) / (n - 1)) for index in range(n)}):
            found = damaged(file, sound[:length])
            assert found is None, (file.name, length)


def test_a_turned_bit_is_noticed_or_changes_no_value(folder):
    draw = random.Random(0)  # noqa: S311 - the same damage each time
    files = sorted(folder.iterdir())
    bits = [(file, bit) for file in files for bit in range(8 * file.stat().st_size)]
    n_refused = 0
    for file, bit in draw.sample(bits, N_TURNS):
        turned = bytearray(file.read_bytes())
        turned[bit // 8] ^= 1 << bit % 8
        found = damaged(file, turned)
        n_refused += found is None
        if found is None or alike(found):
            continue
        assert file.suffix not in (".bin", ".distcp"), (file.name, bit)
        kept = found.keys() & STATE.keys()
        assert all(same(found[name], STATE[name]) for name in kept), (file.name, bit)
        assert len(kept) >= len(STATE) - 1, (file.name, bit)
    assert n_refused > N_TURNS // 8
