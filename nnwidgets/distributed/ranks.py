"""`ranks`: the ranks of a job, and models that they hold together, seen as one."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, Literal

import torch.distributed as dist
from torch import nn

from nnwidgets.distributed import merging
from nnwidgets.distributed.answering import answer, traced, tree_said
from nnwidgets.distributed.inputs import to_json
from nnwidgets.distributed.sources.ipyparallel import EngineSource, is_ipyparallel
from nnwidgets.distributed.sources.process_group import ProcessGroupSource
from nnwidgets.distributed.sources.source import Missing, Source
from nnwidgets.errors import InvalidTargetError, NNWidgetsError, RankMissingError
from nnwidgets.formatting import inert
from nnwidgets.introspect.checks.findings import worst_first
from nnwidgets.introspect.handles import Handle, Handles, ModelHandle
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.records import Finding, Findings, Record, TensorEntry, TensorStats, TieGroup, TieGroups, Trace
from nnwidgets.introspect.safe_access.objects import is_module
from nnwidgets.introspect.stats_table import StatsRow, StatsTable, row_of

_NUMBERS = itertools.count()
_IDS = itertools.count(1)

Replies = dict[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class RankStatus(Record):
    """How a rank was when it was last asked.

    Attributes:
        rank: Which.
        host: Where it runs; ``""`` where it has never answered.
        state: ``"idle"`` it answered, ``"missing"`` it didn't, ``"dead"`` its process is gone.
        since: On the clock of `time.monotonic`, since when that is so.
        doing: What is known of it: ``"no answer for 5.0 s"``.
    """

    rank: int
    host: str
    state: Literal["idle", "missing", "dead"]
    since: float
    doing: str = ""


def ranks(source: Any = None, *, timeout: float = 5.0) -> Ranks:
    """See what several processes hold as one.

    In a process group every rank runs the same lines: this, and each question asked of the result. Each gives its own
    answer and takes the others' over the store that the group was started with. From a notebook, ipyparallel's engines
    are asked, which need not run anything for it.

    No collective is started, and a rank that doesn't answer is waited for no longer than ``timeout``, then named.

    Args:
        source: None for the default process group; a Client or DirectView of ipyparallel's; or an adapter for another
            engine: any object whose ``call(request, ranks, deadline)`` takes a request to `nnwidgets.handle` on each
            rank and gives the replies by rank.
        timeout: Seconds that an answer may take.

    Returns:
        The ranks; ``ranks()["net"]`` is the model that each has in its variable ``net``.

    Raises:
        InvalidTargetError: There is no process group, or ``source`` is nothing that can be asked.

    Example:
        >>> import nnwidgets as nnw
        >>> nnw.ranks()
        Traceback (most recent call last):
        nnwidgets.errors.InvalidTargetError: There is no process group here. Call ranks() after init_process_group.
    """
    if source is None:
        if not dist.is_available() or not dist.is_initialized():
            raise InvalidTargetError("There is no process group here.", hint="Call ranks() after init_process_group.")
        return Ranks(None, timeout)
    if is_ipyparallel(source):
        return Ranks(EngineSource(source), timeout)
    if not callable(getattr(source, "call", None)):
        raise InvalidTargetError(
            f"A {type(source).__name__[:80]} is no source of ranks.",
            hint="Pass a Client of ipyparallel's, an object with call(request, ranks, deadline), or nothing.",
        )
    return Ranks(source, timeout)


class Ranks(Handles):
    """The ranks of a job. ``ranks()["net"]`` is the model that each holds in its variable ``net``.

    Args:
        source: What takes questions to them; None for the process group that this process is in.
        timeout: Seconds that an answer may take.
    """

    def __init__(self, source: Source | None, timeout: float) -> None:
        self.timeout = timeout
        self._asked_of: nn.Module | None = None
        self._said: Mapping[str, Any] | None = None
        self._is_in_group = source is None
        self._source = ProcessGroupSource(self._answer, next(_NUMBERS)) if source is None else source
        self._statuses: dict[int, RankStatus] = {}

    @property
    def world_size(self) -> int:
        """How many there are; 0 before the first question where that isn't known."""
        return dist.get_world_size() if self._is_in_group else len(self._statuses)

    @property
    def statuses(self) -> tuple[RankStatus, ...]:
        """How each rank was when it was last asked, in their order; empty before the first question."""
        return tuple(self._statuses.values())

    def __getitem__(self, name: str) -> RankedModel:
        if type(name) is not str:
            got = type(name).__name__[:80]
            raise InvalidTargetError(f"A model is named by its variable, got {got}.", hint='Such as ["net"].')
        # The line that every rank runs may be a function's, and the variable its own.
        module = _variable(name, sys._getframe(1)) if self._is_in_group else None  # noqa: SLF001
        return RankedModel(self, name, module)

    def __repr__(self) -> str:
        there = sum(status.state == "idle" for status in self._statuses.values())
        return f"Ranks({self.world_size} ranks, {there} answered last)"

    def close(self) -> None:
        """Let go of the model that was asked last."""
        self._asked_of = self._said = None

    @property
    def is_in_group(self) -> bool:
        """Whether this process is one of the ranks, all of which run the same lines."""
        return self._is_in_group

    def ask(
        self,
        module: nn.Module | None,
        body: Mapping[str, Any],
        *,
        said: Mapping[str, Any] | None = None,
        seconds: float | None = None,
    ) -> tuple[Replies, dict[int, Missing]]:
        """Ask every rank.

        Args:
            module: The model, where this process is one of the ranks.
            body: Of the request of kind `rank`.
            said: What this rank says to it, where it is one and has made that already.
            seconds: How long an answer may take; None for ``timeout``.

        Returns:
            What each said, by rank, and what stands for answers that didn't come.

        Raises:
            RankMissingError: No rank answered, or one has no such model, or can't answer; it says why.
        """
        self._asked_of, self._said = module, said
        request = {"v": 1, "id": str(next(_IDS)), "kind": "rank", "body": dict(body)}
        answers = self._source.call(request, None, time.monotonic() + (self.timeout if seconds is None else seconds))
        replies: Replies = {}
        missing: dict[int, Missing] = {}
        refused: dict[int, str] = {}
        for rank, reply in answers.items():
            self._note(rank, reply)
            if isinstance(reply, Missing):
                missing[rank] = reply
            elif not reply.get("ok"):
                refused[rank] = inert(str(reply["error"]["message"]), 200)
            else:
                replies[rank] = reply["body"]["said"]
        if refused or not replies:
            why = "; ".join(f"rank {rank}: {what}" for rank, what in refused.items())
            why = why or "; ".join(f"rank {rank}: {each.why}" for rank, each in missing.items())
            raise RankMissingError(f"Not every rank can answer. {why}", ranks=tuple(refused or missing))
        return replies, missing

    def _note(self, rank: int, reply: Mapping[str, Any] | Missing) -> None:
        """Keep how a rank is, and since when."""
        before = self._statuses.get(rank)
        host = before.host if before is not None else ""
        if isinstance(reply, Missing):
            now = RankStatus(rank, host, "dead" if reply.is_dead else "missing", time.monotonic(), reply.why)
        else:
            now = RankStatus(rank, str(reply.get("body", {}).get("host", host)), "idle", time.monotonic())
        if before is not None and before.state == now.state:
            now = replace(now, since=before.since)
        self._statuses[rank] = now

    def _answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What this rank says, as `nnwidgets.handle` would."""
        body = request["body"]
        try:
            if self._asked_of is None:
                raise InvalidTargetError(f"No variable {body['model']!r} with a module here.")
            return {"ok": True, "body": answer(self._asked_of, body, self._said)}
        except NNWidgetsError as error:
            return {"ok": False, "error": {"code": error.code, "message": str(error)}}


def _variable(name: str, frame: FrameType | None) -> nn.Module | None:
    """The module that a name means on the line that asks, in the functions that called it, or in the notebook."""
    while frame is not None:
        for held in (frame.f_locals, frame.f_globals):
            if name in held:
                return held[name] if is_module(held[name]) else None
        frame = frame.f_back
    value = vars(sys.modules["__main__"]).get(name)
    return value if is_module(value) else None


@dataclass(frozen=True)
class Reading:
    """What the ranks said of a model's structure.

    Attributes:
        tree: The whole model's.
        digests: By rank, a fingerprint of what it has; of the ranks that answered.
        owners: Where they have different things, the ranks that have each tensor, by path; else empty: all have all.
    """

    tree: ModuleTree
    digests: Mapping[int, str]
    owners: Mapping[str, Sequence[int]]


class RankedModel(ModelHandle):
    """A model that ranks hold together: a module to `tree`, `ties`, `stats`, `check` and `trace`.

    Args:
        ranks: Which.
        name: The variable that each has it in.
        module: What this process has there, where it is one of the ranks.
    """

    __slots__ = ("module", "ranks")

    def __init__(self, ranks: Ranks, name: str, module: nn.Module | None) -> None:
        self.ranks = ranks
        self.name = name
        self.module = module

    def __repr__(self) -> str:
        return f"RankedModel({self.name!r}, {self.ranks.world_size} ranks)"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 - as IPython calls it
        # What is shown on one rank alone can't ask the others, who don't ask at this turn.
        try:
            printer.text(str(self._tree() if self.module is None else tree(self.module)))
        except NNWidgetsError as error:
            printer.text(f"{self!r}: {error}")

    def __getitem__(self, path: str) -> RankedTensor:
        return RankedTensor(self, path)

    def answer(self, function: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """What a public function gives of the whole model."""
        if function == "trace":
            return self._trace(arguments, options)
        if function not in _OF_MODEL or arguments or options:
            so = " with these arguments" if function in _OF_MODEL else ""
            raise InvalidTargetError(
                f"{function} of a model over ranks isn't possible{so}.",
                hint=f"{', '.join(_OF_MODEL)} and trace are.",
            )
        return getattr(self, f"_{function}")()

    def ask(self, ask: str, **body: Any) -> tuple[Replies, dict[int, Missing]]:
        """Ask every rank about this model; see `Ranks.ask`."""
        return self.ranks.ask(self.module, {"model": self.name, "ask": ask, **body})

    def _trace(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Trace:
        """One forward of all ranks, each on what it was given here, or on what is sent to all."""
        patience = self.ranks.timeout
        body: dict[str, Any] = {"model": self.name, "ask": "trace"}
        said = None
        if self.ranks.is_in_group:
            if self.module is None:
                raise InvalidTargetError(f"No variable {self.name!r} with a module here.")
            said = traced(self.module, arguments, options, patience)
        else:
            body |= {"inputs": to_json((arguments, dict(options))), "patience": patience}
            _, missing = self.ask("here")
            self._need_all(missing)
        replies, missing = self.ranks.ask(self.module, body, said=said, seconds=patience + _LONGEST_FORWARD)
        self._need_all(missing)
        return merging.traces.merged({rank: merging.traces.from_json(each) for rank, each in sorted(replies.items())})

    def _need_all(self, missing: Mapping[int, Missing]) -> None:
        if missing:
            why = "; ".join(f"rank {rank}: {each.why}" for rank, each in missing.items())
            raise RankMissingError(f"A forward needs every rank. {why}", ranks=tuple(missing))

    def _tree(self) -> ModuleTree:
        return self.read().tree

    def read(self, before: Reading | None = None) -> Reading:
        """Read the model of every rank.

        Args:
            before: What was read last: where all ranks that answer say that theirs is the same still, its tree is not
                sent again.
        """
        here = tree(self.module) if self.ranks.is_in_group and self.module is not None else None
        # Ranks that say the same have the same tree: one of them gives it, or it is here, or was read before.
        for full in ("" if before is not None or self.ranks.is_in_group else "first", "all"):
            said = None if here is None else tree_said(here, full)
            body = {"model": self.name, "ask": "tree", "full": full}
            replies, missing = self.ranks.ask(self.module, body, said=said)
            digests = {rank: str(reply["digest"]) for rank, reply in replies.items()}
            held: dict[int, Any] = {rank: json.loads(reply["local_bytes"]) for rank, reply in replies.items()}
            held |= dict.fromkeys(missing, ())
            if before is not None and digests.items() <= before.digests.items():
                by_rank = tuple(each[0] if each else 0 for _, each in sorted(held.items()))
                known = replace(before.tree, by_rank=by_rank, local_bytes=sum(by_rank))
                return replace(before, tree=known, digests={**before.digests, **digests})
            given = {rank: reply["tree"] for rank, reply in sorted(replies.items()) if "tree" in reply}
            if len({*digests.values()}) == 1 and (here is not None or given):
                n_nodes = len(next(iter(held.values())))
                of_nodes = [each or [0] * n_nodes for _, each in sorted(held.items())]
                if here is not None:
                    return Reading(merging.tree_json.with_bytes(here, of_nodes), digests, {})
                return Reading(merging.tree_json.from_json(next(iter(given.values())), of_nodes), digests, {})
        held |= {rank: {} for rank in missing}
        trees = {rank: merging.tree_json.from_json(each) for rank, each in given.items()}
        owners: dict[str, list[int]] = {}
        for rank, found in trees.items():
            held[rank] = dict(zip((node.path for node in found.nodes), held[rank], strict=True))
            for entry in found.tensors:
                owners.setdefault(entry.path, []).append(rank)
        return Reading(merging.trees.merged(trees, held), digests, owners)

    def _stats(self) -> StatsTable:
        whole = self._tree()
        same = (group for group in whole.ties if group.kind in {"object", "storage"})
        first = {path: group.members[0] for group in same for path in group.members[1:]}
        entries = [entry for entry in whole.tensors if entry.path not in first]
        asked = [entry.path for entry in entries] + [f"{entry.path}.grad" for entry in entries if entry.has_grad]
        replies, missing = self.ask("stats", paths=asked)
        found = dict(zip(asked, merging.tensors.merged(replies, missing), strict=True))
        rows = []
        for entry in whole.tensors:
            at = first.get(entry.path, entry.path)
            gradient = found.get(f"{at}.grad", "")
            rows.append(_row(entry, found[at], gradient, first.get(entry.path, "")))
        return StatsTable(rows, whole)

    def _ties(self) -> tuple[TieGroup, ...]:
        return TieGroups(self._tree().ties)

    def _check(self) -> tuple[Finding, ...]:
        replies, missing = self.ask("check")
        lost = (
            Finding(
                "rank-missing", "warning", "", f"{each.why.capitalize()}. The rest is of the others.", ranks=(rank,)
            )
            for rank, each in missing.items()
        )
        return Findings(worst_first((*lost, *merging.findings.merged(replies, self.name))))


_LONGEST_FORWARD = 60.0
"""Seconds that a forward may take before a rank that is in it counts as missing."""
_OF_MODEL = ("tree", "ties", "stats", "check")


def _row(entry: TensorEntry, found: TensorStats | str, gradient: TensorStats | str, tied_to: str) -> StatsRow:
    """A tensor's row in the table of all."""
    notes = [entry.held.how] if entry.held is not None else []
    if isinstance(found, str):
        notes.append(found)
    elif found.of != "all":
        notes.append(f"numbers of {found.of}")
    measured, of_gradient = (None if isinstance(each, str) else each for each in (found, gradient))
    return row_of(entry, measured, notes, gradient=of_gradient, tied_to=tied_to)


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
        replies, missing = self._model.ask("stats", paths=[self.path])
        (found,) = merging.tensors.merged(replies, missing)
        if isinstance(found, str):
            raise InvalidTargetError(f"{inert(self.path, 80)} has no statistics: {found}.")
        return found
