"""Headers and indexes that cost little to write and would take much to read, or whose numbers are none."""

from __future__ import annotations

import json
import pickle
import struct

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex

from nnwidgets.checkpoint import peek
from nnwidgets.errors import CorruptCheckpointError
from tests.hostile.confined import CORRUPT, refused

BOMBS = {
    "lists": (b'{"x": [' + b"[]," * 4_000_000 + b"[]]}", "lists and objects in"),
    "objects": (b'{"x": [' + b"{}," * 4_000_000 + b"{}]}", "lists and objects in"),
    "numbers": (b'{"x": [' + b"7," * 6_000_000 + b"7]}", "items in"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_header_of_very_many_values_is_refused_before_it_is_parsed(name, confined, tmp_path):
    text, says = BOMBS[name]
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    refused(confined, path, CORRUPT, says, tmp_path / "canary")


@pytest.mark.parametrize("name", BOMBS)
def test_an_index_of_very_many_values_is_refused_before_it_is_parsed(name, confined, tmp_path):
    text, says = BOMBS[name]
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(text)
    refused(confined, path, CORRUPT, says, tmp_path / "canary")


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
    dcp.save({"x": torch.ones(2, 3)}, checkpoint_id=place, no_dist=True)
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
