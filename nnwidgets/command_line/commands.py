"""What each command does with its files: records and pages of the functions that notebooks have."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from nnwidgets import checkpoint
from nnwidgets.checkpoint import CheckpointIndex, LoadPlan, StateDiff
from nnwidgets.checkpoint.formats import open_checkpoint
from nnwidgets.checkpoint.peek import index_of
from nnwidgets.checkpoint.state_dict import find, name_in_state_dict
from nnwidgets.checkpoint.without_model import FileReport, examine, file_module
from nnwidgets.errors import InvalidTargetError, NNWidgetsError, PathNotFoundError
from nnwidgets.formatting import cut
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.patterns import LONGEST, glob, searchable
from nnwidgets.introspect.records import Record
from nnwidgets.text.document import Document
from nnwidgets.text.pages import checkpoints as pages
from nnwidgets.text.pages.files import file_tree_page, report_page

FINE, DIFFERENT, UNREADABLE = 0, 1, 2


@dataclass(frozen=True)
class Outcome:
    """What came of a command, for one file or pair of files.

    Attributes:
        code: How the process ends: `FINE`, `DIFFERENT` or `UNREADABLE`.
        record: What JSON has.
        page: What is printed.
        report: What HTML has, where that is more.
        error: Why there is nothing of it.
    """

    code: int
    record: Record | ModuleTree | dict[str, Any]
    page: Document = ()
    report: Document = ()
    error: NNWidgetsError | None = None


def peek(given: argparse.Namespace) -> Iterator[Outcome]:
    """What the header of each file says."""
    return _each_file(given, _peek)


def show_tree(given: argparse.Namespace) -> Iterator[Outcome]:
    """The names of each file as a tree."""
    return _each_file(given, _tree)


def check(given: argparse.Namespace) -> Iterator[Outcome]:
    """What is wrong in each file."""
    return _each_file(given, _check)


def diff(given: argparse.Namespace) -> Iterator[Outcome]:
    """What differs between two files."""
    found = checkpoint.diff(given.a, given.b, entry=given.entry, rtol=given.rtol, atol=given.atol)
    keep = _Filter(given.filter)
    if keep.patterns:
        found = _filtered_diff(found, keep)
        keep.require_use(f"{given.a} and {given.b}")
    yield Outcome(FINE if found.is_close else DIFFERENT, found, pages.diff_page(found))


def plan(given: argparse.Namespace) -> Iterator[Outcome]:
    """How the tensors of a file would go into the names of another."""
    found = checkpoint.plan(file_module(given.a), given.b, entry=given.entry)
    keep = _Filter(given.filter)
    if keep.patterns:
        entries = [each for each in found.entries if keep(each.path or "") or keep(each.source or "")]
        found = replace(found, entries=tuple(entries))
        keep.require_use(f"{given.a} and {given.b}")
    page = pages.plan_page(found, layout=PurePath(given.a).name)
    yield Outcome(FINE if found.is_complete else DIFFERENT, _PlanOfFiles(found), page)


@dataclass(frozen=True)
class _PlanOfFiles(Record):
    plan: LoadPlan

    def to_dict(self) -> dict[str, Any]:
        return {**self.plan.to_dict(), "is_complete": self.plan.is_complete}


def _each_file(given: argparse.Namespace, run: Callable[[argparse.Namespace, str], Outcome]) -> Iterator[Outcome]:
    for file in given.files:
        try:
            yield run(given, file)
        except NNWidgetsError as error:
            yield unreadable(error, file)


def unreadable(error: NNWidgetsError, file: str | None = None) -> Outcome:
    """The outcome of a file that can't be read."""
    record = {"path": file, "error": {"code": error.code, "message": error.message, "hint": str(error.hint)}}
    return Outcome(UNREADABLE, record, error=error)


def _peek(given: argparse.Namespace, file: str) -> Outcome:
    index = _index(file, given)
    page = pages.index_page(index)
    report = (*page, *file_tree_page(_names(given, file), _name(file))) if given.html else ()
    return Outcome(FINE, index, page, report)


def _tree(given: argparse.Namespace, file: str) -> Outcome:
    if not given.html:
        keep = _Filter(given.filter)
        made = _names(given, file, keep)
        keep.require_use(file)
        return Outcome(FINE, made, file_tree_page(made, _name(file), depth=given.depth))
    report = _examined(given, file)
    made, page = _tree_with_numbers(given, file, report)
    return Outcome(FINE, made, file_tree_page(made, _name(file), depth=given.depth), page)


def _check(given: argparse.Namespace, file: str) -> Outcome:
    report = _examined(given, file)
    page = report_page(report)
    code = DIFFERENT if any(each.severity == "error" for each in report.findings) else FINE
    _, with_numbers = _tree_with_numbers(given, file, report) if given.html else (None, ())
    return Outcome(code, report, page, (*page, *with_numbers))


def _index(file: str, given: argparse.Namespace) -> CheckpointIndex:
    with open_checkpoint(file) as held:
        index = index_of(held, find(held, entry=given.entry))
    keep = _Filter(given.filter)
    if not keep.patterns:
        return index
    tensors, rest = (tuple(each for each in those if keep(each.name)) for those in (index.tensors, index.rest))
    keep.require_use(file)
    return replace(index, tensors=tensors, rest=rest)


def _examined(given: argparse.Namespace, file: str) -> FileReport:
    keep = _Filter(given.filter)
    report = examine(file, entry=given.entry, keep=keep)
    keep.require_use(file)
    return report


def _names(given: argparse.Namespace, file: str, keep: _Filter | None = None) -> ModuleTree:
    return tree(file_module(file, entry=given.entry, keep=keep or _Filter(given.filter)))


def _tree_with_numbers(given: argparse.Namespace, file: str, report: FileReport) -> tuple[Any, Document]:
    made = _names(given, file)
    names = {each.path: name_in_state_dict(each.path) for each in made.tensors}
    numbers = {path: report.numbers[name] for path, name in names.items() if name in report.numbers}
    return made, file_tree_page(made, _name(file), numbers=numbers)


def _name(file: str) -> str:
    return PurePath(os.path.abspath(file)).name  # noqa: PTH100 - nothing is followed


def _filtered_diff(found: StateDiff, keep: Callable[[str], bool]) -> StateDiff:
    return replace(
        found,
        added=tuple(filter(keep, found.added)),
        removed=tuple(filter(keep, found.removed)),
        changed=tuple(each for each in found.changed if keep(each.path)),
        close=tuple(each for each in found.close if keep(each.path)),
        equal=tuple(filter(keep, found.equal)),
    )


class _Filter:
    """Which names are meant: those that a glob fits, those below one, less those that a ``!glob`` does.

    Example:
        >>> keep = _Filter(["h.*.attn", "!**.bias"])
        >>> keep("h.0.attn.weight"), keep("h.0.attn.bias"), keep("h.0.mlp.weight")
        (True, False, False)
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self.n_kept = 0
        for each in patterns:
            if not 0 < len(each.removeprefix("!")) <= LONGEST:
                raise InvalidTargetError(f"--filter {cut(each)!r} is no glob over names.", hint="Such as '**.weight'.")
        made = [each for pattern in patterns if not pattern.startswith("!") for each in (pattern, f"{pattern}.**")]
        left_out = [each[1:] for each in patterns if each.startswith("!")]
        self._fits = [glob(each).match for each in made]
        self._leaves = [glob(each).match for pattern in left_out for each in (pattern, f"{pattern}.**")]

    def __call__(self, name: str) -> bool:
        text = searchable(name)
        is_kept = (not self._fits or any(fits(text) for fits in self._fits)) and not any(
            leaves(text) for leaves in self._leaves
        )
        self.n_kept += is_kept
        return is_kept

    def require_use(self, where: str) -> None:
        """Make sure that something was kept.

        Raises:
            PathNotFoundError: Nothing was.
        """
        if self.patterns and not self.n_kept:
            raise PathNotFoundError(
                f"No tensor of {where} fits {' '.join(f'--filter {cut(each)!r}' for each in self.patterns)}.",
                path=where,
                hint="* stands for anything between two dots, ** for anything at all.",
            )
