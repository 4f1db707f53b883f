"""Zip files that aren't what torch writes are refused, whatever another reader would see in them."""

from __future__ import annotations

import struct
import zlib

import pytest

from tests.hostile.confined import CORRUPT, UNSAFE, refused
from tests.support.torch_builder import Call, Member, pickled, tensor, torch_legacy, torch_members, torch_zip, zip_file

SOUND = [tensor()]


def with_member(**given):
    """A sound file with one member more."""
    return zip_file([*torch_members(SOUND), Member(**{"name": "it/more", "held": b"abc", **given})])


def with_storage(**given):
    """A sound file whose storage is another member."""
    *before, _ = torch_members(SOUND)
    return zip_file([*before, Member(**{"name": "it/data/0", "held": bytes(range(16)), **given})])


def end64(*, n=None, at=None, disks=1, size=44, n_narrow=None):
    def made(start, central):
        count = len(torch_members(SOUND)) if n is None else n
        wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", size, 0, 0, 0, 0, count, count, len(central), start)
        where = start + len(central) if at is None else at
        narrow = count if n_narrow is None else n_narrow
        return (
            wide
            + struct.pack("<4sLQL", b"PK\x06\x07", 0, where, disks)
            + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, narrow, narrow, len(central), start, 0)
        )

    return zip_file(torch_members(SOUND), end=made)


BOMB = zlib.compress(bytes(2**24))[2:-4]
PROGRAM = [Member("it/constants.pkl", pickled(())), Member("it/code/m.py", b"x"), *torch_members(SOUND)]
PACKAGE = [Member("it/.data/extern_modules", b"x"), *torch_members(SOUND)]
UP = "it/../../evil"

ZIPS = {
    "compressed bomb for a storage": (
        with_storage(held=BOMB, method=8, n_bytes=2**24, packed=len(BOMB)),
        CORRUPT,
        "compressed",
    ),
    "compressed bomb for the pickle": (
        zip_file(torch_members(SOUND, data_pkl=Member("it/data.pkl", BOMB, method=8, n_bytes=2**24, packed=len(BOMB)))),
        CORRUPT,
        "compressed",
    ),
    "storage said to be larger than it is": (with_storage(n_bytes=2**30), CORRUPT, "stored as|overlap|after it|belong"),
    "two sizes of a storage": (with_storage(n_bytes=2**30, packed=16), CORRUPT, "stored as"),
    "member named twice": (with_member(name="it/data/0"), CORRUPT, "two members"),
    "pickle named twice": (
        with_member(name="it/data.pkl", held=pickled(Call("os", "system", "x"))),
        CORRUPT,
        "two members",
    ),
    "another name before the member": (with_member(local={"name": b"it/mere"}), CORRUPT, "isn't as the directory says"),
    "another method before the member": (with_member(local={"method": 8}), CORRUPT, "isn't as the directory says"),
    "other flags before the member": (with_member(local={"flags": 0x800}), CORRUPT, "isn't as the directory says"),
    "other sizes before the member": (
        with_member(flags=0, local={"sizes": (zlib.crc32(b"abc"), 9, 9)}),
        CORRUPT,
        "before it stands 9",
    ),
    "another checksum before the member": (with_member(flags=0, local={"sizes": (7, 3, 3)}), CORRUPT, "two checksums"),
    "another checksum after the member": (
        with_member(local={"after": struct.pack("<4s3L", b"PK\x07\x08", 7, 3, 3)}),
        CORRUPT,
        "after it",
    ),
    "nothing after the member": (with_member(local={"after": b""}), CORRUPT, "after it"),
    "name that leads out": (with_member(name=UP), CORRUPT, "leads elsewhere"),
    "name from the root": (with_member(name="/etc/passwd"), CORRUPT, "leads elsewhere"),
    "name of a drive": (with_member(name="C:/evil"), CORRUPT, "leads elsewhere"),
    "name with backslashes": (with_member(name="it\\..\\evil"), CORRUPT, "leads elsewhere"),
    "name with a zero": (with_member(name="it/a\0b"), CORRUPT, "leads elsewhere"),
    "name that is no text": (with_member(name="it/\udcff"), CORRUPT, "no text"),
    "name without end": (with_member(name="it/" + "a" * 60_000), CORRUPT, "expected at most"),
    "link": (with_member(attributes=0o120777 << 16), CORRUPT, "no file but a link"),
    "encrypted": (with_member(flags=0x809), CORRUPT, "encrypted"),
    "flags that torch doesn't write": (with_member(flags=0x2808), CORRUPT, "with flags"),
    "field that torch doesn't write": (with_member(extra=b"\x99\x99\x00\x00"), CORRUPT, "field 0x9999"),
    "field that is cut": (with_member(extra=b"\x01\x00\xff\x00"), CORRUPT, "field that is cut"),
    "zip64 field with nothing to say": (with_member(extra=struct.pack("<2HQ", 1, 8, 3)), CORRUPT, "stand for nothing"),
    "zip64 field that is missing": (with_member(n_bytes=2**32 - 1, packed=2**32 - 1), CORRUPT, "hasn't"),
    "zip64 field of exabytes": (
        with_member(n_bytes=2**32 - 1, packed=2**32 - 1, extra=struct.pack("<2H2Q", 1, 16, 2**62, 2**62)),
        CORRUPT,
        "overlap",
    ),
    "member in another's place": (with_member(offset=0), CORRUPT, "isn't as the directory says|overlap"),
    "member beyond the end": (with_member(offset=2**31), CORRUPT, "after it"),
    "member within a storage": (with_member(offset=70), CORRUPT, "begins at|overlap|after it"),
    "members of two folders": (with_member(name="other/more"), CORRUPT, "not all in one folder"),
    "without a pickle": (zip_file([Member("it/data/0", b"x")]), CORRUPT, "no file of torch.save"),
    "without members": (zip_file([]), CORRUPT, "no file of torch.save|no checkpoint known|all in one folder"),
    "directory cut short": (zip_file(torch_members(SOUND), directory=b"PK\x01\x02"), CORRUPT, "directory"),
    "more members than there are": (zip_file(torch_members(SOUND), n=9), CORRUPT, "says it has 9 members"),
    "fewer members than there are": (zip_file(torch_members(SOUND), n=2), CORRUPT, "of no member in its directory"),
    "bytes before": (zip_file(torch_members(SOUND), before=b"PK\x03\x04 and more"), CORRUPT, "begins with|no member"),
    "bytes between": (zip_file(torch_members(SOUND), between=b"hidden"), CORRUPT, "after it|of no member after"),
    "bytes after": (zip_file(torch_members(SOUND), after=b"hidden"), CORRUPT, "doesn't end as a zip file does"),
    "zip64 end elsewhere": (end64(at=0), CORRUPT, "isn't where"),
    "zip64 end of several disks": (end64(disks=2), CORRUPT, "isn't where"),
    "zip64 end of another size": (end64(size=2**40), CORRUPT, "isn't as the format says"),
    "zip64 end of very many members": (end64(n=2**60, n_narrow=0xFFFF), CORRUPT, "says it has"),
    "ends that disagree": (end64(n_narrow=2), CORRUPT, "disagree"),
    "checksum of the pickle": (
        zip_file(torch_members(SOUND, data_pkl=Member("it/data.pkl", pickled(SOUND), crc=7))),
        CORRUPT,
        "another checksum",
    ),
    "checksum of a storage": (with_storage(crc=7), CORRUPT, r"it/data/0 has checksum .* \(it is \[0\]\)"),
    "bytes after the pickle": (torch_zip(pickled(SOUND) + b"more"), CORRUPT, "4 bytes after its pickle"),
    "byte order that is none": (
        zip_file(torch_members(SOUND, byteorder=Member("it/byteorder", b"middle"))),
        CORRUPT,
        "expected little or big",
    ),
    "version of a megabyte": (
        zip_file(torch_members(SOUND, version=Member("it/version", b"3" * 2**20))),
        CORRUPT,
        "expected at most",
    ),
    "program": (zip_file(PROGRAM), UNSAFE, "TorchScript archive.*jit.load"),
    "package": (zip_file(PACKAGE), UNSAFE, "torch.package archive"),
}


@pytest.mark.parametrize("name", ZIPS)
def test_a_hostile_zip_file_is_refused(name, confined, tmp_path):
    held, error, says = ZIPS[name]
    path = tmp_path / "evil.pt"
    path.write_bytes(held)
    refused(confined, path, error, says, tmp_path / "canary")


@pytest.mark.parametrize(
    "held",
    [torch_zip(SOUND), torch_legacy(SOUND), zip_file(torch_members(SOUND)), end64()],
    ids=["zip", "legacy", "again", "zip64"],
)
def test_the_sound_files_that_hostile_ones_are_made_from_are_read(held, confined, tmp_path):
    path = tmp_path / "sound.pt"
    path.write_bytes(held)
    answer = confined.read(path)
    assert answer == {"error": None, "message": "", "n_tensors": 1, "seen": []}
