"""Processes of one gloo group on this machine, one thread each."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

N_RANKS = 4


def on_ranks(function: Callable[..., dict[str, float]], *args: Any, seconds: float = 900) -> dict[str, float]:
    """The largest of each figure that a function gives on four ranks, which all have ended then."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    kids = [
        context.Process(target=_rank, args=(rank, port, queue, function, args), daemon=True) for rank in range(N_RANKS)
    ]
    for kid in kids:
        kid.start()
    found = [queue.get(timeout=seconds) for _ in kids]
    for kid in kids:
        kid.join()
    return {name: max(each[name] for each in found) for name in found[0]}


def seconds_of(call: Callable[[], object]) -> float:
    """How long a call takes, on a rank, until all ranks are done with it."""
    dist.barrier()
    began = time.perf_counter()
    call()
    dist.barrier()
    return time.perf_counter() - began


def _rank(rank: int, port: int, queue: Any, function: Callable[..., dict[str, float]], args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(N_RANKS))
    dist.init_process_group("gloo")
    queue.put(function(*args))
    dist.barrier()
    dist.destroy_process_group()
