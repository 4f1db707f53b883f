"""In a process group, where every rank runs the same line: each puts its answer into the group's store.

The store is the one that the group was started with. There is no collective, so a rank that isn't there holds up none:
its answer is waited for until the deadline, and then missing. The last rank that has read the answers of a turn deletes
them; those of a turn that a rank doesn't come to are there for it until the others are some turns further.
"""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

from nnwidgets.distributed.sources.source import Answers, Missing
from nnwidgets.errors import InvalidTargetError, RankMissingError, RanksDisagreeError
from nnwidgets.introspect.meeting import wait_for

_TURNS_KEPT = 8


class ProcessGroupSource:
    """The ranks of the default process group.

    Args:
        answer: Answers a request on this rank.
        number: Which use of the store this is; the same on every rank.
    """

    def __init__(self, answer: Callable[[Mapping[str, Any]], Mapping[str, Any]], number: int) -> None:
        self._answer = answer
        self._number, self._asked_in = number, weakref.ref(_get_default_store())
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self._asked = 0

    def call(self, request: Mapping[str, Any], ranks: None, deadline: float) -> Answers:  # noqa: ARG002 - all
        """Give this rank's answer and take the others', who ask the same at the same turn.

        Raises:
            RanksDisagreeError: Another rank asked something else at this turn.
        """
        question = json.dumps(request["body"], sort_keys=True)
        what = f"{request['body']['ask']} of {request['body']['model']!r}"
        return self.exchange(question, self._answer(request), deadline, what)

    def exchange(self, question: str, mine: Mapping[str, Any], deadline: float, what: str) -> Answers:
        """Give this rank's answer to a question and take the others'.

        Args:
            question: The same on each rank.
            mine: This rank's answer.
            deadline: On the clock of `time.monotonic`.
            what: The question, in words.

        Raises:
            InvalidTargetError: The group is gone.
            RankMissingError: The store is gone, with the process that kept it.
            RanksDisagreeError: Another rank asked something else at this turn.
        """
        if not dist.is_initialized():
            raise InvalidTargetError(
                "The process group is gone: destroy_process_group was called.", hint="Call ranks() in the new one."
            )
        store = self._store()
        self._asked += 1
        began = time.monotonic()
        try:
            self._take_back(store, self._asked - _TURNS_KEPT)
            said = json.dumps([question, mine])
            store.set(f"{self._asked}/{self.rank}", said)
            answers: dict[int, Mapping[str, Any] | Missing] = {}
            for rank in range(self.world_size):
                taken = said if rank == self.rank else wait_for(store, f"{self._asked}/{rank}", deadline)
                if taken is None:
                    answers[rank] = Missing.late(began)
                    continue
                theirs, answers[rank] = json.loads(taken)
                if theirs != question:
                    self._leave(store, self._asked)
                    raise RanksDisagreeError(
                        f"Rank {self.rank} asks {what} where rank {rank} asks something else.",
                        hint="Every rank runs the same lines.",
                    )
            self._leave(store, self._asked)
        except RuntimeError as error:
            raise RankMissingError("The process group's store is gone, with the process that kept it.") from error
        return answers

    def _store(self) -> Any:
        """This use's part of the group's store, which isn't held on to: it would outlive its group.

        Another group of the same process begins anew.
        """
        store = _get_default_store()
        if self._asked_in() is not store:
            self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
            self._asked, self._asked_in = 0, weakref.ref(store)
        return PrefixStore(f"nnwidgets/{self._number}", store)

    def _leave(self, store: Any, turn: int) -> None:
        """Say that this rank has read what it needs of a turn; the last one that does takes everything back."""
        if store.add(f"{turn}/left", 1) == self.world_size:
            for name in (*range(self.world_size), "left"):
                store.delete_key(f"{turn}/{name}")

    def _take_back(self, store: Any, turn: int) -> None:
        if turn > 0:
            for name in (self.rank, "left"):
                store.delete_key(f"{turn}/{name}")
