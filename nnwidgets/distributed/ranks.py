"""`ranks`: the ranks of a job, and models that they hold together, seen as one."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, Literal

import torch.distributed as dist
from torch import nn

from nnwidgets.distributed import merging
from nnwidgets.distributed.answering import answer
from nnwidgets.distributed.sources.process_group import ProcessGroupSource
from nnwidgets.distributed.sources.source import Missing
from nnwidgets.errors import InvalidTargetError, NNWidgetsError, RankMissingError
from nnwidgets.formatting import inert
from nnwidgets.introspect.handles import Handle
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.records import Finding, Findings, Record, TensorStats, TieGroup, TieGroups
from nnwidgets.introspect.safe_access.objects import is_module

_NUMBERS = itertools.count()
Replies = dict[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class RankStatus(Record):
    """How a rank was when it was last asked.

    Attributes:
        rank: Which.
        host: Where it runs; ``""`` where it has never answered.
        state: ``"idle"`` it answered, ``"missing"`` it didn't.
        since: Seconds on the clock of `time.monotonic` since when that is so.
        doing: What is known of it: ``"no answer for 5.0 s"``.
    """

    rank: int
    host: str
    state: Literal["idle", "missing"]
    since: float
    doing: str = ""


def ranks(source: object = None, *, timeout: float = 5.0) -> Ranks:
    """See what several processes hold as one.

    Called in a process group by every rank on the same line, as all that is asked of the result: each rank gives its
    own answer and takes the others' over the store that the group was started with. No collective is started, and a
    rank that isn't there is waited for no longer than ``timeout``, then named.

    Args:
        source: None for the default process group.
        timeout: Seconds that an answer may take.

    Raises:
        InvalidTargetError: There is no process group, or ``source`` is nothing that can be asked.

    Example:
        >>> import nnwidgets as nnw
        >>> nnw.ranks()
        Traceback (most recent call last):
        nnwidgets.errors.InvalidTargetError: There is no process group here. Call ranks() after init_process_group.
    """
    if source is not None:
        raise InvalidTargetError(
            f"A {type(source).__name__[:80]} is no source of ranks.",
            hint="Call ranks() on every rank of a process group.",
        )
    if not dist.is_available() or not dist.is_initialized():
        raise InvalidTargetError("There is no process group here.", hint="Call ranks() after init_process_group.")
    return Ranks(timeout)


class Ranks:
    """The ranks of a process group. ``ranks()["net"]`` is the model that each holds in its variable ``net``.

    Args:
        timeout: Seconds that an answer may take.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._asked_of: nn.Module | None = None
        self._source = ProcessGroupSource(self._answer, next(_NUMBERS))
        self.world_size = self._source.world_size
        self._statuses = {
            rank: RankStatus(rank, "", "missing", time.monotonic(), "not asked") for rank in range(self.world_size)
        }

    @property
    def statuses(self) -> tuple[RankStatus, ...]:
        """How each rank was when it was last asked, in their order."""
        return tuple(self._statuses.values())

    def __getitem__(self, name: str) -> RankedModel:
        if type(name) is not str:
            raise InvalidTargetError(
                f"A model is named by its variable, got {type(name).__name__[:80]}.", hint='Such as ["net"].'
            )
        return RankedModel(self, name, _variable(name, sys._getframe(1)))  # noqa: SLF001 - it may be a function's own

    def __repr__(self) -> str:
        there = sum(status.state == "idle" for status in self._statuses.values())
        return f"Ranks({self.world_size}, {there} answered last)"

    def close(self) -> None:
        """Let go of the model that was asked last."""
        self._asked_of = None

    def ask(self, module: nn.Module | None, kind: str, body: Mapping[str, Any]) -> tuple[Replies, dict[int, Missing]]:
        """Ask every rank about a model, of which this rank has ``module``.

        Returns:
            The answers, and what stands for those that didn't come, by rank.

        Raises:
            RankMissingError: A rank has no such model, or couldn't answer; it says why.
        """
        request = {"v": 1, "id": "0", "kind": kind, "body": dict(body)}
        self._asked_of = module
        answers = self._source.call(request, range(self.world_size), time.monotonic() + self.timeout)
        replies: Replies = {}
        missing: dict[int, Missing] = {}
        for rank, reply in answers.items():
            before = self._statuses[rank]
            if isinstance(reply, Missing):
                missing[rank] = reply
                since = before.since if before.state == "missing" else time.monotonic()
                self._statuses[rank] = replace(before, state="missing", since=since, doing=reply.why)
                continue
            since = before.since if before.state == "idle" else time.monotonic()
            self._statuses[rank] = RankStatus(rank, str(reply.get("host", "")), "idle", since)
            replies[rank] = reply
        refused = {rank: str(reply["error"]) for rank, reply in replies.items() if "error" in reply}
        if refused:
            words = "; ".join(f"rank {rank}: {inert(why, 200)}" for rank, why in refused.items())
            raise RankMissingError(f"Not every rank can answer. {words}", ranks=tuple(refused))
        return replies, missing

    def _answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        body = request["body"]
        module = self._asked_of
        if module is None:
            return {"error": f"No variable {body['model']!r} with a module here."}
        try:
            return answer(module, request["kind"], body)
        except NNWidgetsError as error:
            return {"error": str(error)}


def _variable(name: str, frame: FrameType | None) -> nn.Module | None:
    """The module that a name means on the line that asks, in the functions that called it, or in the notebook."""
    while frame is not None:
        for held in (frame.f_locals, frame.f_globals):
            if name in held:
                return held[name] if is_module(held[name]) else None
        frame = frame.f_back
    value = vars(sys.modules["__main__"]).get(name)
    return value if is_module(value) else None


class RankedModel(Handle):
    """A model that ranks hold together: a module to `tree`, `ties`, `stats` and `check`.

    Args:
        ranks: Which.
        name: The variable that each has it in.
        module: What this rank has there; None where it has no module of that name.
    """

    __slots__ = ("_module", "_ranks", "name")

    def __init__(self, ranks: Ranks, name: str, module: nn.Module | None) -> None:
        self._ranks = ranks
        self.name = name
        self._module = module

    def __repr__(self) -> str:
        return f"RankedModel({self.name!r}, {self._ranks.world_size} ranks)"

    def __getitem__(self, path: str) -> RankedTensor:
        return RankedTensor(self, path)

    def answer(self, function: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """What a public function gives of the whole model."""
        if function == "stats" and arguments:
            return self[arguments[0]].answer(function, arguments[1:], options)
        if function not in _OF_MODEL or arguments or options:
            so = " with these arguments" if function in _OF_MODEL else ""
            raise InvalidTargetError(
                f"{function} of a model over ranks isn't possible{so}.", hint=f"{', '.join(_OF_MODEL)} and stats are."
            )
        return getattr(self, f"_{function}")()

    def ask(self, kind: str, **body: Any) -> tuple[Replies, dict[int, Missing]]:
        """Ask every rank about this model; see `Ranks.ask`."""
        return self._ranks.ask(self._module, kind, {"model": self.name, **body})

    def _tree(self) -> ModuleTree:
        replies, _ = self.ask("rank_tree", full=True)
        same = len({reply["digest"] for reply in replies.values()}) == 1
        first = next(iter(replies))
        trees = {rank: merging.trees.from_json(replies[rank]["tree"]) for rank in ([first] if same else replies)}
        held = [int(replies[rank]["local_bytes"]) if rank in replies else 0 for rank in range(self._ranks.world_size)]
        return merging.trees.merged(trees, held)

    def _ties(self) -> tuple[TieGroup, ...]:
        return TieGroups(self._tree().ties)

    def _check(self) -> tuple[Finding, ...]:
        replies, missing = self.ask("rank_check")
        found = merging.findings.merged(replies, self.name)
        lost = tuple(
            Finding(
                "rank-missing",
                "warning",
                "",
                f"Rank {rank} gave {why.why}; what follows is of the others.",
                ranks=(rank,),
            )
            for rank, why in missing.items()
        )
        return Findings((*lost, *found))


_OF_MODEL = ("tree", "ties", "check")


class RankedTensor(Handle):
    """A tensor of a model over ranks, for `stats`.

    Args:
        model: Whose.
        path: Where.
    """

    __slots__ = ("_model", "path")

    def __init__(self, model: RankedModel, path: str) -> None:
        self._model = model
        self.path = path

    def __repr__(self) -> str:
        return f"RankedTensor({self._model.name}, {inert(self.path, 80)!r})"

    def answer(self, function: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> TensorStats:
        """Statistics of the whole tensor."""
        if function != "stats" or arguments or options:
            raise InvalidTargetError(f"{function} of a tensor over ranks isn't possible.", hint="stats(net[path]) is.")
        replies, missing = self._model.ask("rank_stats", paths=[self.path])
        (found,) = merging.shares.merged(replies, missing)
        return found
