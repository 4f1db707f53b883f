"""Indexes and folders that lie: each refused, nothing run, nothing outside the folder opened."""

from __future__ import annotations

import json
import pickle
import re

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file
from torch.distributed.checkpoint.metadata import TensorProperties

from tests.hostile.confined import CORRUPT, UNSAFE, refused


def folder_of(place, index, **shards):
    place.mkdir(exist_ok=True)
    for name, tensors in {"one": {"x": torch.ones(2)}, **shards}.items():
        save_file(tensors, place / f"{name}.safetensors")
    path = place / "model.safetensors.index.json"
    path.write_bytes(index if isinstance(index, bytes) else json.dumps(index).encode())
    return path


def index_of(name, **more):
    return {"metadata": {"total_size": 8}, "weight_map": {"x": name, **more}}


INDEXES = {
    "a file above": (index_of("../secret.safetensors"), UNSAFE, "isn't in its folder"),
    "a file above, the other slash": (index_of("..\\secret.safetensors"), UNSAFE, "isn't in its folder"),
    "an absolute path": (index_of("/etc/passwd"), UNSAFE, "isn't in its folder"),
    "a drive": (index_of("C:\\windows\\it"), UNSAFE, "isn't in its folder"),
    "a file above by a detour": (index_of("sub/../../secret.safetensors"), UNSAFE, "isn't in its folder"),
    "an empty name": (index_of(""), UNSAFE, "isn't in its folder"),
    "a null byte": (index_of("one\0.safetensors"), UNSAFE, "isn't in its folder"),
    "itself": (index_of("model.safetensors.index.json"), CORRUPT, "no checkpoint known here"),
    "a shard that isn't there": (index_of("two.safetensors"), CORRUPT, "shard 'two.safetensors', which isn't there"),
    "a name that its shard lacks": (
        {"weight_map": {"y": "one.safetensors"}}, CORRUPT, "'y' is in 'one.safetensors', which hasn't it"
    ),
    "a name twice": (
        b'{"weight_map": {"x": "one.safetensors", "x": "one.safetensors"}}', CORRUPT, "has a key twice"
    ),
    "no weight_map": ({"metadata": {}}, CORRUPT, "has no weight_map"),
    "a weight_map that is a list": ({"weight_map": ["x"]}, CORRUPT, "has no weight_map"),
    "a file that is a number": ({"weight_map": {"x": 3}}, CORRUPT, "has no weight_map"),
    "no JSON": (b"{weight_map", CORRUPT, "is no JSON"),
    "no object": (b"[1]", CORRUPT, "no checkpoint known here"),
    "nested deeply": (b'{"a":' * 100_000, CORRUPT, "is no JSON"),
    "no UTF-8": (b'{"\xff": 1}', CORRUPT, "is no JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", INDEXES)
def test_a_hostile_index_is_refused(name, confined, tmp_path):
    index, error, says = INDEXES[name]
    save_file({"x": torch.zeros(2)}, tmp_path / "secret.safetensors")
    path = folder_of(tmp_path / "it", index)
    refused(confined, path, error, says, tmp_path / "canary")


def test_a_link_that_leaves_the_folder_is_not_followed(confined, tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "secret.safetensors")
    path = folder_of(tmp_path / "it", index_of("link.safetensors"))
    (tmp_path / "it" / "link.safetensors").symlink_to(tmp_path / "secret.safetensors")
    refused(confined, path, UNSAFE, "isn't in its folder", tmp_path / "canary")


@pytest.mark.parametrize("target", ["../secret.safetensors", "shard0.safetensors"])
def test_a_link_among_many_shards_is_followed_only_within_the_folder(target, confined, tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "secret.safetensors")
    shards = {f"shard{number}": {f"x{number}": torch.zeros(2)} for number in range(100)}
    index = index_of("link.safetensors", **{f"x{number}": f"shard{number}.safetensors" for number in range(100)})
    path = folder_of(tmp_path / "it", index, **shards)
    if target.startswith("shard"):
        save_file({"x": torch.zeros(2), "x0": torch.zeros(2)}, path.parent / target)
    (path.parent / "link.safetensors").symlink_to(target)
    if target.startswith("shard"):
        assert confined.read(path)["n_tensors"] == 101
    else:
        refused(confined, path, UNSAFE, "isn't in its folder", tmp_path / "canary")


def test_links_within_the_folder_and_a_hubs_cache_are_followed(confined, tmp_path):
    path = folder_of(tmp_path / "it", index_of("link.safetensors"))
    (tmp_path / "it" / "link.safetensors").symlink_to("one.safetensors")
    assert confined.read(path)["n_tensors"] == 1
    (tmp_path / "hub" / "snapshots").mkdir(parents=True)
    (tmp_path / "hub" / "blobs").mkdir()
    save_file({"x": torch.zeros(2)}, tmp_path / "hub" / "blobs" / "a1b2")
    path = folder_of(tmp_path / "hub" / "snapshots" / "main", index_of("model-1.safetensors"))
    (path.parent / "model-1.safetensors").symlink_to("../../blobs/a1b2")
    assert confined.read(path)["n_tensors"] == 1


def test_a_shard_that_is_a_pickle_with_a_program_is_refused(confined, tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "canary"), "w")

    path = folder_of(tmp_path / "it", index_of("evil.bin"))
    torch.save({"x": Evil()}, path.parent / "evil.bin")
    answer = confined.read(path)
    assert answer["error"] == UNSAFE, answer
    assert not (tmp_path / "canary").exists()


def distributed(place):
    dcp.save({"x": torch.arange(6.0).view(2, 3), "n": 3}, checkpoint_id=place)
    return place


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


class Bare:
    """What is pickled as properties of a tensor that nothing is set on."""

    def __reduce__(self):
        return TensorProperties, ()


def spoiled(place, spoil):
    metadata = pickle.loads((place / ".metadata").read_bytes())  # noqa: S301 - written above
    spoil(metadata)
    (place / ".metadata").write_bytes(pickle.dumps(metadata))


def infos(metadata):
    return next(info for index, info in metadata.storage_data.items() if index.fqn == "x")


def chunk(metadata):
    return metadata.state_dict_metadata["x"].chunks[0]


METADATA = {
    "a program": (lambda m, p: setattr(m, "planner_data", Evil(p)), UNSAFE, "wants to import"),
    "a data file above": (lambda m, _: setattr(infos(m), "relative_path", "../x"), UNSAFE, "isn't in its folder"),
    "a data file that is gone": (lambda m, _: setattr(infos(m), "relative_path", "x"), "PathNotFoundError", "no file"),
    "a piece beyond its file": (lambda m, _: setattr(infos(m), "offset", 10**9), CORRUPT, "belong to it"),
    "a piece of negative length": (lambda m, _: setattr(infos(m), "length", -1), CORRUPT, "belong to it"),
    "a piece of nothing": (lambda m, _: setattr(infos(m), "length", 0), CORRUPT, "too few"),
    "a piece that is elsewhere": (lambda m, _: setattr(infos(m), "offset", 16), CORRUPT, "."),
    "no place of a piece": (lambda m, _: m.storage_data.clear(), CORRUPT, "doesn't say where"),
    "a piece that overlaps": (
        lambda m, _: m.state_dict_metadata["x"].chunks.append(chunk(m)), CORRUPT, "don't make up its shape"
    ),
    "a piece beyond the shape": (
        lambda m, _: setattr(chunk(m), "offsets", torch.Size([1, 0])), CORRUPT, "reaches beyond its shape"
    ),
    "a shape of exabytes": (
        lambda m, _: setattr(m.state_dict_metadata["x"], "size", torch.Size([2**40, 2**20])), CORRUPT, "don't make up"
    ),
    "a shape of very many dimensions": (
        lambda m, _: setattr(m.state_dict_metadata["x"], "size", (2**40,) * 200_000), CORRUPT, "a size"
    ),
    "no pieces": (lambda m, _: m.state_dict_metadata["x"].chunks.clear(), CORRUPT, "don't make up"),
    "a record with nothing in it": (
        lambda m, _: setattr(m.state_dict_metadata["x"], "properties", Bare()), CORRUPT, "TensorProperties with nothing"
    ),
    "records that are others": (lambda m, _: m.state_dict_metadata.update(x=infos(m)), CORRUPT, "should be"),
}  # fmt: skip


@pytest.mark.parametrize("name", METADATA)
def test_hostile_metadata_of_a_distributed_checkpoint_is_refused(name, confined, tmp_path):
    spoil, error, says = METADATA[name]
    place = distributed(tmp_path / "it")
    canary = tmp_path / "canary"
    spoiled(place, lambda metadata: spoil(metadata, str(canary)))
    answer = confined.read(place)
    assert answer["error"] == error, answer
    assert re.search(says, answer["message"]), answer
    assert answer["seen"] == []
    assert not canary.exists()


def test_names_whose_paths_are_too_deep_to_be_put_together_are_left_flat(confined, tmp_path):
    place = distributed(tmp_path / "it")
    spoiled(place, lambda metadata: metadata.planner_data.update(x=("x",) * 5_000))
    assert confined.read(place) == {"error": None, "message": "", "n_tensors": 1, "seen": []}


def test_the_sound_folder_that_hostile_ones_are_made_from_is_read(confined, tmp_path):
    assert confined.read(distributed(tmp_path / "it")) == {"error": None, "message": "", "n_tensors": 1, "seen": []}


def test_a_flipped_bit_in_a_data_file_is_found(confined, tmp_path):
    place = distributed(tmp_path / "it")
    file = next(place.glob("*.distcp"))
    data = bytearray(file.read_bytes())
    data[data.find(torch.arange(6.0).numpy().tobytes()) + 9] ^= 2
    file.write_bytes(data)
    answer = confined.read(place)
    assert answer["error"] == CORRUPT
    assert "checksum" in answer["message"]
