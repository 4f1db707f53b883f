"""Headers and indexes that cost little to write and would take much to read, or whose numbers are none."""

from __future__ import annotations

import json
import os
import pickle
import struct

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex

from nnwidgets.checkpoint import peek
from nnwidgets.checkpoint.formats.safetensors.strict_json import MOST_BYTES
from nnwidgets.errors import CorruptCheckpointError
from tests.hostile.confined import CORRUPT, refused
from tests.support.torch_builder import Storage, in_legacy_files, tensor, torch_legacy

BOMBS = {
    "lists": b"[],",
    "objects": b"{},",
    "numbers": b"7,",
    "long numbers": b"999,",
    "text": b'"ab",',
}
CASES = [*((name, 12_000_000) for name in BOMBS), ("lists", MOST_BYTES - 100), ("long numbers", MOST_BYTES - 100)]


def bomb(name, n_bytes):
    value = BOMBS[name]
    return b'{"x": [' + value * (n_bytes // len(value)) + b"7]}"


@pytest.mark.parametrize(("name", "n_bytes"), CASES)
def test_a_header_of_very_many_values_is_refused(name, n_bytes, confined, tmp_path):
    text = bomb(name, n_bytes)
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    refused(confined, path, CORRUPT, "takes more memory|something else than dtype", tmp_path / "canary")


@pytest.mark.parametrize(("name", "n_bytes"), CASES)
def test_an_index_of_very_many_values_is_refused(name, n_bytes, confined, tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(bomb(name, n_bytes))
    refused(confined, path, CORRUPT, "takes more memory|has no weight_map", tmp_path / "canary")


def test_a_header_of_very_many_tensors_that_take_more_memory_than_there_is_is_refused(confined, tmp_path):
    tensors = ",".join(f'"{n:x}":{{"dtype":"U8","shape":[],"data_offsets":[{n},{n + 1}]}}' for n in range(800_000))
    text = f"{{{tensors}}}".encode()
    path = tmp_path / "many.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 800_000)
    refused(confined, path, CORRUPT, "takes more memory", tmp_path / "canary")


def test_a_longer_header_or_index_is_refused_before_it_is_read(confined, tmp_path):
    text = bomb("lists", MOST_BYTES + 100)
    for path, data in (("bomb.safetensors", struct.pack("<Q", len(text)) + text), ("x.index.json", text)):
        (tmp_path / path).write_bytes(data)
        refused(confined, tmp_path / path, CORRUPT, f"can have {MOST_BYTES:,}", tmp_path / "canary")


def test_a_sound_header_of_very_many_tensors_is_none_of_these(tmp_path):
    path = tmp_path / "many.safetensors"
    save_file({f"[{index}].w": torch.zeros(1, 1, 1, 1, 1) for index in range(20_000)}, path)
    assert int.from_bytes(path.read_bytes()[:8], "little") > 2**20
    assert len(peek(path).tensors) == 20_000


@pytest.mark.parametrize("said", ["1e999", "-1e999", "Infinity", "NaN"])
def test_a_total_size_that_is_no_size_is_a_departure(said, tmp_path):
    save_file({"x": torch.ones(2)}, tmp_path / "one.safetensors")
    index = '{"metadata": {"total_size": SAID}, "weight_map": {"x": "one.safetensors"}}'.replace("SAID", said)
    (tmp_path / "model.safetensors.index.json").write_text(index)
    assert "The index says" in peek(tmp_path).departures[0]


@pytest.mark.parametrize("code", ["F4", "F6_E2M3", "F6_E3M2"])
def test_a_dtype_of_less_than_a_byte_is_not_called_damage(code, tmp_path):
    text = json.dumps({"x": {"dtype": code, "shape": [16], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "narrow.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 8)
    with pytest.raises(CorruptCheckpointError, match=f"of dtype {code}, whose elements are less than a byte") as caught:
        peek(path)
    assert "may be sound" in caught.value.hint


def in_pieces(place, offsets, n_rows):
    """A tensor of ``n_rows`` rows, said to lie in pieces of two rows, all of them the same bytes of a file."""
    dcp.save({"x": torch.ones(2, 3)}, checkpoint_id=place)
    metadata = pickle.loads((place / ".metadata").read_bytes())  # noqa: S301 - written above
    info = next(iter(metadata.storage_data.values()))
    metadata.storage_data = {MetadataIndex("x", torch.Size([at, 0])): info for at in offsets}
    tensor = metadata.state_dict_metadata["x"]
    tensor.size = torch.Size([n_rows, 3])
    tensor.chunks = [ChunkStorageMetadata(torch.Size([at, 0]), torch.Size([2, 3])) for at in offsets]
    (place / ".metadata").write_bytes(pickle.dumps(metadata))
    return place


def test_very_many_pieces_that_fit_are_taken(confined, tmp_path):
    place = in_pieces(tmp_path / "it", range(0, 3_000, 2), 3_000)
    assert peek(place).tensors[0].shape == (3_000, 3)


def test_one_of_very_many_pieces_that_overlaps_is_found(confined, tmp_path):
    """It would leave rows that no piece fills: whatever was in memory before."""
    place = in_pieces(tmp_path / "it", [*range(0, 2_998, 2), 2_997], 3_000)
    refused(confined, place, CORRUPT, "overlap", tmp_path / "canary")


def test_lists_kept_as_text_in_the_metadata_are_no_lists(tmp_path):
    path = tmp_path / "noted.safetensors"
    noted = json.dumps({'a "name"': [[7]] * 300_000}, separators=(",", ":")) + ",[\\" * 100_000
    save_file({"x": torch.ones(2)}, path, metadata={"noted": noted})
    assert peek(path).metadata["noted"] == noted


def test_a_tensor_for_which_there_is_no_memory_is_told_of_by_the_file(confined, tmp_path):
    n = 2**27
    path = tmp_path / "large.pt"
    with in_legacy_files():
        made = torch_legacy({"w": tensor(Storage(n=n), shape=(n,))}, {"0": (n, b"")})
    path.write_bytes(made)
    os.truncate(path, len(made) + 4 * n)
    answer = confined.read(path)
    assert answer["error"] == CORRUPT, answer
    assert "large.pt holds more than there is memory for: another 536,870,912 bytes of float32" in answer["message"]
