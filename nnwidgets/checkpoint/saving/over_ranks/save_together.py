"""A save by several ranks that all run the same line: they meet, compare what they have, write; one names the files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch.distributed as dist

from nnwidgets.checkpoint.progress import Progress
from nnwidgets.checkpoint.records import SaveReport
from nnwidgets.checkpoint.saving.here import Gathered, Request, edits_locked, gathered, recipe_facts, save_here
from nnwidgets.checkpoint.saving.over_ranks.report_json import report_from_json, report_to_json
from nnwidgets.checkpoint.saving.over_ranks.save_folder import save_folder
from nnwidgets.checkpoint.saving.over_ranks.save_slices import save_slices
from nnwidgets.checkpoint.saving.over_ranks.shares import digest_of_text, is_spread
from nnwidgets.checkpoint.saving.over_ranks.steps import NOTHING, Steps
from nnwidgets.checkpoint.saving.over_ranks.turn import Turn
from nnwidgets.checkpoint.saving.shards import check_free
from nnwidgets.checkpoint.saving.target import Target, target_of
from nnwidgets.checkpoint.writing.atomic_file import TargetDirectory, as_save_error
from nnwidgets.checkpoint.writing.tensors_to_save import TensorToSave, contents_of
from nnwidgets.errors import SaveError
from nnwidgets.formatting import counted, rank_names
from nnwidgets.introspect.meeting import PATIENCE, Meeting, Words, words_of
from nnwidgets.introspect.safe_access import objects
from nnwidgets.introspect.safe_access.holders import is_dtensor
from nnwidgets.introspect.safe_access.scan import read
from nnwidgets.introspect.tracing.together import is_in_group, ranks_of_model

_WORDS = Words("save", NOTHING, "Run the same line on all of them, with the same path.")
_DEEPEST = 16


def ranks_of(obj: Any) -> tuple[int, ...]:
    """The ranks that hold together what is to be saved; none where it is this process's own.

    Raises:
        SaveError: This rank has no part of it.

    Example:
        >>> ranks_of({"weight": 1})
        ()
    """
    if not is_in_group():
        return ()
    scan, me = read(obj) if objects.is_module(obj) else None, dist.get_rank()
    tensors = _tensors(obj, _DEEPEST) if scan is None else scan.slot_values
    with objects.no_torch_function():
        meshes = {each._spec.mesh for each in tensors if is_dtensor(type(each))}  # noqa: SLF001 - torch's own record
    ranks = sorted({rank for mesh in meshes for rank in mesh.mesh.flatten().tolist()})
    if ranks and me not in ranks:
        raise SaveError(
            f"This rank, {me}, has no part of what is to be saved: {rank_names(ranks)} have all of it, and save it "
            "without this one.",
            hint="Call save on these ranks alone. This one saved nothing.",
        )
    if scan is not None:
        return ranks_of_model(scan)
    return tuple(ranks) if len(ranks) > 1 else ()


def _tensors(value: Any, left: int) -> Iterator[Any]:
    if objects.is_tensor(value):
        yield value
    elif left:
        inside = (
            [each for _, each in objects.plain_items(value)]
            if objects.is_a(value, dict)
            else list(value)
            if type(value) in (list, tuple)
            else []
        )
        for each in inside:
            yield from _tensors(each, left - 1)


def save_together(
    asked: Request, ranks: tuple[int, ...], seconds: float | None = None, sign: Callable[[], None] | None = None
) -> SaveReport:
    """Save what ranks hold together, on each of them.

    Args:
        asked: What is to be saved; the same on all.
        ranks: Which they are.
        seconds: How long to wait for the others, and for a sign of life from each; as usual where None.
        sign: Called whenever the others are told that this rank is there still.

    Raises:
        RankMissingError: A rank is missing, or can't; nothing was saved.
        RanksDisagreeError: They would save different things.
        SaveError: Nothing was saved, and why.
    """
    start = time.perf_counter()
    seconds = PATIENCE if seconds is None else seconds
    meeting = Meeting(ranks, seconds, "save", _WORDS, f"save {os.fspath(asked.path)!r}")
    try:
        target = target_of(asked.path, asked.shard_size, overwrite=asked.overwrite)
        with as_save_error(target.path):
            _check_free(target, overwrite=asked.overwrite)
        shards = f" in shards of {counted(target.shard_size, 'byte')}" if asked.shard_size and target.shard_size else ""
        meeting.agree(f"save to {target.path}{shards}")
    except BaseException as error:
        meeting.refuse(words_of(error))
        raise
    with Steps(meeting, seconds, sign) as steps, as_save_error(target.path), edits_locked(asked.obj):
        report = _saved(asked, target, steps)
        steps.leave()
    return replace(report, seconds=time.perf_counter() - start, ranks=ranks, world_size=dist.get_world_size())


def _check_free(target: Target, *, overwrite: bool) -> None:
    if target.format == "sharded" and not overwrite and target.path.is_dir():
        with TargetDirectory(target.path) as folder:
            check_free(folder)


def _saved(asked: Request, target: Target, steps: Steps) -> SaveReport:
    given = gathered(asked)
    return report_from_json(_told(asked, given, target, steps), seconds=0.0, optimizer=given.optimizer)


def _told(asked: Request, given: Gathered, target: Target, steps: Steps) -> dict[str, Any]:
    """The report, as all ranks are told it."""
    contents = contents_of(given.content, takes_parts=True)
    facts = recipe_facts(asked, given.state, target)
    if not is_spread(each for _, each in contents.named if type(each) is TensorToSave):
        names = [name for name, _ in contents.named]
        return _by_the_first(asked, given, f"save {counted(len(names), 'tensor')} ({digest_of_text(names)})", steps)
    if target.format == "torch-zip":
        raise SaveError(
            "A torch file is written by one process, and this model is spread over ranks.",
            path=str(target.path),
            hint=f"Save to a folder, {str(target.path.with_suffix('')) + '/'!r}, or to "
            f"{target.path.with_suffix('.safetensors').name!r}. Nothing was changed.",
        )
    # Others are told why before what they look for goes.
    with ExitStack() as stack, steps, as_save_error(target.path):
        turn = Turn(asked, target, given, contents, replace(facts, is_spread=True), steps, stack)
        if target.format == "sharded" and asked.shard_size is None:
            return save_folder(turn)
        return save_slices(turn)


def _by_the_first(asked: Request, given: Gathered, does: str, steps: Steps) -> dict[str, Any]:
    """Where every rank has all of it, one saves it, and all have the report."""
    steps.compare(does)
    if steps.is_first:
        steps.settle()
        with steps.telling(), steps.at_work():
            report = save_here(replace(asked, progress=_beating(asked.progress, steps)), given.state)
        steps.end(report_to_json(report))
    return steps.hear_end()


def _beating(progress: Progress | None, steps: Steps) -> Progress:
    """The same, which says that this rank works: a large model may take longer than any call of the system."""

    def told(done: int, total: int) -> None:
        steps.beat()
        if progress is not None:
            steps.call(progress, done, total)

    return told
