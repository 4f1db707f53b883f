"""Which files a save writes, what it replaces, and what its report says of them."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest
import torch
import xxhash
from safetensors.torch import load_file
from torch import nn

import nnwidgets as nnw
from tests.support.saved_files import MLP, loaded, names, same


@pytest.mark.parametrize("size", ["100kB", 100_000, "100 kib"])
def test_shards_hold_no_more_than_asked_for_and_the_index_names_them(size, tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(*[nn.Linear(100, 100) for _ in range(9)], nn.Linear(100, 1000))
    report = nnw.save(net, tmp_path / "sharded", shard_size=size)
    folder = f"{tmp_path}/sharded/"
    files = [Path(path).name for path in report.paths]
    assert files[-1] == "model.safetensors.index.json"
    assert names(folder) == sorted(files)
    index = json.loads(Path(folder, files[-1]).read_text("utf-8"))
    assert list(index["weight_map"]) == list(net.state_dict())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in net.state_dict().values())
    sizes = [sum(tensor.nbytes for tensor in load_file(folder + file).values()) for file in files[:-1]]
    assert sorted(sizes)[-2] <= 102_400 < max(sizes) == 400_000
    assert same(loaded(folder), dict(net.state_dict()))


def test_new_shards_replace_old_ones_and_nothing_else_in_the_folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    first = nnw.save(MLP(), f"{tmp_path}/", shard_size="10kB")
    with pytest.raises(nnw.SaveError, match=r"is there already.*overwrite=True"):
        nnw.save(MLP(), tmp_path)
    assert {Path(path).name for path in first.paths} | {"config.json"} == set(names(tmp_path))
    net = MLP()
    second = nnw.save(net, tmp_path, overwrite=True)
    assert {Path(path).name for path in second.paths} | {"config.json"} == set(names(tmp_path))
    assert same(loaded(f"{tmp_path}/"), dict(net.state_dict()))


def test_the_digest_is_that_of_the_written_bytes(tmp_path):
    report = nnw.save(MLP(), tmp_path / "net.pt")
    assert report.digest == "xxh3_128:" + xxhash.xxh3_128((tmp_path / "net.pt").read_bytes()).hexdigest()
    assert report.size_bytes == (tmp_path / "net.pt").stat().st_size
    assert report.paths == (str(tmp_path / "net.pt"),)
    report = nnw.save(MLP(), tmp_path / "shards", shard_size="10kB")
    *shards, index = (Path(path).read_bytes() for path in report.paths)
    starts = [8 + int.from_bytes(shard[:8], "little") for shard in shards]
    written = [shard[start:] + shard[:start] for shard, start in zip(shards, starts, strict=True)]
    each = [xxhash.xxh3_128(each).digest() for each in (*written, index)]
    assert report.digest == "xxh3_128:" + xxhash.xxh3_128(b"".join(each)).hexdigest()


def test_equal_content_gives_equal_bytes(tmp_path):
    net = MLP()
    for file in ("pt", "safetensors"):
        one, two = nnw.save(net, tmp_path / f"1.{file}"), nnw.save(net, tmp_path / f"2.{file}")
        assert one.digest == two.digest


def test_overwriting_has_to_be_asked_for_and_keeps_permissions_and_links(tmp_path):
    file, link = tmp_path / "net.pt", tmp_path / "latest.pt"
    nnw.save({"x": torch.zeros(1)}, file)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask
    before = file.read_bytes()
    with pytest.raises(nnw.SaveError, match=r"net.pt is there already.*overwrite=True") as raised:
        nnw.save({"x": torch.ones(1)}, file)
    assert raised.value.path == str(file)
    assert file.read_bytes() == before
    file.chmod(0o640)
    link.symlink_to("net.pt")
    nnw.save({"x": torch.ones(1)}, link, overwrite=True)
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert nnw.read(file)["x"] == 1
    assert names(tmp_path) == ["latest.pt", "net.pt"]
    dangling = tmp_path / "to be.pt"
    dangling.symlink_to("made.pt")
    nnw.save({"x": torch.ones(1)}, dangling)
    assert (tmp_path / "made.pt").is_file()


def test_a_path_that_ends_in_either_separator_of_the_system_names_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "altsep", "|")
    report = nnw.save({"x": torch.zeros(3)}, f"{tmp_path}/out|")
    assert {Path(path).parent.name for path in report.paths} == {"out|"}


@pytest.mark.parametrize("can", [True, False])
def test_a_save_leaves_nothing_in_the_drives_cache_where_the_system_says_how(can, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    flushed, synced, control = [], [], fcntl.fcntl
    flush = 51

    def controlled(fd, command, *rest):
        if command != flush:
            return control(fd, command, *rest)
        flushed.append(stat.S_IFMT(os.fstat(fd).st_mode))
        if not can:
            raise OSError(errno.ENOTSUP, "not supported")
        return 0

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", flush, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", controlled)
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(stat.S_IFMT(os.fstat(fd).st_mode)))
    nnw.save({"x": torch.zeros(3)}, tmp_path / "x.safetensors")
    assert flushed == [stat.S_IFREG, stat.S_IFDIR]
    assert synced == ([] if can else flushed)
