"""Which files of a folder are the checkpoint, where no index says so."""

from __future__ import annotations

import json
import os
import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint import folder


@pytest.fixture
def place(tmp_path):
    made = tmp_path / "unet"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "README.md").write_text("A model.")
    return made


@pytest.mark.parametrize(
    "name",
    ["diffusion_pytorch_model.fp16.safetensors", "epoch=3.ckpt", "mlp.params", "weights", "model_best.pth.tar",
     "consolidated.00.pth"],
)  # fmt: skip
def test_the_only_file_of_weights_is_opened_whatever_it_is_called(name, place):
    source, net, again = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(2, 3)
    (save_file if name.endswith(".safetensors") else torch.save)(source.state_dict(), place / name)
    report = nnw.load(net, place)
    assert torch.equal(net.weight, source.weight)
    exec(report.to_code(), {"net": again})  # noqa: S102 - what the user would paste
    assert torch.equal(again.weight, source.weight)
    assert nnw.diff(place, net).is_equal


def test_a_folder_that_only_holds_a_file_is_listed_as_a_folder(place):
    torch.save(nn.Linear(2, 3).state_dict(), place / "mlp.params")
    assert [(each.name, each.kind) for each in folder(place.parent).entries] == [("unet", "folder")]
    save_file(nn.Linear(2, 3).state_dict(), place / "model.safetensors")
    assert [(each.name, each.kind) for each in folder(place.parent).entries] == [("unet", "checkpoint")]


def test_several_files_of_weights_are_named(place):
    for name in ("a.pt", "b.safetensors"):
        (save_file if name.endswith(".safetensors") else torch.save)(nn.Linear(2, 3).state_dict(), place / name)
    with pytest.raises(nnw.CorruptCheckpointError, match=r"2 files that may be the model: a\.pt, b\.safetensors"):
        nnw.load(nn.Linear(2, 3), place)


def test_what_holds_no_weights_is_passed_over(place):
    (place / "run.pt").write_text("no checkpoint")
    os.mkfifo(place / "pipe.pt")
    with pytest.raises(nnw.CorruptCheckpointError, match="no file of weights"):
        nnw.load(nn.Linear(2, 3), place)
    torch.save(nn.Linear(2, 3).state_dict(), place / "net.pt")
    torch.save({"state": {}, "param_groups": []}, place / "optimizer.pt")
    torch.save(torch.get_rng_state(), place / "rng_state_0.pth")
    torch.save({"lr": 1.0}, place / "training_args.bin")
    assert nnw.load(nn.Linear(2, 3), place).n_loaded == 2


@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
def test_numbered_parts_are_one_checkpoint(suffix, place):
    source = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 5))
    write = save_file if suffix == "safetensors" else torch.save
    for number in range(3):
        part = {name: each for name, each in source.state_dict().items() if name[0] == str(number)}
        write(part, place / f"model-{number + 1:05}-of-00003.{suffix}")
    net, again = (nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 5)) for _ in range(2))
    report = nnw.load(net, place)
    assert nnw.diff(place, source).is_equal
    assert report.plan.is_exact
    index = nnw.peek(place)
    assert (index.format, len(index.files), len(index.tensors)) == ("sharded", 3, 6)
    assert {each.file for each in index.tensors} == set(index.files)
    exec(report.to_code(), {"net": again})  # noqa: S102 - what the user would paste
    assert nnw.diff(place, again).is_equal
    # A flipped bit in a part is found before anything is loaded.
    if suffix == "bin":
        last = place / "model-00003-of-00003.bin"
        data = bytearray(last.read_bytes())
        data[data.find(source[2].weight.detach().numpy().tobytes())] ^= 1
        last.write_bytes(data)
        with pytest.raises(nnw.CorruptCheckpointError):
            nnw.load(net, place)


def test_a_missing_part_is_told_by_its_number(place):
    for number in (1, 3):
        torch.save({f"{number}": torch.zeros(2)}, place / f"pytorch_model-{number:05}-of-00004.bin")
    with pytest.raises(nnw.CorruptCheckpointError, match=r"2 of 4 numbered parts.*number 2 and 1 more is missing"):
        nnw.peek(place)


def test_a_name_in_two_parts_is_refused(place):
    for number in (1, 2):
        torch.save({"weight": torch.zeros(2)}, place / f"pytorch_model-{number:05}-of-00002.bin")
    with pytest.raises(nnw.CorruptCheckpointError, match=r"has 'weight' in .* and in a part before it"):
        nnw.peek(place)


@pytest.mark.parametrize("name", ["consolidated.{:02}.pth", "mp_rank_{:02}_model_states.pt"])
def test_slices_of_every_tensor_are_not_taken_for_parts(name, place):
    for number in range(2):
        torch.save({"weight": torch.zeros(2, 3)}, place / name.format(number))
    with pytest.raises(nnw.CorruptCheckpointError, match="each hold a slice of every tensor"):
        nnw.load(nn.Linear(3, 4, bias=False), place)


def test_an_index_comes_before_all_that_is_guessed(place):
    save_file({"weight": torch.ones(3, 2), "bias": torch.ones(3)}, place / "x-1.safetensors")
    torch.save(nn.Linear(2, 3).state_dict(), place / "other.pt")
    names = dict.fromkeys(("weight", "bias"), "x-1.safetensors")
    (place / "x.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    net = nn.Linear(2, 3)
    nnw.load(net, place)
    assert torch.equal(net.weight, torch.ones(3, 2))


NAMED_IN_A_FOLDER = {
    "net.pth": (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 7\n", "net.pth is a Git LFS pointer"),
    "model.onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:" + bytes(99), "model.onnx is an ONNX model"),
    "q4.gguf": (b"GGUF" + bytes(99), "q4.gguf is a GGUF file"),
    "model.h5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "model.h5 is HDF5"),
    "model.pkl": (b"\x80\x04N.", "model.pkl is a pickle .* Name it"),
}


@pytest.mark.parametrize("name", NAMED_IN_A_FOLDER)
def test_the_file_of_another_kind_in_a_folder_is_named(name, place):
    held, says = NAMED_IN_A_FOLDER[name]
    (place / name).write_bytes(held)
    with pytest.raises(nnw.InvalidTargetError, match=says):
        nnw.load(nn.Linear(2, 3), place)


BELOW = {
    "a pipeline": "diffusion_pytorch_model.safetensors",
    "a cache": "snapshots/0a1b/model.safetensors",
    "logs of a trainer": "checkpoints/epoch=1.ckpt",
    "DeepSpeed's": "global_step10/mp_rank_00_model_states.pt",
}


@pytest.mark.parametrize("kind", BELOW)
def test_what_lies_in_folders_below_is_named_and_can_be_loaded_by_that_name(kind, place):
    file = place / "vae" / BELOW[kind]
    file.parent.mkdir(parents=True)
    (save_file if file.suffix == ".safetensors" else torch.save)(nn.Linear(2, 3).state_dict(), file)
    with pytest.raises(nnw.CorruptCheckpointError, match="no file of weights itself; below it is ") as raised:
        nnw.load(nn.Linear(2, 3), place)
    named = re.search(r"below it is (\S+)[.] ", str(raised.value)).group(1)
    assert nnw.load(nn.Linear(2, 3), place / named).n_loaded == 2


def test_a_folder_without_weights_says_what_is_in_it(place):
    with pytest.raises(nnw.CorruptCheckpointError, match=r"no file of weights: it has README.md, config.json\."):
        nnw.load(nn.Linear(2, 3), place)
    (place / "empty").mkdir()
    with pytest.raises(nnw.CorruptCheckpointError, match="The folder empty is empty"):
        nnw.load(nn.Linear(2, 3), place / "empty")


def test_a_shard_that_is_missing_is_named_and_nothing_else_is_suggested(place):
    (place / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    with pytest.raises(nnw.CorruptCheckpointError, match=r"'model-1.safetensors', .* with its shard\.$"):
        nnw.load(nn.Linear(2, 3), place)
