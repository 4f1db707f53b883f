"""In a process group, where every rank runs the same line: each puts its answer into the group's store.

The store is the one that the group was started with. There is no collective, so a rank that isn't there holds up none:
its answer is waited for until the deadline, and then missing. The last rank that has read the answers of a turn deletes
them; those of a turn that a rank never comes to stay in the store as long as the group.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

from nnwidgets.distributed.sources.source import Answers, Missing
from nnwidgets.errors import RanksDisagreeError
from nnwidgets.introspect.tracing.together import wait_for


class ProcessGroupSource:
    """The ranks of the default process group.

    Args:
        answer: Answers a request on this rank.
        number: Which use of the store this is; the same on every rank.
    """

    def __init__(self, answer: Callable[[Mapping[str, Any]], Mapping[str, Any]], number: int) -> None:
        self._answer = answer
        self._store = PrefixStore(f"nnwidgets/{number}", _get_default_store())
        self._rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self._asked = 0

    def call(self, request: Mapping[str, Any], ranks: None, deadline: float) -> Answers:  # noqa: ARG002 - all
        """Give this rank's answer and take the others', who ask the same at the same turn.

        Raises:
            RanksDisagreeError: Another rank asked something else at this turn.
        """
        self._asked += 1
        question = json.dumps(request["body"], sort_keys=True)
        mine, began = dict(self._answer(request)), time.monotonic()
        self._store.set(f"{self._asked}/{self._rank}", json.dumps([question, mine]))
        answers: dict[int, Mapping[str, Any] | Missing] = {}
        for rank in range(self.world_size):
            if rank == self._rank:
                answers[rank] = mine
                continue
            taken = self._take(f"{self._asked}/{rank}", deadline)
            if taken is None:
                answers[rank] = Missing(f"no answer for {time.monotonic() - began:.1f} s")
                continue
            theirs, answers[rank] = json.loads(taken)
            if theirs != question:
                self._leave(self._asked)
                what = f"{request['body']['ask']} of {request['body']['model']!r}"
                raise RanksDisagreeError(
                    f"Rank {self._rank} asks {what} where rank {rank} asks something else.",
                    hint="Every rank runs the same lines.",
                )
        self._leave(self._asked)
        return answers

    def _leave(self, turn: int) -> None:
        """Say that this rank has read what it needs of a turn; the last one that does takes everything back."""
        if self._store.add(f"{turn}/left", 1) == self.world_size:
            for name in (*range(self.world_size), "left"):
                self._store.delete_key(f"{turn}/{name}")

    def _take(self, key: str, deadline: float) -> bytes | None:
        try:
            return wait_for(self._store, key, deadline)
        except RuntimeError:  # the store is gone, with the rank that had it
            return None
