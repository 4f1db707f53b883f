"""Functions run in several gloo processes of this machine, with a deadline; children are ended by id."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import queue as queues
import socket
import time
import traceback
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.distributed as dist


def on_ranks(function: Callable[[int, int], Any], world_size: int = 4, *, seconds: float = 120.0) -> list[Any]:
    """What ``function(rank, world_size)`` gives in each of some processes of one group; fails where one raises."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kids = [
        context.Process(target=_run, args=(function, rank, world_size, port, queue), daemon=True)
        for rank in range(world_size)
    ]
    for kid in kids:
        kid.start()
    found: dict[int, tuple[str, Any]] = {}
    end = time.monotonic() + seconds
    while len(found) < world_size and time.monotonic() < end:
        try:
            rank, error, value = queue.get(timeout=0.2)
            found[rank] = error, value
        except queues.Empty:
            if queue.empty() and not any(kid.is_alive() for kid in kids):
                break
    for kid in kids:
        kid.join(2)
        if kid.is_alive():
            kid.kill()
            kid.join()
    failed = {rank: error for rank, (error, _) in found.items() if error}
    assert not failed, failed
    assert len(found) == world_size, f"only ranks {sorted(found)} came to an end in {seconds:g} s"
    return [found[rank][1] for rank in range(world_size)]


def _run(function: Callable[[int, int], Any], rank: int, world_size: int, port: int, queue: Any) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(world_size))
    torch.set_num_threads(1)
    try:
        dist.init_process_group("gloo", rank=rank, world_size=world_size, timeout=dt.timedelta(seconds=60))
        queue.put((rank, "", function(rank, world_size)))
    except BaseException:
        queue.put((rank, traceback.format_exc(), None))
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
