"""One of two processes that save a model of tensors spread over them.

Run as ``python -m tests.support.gloo_saver RANK STORE FOLDER``.
"""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh

from tests.support.dtensors import Replicate, Shard, distribute_tensor


def whole():
    return torch.arange(30.0).view(5, 6)


def main(rank, store, folder):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=int(rank), world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    placed = {
        "rows": distribute_tensor(whole(), mesh, [Shard(0)]),
        "columns": distribute_tensor(whole(), mesh, [Shard(1)]),
        "everywhere": distribute_tensor(whole(), mesh, [Replicate()]),
        "one row": distribute_tensor(whole()[:1], mesh, [Shard(0)]),
        "plain": whole(),
    }
    dcp.save({"model": placed, "epoch": 4}, checkpoint_id=folder)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
