"""Files whose format keeps no checksums, with the SHA-256 of each beside it: a turned bit is told wherever it is."""

from __future__ import annotations

import json
import os
import random

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.errors import CorruptCheckpointError, PathNotFoundError, UnsafeCheckpointError
from tests.support.saved_files import sum_beside

REFUSALS = (CorruptCheckpointError, PathNotFoundError, UnsafeCheckpointError)
N_FLIPS = 500


def bits(net):
    return {path: tensor.view(torch.int32).tolist() for path, tensor in net.state_dict().items()}


def legacy(net, folder):
    torch.save(net.state_dict(), folder / "net.pt", _use_new_zipfile_serialization=False)
    return folder / "net.pt"


def safetensors(net, folder):
    save_file(net.state_dict(), folder / "net.safetensors")
    return folder / "net.safetensors"


def shards(net, folder):
    state = net.state_dict()
    names = {name: f"model-0000{k + 1}-of-00002.safetensors" for k, name in enumerate(state)}
    for name, file in names.items():
        save_file({name: state[name]}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return index


def distributed(net, folder):
    dcp.save(net.state_dict(), checkpoint_id=folder)
    return folder


@pytest.mark.parametrize("written_as", [legacy, safetensors, shards, distributed])
@pytest.mark.filterwarnings("ignore")
def test_one_turned_bit_anywhere_is_refused_and_the_model_as_it_was(tmp_path, written_as):
    saved, net = nn.Linear(5, 7), nn.Linear(5, 7)
    path = written_as(saved, tmp_path)
    files = sorted(each for each in tmp_path.iterdir() if each.is_file())
    whole = {file: file.read_bytes() for file in files}
    for file in files:
        sum_beside(file)
    before, draw = bits(net), random.Random(0)  # noqa: S311
    for _ in range(N_FLIPS):
        file = draw.choices(files, [len(whole[each]) for each in files])[0]
        at = draw.randrange(8 * len(whole[file]))
        turned = bytearray(whole[file])
        turned[at // 8] ^= 1 << at % 8
        file.write_bytes(turned)
        with pytest.raises(REFUSALS):
            nnw.load(net, path)
        with pytest.raises(REFUSALS):
            nnw.read(path)
        assert bits(net) == before
        file.write_bytes(whole[file])
    assert nnw.load(net, path).warnings == ()
    assert bits(net) == bits(saved)


def long(side):
    side.write_bytes(b"0" * 2**17)


def pipe(side):
    os.mkfifo(side)


def loop(side):
    side.symlink_to(side.name)


def way_out(side):
    side.symlink_to("/proc/self/environ")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda side: side.write_text("no sum\n"), "has no SHA-256 as sha256sum writes it"),
        (lambda side: side.write_bytes(os.urandom(900)), "has no SHA-256"),
        (lambda side: side.write_text(""), "has no SHA-256"),
        (lambda side: side.write_text(f"{'0' * 64}  other.safetensors\n"), "is about other files"),
        (lambda side: side.write_text(f"{'0' * 64}  net.safetensors\n{'1' * 64}  net.safetensors\n"), "several"),
        (lambda side: side.mkdir(), "is no regular file"),
        (long, "bytes, more than is read"),
        (pipe, "is no regular file"),
        (loop, "can't be opened"),
        (way_out, "can't be read"),
    ],
)
def test_what_is_no_list_of_sums_is_told_and_otherwise_ignored(tmp_path, make, says):
    path = safetensors(nn.Linear(2, 3), tmp_path)
    make(tmp_path / "net.safetensors.sha256")
    (warning,) = nnw.load(nn.Linear(2, 3), path).warnings
    assert warning.startswith("net.safetensors.sha256 ")
    assert says in warning
    assert warning.endswith("the file wasn't compared with it.")
    assert set(nnw.read(path)) == {"weight", "bias"}


def test_a_save_that_fails_leaves_the_sum_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    nnw.save(nn.Linear(2, 3), path)
    sum_beside(path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    rename = os.rename

    def fails(source, *rest, **others):
        if str(rest[0]).endswith("net.safetensors"):
            raise OSError(5, "Input/output error")
        return rename(source, *rest, **others)

    monkeypatch.setattr(os, "rename", fails)
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(nnw.NNWidgetsError):
        nnw.save(nn.Linear(2, 3), path, overwrite=True)
    monkeypatch.undo()
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
