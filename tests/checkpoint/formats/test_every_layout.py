"""Checkpoints of every layout, written by the libraries that people use, are looked into, read and loaded alike."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file, save_model
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

import nnwidgets as nnw


def net_and_adam():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    adam = torch.optim.Adam(net.parameters())
    net(torch.randn(5, 4)).sum().backward()
    adam.step()
    return net, adam


def as_safetensors(net, place):
    save_file(net.state_dict(), place / "it.safetensors")
    return place / "it.safetensors"


def as_zip(net, place):
    torch.save(net.state_dict(), place / "it.pt")
    return place / "it.pt"


def as_legacy(net, place):
    torch.save(net.state_dict(), place / "it.pt", _use_new_zipfile_serialization=False)
    return place / "it.pt"


def in_shards(net, place, *, ending):
    state, weight_map = net.state_dict(), {}
    for number, names in enumerate((list(state)[::2], list(state)[1::2])):
        name = f"model-{number}.{ending}"
        part = {each: state[each] for each in names}
        save_file(part, place / name) if ending == "safetensors" else torch.save(part, place / name)
        weight_map.update(dict.fromkeys(names, name))
    size = sum(value.nbytes for value in state.values())
    index = {"metadata": {"total_size": size}, "weight_map": {name: weight_map[name] for name in state}}
    (place / f"model.{ending}.index.json").write_text(json.dumps(index))
    return place / f"model.{ending}.index.json"


def distributed(net, place):
    dcp.save(net.state_dict(), checkpoint_id=place / "dcp")
    return place / "dcp"


LAYOUTS = {
    "safetensors": as_safetensors,
    "torch zip": as_zip,
    "torch legacy": as_legacy,
    "shards of safetensors": lambda net, place: in_shards(net, place, ending="safetensors"),
    "shards of torch files": lambda net, place: in_shards(net, place, ending="bin"),
    "folder of shards": lambda net, place: in_shards(net, place, ending="safetensors").parent,
    "distributed": distributed,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_model_comes_back_bit_for_bit(tmp_path, layout):
    net, _ = net_and_adam()
    path = LAYOUTS[layout](net, tmp_path)
    index = nnw.peek(path)
    state = net.state_dict()
    assert set(index.names) == set(state)
    assert {each.name: (each.shape, each.dtype) for each in index.tensors} == {
        name: (tuple(value.shape), str(value.dtype)[6:]) for name, value in state.items()
    }
    assert index.departures == ()
    assert index.state_dict == ""
    assert nnw.diff(path, net).is_equal
    other = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    report = nnw.load(other, path)
    assert report.n_loaded == len(state)
    assert nnw.diff(other, net).is_equal
    found = nnw.read(path)
    assert all(torch.equal(found[name], value) for name, value in state.items())
    third = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    exec(report.to_code(), {"net": third})  # noqa: S102 - it is what the user would paste
    assert nnw.diff(third, net).is_equal


def test_the_state_dict_is_found_beside_an_optimizer_and_plain_values(tmp_path):
    net, adam = net_and_adam()
    everything = {"epoch": 3, "model": net.state_dict(), "optimizer": adam.state_dict(), "best": torch.tensor(0.5)}
    torch.save(everything, tmp_path / "it.pt")
    dcp.save(everything, checkpoint_id=tmp_path / "dcp")
    for path in (tmp_path / "it.pt", tmp_path / "dcp"):
        index = nnw.peek(path)
        assert (index.state_dict, index.optimizer) == ("model", "optimizer")
        assert set(index.names) == set(net.state_dict())
        assert index.values["epoch"] == "3"
        assert "best" in {each.name for each in index.rest}
        other = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
        other_adam = torch.optim.Adam(other.parameters())
        report = nnw.load(other, path, optimizer=other_adam)
        for mine, theirs in zip(other.parameters(), net.parameters(), strict=True):
            assert torch.equal(mine, theirs)
            assert torch.equal(other_adam.state[mine]["exp_avg"], adam.state[theirs]["exp_avg"])
        third = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
        third_adam = torch.optim.Adam(third.parameters())
        exec(report.to_code(), {"net": third, "optimizer": third_adam})  # noqa: S102 - what the user would paste
        assert torch.equal(third_adam.state[third[0].weight]["exp_avg"], adam.state[net[0].weight]["exp_avg"])


def test_what_transformers_saves_is_loaded_ties_and_all(tmp_path):
    config = GPT2Config(n_layer=2, n_head=2, n_embd=8, vocab_size=32, n_positions=16)
    net, other = GPT2LMHeadModel(config), GPT2LMHeadModel(config)
    net.save_pretrained(tmp_path / "one")
    net.save_pretrained(tmp_path / "many", max_shard_size="4KB")
    assert nnw.peek(tmp_path / "many").format == "sharded"
    for place in ("one", "many"):
        other.init_weights()
        report = nnw.load(other, tmp_path / place)
        assert report.plan.is_exact
        assert {entry.path: entry.status for entry in report.entries}["lm_head.weight"] == "tied"
        assert nnw.diff(other, net).is_equal
        assert other.lm_head.weight is other.transformer.wte.weight


def test_what_save_model_leaves_out_of_ties_is_loaded(tmp_path):
    net, other = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=4, vocab_size=8, n_positions=4)), None
    save_model(net, str(tmp_path / "it.safetensors"))
    other = GPT2LMHeadModel(net.config)
    assert nnw.load(other, tmp_path / "it.safetensors").plan.is_complete
    assert nnw.diff(other, net).is_equal


def test_what_the_index_does_not_say_is_told_as_a_departure(tmp_path):
    net, _ = net_and_adam()
    path = in_shards(net, tmp_path, ending="safetensors")
    index = json.loads(path.read_text())
    del index["weight_map"]["0.bias"]
    index["metadata"]["total_size"] = 7
    path.write_text(json.dumps(index))
    said = " ".join(nnw.peek(path).departures)
    assert "hold tensors that the index hasn't, and that aren't read: 0.bias" in said
    assert "The index says total_size 7" in said


def test_a_folder_with_the_usual_file_is_that_file(tmp_path):
    net, _ = net_and_adam()
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    assert nnw.peek(tmp_path).format == "safetensors"
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(nnw.CorruptCheckpointError, match=r"holds no \*\.index\.json"):
        nnw.peek(tmp_path)


def test_pieces_of_a_distributed_tensor_are_put_together(tmp_path):
    """As several processes save them, each its own rows."""
    from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex

    whole = torch.arange(12.0).view(4, 3)
    dcp.save({"x": whole[:2].clone(), "y": whole[2:].clone()}, checkpoint_id=tmp_path)
    metadata = pickle.loads((tmp_path / ".metadata").read_bytes())  # noqa: S301 - written above
    one = metadata.state_dict_metadata["x"]
    one.size = torch.Size([4, 3])
    one.chunks.append(ChunkStorageMetadata(torch.Size([2, 0]), torch.Size([2, 3])))
    del metadata.state_dict_metadata["y"], metadata.planner_data["y"]
    (y,) = [index for index in metadata.storage_data if index.fqn == "y"]
    metadata.storage_data[MetadataIndex("x", torch.Size([2, 0]), 1)] = metadata.storage_data.pop(y)
    (tmp_path / ".metadata").write_bytes(pickle.dumps(metadata))
    assert torch.equal(nnw.read(tmp_path)["x"], whole)
