"""A model of 100 M parameters that four processes hold together, filled anew: against the same in one process.

Gloo on this machine, one thread each; the ranks draw all values at once, so on fewer cores than ranks they take turns.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.distributed as dist
from torch import nn

import nnwidgets as nnw
from benchmarks.common import Row, beyond_mib, report
from benchmarks.gloo import N_RANKS, on_ranks

N_ROUNDS = 5


def llama() -> nn.Module:
    """Of 106 M parameters, without data."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=32_000, hidden_size=768, intermediate_size=2_048, num_hidden_layers=8, num_attention_heads=12
    )
    with torch.device("meta"):
        return LlamaForCausalLM(config)


def filled(net: nn.Module) -> dict[str, float]:
    """Seconds, seconds of the CPU, and MiB that it takes to fill a model anew, the first time not counted."""
    taken, cpu = [], []
    beyond = beyond_mib(lambda: nnw.init(net, "Linear.weight", "normal_", std=0.02, seed=0))
    nnw.undo(net)
    for seed in range(N_ROUNDS):
        if dist.is_initialized():
            dist.barrier()
        began, cpu_began = time.perf_counter(), time.process_time()
        nnw.init(net, "Linear.weight", "normal_", std=0.02, seed=seed)
        taken.append(time.perf_counter() - began)
        cpu.append(time.process_time() - cpu_began)
        nnw.undo(net)
    kept = sum(each.nbytes for each in _filled_here(net))
    return {
        "wall": statistics.median(taken),
        "cpu": statistics.median(cpu),
        "beyond": beyond - kept / 2**20,
    }


def _filled_here(net: nn.Module) -> Iterator[torch.Tensor]:
    for module in net.modules():
        if isinstance(module, nn.Linear):
            weight: Any = module.weight.detach()
            yield weight.to_local() if hasattr(weight, "to_local") else weight


def _on_rank() -> dict[str, float]:
    from torch.distributed.fsdp import fully_shard

    net: Any = llama()
    for layer in net.model.layers:
        fully_shard(layer)
    fully_shard(net).to_empty(device="cpu")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.to_local().zero_()
    return filled(net)


def rows() -> Iterator[Row]:
    """Alone, then over ranks."""
    torch.set_num_threads(1)
    alone = filled(llama().to_empty(device="cpu"))
    found = on_ranks(_on_rank)
    wall, cpu, beyond = (found[name] for name in ("wall", "cpu", "beyond"))
    what = f"init of a model of 106 M over {N_RANKS} ranks"
    yield Row(
        f"{what}, against one process", wall / alone["wall"], "x", 2.0,
        f"{wall:.2f} s on {os.cpu_count()} cores against {alone['wall']:.2f} s",
    )  # fmt: skip
    yield Row(
        f"{what}: CPU of a rank, against one process", cpu / alone["cpu"], "x", None,
        f"{cpu:.2f} s against {alone['cpu']:.2f} s",
    )  # fmt: skip
    yield Row(f"{what}: memory beyond shards and undo copy", beyond, "MiB", 32.0, "one block is 4 MiB of float32")


if __name__ == "__main__":
    sys.exit(report("Changes over four ranks", rows()))
