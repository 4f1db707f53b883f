"""What is no file of torch's, or no file at all, is refused without waiting for it or reading it whole."""

from __future__ import annotations

import os
import socket
import tarfile

import pytest

from tests.hostile.confined import CORRUPT, UNSAFE, refused
from tests.support.torch_builder import pickled, tensor, torch_legacy

SOUND = [tensor()]


def no_file(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        held = socket.socket(socket.AF_UNIX)
        held.bind(str(path))
        held.close()


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_is_no_file_is_refused_without_waiting_for_it(kind, confined, tmp_path):
    path = tmp_path / "it.pt"
    no_file(path, kind)
    refused(
        confined, path, CORRUPT if kind == "socket" else UNSAFE, "no regular file|can't be opened", tmp_path / "canary"
    )


@pytest.mark.parametrize("start", [b"", b"PK", b"PK\x03\x04", b"\x80\x02", pickled(3), torch_legacy(SOUND)[:20]])
def test_a_file_without_end_and_with_nothing_in_it_is_refused(start, confined, tmp_path):
    path = tmp_path / "it.pt"
    path.write_bytes(start)
    os.truncate(path, 2**40)
    answer = confined.read(path)
    assert answer["error"] == CORRUPT


def test_a_tar_file_of_old_is_said_to_be_one(confined, tmp_path):
    path = tmp_path / "it.pt"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as made:
        for name in ("storages", "tensors", "pickle"):
            (tmp_path / name).write_bytes(b"x")
            made.add(tmp_path / name, name)
    refused(confined, path, UNSAFE, "tar file.*0.1.10", tmp_path / "canary")


def test_the_helper_tells_what_takes_too_much(confined, tmp_path):
    answer = confined.read(tmp_path / "missing.pt")
    assert answer["error"] == "PathNotFoundError"
