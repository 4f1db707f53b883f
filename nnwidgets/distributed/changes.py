"""Changes of a model over ranks, such as `init`, `assign` and `undo`: made by all of them or by none."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from nnwidgets.checkpoint import load
from nnwidgets.distributed.inputs import to_json
from nnwidgets.distributed.merging import change_json
from nnwidgets.distributed.merging.plans_and_diffs import report_of
from nnwidgets.distributed.merging.tensors import WholeTensors
from nnwidgets.distributed.sources.ask_long import ask_long
from nnwidgets.distributed.sources.source import Missing, Replies, why_missing
from nnwidgets.edit import Change, apply, assign, freeze, init, redo, undo, unfreeze
from nnwidgets.edit.change import Make, Numbers, Statistics
from nnwidgets.edit.log import FEW
from nnwidgets.edit.over_ranks.agreement import agreed_call
from nnwidgets.edit.rng import draw_seed
from nnwidgets.errors import InvalidTargetError, NNWidgetsError, RankMissingError, RanksDisagreeError
from nnwidgets.formatting import inert, rank_names

CHANGES: dict[str, Callable[..., Any]] = {
    "init": init,
    "assign": assign,
    "freeze": freeze,
    "unfreeze": unfreeze,
    "apply": apply,
    "undo": undo,
    "redo": redo,
    "load": load,
}


def change_here(
    module: nn.Module | None,
    function: str,
    arguments: tuple[Any, ...],
    options: Mapping[str, Any],
    *,
    name: str,
    world_size: int,
    seconds: float,
) -> Any:
    """Change this rank's part of a model, as all ranks of the process group do, which run the same line.

    Args:
        module: The model; None where there is none here, which the others are told.
        function: The name of one of `CHANGES`.
        arguments: What it was called with after the model.
        options: The same, by name.
        name: The model's.
        world_size: How many ranks there are.
        seconds: How long to wait for them.
    """
    text = " ".join([function, *(each for each in arguments if type(each) is str)])

    def call() -> Any:
        if module is None:
            raise no_module(name)
        return CHANGES[function](module, *arguments, **options)

    return agreed_call(tuple(range(world_size)), seconds, text, call, is_preview=bool(options.get("preview")))


def no_module(name: str) -> InvalidTargetError:
    """The error of a rank that hasn't the model."""
    return InvalidTargetError(f"No variable {name!r} with a module here.")


class Asks(Protocol):
    """Asks all ranks about one model; gives what they say, and what stands for those that don't."""

    def __call__(
        self,
        ask: str,
        *,
        seconds: float | None = None,
        is_any: bool = False,
        refused: dict[int, Mapping[str, Any]] | None = None,
        **body: Any,
    ) -> tuple[Replies, Mapping[int, Missing]]:
        """Ask; as `Ranks.ask` does, it raises where a rank says that it can't."""


_OWN = secrets.token_hex(4)
"""What tells this notebook's changes from those of another that asks the same ranks."""


def change_from_here(
    ask: Asks, function: str, arguments: tuple[Any, ...], options: Mapping[str, Any], *, seconds: float
) -> Any:
    """Change a model of ranks that this process is none of: prepare on all, see that they agree, commit on all.

    Args:
        ask: Asks them.
        function: The name of one of `CHANGES`.
        arguments: What it was called with after the model.
        options: The same, by name.
        seconds: How long an answer may take, and how long a rank that makes the change may be silent.

    Raises:
        RankMissingError: A rank is missing, or can't; no rank is changed. One that is lost while all commit is named.
        RanksDisagreeError: They would do different things.
    """
    given = dict(options)
    arguments = with_path(arguments, given) if function == "load" else arguments
    if function == "init" and given.get("seed") is None:
        given["seed"] = draw_seed()
    progress = given.pop("progress", None)
    refuse_what_is_here(function, given)
    number = f"{_OWN}/{secrets.token_hex(8)}"
    body = {"function": function, "given": to_json((arguments, given), function), "number": number, "within": seconds}
    here, missing = ask("here")
    _need_all(missing)
    need_whole_job(here)
    try:
        replies, missing = ask_long(ask, "prepare", seconds=seconds, progress=progress, change=body)
        _need_all(missing)
        _check_alike({rank: str(each["does"]) for rank, each in replies.items()})
        change = change_json.merged({rank: each["change"] for rank, each in replies.items()})
        before = _stats(ask, change)
        if change.is_preview:
            return replace(change, _numbers=Numbers(_known(before), _known(_previewed(replies))))
        _need_all(ask("renew", change={"number": number})[1])
    except BaseException:
        _revoke(ask, number)
        raise
    try:
        _, missing = ask("commit", change={"number": number, "within": seconds})
        lost, why = tuple(missing), why_missing(missing)
    except RankMissingError as error:
        lost, why = error.ranks, str(error)
    except BaseException:
        _revoke(ask, number)
        raise
    if lost:
        _revoke(ask, number)
        raise RankMissingError(
            f"{why} That was while all ranks committed {change.label}: the others are as they were, and what these "
            "have of the model may be changed or lost.",
            ranks=lost,
            hint="check(net) tells whether all ranks are there, and agree.",
        )
    with suppress(NNWidgetsError):  # who isn't reached holds it until the next change
        ask("release", change={"number": number})
    change = replace(change, _numbers=Numbers(_known(before), _known(_stats(ask, change))))
    if function != "load":
        return change
    return report_of({rank: each["report"] for rank, each in replies.items()}, change)


def refuse_what_is_here(function: str, given: Mapping[str, Any]) -> None:
    """Refuse what this process has and ranks can't be given: optimizers, and functions.

    Raises:
        InvalidTargetError: It is given.
    """
    what = "function" if function == "apply" else "optimizer" if given.get("optimizer") is not None else None
    if what is not None:
        raise InvalidTargetError(
            f"{function} from outside of the ranks takes no {what}.",
            hint="Run it on all of them, with %%px for instance.",
        )


def with_path(arguments: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, ...]:
    """Arguments that begin with a path, as ranks find it: what is seen from here by its whole path.

    Args:
        arguments: Those without a name.
        given: Those by name, of which the path is taken.
    """
    arguments = (given.pop("path"), *arguments) if "path" in given else arguments
    if not arguments or not isinstance(arguments[0], str | os.PathLike):
        return arguments
    path = Path(os.fsdecode(arguments[0]))
    return str(path.absolute()) if path.exists() else str(path), *arguments[1:]


def _stats(ask: Asks, change: Change) -> Statistics:
    """Statistics of the first tensors of a change as they are now, where ranks tell them."""
    if change.kind in ("freeze", "unfreeze"):
        return {}
    paths = list(change.paths[:FEW])
    with suppress(NNWidgetsError):
        found = zip(paths, WholeTensors(*ask("stats", paths=paths)), strict=True)
        return {path: stats for path, stats in found if not isinstance(stats, str)}
    return {}


def _known(statistics: Statistics) -> Make:
    """Gives statistics that are there already."""
    return lambda paths: {path: each for path, each in statistics.items() if paths is None or path in paths}


def _need_all(missing: Mapping[int, Missing]) -> None:
    if missing:
        why = f"A change needs every rank, and nothing was changed. {why_missing(missing)}"
        raise RankMissingError(why, ranks=tuple(missing))


def need_whole_job(here: Replies) -> None:
    """Refuse to change or save a model that ranks hold which weren't asked."""
    world_size = max(int(each.get("world_size", 1)) for each in here.values())
    others = tuple(rank for rank in range(world_size) if rank not in here)
    if others:
        names = rank_names(others)
        raise RankMissingError(
            f"Every rank is needed, and {names} of the {world_size} isn't asked. Nothing was done."
            if len(others) == 1
            else f"Every rank is needed, and {names} of the {world_size} aren't asked. Nothing was done.",
            ranks=others,
            hint="Give ranks() all of them.",
        )


def _check_alike(does: Mapping[int, str]) -> None:
    first = min(does)
    for rank, each in does.items():
        if each != does[first]:
            raise RanksDisagreeError(
                f"Rank {first}: {inert(does[first], 200)}. Rank {rank}: {inert(each, 200)}. Nothing was changed.",
                hint="check(net) tells where their models differ.",
            )


def _revoke(ask: Asks, number: str) -> None:
    """Have all ranks that can be reached be as they were."""
    with suppress(NNWidgetsError):
        ask("revoke", change={"number": number})


def _previewed(replies: Replies) -> Statistics:
    """Statistics of the values that a preview tells, where all ranks tell them."""
    said = {rank: each["after"] for rank, each in sorted(replies.items()) if "after" in each}
    if len(said) < len(replies) or len({tuple(each["paths"]) for each in said.values()}) > 1:
        return {}
    found = zip(said[min(said)]["paths"], WholeTensors(said, ()), strict=True)
    return {path: stats for path, stats in found if not isinstance(stats, str)}
