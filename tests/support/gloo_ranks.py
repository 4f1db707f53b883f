"""Processes of one gloo group that answer `nnwidgets.handle` one request after the other, and the adapter that asks."""

from __future__ import annotations

import contextlib
import datetime as dt
import multiprocessing
import os
import socket
import sys
import threading
import time

import torch
import torch.distributed as dist

import nnwidgets as nnw
from nnwidgets.distributed.sources.source import Missing


class GlooRanks:
    """The adapter; the processes end with it.

    Args:
        make: Gives each rank's variables, by name; what is named `handle` answers in place of `nnwidgets.handle`.
        world_size: How many.
    """

    def __init__(self, make, world_size=4):
        context = multiprocessing.get_context("spawn")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.pipes, self.kids, self._lock = {}, {}, threading.Lock()
        for rank in range(world_size):
            self.pipes[rank], theirs = context.Pipe()
            kid = context.Process(target=_answer, args=(make, rank, world_size, port, theirs), daemon=True)
            kid.start()
            theirs.close()
            self.kids[rank] = kid
        for rank, pipe in self.pipes.items():
            assert pipe.poll(120), f"rank {rank} didn't start"
            assert pipe.recv() == "ready"

    def call(self, request, ranks, deadline):
        answers = {}
        with self._lock:
            for rank, pipe in self.pipes.items():
                try:
                    pipe.send(request)
                except OSError:
                    answers[rank] = Missing("no answer: its process ended", is_dead=True)
            for rank in self.pipes.keys() - answers.keys():
                answers[rank] = self._reply(rank, request["id"], deadline)
        return dict(sorted(answers.items()))

    def _reply(self, rank, number, deadline):
        try:
            while self.pipes[rank].poll(max(0.0, deadline - time.monotonic())):
                reply = self.pipes[rank].recv()
                if reply["id"] == number:  # not one that came too late for its question
                    return reply
        except (EOFError, OSError):
            return Missing("no answer: its process ended", is_dead=True)
        return Missing("no answer in time")

    def kill(self, rank):
        self.kids[rank].kill()
        self.kids[rank].join(10)

    def close(self):
        for pipe in self.pipes.values():
            with contextlib.suppress(OSError):
                pipe.send(None)
        for kid in self.kids.values():
            kid.join(5)
            if kid.is_alive():
                kid.kill()
                kid.join()


def _answer(make, rank, world_size, port, pipe):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(world_size))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world_size, timeout=dt.timedelta(seconds=60))
    made = make()
    handle = made.pop("handle", nnw.handle)
    vars(sys.modules["__main__"]).update(made)
    pipe.send("ready")
    while (request := pipe.recv()) is not None:
        pipe.send(handle(request))
    os._exit(0)  # the group's threads would wait for ranks that are gone
