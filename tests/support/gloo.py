"""Functions run in several gloo processes of this machine, with a deadline; children are ended by id."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import queue as queues
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.distributed as dist


class Group:
    """Processes of one group that run a function each, and what they say.

    Args:
        function: Called with its rank, how many there are, and what `each` has for it.
        world_size: How many.
        each: A further argument for every rank, by rank.
    """

    def __init__(self, function: Callable[..., Any], world_size: int, each: Sequence[Any] = ()) -> None:
        context = multiprocessing.get_context("spawn")
        self.queue = context.Queue()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        own = [(rank, world_size, *each[rank : rank + 1]) for rank in range(world_size)]
        self.kids = [
            context.Process(target=_run, args=(function, arguments, port, self.queue), daemon=True) for arguments in own
        ]
        for kid in self.kids:
            kid.start()

    def end(self) -> None:
        """Wait for the processes a little, and end those that are there still."""
        for kid in self.kids:
            kid.join(2)
            if kid.is_alive():
                kid.kill()
                kid.join()


def on_ranks(function: Callable[[int, int], Any], world_size: int = 4, *, seconds: float = 120.0) -> list[Any]:
    """What ``function(rank, world_size)`` gives in each of some processes of one group; fails where one raises."""
    group = Group(function, world_size)
    queue, kids = group.queue, group.kids
    found: dict[int, tuple[str, Any]] = {}
    end = time.monotonic() + seconds
    while len(found) < world_size and time.monotonic() < end:
        try:
            rank, error, value = queue.get(timeout=0.2)
            found[rank] = error, value
        except queues.Empty:
            if queue.empty() and not any(kid.is_alive() for kid in kids):
                break
    group.end()
    failed = {rank: error for rank, (error, _) in found.items() if error}
    assert not failed, failed
    assert len(found) == world_size, f"only ranks {sorted(found)} came to an end in {seconds:g} s"
    return [found[rank][1] for rank in range(world_size)]


def _run(function: Callable[..., Any], arguments: tuple[Any, ...], port: int, queue: Any) -> None:
    rank, world_size, *_ = arguments
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(world_size))
    torch.set_num_threads(1)
    try:
        dist.init_process_group("gloo", rank=rank, world_size=world_size, timeout=dt.timedelta(seconds=60))
        queue.put((rank, "", function(*arguments)))
    except BaseException:
        queue.put((rank, traceback.format_exc(), None))
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
