"""Saving while other things go on: training, edits, cancelling, a disk that changes what is written."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import nnwidgets as nnw
from tests.support.saved_files import loaded, names, same

FILES = ["net.pt", "net.safetensors", "folder/"]


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1000, 1000), nn.Linear(1000, 1000))


@pytest.mark.parametrize("file", FILES)
def test_an_edit_from_another_thread_waits_until_the_model_is_written(file, tmp_path):
    net = two_layers()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    editors = []

    def edit(*_):
        if not editors:
            editors.append(threading.Thread(target=nnw.init, args=(net, "1.weight", "ones_")))
            editors[0].start()
            editors[0].join(0.2)
            assert editors[0].is_alive()

    report = nnw.save(net, f"{tmp_path}/{file}", verify=False, progress=edit)
    editors[0].join()
    assert report.warnings == ()
    found = loaded(f"{tmp_path}/{file}")
    assert same(before, {name: found[name] for name in before})
    assert net[1].weight.eq(1).all()


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_not_as_it_was_written_is_found_out_and_the_old_one_stays(file, tmp_path):
    path = f"{tmp_path}/{file}"
    nnw.save({"x": torch.zeros(10)}, path)
    before = loaded(path)

    def damage(*_):
        for draft in tmp_path.rglob(".nnw-*.part"):
            with draft.open("r+b") as raw:
                raw.seek(1000)
                raw.write(b"!")

    with pytest.raises(nnw.SaveError, match=r"was read back with the digest .* Nothing was changed"):
        nnw.save({"x": torch.ones(1_000_000)}, path, overwrite=True, progress=damage)
    assert same(before, loaded(path))
    assert [name for name in names(tmp_path) if name.startswith(".")] == []


def test_what_is_written_is_consistent_with_its_checksums_even_where_it_changes_meanwhile(tmp_path):
    tensor = torch.zeros(3_000_000)

    def train(*_):
        tensor.data.add_(1)

    report = nnw.save({"x": tensor}, tmp_path / "x.pt", progress=train)
    assert report.verified
    assert nnw.read(tmp_path / "x.pt")["x"].unique().numel() > 1


DISTRIBUTED = """
import sys, torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from tests.support.dtensors import Replicate, Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore
import nnwidgets as nnw

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
mesh = init_device_mesh("cpu", (2,))
whole = distribute_tensor(torch.ones(4, 2), mesh, [Replicate()])
part = distribute_tensor(torch.ones(4, 2), mesh, [Shard(0)])
report = nnw.save({"whole": whole}, sys.argv[1] + "/whole.pt")
print(report.warnings, torch.load(sys.argv[1] + "/whole.pt", weights_only=True)["whole"].shape)
try:
    nnw.save({"layer": [part]}, sys.argv[1] + "/part.pt")
except nnw.SaveError as error:
    print(error)
"""


def test_a_part_of_a_distributed_tensor_is_not_taken_for_the_whole(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DISTRIBUTED, str(tmp_path)],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = ran.stdout.splitlines()
    assert told[0].endswith("torch.Size([4, 2])")
    assert "whole is a DTensor and is saved as the plain tensor of its data." in told[0]
    assert told[1].startswith("layer[0] is distributed: this process has (2, 2) of its (4, 2). Gather it first")
    assert names(tmp_path) == ["whole.pt"]


def test_a_compiled_and_a_parallel_model_are_saved_under_torchs_names(tmp_path):
    net = two_layers()
    for wrapper, prefix in ((torch.compile, "_orig_mod."), (nn.DataParallel, "module.")):
        nnw.save(wrapper(net), tmp_path / "net.safetensors", overwrite=True)
        assert set(load_file(tmp_path / "net.safetensors")) == {prefix + name for name in net.state_dict()}


def test_a_flipped_bit_that_torch_reads_without_a_word_is_refused_by_read(tmp_path):
    nnw.save({"x": torch.zeros(1000)}, tmp_path / "x.pt")
    data = bytearray((tmp_path / "x.pt").read_bytes())
    data[data.index(b"\0" * 3000) + 1500] ^= 1
    (tmp_path / "x.pt").write_bytes(data)
    assert torch.load(tmp_path / "x.pt", weights_only=True)["x"].any()
    with pytest.raises(nnw.CorruptCheckpointError, match="x"):
        nnw.read(tmp_path / "x.pt")


def test_a_save_while_training_warns_of_tensors_that_changed_meanwhile(tmp_path):
    net = nn.Sequential(nn.Linear(1000, 1000), nn.Linear(1000, 1000))

    def train(*_):
        with torch.no_grad():
            net[1].weight.add_(1)

    report = nnw.save(net, tmp_path / "net.safetensors", progress=train)
    assert report.verified
    assert ["1.weight changed while it was saved" in warning for warning in report.warnings] == [True]
    assert set(load_file(tmp_path / "net.safetensors")) == set(net.state_dict())


def test_a_cancelled_save_leaves_everything_as_it_was(tmp_path):
    file = tmp_path / "net.pt"
    nnw.save({"x": torch.zeros(1_000_000)}, file)
    before = file.read_bytes()

    def stop(done, _total):
        if done > stop.after:
            raise KeyboardInterrupt

    for stop.after in (2_000_000, 5_000_000):
        with pytest.raises(KeyboardInterrupt):
            nnw.save({"x": torch.ones(1_000_000)}, file, overwrite=True, progress=stop)
        assert file.read_bytes() == before
        assert names(tmp_path) == ["net.pt"]
    with pytest.raises(KeyboardInterrupt):
        nnw.save({"x": torch.ones(1_000_000)}, tmp_path / "folder", shard_size="1GB", progress=stop)
    assert names(tmp_path) == ["net.pt"]
