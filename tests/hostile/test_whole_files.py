"""Files whose format keeps no checksums, with the SHA-256 of each beside it: a turned bit is told wherever it is."""

from __future__ import annotations

import hashlib
import os
import random

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.errors import CorruptCheckpointError, PathNotFoundError, UnsafeCheckpointError

REFUSALS = (CorruptCheckpointError, PathNotFoundError, UnsafeCheckpointError)
N_FLIPS = 500


def bits(net):
    return {path: tensor.view(torch.int32).tolist() for path, tensor in net.state_dict().items()}


def sum_beside(path, *, name=None):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".sha256").write_text(f"{digest}  {name or path.name}\n")


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
    index.write_text(str({"metadata": {}, "weight_map": names}).replace("'", '"'))
    return index


def distributed(net, folder):
    dcp.save(net.state_dict(), checkpoint_id=folder, no_dist=True)
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


def test_what_is_said_names_the_file_both_digests_and_the_way_out(tmp_path):
    path = safetensors(nn.Linear(2, 3), tmp_path)
    sum_beside(path)
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(CorruptCheckpointError, match=r"net\.safetensors isn't what it was") as caught:
        nnw.load(nn.Linear(2, 3), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"its SHA-256 is {digest}, and net.safetensors.sha256 beside it says" in str(caught.value)
    assert "remove net.safetensors.sha256" in caught.value.hint
    assert nnw.peek(path).departures == ()


def test_a_file_in_a_hubs_cache_is_named_by_its_sum(tmp_path):
    made = safetensors(nn.Linear(2, 3), tmp_path)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    snapshot = tmp_path / "models--me--net" / "snapshots" / ("0" * 40)
    blobs = snapshot.parents[1] / "blobs"
    for folder in (snapshot, blobs):
        folder.mkdir(parents=True)
    made.rename(blobs / digest)
    link = snapshot / "model.safetensors"
    link.symlink_to(os.path.relpath(blobs / digest, snapshot))
    assert nnw.load(nn.Linear(2, 3), link).n_loaded == 2
    with pytest.raises(nnw.NNWidgetsError, match="hub's cache"):
        nnw.save(nn.Linear(2, 3), link, overwrite=True)
    data = bytearray((blobs / digest).read_bytes())
    data[-1] ^= 1
    (blobs / digest).write_bytes(data)
    with pytest.raises(CorruptCheckpointError, match="its name in the hub's cache says"):
        nnw.load(nn.Linear(2, 3), link)


def is_compared(path):
    """Whether a turned bit is told."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        nnw.load(nn.Linear(2, 3), path)
    except CorruptCheckpointError:
        return True
    else:
        return False
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "line",
    [
        "{digest}  net.safetensors",
        "{digest} *net.safetensors",
        "{digest}",
        "{upper}  net.safetensors",
        "{digest}  runs/7/net.safetensors",
        "{other}  other.safetensors\n{digest}  net.safetensors",
        "\n{digest}  net.safetensors\r",
    ],
)
def test_the_forms_that_sha256sum_writes_are_understood(tmp_path, line):
    path = safetensors(nn.Linear(2, 3), tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    side = tmp_path / "net.safetensors.sha256"
    side.write_text(line.format(digest=digest, upper=digest.upper(), other="0" * 64))
    assert is_compared(path)


def test_a_name_that_had_to_be_escaped_is_understood(tmp_path):
    path = safetensors(nn.Linear(2, 3), tmp_path).rename(tmp_path / "a\\b\nc.safetensors")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / (path.name + ".sha256")).write_text(f"\\{digest}  a\\\\b\\nc.safetensors\n")
    assert is_compared(path)


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


def test_reading_for_the_sum_is_told_and_can_be_cancelled(tmp_path):
    path = safetensors(nn.Linear(1000, 3000), tmp_path)
    sum_beside(path)
    told = []
    net = nn.Linear(1000, 3000)
    nnw.load(net, path, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] == path.stat().st_size + 2 * 4 * 3_003_000
    before = bits(net)

    def stop(*_):
        raise KeyboardInterrupt

    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(KeyboardInterrupt):
        nnw.load(net, path, progress=stop)
    assert bits(net) == before


@pytest.mark.parametrize("target", ["net.safetensors", "net.pt"])
def test_a_file_that_is_replaced_gets_a_new_sum_where_it_had_one(tmp_path, target):
    path, side = tmp_path / target, tmp_path / f"{target}.sha256"
    nnw.save(nn.Linear(2, 3), path)
    assert not side.exists()
    other = f"{'0' * 64}  other.pt"
    side.write_text(f"{other}\n{hashlib.sha256(path.read_bytes()).hexdigest()} *{target}\n")
    nnw.save(nn.Linear(2, 3), path, overwrite=True)
    assert side.read_text() == f"{other}\n{hashlib.sha256(path.read_bytes()).hexdigest()}  {target}\n"
    assert is_compared(path)
    assert sorted(each.name for each in tmp_path.iterdir()) == [target, side.name]


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


def test_a_side_file_of_another_form_is_not_touched_by_a_save(tmp_path):
    path = tmp_path / "net.safetensors"
    side = tmp_path / "net.safetensors.sha256"
    nnw.save(nn.Linear(2, 3), path)
    side.write_text("see the release notes\n")
    nnw.save(nn.Linear(2, 3), path, overwrite=True)
    assert side.read_text() == "see the release notes\n"
