"""Checkpoints of models over ranks, asked from outside: saves, and plans and comparisons of what each holds, merged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import nn

from nnwidgets.checkpoint import SaveReport, diff, plan, save
from nnwidgets.checkpoint.diffing.diff import Sums, diff_with_sums
from nnwidgets.checkpoint.formats.paths import check_path
from nnwidgets.checkpoint.saving.here import Request, save_here
from nnwidgets.checkpoint.saving.over_ranks.report_json import report_to_json
from nnwidgets.checkpoint.saving.over_ranks.save_together import ranks_of, save_together
from nnwidgets.distributed.changes import Asks, need_whole_job, refuse_what_is_here, with_path
from nnwidgets.distributed.inputs import from_json, to_json
from nnwidgets.distributed.merging import plans_and_diffs
from nnwidgets.distributed.serving.at_work import Work, current_work
from nnwidgets.distributed.shares import place_in_group
from nnwidgets.distributed.sources.ask_long import ask_long
from nnwidgets.distributed.sources.source import why_missing
from nnwidgets.errors import InvalidTargetError, RankMissingError
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.tracing.inputs import device_of

Said = dict[str, Any]


def ask_file(ask: Asks, function: str, arguments: tuple[Any, ...], options: Mapping[str, Any], seconds: float) -> Any:
    """Have each rank plan a load, compare with a file or save its part, and merge what they say.

    Args:
        ask: Asks them.
        function: ``"plan"``, ``"save"``, or ``"diff"``, whose model is the first side, unless ``is_second`` among the
            options says.
        arguments: What it was called with besides the model.
        options: The same, by name.
        seconds: How long an answer may take, and how long a rank that reads may be silent.

    Raises:
        RankMissingError: A rank can't; or one is missing, of a plan.
        InvalidTargetError: The other side is no path.
    """
    if function == "save":
        return _ask_save(ask, arguments, options, seconds)
    given = {name: each for name, each in options.items() if each is not None}
    progress = given.pop("progress", None)
    refuse_what_is_here(function, given)
    sides = with_path(arguments, given)
    if not all(isinstance(each, str) for each in sides[:1]):
        raise InvalidTargetError(
            "A model over ranks is compared with a file.", hint="In a process group, with a mark or a module too."
        )
    made = to_json((sides, given), function)
    _, missing = ask("here")
    replies: Mapping[int, Mapping[str, Any]] = {}
    if function == "diff" or not missing:
        told = {"without": frozenset(missing), "is_any": function == "diff", "progress": progress}
        replies, missing = ask_long(ask, function, seconds=seconds, **told, given=made)
    if function == "diff" and replies:
        return plans_and_diffs.merged_diffs(replies, tuple(missing))
    if missing:
        why = why_missing(missing)
        text = f"No rank has compared anything. {why}" if function == "diff" else f"A plan needs every rank. {why}"
        raise RankMissingError(text, ranks=tuple(missing))
    return plans_and_diffs.merged_plans({rank: plans_and_diffs.plan_from_json(each) for rank, each in replies.items()})


def file_here(
    module: nn.Module, function: str, arguments: tuple[Any, ...], options: Mapping[str, Any], seconds: float
) -> Any:
    """A plan or a comparison of what this rank holds, for which nobody is asked; or a save, of all that do the same."""
    if function == "save":
        return _save_with_others(module, arguments, options, seconds)
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
    found = diff_with_sums(
        *sides, *arguments, name=str(body["model"]), sums=sums, progress=current_work().progress, **options
    )
    return {"diff": found.to_dict(), "sums": {name: each.to_json() for name, each in sums.items()}}


def _ask_save(ask: Asks, arguments: tuple[Any, ...], options: Mapping[str, Any], seconds: float) -> SaveReport:
    """Have all ranks save what they hold together: all of it, or nothing.

    Args:
        ask: Asks them.
        arguments: What `save` was called with besides the model.
        options: The same, by name.
        seconds: How long a rank may be silent to the others.

    Raises:
        RankMissingError: A rank is missing, or can't; nothing was saved, unless it says otherwise.
        InvalidTargetError: It has to be run on the ranks: an optimizer or a function is given, or they are no job.
    """
    given = _arguments(arguments, options)
    progress = given.pop("progress", None)
    refuse_what_is_here("save", given)
    made = to_json(((_path_there(given.pop("path")),), given), "save")
    here, missing = ask("here")
    if missing:
        raise RankMissingError(
            f"A save needs every rank, and nothing was saved. {why_missing(missing)}", ranks=tuple(missing)
        )
    need_whole_job(here)
    if len(here) > 1 and all(each["world_size"] == 1 for each in here.values()):
        raise InvalidTargetError(
            "These ranks are in no process group: each has a model of its own, and there is one path.",
            hint="Save one of them: nnw.ranks(client[[0]])[name].",
        )
    # Ranks tell each other after that time which of them is silent.
    replies, missing = ask_long(
        ask, "save", seconds=2 * seconds, is_any=True, is_together=True, progress=progress, given=made, patience=seconds
    )
    if not replies:
        raise RankMissingError(
            f"A save needs every rank. {why_missing(missing)}",
            ranks=tuple(missing),
            hint="They may be saving still: look at the path before you save again.",
        )
    lost = [f"{each.told(rank, replies)} It was saved all the same." for rank, each in missing.items()]
    return plans_and_diffs.save_report_of(replies, lost)


def save_part(module: nn.Module, body: Mapping[str, Any]) -> Said:
    """Save this rank's part, as all ranks are asked to now."""
    (path, *_), options = _given(module, body)
    work = current_work()
    told = {**options, "progress": work.progress}
    return report_to_json(_save_with_others(module, (path,), told, float(body.get("patience", 0.0)), work))


def _save_with_others(
    module: nn.Module,
    arguments: tuple[Any, ...],
    options: Mapping[str, Any],
    seconds: float,
    work: Work | None = None,
) -> SaveReport:
    """Save this rank's part, as all ranks do, whether or not the model itself tells that they hold it together.

    Args:
        module: The model.
        arguments: What `save` was called with besides it.
        options: The same, by name.
        seconds: How long to wait for the others.
        work: What tells whoever asked that this rank works still, or waits for others.
    """
    asked = Request(module, **_arguments(arguments, options))
    world_size = place_in_group()[1]
    ranks = ranks_of(module) or (tuple(range(world_size)) if world_size > 1 else ())
    sign = None if work is None else work.sign
    return save_together(asked, ranks, seconds, sign) if ranks else save_here(asked)


def _arguments(arguments: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """What `save` was called with, by name, without the model.

    Raises:
        TypeError: It takes no such arguments.
    """
    try:
        given = dict(signature(save).bind(None, *arguments, **options).arguments)
    except TypeError as error:
        raise TypeError(f"save() {error}") from None
    del given["obj"]
    return given


def _path_there(path: Any) -> Any:
    """A path to save to, as ranks find it: where its folder is seen from here, the whole path."""
    place, text = check_path(path), os.fsdecode(path)
    # What ends in a slash is a folder, which an absolute path wouldn't tell.
    return f"{place.absolute()}{os.sep if text.endswith(os.sep) else ''}" if place.parent.is_dir() else text


def _given(module: nn.Module, body: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    arguments, options = from_json(body.get("given"), device_of(read(module)))
    if not arguments or type(arguments[0]) is not str:
        raise InvalidTargetError("The request names no file.")
    return arguments, options
