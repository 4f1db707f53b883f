"""However a save ends, its target is the whole old or the whole new file, and no litter stays after the next save."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import nnwidgets as nnw
from tests.support.saved_files import loaded, names

ROOT = Path(__file__).parent.parent.parent
FILES = ["net.pt", "net.safetensors", "folder/"]
N_KILLS = 200


def state(value, n=200_000):
    return {"a": torch.full((n,), float(value)), "b": torch.full((n,), float(value))}


def value_of(path):
    """Which save a target is the whole of."""
    held = loaded(path)
    (value,) = {value for tensor in held.values() for value in tensor.unique().tolist()}
    assert set(held) == {"a", "b"}
    return value


def everything(folder):
    """Every file below a folder with its bytes."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here ({made.stderr.strip()}); the limit on a file's size is tested")
    yield folder
    subprocess.run(["mount", "-o", "remount,rw", folder], check=False)
    subprocess.run(["umount", "-l", folder], check=True)


def test_two_hundred_savers_killed_at_random_moments_leave_the_old_or_the_new_file(tmp_path):
    command = [sys.executable, "-m", "tests.hostile.dying_saver", tmp_path, str(N_KILLS), "7"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["old"] + told["new"] == N_KILLS
    # The moments were all over the save: some came too late, some left both outcomes and something to be tidied.
    assert told["killed"] > N_KILLS / 4
    assert min(told["old"], told["new"], told["litter"], told["stale"]) > 0


@pytest.mark.parametrize("file", FILES)
def test_a_disk_that_is_too_full_is_found_out_before_anything_is_written(small_disk, file):
    path = f"{small_disk}/{file}"
    nnw.save(state(1, 20_000), path)
    before = everything(small_disk)
    with pytest.raises(nnw.SaveError, match=r"needs 8.00 MB .* free. Make room"):
        nnw.save(state(2, 1_000_000), path, overwrite=True)
    assert everything(small_disk) == before
    assert value_of(path) == 1


@pytest.mark.parametrize("file", FILES)
def test_a_disk_that_fills_up_meanwhile_leaves_the_old_file_and_no_litter(small_disk, file):
    path = f"{small_disk}/{file}"
    nnw.save(state(1, 20_000), path)
    before = everything(small_disk)

    def fill(*_):
        with pytest.raises(OSError, match="No space"), (small_disk / "filler").open("wb") as filler:
            while True:
                filler.write(b"\0" * 65_536)

    with pytest.raises(nnw.SaveError, match=r"no space left on device. Make room.*Nothing was changed") as raised:
        nnw.save(state(2, 150_000), path, overwrite=True, progress=fill)
    assert raised.value.__cause__.errno == errno.ENOSPC
    (small_disk / "filler").unlink()
    assert everything(small_disk) == before
    nnw.save(state(3, 20_000), path, overwrite=True)
    assert value_of(path) == 3


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_may_not_grow_that_large_leaves_the_old_one_and_no_litter(tmp_path, file):
    path = f"{tmp_path}/{file}"
    nnw.save(state(1, 2_000), path)
    before = everything(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    try:
        with pytest.raises(nnw.SaveError, match=r"file too large.*shard_size.*Nothing was changed"):
            nnw.save(state(2, 300_000), path, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert everything(tmp_path) == before


@pytest.mark.parametrize("file", FILES)
def test_a_file_system_that_is_read_only_is_told(small_disk, file):
    nnw.save(state(1, 2_000), f"{small_disk}/{file}")
    before = everything(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(nnw.SaveError, match=r"write-protected|read-only file system"):
        nnw.save(state(2, 2_000), f"{small_disk}/{file}", overwrite=True)
    with pytest.raises(nnw.SaveError, match=r"read-only file system. Choose a folder that can be written"):
        nnw.save(state(2, 2_000), f"{small_disk}/new {file}")
    assert everything(small_disk) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; a read-only file system is tested")
def test_a_folder_without_permission_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(nnw.SaveError, match=r"permission denied. Choose a folder that can be written"):
        nnw.save(state(1), tmp_path / "net.pt")
    tmp_path.chmod(0o700)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing/net.pt", "no such file or directory. Make the folder first"),
        ("missing/folder/", "no such file or directory. Make the folder first"),
        ("file/net.pt", "not a directory. A part of the path is a file"),
        ("file/folder/", "not a directory|is a file, expected a folder"),
        ("x" * 300 + ".pt", "file name too long. Choose a shorter name"),
        ("circle/net.pt", "too many levels of symbolic links"),
        ("pipe", "pipe is no regular file"),
        ("file/", "file is a file, expected a folder for the shards"),
        ("/dev/null", "null is no regular file"),
    ],
)
def test_a_path_that_cannot_be_written_is_told_and_nothing_hangs(tmp_path, path, says):
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    before = names(tmp_path)
    with pytest.raises(nnw.SaveError, match=f"(?s){says}"):
        nnw.save(state(1, 10), os.path.join(tmp_path, path), overwrite=True)  # noqa: PTH118 - a slash at the end counts
    assert names(tmp_path) == before
    assert (tmp_path / "file").read_bytes() == b"precious"


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_folder_that_vanishes_under_a_save_is_told_and_keeps_no_litter(tmp_path, how, file):
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    path = f"{home}/{file}"
    nnw.save(state(1), path)
    before = everything(home)

    def vanish(*_):
        if away.exists() or not home.exists():
            return
        shutil.copytree(home, away) if how == "removed" else home.rename(away)
        if how == "removed":
            for draft in away.rglob(".nnw-*"):
                draft.unlink()
            shutil.rmtree(home)
        elif how == "replaced":
            home.mkdir()

    with pytest.raises(nnw.SaveError, match=r"no such file or directory"):
        nnw.save(state(2), path, overwrite=True, progress=vanish)
    assert everything(away) == before
    assert not home.exists() or everything(home) == {}


@pytest.mark.parametrize("file", FILES)
def test_savers_at_once_leave_the_whole_of_one(tmp_path, file):
    path = f"{tmp_path}/{file}"
    nnw.save(state(0), path)
    tidy = len(everything(tmp_path))

    def store(number):
        nnw.save(state(number), path, overwrite=True)
        return number

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(store, range(1, 25)))
        assert value_of(path) in numbers
    assert len(everything(tmp_path)) == tidy


@pytest.mark.parametrize("file", ["net.pt", "net.safetensors"])
def test_a_reader_sees_a_whole_file_whenever_it_looks(tmp_path, file):
    path = f"{tmp_path}/{file}"
    nnw.save(state(0), path)
    is_over = threading.Event()

    def keep_saving(base):
        for number in range(15):
            nnw.save(state(base + number), path, overwrite=True, verify=False)

    with ThreadPoolExecutor(3) as pool:
        savers = [pool.submit(keep_saving, base) for base in (100, 200)]
        seen = set()
        while not is_over.is_set():
            if all(saver.done() for saver in savers):
                is_over.set()
            seen |= set(nnw.read(path)["a"].unique().tolist())
            value_of(path)
        for saver in savers:
            saver.result()
    assert len(seen) > 1


@pytest.mark.parametrize("file", FILES)
def test_of_savers_that_may_not_overwrite_only_one_succeeds(tmp_path, file):
    path = f"{tmp_path}/{file}"
    start = threading.Barrier(4)

    def store(number):
        start.wait()
        nnw.save(state(number), path)
        return number

    with ThreadPoolExecutor(4) as pool:
        savers = [pool.submit(store, number) for number in range(4)]
    errors = [saver.exception() for saver in savers if saver.exception()]
    assert ["is there already" in str(error) for error in errors] == [True] * 3
    (winner,) = [saver.result() for saver in savers if not saver.exception()]
    assert value_of(path) == winner
    assert len(everything(tmp_path)) == (2 if file == "folder/" else 1)


def test_a_save_takes_away_what_dead_savers_left_and_nothing_else(tmp_path):
    stale = tmp_path / ".nnw-0123456789abcdef.part"
    stale.write_bytes(b"half a file")
    (tmp_path / ".nnw-0123456789abcdee.part").mkdir()
    (tmp_path / ".nnw-0123456789abcded.part").symlink_to("precious")
    os.mkfifo(tmp_path / ".nnw-0123456789abcdec.part")
    (tmp_path / ".nnw-mine.part").write_bytes(b"mine")
    (tmp_path / "precious").write_bytes(b"precious")
    before = names(tmp_path)
    nnw.save(state(1, 10), tmp_path / "net.pt")
    assert names(tmp_path) == sorted({*before, "net.pt"} - {stale.name})
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_save_leaves_the_draft_of_a_living_saver_alone(tmp_path):
    def another(*_):
        nnw.save(state(2, 10), tmp_path / "other.pt", overwrite=True)

    nnw.save(state(1), tmp_path / "net.pt", progress=another)
    assert value_of(str(tmp_path / "net.pt")) == 1
    assert value_of(str(tmp_path / "other.pt")) == 2
    assert names(tmp_path) == ["net.pt", "other.pt"]


@pytest.mark.parametrize(
    "journal",
    [
        {"new": ["../precious", "precious", "config.json"], "old": ["../precious", "/etc/passwd", "model.safetensors"]},
        {"new": [1, None, ["x"]], "old": "precious"},
        ["precious"],
        "[" * 100_000,
    ],
)
def test_a_journal_that_was_planted_removes_nothing_that_is_not_a_dead_savers(tmp_path, journal):
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in (tmp_path / "precious", folder / "precious", folder / "config.json", folder / "model.safetensors"):
        file.write_bytes(b"precious")
    planted = folder / ".nnw-0123456789abcdef.journal"
    planted.write_text(journal if isinstance(journal, str) else json.dumps(journal))
    before = everything(tmp_path)
    nnw.save(state(1, 10), folder / "net.pt")
    after = everything(tmp_path)
    assert {name: data for name, data in before.items() if "journal" not in name} == {
        name: data for name, data in after.items() if "net.pt" not in name
    }
