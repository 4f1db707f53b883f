"""One small network, spread over four ranks of a process group in each way that there is, beside the unsharded one."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from tests.support.stacks import LACKS_FSDP2

KINDS = ("DDP", "TP", "uneven TP", "FSDP2", "HSDP", "TP × FSDP2", "tied", "7 rows", "3 rows")


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))


def made():
    """Each way that this torch has of spreading the same network over four ranks."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    flat = init_device_mesh("cpu", (4,), mesh_dim_names=("dp",))
    square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("rep", "shard"))
    plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}

    def fsdp(net, mesh):
        fully_shard(net[0], mesh=mesh)
        return fully_shard(net, mesh=mesh)

    def tied(net):
        net[4] = nn.Linear(32, 32)
        net[4].weight = net[2].weight
        return net

    yield "DDP", mlp(), nn.parallel.DistributedDataParallel(mlp())
    yield "TP", mlp(), parallelize_module(mlp(), flat, plan)
    uneven = {"0": ColwiseParallel(use_local_output=False), "1": RowwiseParallel()}
    yield "uneven TP", small(16, 30, 5), parallelize_module(small(16, 30, 5), flat, uneven)
    if LACKS_FSDP2:
        return

    from torch.distributed.fsdp import fully_shard

    yield "FSDP2", mlp(), fsdp(mlp(), flat)
    yield "HSDP", mlp(), fsdp(mlp(), square)
    yield "TP × FSDP2", mlp(), fsdp(parallelize_module(mlp(), square["shard"], plan), square["rep"])
    yield "tied", tied(mlp()), fsdp(tied(mlp()), flat)
    yield "7 rows", small(16, 7), fully_shard(small(16, 7), mesh=flat)
    yield "3 rows", small(16, 3), fully_shard(small(16, 3), mesh=flat)


def small(*sizes):
    torch.manual_seed(1)
    return nn.Sequential(*(nn.Linear(*each) for each in pairwise(sizes)))
