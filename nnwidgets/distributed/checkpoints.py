"""Checkpoints of models over ranks, asked from outside: plans and comparisons of what each rank holds, merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from nnwidgets.checkpoint import diff, plan
from nnwidgets.checkpoint.diffing.diff import Sums, diff_with_sums
from nnwidgets.distributed.changes import Asks, with_path
from nnwidgets.distributed.inputs import from_json, to_json
from nnwidgets.distributed.merging import plans_and_diffs
from nnwidgets.errors import InvalidTargetError, RankMissingError
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.tracing.inputs import device_of

Said = dict[str, Any]

LONGEST_LOOK = 600.0
"""Seconds beyond the timeout that reading a file may take."""


def ask_file(ask: Asks, function: str, arguments: tuple[Any, ...], options: Mapping[str, Any], seconds: float) -> Any:
    """Have each rank plan a load or compare with a file, and merge what they say.

    Args:
        ask: Asks them.
        function: ``"plan"``, or ``"diff"``, whose model is the first side, unless ``is_second`` among the options says.
        arguments: What it was called with besides the model.
        options: The same, by name.
        seconds: How long an answer may take; reading may take longer.

    Raises:
        RankMissingError: A rank can't; or one is missing, of a plan.
        InvalidTargetError: The other side is no path.
    """
    given = {name: each for name, each in options.items() if each is not None}
    sides = with_path(arguments)
    if not all(isinstance(each, str) for each in sides[:1]):
        raise InvalidTargetError(
            "A model over ranks is compared with a file.", hint="In a process group, with a mark or a module too."
        )
    made = to_json((sides, given), function)
    replies, missing = ask(function, seconds=seconds + LONGEST_LOOK, given=made)
    if function == "diff":
        return plans_and_diffs.merged_diffs(replies, tuple(missing))
    if missing:
        why = " ".join(each.told(rank, ()) for rank, each in missing.items())
        raise RankMissingError(f"A plan needs every rank. {why}", ranks=tuple(missing))
    return plans_and_diffs.merged_plans({rank: plans_and_diffs.plan_from_json(each) for rank, each in replies.items()})


def file_here(module: nn.Module, function: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """A plan or a comparison of what this rank holds; nobody is asked."""
    if function == "plan":
        return plan(module, *arguments, **options)
    given = dict(options)
    sides = (*arguments, module) if given.pop("is_second") else (module, *arguments)
    return diff(*sides, **given)


def plan_here(module: nn.Module, body: Mapping[str, Any]) -> Said:
    """This rank's plan, as JSON."""
    arguments, options = _given(module, body)
    return plan(module, *arguments, **options).to_dict()


def diff_here(module: nn.Module, body: Mapping[str, Any]) -> Said:
    """This rank's comparison, as JSON, with what makes one of those of all."""
    (path, *arguments), options = _given(module, body)
    is_second = options.pop("is_second", False)
    sums: dict[str, Sums] = {}
    sides = (path, module) if is_second else (module, path)
    found = diff_with_sums(*sides, *arguments, name=str(body["model"]), sums=sums, **options)
    return {"diff": found.to_dict(), "sums": {name: each.to_json() for name, each in sums.items()}}


def _given(module: nn.Module, body: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    arguments, options = from_json(body.get("given"), device_of(read(module)))
    if not arguments or type(arguments[0]) is not str:
        raise InvalidTargetError("The request names no file.")
    return arguments, options
