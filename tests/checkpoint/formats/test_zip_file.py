"""Files of torch.save are opened, described and read as torch reads them, bit for bit."""

from __future__ import annotations

import importlib.util
import os
import struct
import sys
import threading
import warnings
import zipfile
import zlib

import pytest
import torch

from nnwidgets.checkpoint import peek
from nnwidgets.checkpoint.description import name_of, storages_of, tensors_in
from nnwidgets.checkpoint.formats import crc32, open_checkpoint
from nnwidgets.errors import CorruptCheckpointError
from tests.support.stacks import needs_torch
from tests.support.torch_builder import Member, Storage, pickled, tensor, torch_members, zip_file
from tests.support.torch_files import KINDS, same, saved


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shared", [False, True])
def test_a_tensor_of_every_kind_is_read_as_torch_reads_it(kind, shared, tmp_path):
    file = saved({"it": KINDS[kind](), "beside": torch.arange(3)}, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch.load(file, weights_only=True)
        with open_checkpoint(file) as held:
            found = {
                name_of(steps): held.tensor(each, {} if shared else None) for steps, each in tensors_in(held.content)
            }
            held.verify(storage for _, each in tensors_in(held.content) for storage in storages_of(each))
    assert held.departures == []
    assert found.keys() == expected.keys()
    for name, each in found.items():
        assert same(each, expected[name]), name


def test_names_shapes_and_ties_are_told_without_reading_tensors(tmp_path):
    weight = torch.randn(4, 3)
    file = saved({"a": weight, "b": weight.t(), "c": torch.zeros(2)}, tmp_path)
    index = peek(file)
    assert index.format == "torch-zip"
    assert [(each.name, each.shape, each.tie) for each in index.tensors] == [
        ("a", (4, 3), "A"),
        ("b", (3, 4), "A"),
        ("c", (2,), None),
    ]


def every_storage(held):
    return [storage for _, each in tensors_in(held.content) for storage in storages_of(each)]


def test_a_turned_bit_in_a_storage_is_told_with_its_member_and_tensors(tmp_path):
    weight = torch.randn(1000)
    file = saved({"a": torch.ones(3), "net": {"w": weight, "v": weight[5:]}}, tmp_path)
    with open_checkpoint(file) as held:
        offset = held.content["net"]["w"].storage.offset
    data = bytearray(file.read_bytes())
    data[offset + 1234] ^= 4
    file.write_bytes(data)
    assert torch.load(file, weights_only=True)["net"]["w"].shape == (1000,)
    with open_checkpoint(file) as held:
        held.verify(held.content["a"].storage for _ in range(2))
        with pytest.raises(
            CorruptCheckpointError, match=r"it/data/1 has checksum .* \(it is net\.w, net\.v\)"
        ) as raised:
            held.verify(every_storage(held))
    assert raised.value.path == str(file)


def test_progress_adds_up_to_each_byte_once_on_the_callers_thread(tmp_path):
    file = saved([torch.zeros(3_000_000), torch.zeros(10), torch.zeros(0), torch.zeros(5).double()], tmp_path)
    told = []
    with open_checkpoint(file) as held:
        held.verify(every_storage(held) * 2, lambda n: told.append((threading.get_ident(), n)))
    assert sum(n for _, n in told) == 12_000_000 + 40 + 40
    assert {thread for thread, _ in told} == {threading.get_ident()}


def test_progress_that_raises_ends_the_check_and_its_threads(tmp_path):
    file = saved([torch.zeros(3_000_000) for _ in range(4)], tmp_path)

    def cancel(_n):
        raise KeyboardInterrupt

    with open_checkpoint(file) as held:
        with pytest.raises(KeyboardInterrupt):
            held.verify(every_storage(held), cancel)
        assert not [each for each in threading.enumerate() if "nnwidgets" in each.name]
        held.verify(every_storage(held))


def test_a_file_cut_short_after_it_was_opened_gives_an_error(tmp_path):
    file = saved([torch.zeros(100_000)], tmp_path)
    with open_checkpoint(file) as held:
        os.truncate(file, 10_000)
        with pytest.raises(CorruptCheckpointError, match="ended at byte 10,000"):
            held.tensor(held.content[0])
        with pytest.raises(CorruptCheckpointError, match="ended at byte 10,000"):
            held.verify(every_storage(held))


@needs_torch("serialization.set_crc32_options")
def test_a_file_written_without_checksums_is_read_and_said_to_have_none(tmp_path):
    torch.serialization.set_crc32_options(compute_crc32=False)
    try:
        file = saved([torch.arange(3.0)], tmp_path)
    finally:
        torch.serialization.set_crc32_options(compute_crc32=True)
    with open_checkpoint(file) as held:
        assert held.departures == ["It was written without checksums: damage to it can't be noticed."]
        assert held.content[0].storage.crc32 is None
        held.verify(every_storage(held))
        assert held.tensor(held.content[0]).tolist() == [0, 1, 2]


def test_the_other_byte_order_is_turned_as_torch_turns_it(tmp_path):
    storages = {
        "0": torch.arange(4.0).numpy().astype(">f4").tobytes(),
        "1": torch.tensor([1 + 2j]).numpy().astype(">c8").tobytes(),
    }
    content = [tensor(), tensor(Storage("torch.ComplexFloatStorage", "1", 1), shape=(1,))]
    members = torch_members(content, storages, byteorder=Member("it/byteorder", b"big"))
    file = tmp_path / "it.pt"
    file.write_bytes(zip_file(members))
    expected = torch.load(file, weights_only=True)
    with open_checkpoint(file) as held:
        assert held.metadata["byteorder"] == "big"
        for shared in (None, {}):
            found = [held.tensor(each, shared) for each in held.content]
            assert all(map(same, found, expected))


def test_a_file_that_torch_would_not_read_for_want_of_a_version_is_read_and_said_to_lack_it(tmp_path):
    file = tmp_path / "it.pt"
    file.write_bytes(zip_file([each for each in torch_members([tensor()]) if each.name != "it/version"]))
    with open_checkpoint(file) as held:
        assert held.departures == ["It has no member 'version', without which torch doesn't read it."]
        assert held.content[0].shape == (4,)


def test_members_that_torch_does_not_write_and_storages_of_no_tensor_are_told(tmp_path):
    members = torch_members([tensor()], {"0": bytes(16), "7": bytes(4)})
    file = tmp_path / "it.pt"
    file.write_bytes(zip_file([*members, Member("it/notes.txt", b"hello")]))
    with open_checkpoint(file) as held:
        assert held.departures == [
            "Its member 'notes.txt' is none that torch.save writes.",
            "It has 1 storage of no tensor (7).",
        ]


@pytest.mark.parametrize("name", ["archive", "a b", "ä€"])
def test_the_folder_within_may_have_any_name(name, tmp_path):
    file = saved([torch.ones(2)], tmp_path, name=f"{name}.pt")
    file = file.rename(tmp_path / "other.bin")
    with open_checkpoint(file) as held:
        assert held.tensor(held.content[0]).tolist() == [1, 1]


@pytest.mark.slow
def test_more_members_than_a_plain_zip_file_can_have_are_read(tmp_path):
    file = tmp_path / "it.pt"
    last = 65_599
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("it/version", "3")
        made.writestr("it/data.pkl", pickled([tensor(Storage(key=str(last), n=1), shape=(1,))]))
        for key in range(last + 1):
            made.writestr(f"it/data/{key}", struct.pack("<f", key))
    assert torch.load(file, weights_only=True)[0].tolist() == [last]
    with open_checkpoint(file) as held:
        assert held.tensor(held.content[0]).tolist() == [last]
        held.verify(every_storage(held))


def test_a_member_larger_than_a_plain_zip_file_can_have_is_read(tmp_path):
    n = 5 * 2**30 // 4
    file = tmp_path / "it.pt"
    write_sparse(file, n)
    with open_checkpoint(file) as held:
        (found,) = held.content
        assert found.shape == (n,)
        last = torch.empty(1)
        held.read_into(found.storage, 4 * (n - 1), last)
        assert last.item() == 1.5


def write_sparse(path, n):
    """A file of one tensor of ``n`` zeros and a last 1.5, its zeros not on the disk."""
    n_bytes = 4 * n
    before = [each for each in torch_members([tensor(Storage(n=n), shape=(n,))]) if "data/" not in each.name]
    wide = struct.pack("<2H2Q", 1, 16, n_bytes, n_bytes)
    start = len(zip_file(before)) - len(zip_file([])) - sum(46 + len(each.name) for each in before)
    name = b"it/data/0"
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 0, 0x808, 0, 0, 0, 0, 0, 0, len(name), 0) + name
    after = struct.pack("<4sL2Q", b"PK\x07\x08", 7, n_bytes, n_bytes)
    entry = struct.pack(
        "<4s6H3L5H2L",
        b"PK\x01\x02",
        0,
        0,
        0x808,
        0,
        0,
        0,
        7,
        2**32 - 1,
        2**32 - 1,
        len(name),
        len(wide),
        0,
        0,
        0,
        0,
        start,
    )
    whole = zip_file(before)
    directory = whole[start : -len(zip_file([]))] + entry + name + wide
    at = start + len(local) + n_bytes + len(after)
    with path.open("wb") as file:
        file.write(whole[:start] + local)
        file.seek(start + len(local) + n_bytes - 4)
        file.write(struct.pack("<f", 1.5) + after + directory)
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 0, 0, 0, 0, 4, 4, len(directory), at))
        file.write(struct.pack("<4sLQL", b"PK\x06\x07", 0, at + len(directory), 1))
        file.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 4, 4, len(directory), 2**32 - 1, 0))


def test_checksums_are_those_of_zlib_with_and_without_isal(monkeypatch):
    data = bytes(range(256)) * 1_000
    monkeypatch.setitem(sys.modules, "isal", None)
    spec = importlib.util.spec_from_file_location("checksums_without", crc32.__file__)
    without = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(without)
    assert without.crc32 is zlib.crc32
    assert crc32.crc32(data, 5) == without.crc32(data, 5)
