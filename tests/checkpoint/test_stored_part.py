"""Boxes of tensors in files: what is read of them is what is in the box, however it lies in the file."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.formats import open_checkpoint
from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.loading import copy_tensors
from nnwidgets.checkpoint.stored_part import cut
from tests.edit.test_over_ranks import KINDS, PLACES, as_rank, here, local, spread, whole_model
from tests.support.stacks import needs_torch


@st.composite
def boxes(draw):
    shape = draw(st.lists(st.integers(1, 7), min_size=1, max_size=3))
    ends = [sorted(draw(st.tuples(st.integers(0, size), st.integers(0, size)))) for size in shape]
    return tuple(shape), [range(*each) for each in ends]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("boxes")


@given(drawn=boxes(), is_turned=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_box_of_a_stored_tensor_has_the_elements_that_are_there(drawn, is_turned, folder):
    shape, box = drawn
    whole = torch.arange(math.prod(shape)).view(shape)
    if is_turned:
        whole, box = whole.permute(*range(len(shape))[::-1]), box[::-1]
    torch.save({"x": whole}, folder / "x.pt")
    with open_checkpoint(folder / "x.pt") as held:
        found = held.tensor(cut(held.content["x"], box))
    assert torch.equal(found, whole[tuple(slice(each.start, each.stop) for each in box)])


@needs_torch("distributed.fsdp.fully_shard")
@pytest.mark.parametrize("kind", KINDS)
def test_each_rank_of_1_2_and_4_loads_its_part_of_each_kind_of_file(kind, tmp_path):
    import torch.distributed.checkpoint as dcp

    whole = whole_model()
    with torch.no_grad():
        for each in whole.parameters():
            each.add_(1)
    state = {name: each.detach().clone() for name, each in whole.state_dict().items()}
    torch.save(state, tmp_path / "torch")
    save_file(state, tmp_path / "safetensors")
    dcp.save(state, checkpoint_id=tmp_path / "dcp", no_dist=True)
    for world_size, rank in PLACES:
        with as_rank(rank, world_size):
            for name in ("torch", "safetensors", "dcp"):
                net = spread(kind, rank, world_size)
                assert nnw.plan(net, tmp_path / name).is_exact
                assert nnw.load(net, tmp_path / name).verified
                for path, tensor in net.named_parameters():
                    assert torch.equal(local(tensor), here(state[path], tensor)), (path, name, rank, world_size)
                assert nnw.diff(net, tmp_path / name).is_equal


def layers():
    shapes = {"rows": (64, 256), "columns": (256, 64), "long rows": (1_024, 8)}
    return nn.ModuleDict({name: nn.Linear(*shape, bias=False) for name, shape in shapes.items()})


@needs_torch("distributed.fsdp.fully_shard")
@pytest.mark.parametrize(("name", "dim", "times"), [("rows", 0, 1), ("columns", 1, 4), ("long rows", 1, 1)])
def test_a_part_is_read_without_the_rest_and_in_small_blocks_where_it_is_no_run(
    name, dim, times, tmp_path, monkeypatch
):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    monkeypatch.setattr(copy_tensors, "PIECE_BYTES", 2**12)
    monkeypatch.setattr(copy_tensors, "_LARGE_RUN", 2**9)
    whole, net = layers(), layers()
    save_file({f"{name}.weight": whole[name].weight.detach()}, tmp_path / "x")
    read, real = [], File.read_into

    def read_into(self, offset, out):
        read.append(len(out))
        real(self, offset, out)

    with as_rank(1, 4):
        mesh = init_device_mesh("cpu", (4,), mesh_dim_names=(f"part{dim}",))
        net = parallelize_module(net, mesh, {name: (ColwiseParallel, RowwiseParallel)[dim]()})
        monkeypatch.setattr(File, "read_into", read_into)
        nnw.load(net, tmp_path / "x", strict=False)
        part = net[name].weight
        assert torch.equal(part.to_local(), here(whole[name].weight, part))
    blocks = [each for each in read if each >= 2**8]
    assert max(blocks) <= 2**12
    # Once to be written and once to be compared, and the header.
    assert part.to_local().nbytes <= sum(blocks) <= 2 * times * part.to_local().nbytes + 2**12
