"""One of two processes that save a model of tensors spread over them: ``python gloo_saver.py RANK STORE FOLDER``."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh


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
