"""Safetensors files that lie: each made from scratch, each refused, nothing run."""

from __future__ import annotations

import json
import math
import os
import random
import struct
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save, save_file

import nnwidgets as nnw
from nnwidgets.checkpoint import peek, read
from nnwidgets.errors import CorruptCheckpointError, PathNotFoundError, UnsafeCheckpointError
from tests.hostile.confined import CORRUPT, UNSAFE, refused

REFUSALS = (CorruptCheckpointError, PathNotFoundError, UnsafeCheckpointError)


def file_of(header, data=b"\0" * 8, *, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def x(**changes):
    return {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


SOUND = file_of(x())

FILES = {
    "length beyond the file": (file_of(x(), length=10_000), "says its header has 10,000 bytes"),
    "length of exabytes": (file_of(x(), length=2**63), "no checkpoint known here|says its header"),
    "length zero": (file_of(x(), length=0), "no JSON"),
    "header cut short": (file_of(x(), length=20), "no JSON"),
    "header that is no JSON": (file_of(b"{'x': 1}"), "no JSON"),
    "header that is no UTF-8": (file_of(b'{"\xff\xfe": 1}'), "no JSON"),
    "header nested deeply": (file_of(b'{"x":' * 50_000 + b"1" + b"}" * 50_000), "no JSON|describes 'x'"),
    "header of one huge number": (file_of(b'{"x": ' + b"9" * 5_000 + b"}"), "no JSON|describes 'x'"),
    "key twice": (
        file_of(b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
        "has the key 'x' twice",
    ),
    "key twice within": (file_of(b'{"x":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}'), "twice"),
    "key twice among names with colons": (
        file_of(b'{"a:b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a:b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
        "has the key 'a:b' twice",
    ),
    "key twice, the first time with objects in it": (
        file_of(b'{"x":{"y":{"z":{}}},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'), "has the key 'x' twice"
    ),
    "key twice, spelled otherwise": (
        file_of(b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"\\u0078":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
        "has the key 'x' twice",
    ),
    "key twice in the metadata": (file_of(b'{"__metadata__":{"a":"1","a":"2"}}'), "has the key 'a' twice"),
    "NaN in the header": (file_of(b'{"x": NaN}'), "has NaN in its header"),
    "metadata that is no text": (file_of({"__metadata__": {"a": 1}, **x()}), "metadata that isn't text"),
    "metadata that is a list": (file_of({"__metadata__": ["a"], **x()}), "metadata that isn't text"),
    "tensor that is a list": (file_of({"x": [1]}), "describes 'x' by something else"),
    "tensor without a shape": (file_of({"x": {"dtype": "F32", "data_offsets": [0, 8]}}), "describes 'x'"),
    "tensor with more": (file_of(x(reduce="os.system")), "describes 'x'"),
    "dtype that is none": (file_of(x(dtype="F128")), "of dtype 'F128'"),
    "dtype that is a list": (file_of(x(dtype=["F32"])), "of dtype"),
    "negative size": (file_of(x(shape=[-2])), "no whole numbers"),
    "size that is no number": (file_of(x(shape=["2"])), "no whole numbers"),
    "size that is true": (file_of(x(shape=[True, 2])), "no whole numbers"),
    "size that is a fraction": (file_of(x(shape=[2.0])), "no whole numbers"),
    "shape of too many bytes": (file_of(x(shape=[2**31, 2**31])), "gives 'x' 8 bytes"),
    "shape that overflows": (file_of(x(shape=[2**40, 2**40])), "gives 'x' 8 bytes"),
    "shape of nothing that overflows": (
        file_of(x(shape=[2**40, 2**40, 0], data_offsets=[0, 0]), b""), "more elements than there can be"
    ),
    "shape beyond a word": (file_of(x(shape=[2**64])), "no whole numbers"),
    "offsets backwards": (file_of(x(data_offsets=[8, 0])), "expected a first and a last"),
    "offsets negative": (file_of(x(data_offsets=[-8, 0])), "no whole numbers"),
    "three offsets": (file_of(x(data_offsets=[0, 4, 8])), "expected a first and a last"),
    "offsets beyond the end": (file_of(x(shape=[4], data_offsets=[0, 16])), "belong to it"),
    "offsets that overlap": (
        file_of({**x(), "y": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}), "tensors that overlap"
    ),
    "offsets with a gap": (
        file_of({**x(), "y": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]}}, b"\0" * 16), "has a gap"
    ),
    "bytes after": (file_of(x(), b"\0" * 9), "tensors end at"),
    "bytes before": (file_of(x(data_offsets=[4, 12]), b"\0" * 12), "has a gap"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_safetensors_file_is_refused(name, confined, tmp_path):
    held, says = FILES[name]
    path = tmp_path / "evil.safetensors"
    path.write_bytes(held)
    refused(confined, path, CORRUPT, says, tmp_path / "canary")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "socket"])
def test_what_is_no_regular_file_is_not_waited_for(kind, confined, tmp_path):
    path = tmp_path / "it.safetensors"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        import socket

        held = socket.socket(socket.AF_UNIX)
        os.chdir(tmp_path)
        held.bind("it.safetensors")
        held.close()
    error = CORRUPT if kind in ("folder", "socket") else UNSAFE
    refused(confined, path, error, "no regular file|holds no|is empty|can't be opened", tmp_path / "canary")


def test_the_sound_file_that_hostile_ones_are_made_from_is_read(confined, tmp_path):
    path = tmp_path / "sound.safetensors"
    path.write_bytes(SOUND)
    assert confined.read(path) == {"error": None, "message": "", "n_tensors": 1, "seen": []}


def test_names_and_metadata_with_colons_are_read(confined, tmp_path):
    path = tmp_path / "sound.safetensors"
    path.write_bytes(file_of({"__metadata__": {"a:b": "c:d"}, "x:y": x()["x"]}))
    assert confined.read(path)["n_tensors"] == 1


STATE = {"a.weight": torch.randn(7, 5), "a.bias": torch.arange(7.0), "n": torch.tensor(3)}


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    whole = save(STATE)
    path = tmp_path / "cut.safetensors"
    for length in {*range(0, 100, 3), *range(100, len(whole), max(1, len(whole) // 170))}:
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptCheckpointError):
            peek(path)


@pytest.mark.parametrize("shard_size", [None, 100])
def test_a_flipped_bit_of_what_was_saved_here_is_refused_or_changes_nothing(tmp_path, shard_size):
    path = tmp_path / ("shards" if shard_size else "whole.safetensors")
    report = nnw.save(STATE, path, shard_size=shard_size)
    assert is_state(read(path))
    assert len(report.paths) > (2 if shard_size else 0)
    files = [Path(each) for each in report.paths]
    sizes = [file.stat().st_size for file in files]
    choose = random.Random(0)  # noqa: S311 - it chooses bits
    n_refused = 0
    for _ in range(500):
        file = choose.choices(files, sizes)[0]
        whole = file.read_bytes()
        flipped = bytearray(whole)
        flipped[choose.randrange(len(whole))] ^= 1 << choose.randrange(8)
        file.write_bytes(flipped)
        try:
            assert is_state(read(path))
        except REFUSALS:
            n_refused += 1
        file.write_bytes(whole)
    assert n_refused > 400, "all but what is spelled otherwise, or said twice"


def test_the_message_of_a_flipped_number_names_the_tensor(tmp_path):
    path = tmp_path / "net.safetensors"
    nnw.save(STATE, path)
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(CorruptCheckpointError, match=r"'a\.bias' has checksum"):
        read(path)


def test_checksums_that_a_program_copies_into_a_file_of_other_tensors_count_for_nothing(tmp_path):
    path = tmp_path / "net.safetensors"
    nnw.save(STATE, path)
    with safe_open(path, "pt") as held:
        metadata = held.metadata()
    changed = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in STATE.items()}
    for _ in range(8):  # the library writes the metadata in no fixed order
        save_file(changed, path, metadata=metadata)
        assert all(is_same(read(path)[name], tensor) for name, tensor in changed.items())


def test_a_flipped_bit_is_refused_or_changes_nothing_but_what_it_says(tmp_path):
    """The format keeps no checksums: a bit of a number makes another number, one of a name another name."""
    whole = save(STATE)
    start = 8 + int.from_bytes(whole[:8], "little")
    path = tmp_path / "flipped.safetensors"
    choose = random.Random(0)  # noqa: S311 - it chooses bits
    n_read = 0
    for _ in range(500):
        at = choose.randrange(len(whole))
        flipped = bytearray(whole)
        flipped[at] ^= 1 << choose.randrange(8)
        path.write_bytes(flipped)
        try:
            found = read(path)
        except CorruptCheckpointError:
            continue
        n_read += 1
        same = [name for name, tensor in STATE.items() if name in found and is_same(found[name], tensor)]
        if at >= start:
            assert set(found) == set(STATE), "a bit of the data touches no name"
            assert len(same) == len(STATE) - 1, "nor any tensor but its own"
        else:
            assert len(same) >= len(STATE) - 2 or same_bytes(found), "a bit of the header names or describes one anew"
    assert n_read > 100, "most of the file is numbers"


def is_state(found):
    return found.keys() == STATE.keys() and all(is_same(found[name], tensor) for name, tensor in STATE.items())


def is_same(one, other):
    return one.dtype is other.dtype and one.shape == other.shape and one.numpy().tobytes() == other.numpy().tobytes()


def same_bytes(found):
    total = sum(tensor.numel() * tensor.element_size() for tensor in found.values())
    return total == sum(math.prod(tensor.shape) * tensor.element_size() for tensor in STATE.values())
