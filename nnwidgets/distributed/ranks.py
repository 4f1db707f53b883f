"""`ranks`: the ranks of a job, and models that they hold together, seen as one."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from types import FrameType
from typing import Any

import torch.distributed as dist
from torch import nn

from nnwidgets.distributed import merging
from nnwidgets.distributed.answering import answer, check_versions, traced, tree_said
from nnwidgets.distributed.changes import CHANGES, change_from_here, change_here, no_module
from nnwidgets.distributed.checkpoints import ask_file, file_here
from nnwidgets.distributed.inputs import to_json
from nnwidgets.distributed.job import Served, checked_token, open_doors, served_at
from nnwidgets.distributed.merging import change_json
from nnwidgets.distributed.merging.trees import Reading
from nnwidgets.distributed.serving.door import Door
from nnwidgets.distributed.sources.ipyparallel import EngineSource, is_ipyparallel
from nnwidgets.distributed.sources.process_group import ProcessGroupSource
from nnwidgets.distributed.sources.side_door import DoorSource, Way, source_at
from nnwidgets.distributed.sources.source import Answers, Missing, Replies, Source, refusal, why_missing
from nnwidgets.distributed.status import RankStatus, status_of
from nnwidgets.edit import History
from nnwidgets.errors import InvalidTargetError, NNWidgetsError, RankMissingError
from nnwidgets.formatting import inert
from nnwidgets.introspect.checks.findings import worst_first
from nnwidgets.introspect.handles import Handle, Handles, ModelHandle
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.records import Finding, Findings, TensorStats, TieGroup, TieGroups
from nnwidgets.introspect.safe_access.frames import local_variable, outwards
from nnwidgets.introspect.safe_access.objects import is_module
from nnwidgets.introspect.stats_table import StatsTable
from nnwidgets.introspect.tracing.trace_record import Trace

_NUMBERS = itertools.count()
_IDS = itertools.count(1)


def ranks(source: Any = None, *, timeout: float = 5.0, token: str | None = None) -> Ranks:
    """See what several processes hold as one.

    In a process group every rank runs the same lines: this, and each question asked of the result. Each gives its own
    answer and takes the others' over the store that the group was started with. From a notebook, ipyparallel's engines
    are asked, which need not run anything for it, or the ranks of a job that called `Ranks.serve`, while they train.

    No collective is started, and a rank that doesn't answer is waited for no longer than ``timeout``, then named.

    Args:
        source: None for the default process group; a Client or DirectView of ipyparallel's; ``"host:port"`` of a job
            that serves; or an adapter for another engine: any object whose ``call(request, ranks, deadline)`` takes a
            request to `nnwidgets.handle` on each rank and gives the replies by rank.
        timeout: Seconds that an answer may take.
        token: What opens the doors of a job that serves; in a process group, for `Ranks.serve` to use instead of one
            that it draws, the same on every rank.

    Returns:
        The ranks; ``ranks()["net"]`` is the model that each has in its variable ``net``.

    Raises:
        InvalidTargetError: There is no process group, ``source`` is nothing that can be asked, or the token is wrong.
        RankMissingError: Nothing answers at ``"host:port"``.

    Example:
        >>> import nnwidgets as nnw
        >>> nnw.ranks()
        Traceback (most recent call last):
        nnwidgets.errors.InvalidTargetError: There is no process group here. Call ranks() after init_process_group.
    """
    if source is None:
        if not dist.is_available() or not dist.is_initialized():
            raise InvalidTargetError("There is no process group here.", hint="Call ranks() after init_process_group.")
        return Ranks(None, timeout, token)
    if type(source) is str:
        return Ranks(source_at(source, token, timeout), timeout)
    if is_ipyparallel(source):
        return Ranks(EngineSource(source), timeout)
    if not callable(getattr(source, "call", None)):
        raise InvalidTargetError(
            f"A {type(source).__name__[:80]} is no source of ranks.",
            hint='Pass an ipyparallel Client, "host:port", an object with call(request, ranks, deadline), or nothing.',
        )
    return Ranks(source, timeout)


class Ranks(Handles):
    """The ranks of a job. ``ranks()["net"]`` is the model that each holds in its variable ``net``.

    Args:
        source: What takes questions to them; None for the process group that this process is in.
        timeout: Seconds that an answer may take.
        token: For `serve`.
    """

    def __init__(self, source: Source | None, timeout: float, token: str | None = None) -> None:
        self.timeout = timeout
        self._token = checked_token(token)
        self._door: Door | None = None
        self._looked_at = 0.0
        self._asked_of: nn.Module | None = None
        self._said: Mapping[str, Any] | None = None
        self._group = ProcessGroupSource(self._answer, next(_NUMBERS)) if source is None else None
        self._source: Source = source or self._group  # type: ignore[assignment] # one of them there is
        self._statuses: dict[int, RankStatus] = {}
        if isinstance(source, DoorSource):
            self._look()

    @property
    def world_size(self) -> int:
        """How many there are; 0 before the first question where that isn't known."""
        return len(self._statuses) if self._group is None else self._group.world_size

    @property
    def statuses(self) -> tuple[RankStatus, ...]:
        """How each rank was when it was last asked, in their order; empty before the first question.

        Ranks with a side door are asked now, if that was more than a second ago, and one that waits is looked at for a
        second, to tell whether it is stuck.
        """
        if time.monotonic() - self._looked_at > _FRESH_SECONDS:
            self._look()
        return tuple(self._statuses.values())

    def __getitem__(self, name: str) -> RankedModel:
        if type(name) is not str:
            got = type(name).__name__[:80]
            raise InvalidTargetError(f"A model is named by its variable, got {got}.", hint='Such as ["net"].')
        # The line that every rank runs may be a function's, and the variable its own.
        module = _variable(name, sys._getframe(1)) if self._group is not None else None  # noqa: SLF001
        return RankedModel(self, name, module)

    def __repr__(self) -> str:
        there = sum(status.answered for status in self._statuses.values())
        return f"Ranks({self.world_size} ranks, {there} answered last)"

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> Served:
        """Let a notebook that is none of the ranks look at their models: ``nnw.ranks("host:port", token=…)``.

        Every rank of the process group calls it. Each then listens in a thread that sleeps until somebody asks, and
        answers while the rank trains, waits or is stuck. A model is found by its variable: the script's, or that of a
        function that the main thread is in. Who has the token can look, and change nothing; nothing is encrypted.

        Args:
            host: Where to listen. ``"0.0.0.0"``: on all of a machine's addresses, so that others can ask; give all
                ranks the same ``token=`` then.
            port: Rank 0's; those of the others follow it. 0 for any that are free.

        Returns:
            Address and token. Rank 0 prints the line for the notebook, once, if the token was drawn.

        Raises:
            InvalidTargetError: These ranks are no process group's.
            RankMissingError: A rank doesn't call it in time, or can't listen there.
        """
        if self._group is None:
            raise InvalidTargetError("Only ranks of a process group serve.", hint="Call ranks().serve() on each rank.")
        if self._door is not None:
            self._door.close()
        self._door = open_doors(self._group, self._token, host, port, self.timeout)
        served = served_at(self._door, self._group.rank)
        if self._token is None and self._group.rank == 0:
            print(f"Look at this job from a notebook with\n\n    {served}\n", flush=True)  # noqa: T201 - for whoever started it
        return served

    def close(self) -> None:
        """Let go of the model that was asked last, and serve no more."""
        self._asked_of = self._said = None
        if self._door is not None:
            self._door.close()
            self._door = None

    @property
    def is_in_group(self) -> bool:
        """Whether this process is one of the ranks, all of which run the same lines."""
        return self._group is not None

    @property
    def can_change(self) -> bool:
        """Whether this process, which is none of the ranks, can have them change a model."""
        return self._group is None and not isinstance(self._source, DoorSource)

    def ask(
        self,
        module: nn.Module | None,
        body: Mapping[str, Any],
        *,
        said: Mapping[str, Any] | None = None,
        seconds: float | None = None,
        is_any: bool = False,
        refused: dict[int, Mapping[str, Any]] | None = None,
    ) -> tuple[Replies, dict[int, Missing]]:
        """Ask every rank.

        Args:
            module: The model, where this process is one of the ranks.
            body: Of the request of kind `rank`.
            said: What this rank says to it, where it is one and has made that already.
            seconds: How long an answer may take; None for ``timeout``.
            is_any: Whether no answer from any is one too.
            refused: Takes the errors of those that refuse, which are raised where it isn't given.

        Returns:
            What each said, by rank, and what stands for answers that didn't come.

        Raises:
            RankMissingError: No rank answered, or one has no such model, or can't answer; it says why.
            NNWidgetsError: All of them answer with this error.
            RanksDisagreeError: They have different versions of nnwidgets, which may say things differently.
        """
        self._asked_of, self._said = module, said
        request = {"v": 1, "id": str(next(_IDS)), "kind": "rank", "body": dict(body)}
        deadline = time.monotonic() + (self.timeout if seconds is None else seconds)
        answers = self._told_where(self._source.call(request, None, deadline))
        replies: dict[int, Mapping[str, Any]] = {}
        missing: dict[int, Missing] = {}
        is_raised, refused = refused is None, {} if refused is None else refused
        for rank, reply in answers.items():
            if isinstance(reply, Missing):
                known = self._statuses.get(rank)
                missing[rank] = reply if reply.host or known is None else replace(reply, host=known.host)
            elif not reply.get("ok"):
                refused[rank] = reply["error"]
            else:
                replies[rank] = reply["body"]["said"]
        self._note(answers)
        check_versions({rank: answers[rank]["body"] for rank in replies})  # type: ignore[index] # these answered
        if (refused and is_raised) or not (replies or is_any):
            raise refusal(refused, missing, is_all=not replies and not missing)
        return replies, missing

    def _told_where(self, answers: Answers) -> Answers:
        """Answers of a process group that serves, with what those do that gave none."""
        silent = [rank for rank, reply in answers.items() if isinstance(reply, Missing)]
        if self._door is None or not silent:
            return answers
        doors = DoorSource({rank: Way(address, self._door.token) for rank, address in self._door.doors.items()})
        where = doors.where(silent)
        known = {
            rank: replace(reply, host=where[rank]["host"], where=where[rank]["where"])
            for rank, reply in answers.items()
            if isinstance(reply, Missing) and rank in where
        }
        return {**answers, **known}

    def _look(self) -> None:
        """See how the ranks are, where they tell that whatever they do."""
        settled = getattr(self._source, "settled", None)
        if settled is not None:
            self._note(settled())

    def _note(self, answers: Answers) -> None:
        """Keep how each rank is, and since when."""
        self._looked_at = time.monotonic()
        for rank, reply in answers.items():
            self._statuses[rank] = status_of(rank, reply, self._statuses.get(rank), self._looked_at)
        self._statuses = dict(sorted(self._statuses.items()))

    def _answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What this rank says, as `nnwidgets.handle` would."""
        body = request["body"]
        try:
            if self._asked_of is None:
                raise no_module(body["model"])
            return {"ok": True, "body": answer(self._asked_of, body, self._said)}
        except NNWidgetsError as error:
            return {"ok": False, "error": {"code": error.code, "message": str(error)}}


def _variable(name: str, frame: FrameType | None) -> nn.Module | None:
    """The module that a name means on the line that asks, in the functions that called it, or in the notebook."""
    for each in outwards(frame):
        for value in (local_variable(each, name), each.f_globals.get(name)):
            if value is not None:
                return value if is_module(value) else None
    value = vars(sys.modules["__main__"]).get(name)
    return value if is_module(value) else None


_FRESH_SECONDS = 1.0


class RankedModel(ModelHandle):
    """A model that ranks hold together: a module to `tree`, `ties`, `stats`, `check` and `trace`.

    Args:
        ranks: Which.
        name: The variable that each has it in.
        module: What this process has there, where it is one of the ranks.
    """

    __slots__ = ("ranks",)

    def __init__(self, ranks: Ranks, name: str, module: nn.Module | None) -> None:
        self.ranks = ranks
        self.name = name
        self.module = module

    def is_same_as(self, other: RankedModel) -> bool:
        """Whether two are one model: of one variable, in processes that have said to both that they are the same."""
        mine, theirs = (
            [(each.rank, each.host, each.pid) for each in model.ranks._statuses.values()]  # noqa: SLF001 - asks nobody
            for model in (self, other)
        )
        return self.name == other.name and mine == theirs

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
        seconds = self.ranks.timeout
        if function in _FILES and not self.ranks.is_in_group:
            return ask_file(self.ask, function, arguments, options, seconds)
        if function in CHANGES and not self.ranks.is_in_group:
            return change_from_here(self.ask, function, arguments, options, seconds=seconds)
        if function in CHANGES:
            told: dict[str, Any] = {"name": self.name, "world_size": self.ranks.world_size, "seconds": seconds}
            return change_here(self.module, function, arguments, options, **told)
        if function in _FILES:
            if self.module is None:
                raise no_module(self.name)
            return file_here(self.module, function, arguments, options, seconds)
        if function not in _OF_MODEL or arguments or options:
            so = " with these arguments" if function in _OF_MODEL else ""
            raise InvalidTargetError(
                f"{function} of a model over ranks isn't possible{so}.",
                hint=f"{', '.join((*_OF_MODEL, *CHANGES, *_FILES))} and trace are.",
            )
        return getattr(self, f"_{function}")()

    def ask(
        self,
        ask: str,
        *,
        seconds: float | None = None,
        is_any: bool = False,
        refused: dict[int, Mapping[str, Any]] | None = None,
        **body: Any,
    ) -> tuple[Replies, dict[int, Missing]]:
        """Ask every rank about this model; see `Ranks.ask`."""
        asked = {"model": self.name, "ask": ask, **body}
        return self.ranks.ask(self.module, asked, seconds=seconds, is_any=is_any, refused=refused)

    def _trace(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Trace:
        """One forward of all ranks, each on what it was given here, or on what is sent to all."""
        patience = self.ranks.timeout
        body: dict[str, Any] = {"model": self.name, "ask": "trace"}
        said = None
        if self.ranks.is_in_group:
            if self.module is None:
                raise no_module(self.name)
            said = traced(self.module, arguments, options, patience)
        else:
            body |= {"inputs": to_json((arguments, dict(options))), "patience": patience}
            _, missing = self.ask("here")
            self._need_all(missing)
        # Who has failed waits no longer for those that may wait for it.
        longest = patience if said is not None and said["error"] is not None else patience + _LONGEST_FORWARD
        replies, missing = self.ranks.ask(self.module, body, said=said, seconds=longest)
        if all(reply["error"] is None for reply in replies.values()):
            self._need_all(missing)
        traces = {rank: merging.traces.from_json(each) for rank, each in sorted(replies.items())}
        return merging.traces.merged(traces, missing)

    def _need_all(self, missing: Mapping[int, Missing]) -> None:
        if missing:
            raise RankMissingError(f"A forward needs every rank. {why_missing(missing)}", ranks=tuple(missing))

    def _tree(self) -> ModuleTree:
        return self.read().tree

    def tree_within(self, seconds: float) -> ModuleTree:
        """The model's tree as ranks tell it in that time; this one's alone, where they would have to ask the same."""
        return self.read(seconds=seconds).tree if self.module is None else tree(self.module)

    def read(self, before: Reading | None = None, seconds: float | None = None) -> Reading:
        """Read the model of every rank.

        Args:
            before: What was read last: where all ranks that answer say that theirs is the same still, its tree is not
                sent again.
            seconds: As of `ask`.
        """
        here = tree(self.module) if self.ranks.is_in_group and self.module is not None else None
        # Ranks that say the same have the same tree: one of them gives it, or it is here, or was read before.
        for full in ("" if before is not None or self.ranks.is_in_group else "first", "all"):
            said = None if here is None else tree_said(here, full)
            body = {"model": self.name, "ask": "tree", "full": full}
            replies, missing = self.ranks.ask(self.module, body, said=said, seconds=seconds)
            digests = {rank: str(reply["digest"]) for rank, reply in replies.items()}
            said_alike = {text: json.loads(text) for text in {reply["local_bytes"] for reply in replies.values()}}
            held: dict[int, Any] = {rank: said_alike[reply["local_bytes"]] for rank, reply in replies.items()}
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
        replies, missing = self.ask("stats", paths=asked, bins=False)
        found = dict(zip(asked, merging.tensors.WholeTensors(replies, missing).brief(), strict=True))
        rows = []
        for entry in whole.tensors:
            at = first.get(entry.path, entry.path)
            gradient = found.get(f"{at}.grad", "")
            rows.append(merging.tensors.row_of_whole(entry, found[at], gradient, first.get(entry.path, "")))
        return StatsTable(rows, whole)

    def _history(self) -> History:
        replies, _ = self.ask("history")
        return change_json.merged_history(replies)

    def _ties(self) -> tuple[TieGroup, ...]:
        return TieGroups(self._tree().ties)

    def _check(self) -> tuple[Finding, ...]:
        replies, missing = self.ask("check")
        lost = (
            Finding(
                "rank-missing", "warning", "", f"{each.told(rank, replies)} The rest is of the others.", ranks=(rank,)
            )
            for rank, each in missing.items()
        )
        return Findings(worst_first((*lost, *merging.findings.merged(replies, self.name))))


_LONGEST_FORWARD = 60.0
"""Seconds that a forward may take before a rank that is in it counts as missing."""
_OF_MODEL = ("tree", "ties", "stats", "check", "history")
_FILES = ("save", "plan", "diff")


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
        (found,) = merging.tensors.WholeTensors(replies, missing)
        if isinstance(found, str):
            raise InvalidTargetError(f"{inert(self.path, 80)} has no statistics: {found}.")
        return found
