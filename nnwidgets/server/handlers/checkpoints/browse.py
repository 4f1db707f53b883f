"""Answers to `folder` and `peek`: what lies in the notebook's folder, and what is in one of its files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnwidgets.checkpoint import CheckpointIndex, StoredTensor, peek
from nnwidgets.checkpoint.records import StateDictEntry
from nnwidgets.formatting import inert
from nnwidgets.server.handlers.paging import holds, window
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.notebook.folder import errors_named_from_here, list_folder, resolve_in_folder
from nnwidgets.server.session.file_cache import signature
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.checkpoints import EntryBody, FolderReply, Pair, PeekReply, StoredRow

_MOST_PAIRS = 200
_MOST_TEXT = 400
_OPEN_ROWS = 60
_REST = "beside the state dict"
_REST_PATH = "\0"
"""No name in a file has it, or no page could show the two apart."""
_DIGITS = re.compile(r"(\d+)")


@handles("folder", long=True, over_ranks=True)
def answer_folder(_session: Session, body: Mapping[str, Any], job: Job) -> FolderReply:
    """List a folder.

    Raises:
        RequestError: `outside-folder`, `path-not-found`.
    """
    only = body.get("checkpoints_only", False)
    return list_folder(body["path"], lambda: job.cancelled, checkpoints_only=only)


@handles("peek", long=True, over_ranks=True)
def answer_peek(session: Session, body: Mapping[str, Any], _job: Job) -> PeekReply:
    """Give what a file's header says, and a window of the tree of its names.

    Raises:
        RequestError: `outside-folder`.
        UnsafeCheckpointError: The file would have to run code to be read.
        CorruptCheckpointError: It is damaged, or no checkpoint.
        PathNotFoundError: It isn't there.
    """
    file = resolve_in_folder(body["path"])
    index, tree = read_header(session, file)
    expanded = tree.default_opening() if body["expanded"] is None else set(body["expanded"])
    rows = list(tree.matching(body["text"]) if body["text"].strip() else tree.flat(expanded))
    start, shown = window(rows, body["start"], body["count"])
    reply: PeekReply = {
        "path": body["path"],
        "format": index.format,
        "size_bytes": index.size_bytes,
        "n_files": len(index.files),
        "n_tensors": len(index.tensors),
        "n_rest": len(index.rest),
        "n_elements": index.n_elements,
        "n_ties": len(index.ties),
        "dtypes": dict(Counter(each.dtype for each in index.tensors).most_common()),
        "state_dict": index.state_dict,
        "optimizer": index.optimizer,
        "metadata": _pairs(index.metadata),
        "values": _pairs(index.values),
        "departures": [inert(each, _MOST_TEXT) for each in index.departures],
        "total": len(rows),
        "start": start,
        "rows": list(shown),
        "expanded": sorted(expanded & tree.groups),
    }
    if len(index.entries) > 1:
        reply["entries"] = [entry_body(each) for each in index.entries[:_MOST_PAIRS]]
    return reply


def entry_body(entry: StateDictEntry) -> EntryBody:
    """A state dict of a file, as the page has it."""
    return {
        "name": entry.name,
        "n_tensors": entry.n_tensors,
        "n_elements": entry.n_elements,
        "why": inert(entry.why, _MOST_TEXT),
    }


def read_header(session: Session, file: Path) -> tuple[CheckpointIndex, NameTree]:
    """Return a file's header and the tree of its names, read again only when the file has changed."""

    def read() -> tuple[CheckpointIndex, NameTree]:
        with errors_named_from_here():
            index = peek(file)
        return index, NameTree(index)

    return session.file_cache.get(("peek", signature(file)), read)


@dataclass(slots=True)
class _Group:
    """Names that begin alike."""

    name: str
    path: str
    groups: dict[str, _Group] = field(default_factory=dict)
    tensors: list[StoredTensor] = field(default_factory=list)
    n_tensors: int = 0
    size_bytes: int = 0


class NameTree:
    """A checkpoint's tensors by the dotted parts of their names.

    Attributes:
        groups: Ids of all rows that open.
    """

    def __init__(self, index: CheckpointIndex) -> None:
        self._is_sharded = len(index.files) > 1
        self._every = (*index.tensors, *index.rest)
        self._top = _Group("", "")
        self.groups: set[str] = set()
        _add(self._top, index.tensors)
        if index.rest:
            beside = _Group(_REST, _REST_PATH)
            _add(beside, index.rest)
            self._top.groups[_REST_PATH] = beside
        waiting = [self._top]
        while waiting:
            group = waiting.pop()
            waiting.extend(group.groups.values())
            self.groups.add(_id(group))
        self.groups.discard(_id(self._top))

    def default_opening(self) -> set[str]:
        """Return what is open at first: from the top down, as long as few rows show."""
        expanded: set[str] = set()
        level = list(self._top.groups.values())
        n_rows = len(level) + len(self._top.tensors)
        while level:
            below = sum(len(each.groups) + len(each.tensors) for each in level)
            if n_rows + below > _OPEN_ROWS:
                break
            n_rows += below
            expanded |= {_id(each) for each in level}
            level = [each for group in level for each in group.groups.values()]
        return expanded

    def flat(self, expanded: set[str]) -> Iterator[StoredRow]:
        """Give the rows in sight, tensors of a group before its groups."""
        waiting: list[tuple[_Group, int]] = [(self._top, 0)]
        while waiting:
            group, level = waiting.pop()
            is_open = level == 0 or _id(group) in expanded
            if level:
                yield _group_row(group, level, expanded=is_open)
            if is_open:
                for tensor in group.tensors:
                    name = tensor.name if group.path == _REST_PATH else tensor.name[len(group.path) :].removeprefix(".")
                    yield self._row(tensor, name, level + 1)
                inner = sorted(group.groups.values(), key=lambda each: _natural(each.name))
                waiting.extend((each, level + 1) for each in reversed(inner))

    def matching(self, text: str) -> Iterator[StoredRow]:
        """Give the tensors whose names hold a text."""
        return (self._row(each, each.name, 1) for each in self._every if holds(text, [each.name]))

    def _row(self, tensor: StoredTensor, name: str, level: int) -> StoredRow:
        notes = ["" if tensor.layout == "strided" else tensor.layout, tensor.file if self._is_sharded else ""]
        return {
            "id": f"t:{tensor.name}",
            "kind": "tensor",
            "level": level,
            "name": name or tensor.name,
            "path": tensor.name,
            "expanded": False,
            "n_tensors": 1,
            "size_bytes": tensor.size_bytes,
            "shape": list(tensor.shape),
            "dtype": tensor.dtype,
            "tie": tensor.tie,
            "note": " · ".join(inert(each, _MOST_TEXT) for each in notes if each),
        }


def _add(top: _Group, tensors: Iterable[StoredTensor]) -> None:
    for tensor in tensors:
        *parts, _ = tensor.name.split(".")
        group = top
        group.n_tensors += 1
        group.size_bytes += tensor.size_bytes
        for depth, part in enumerate(parts):
            if part not in group.groups:
                group.groups[part] = _Group(part, ".".join(parts[: depth + 1]))
            group = group.groups[part]
            group.n_tensors += 1
            group.size_bytes += tensor.size_bytes
        group.tensors.append(tensor)


def _group_row(group: _Group, level: int, *, expanded: bool) -> StoredRow:
    return {
        "id": _id(group),
        "kind": "group",
        "level": level,
        "name": group.name,
        "path": group.path.removeprefix(_REST_PATH),
        "expanded": expanded,
        "n_tensors": group.n_tensors,
        "size_bytes": group.size_bytes,
        "shape": None,
        "dtype": "",
        "tie": None,
        "note": "",
    }


def _id(group: _Group) -> str:
    return f"g:{group.path}"


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key by which ``h.2`` comes before ``h.10``."""
    return tuple((int(part) if part.isdecimal() and len(part) < _LONG else -1, part) for part in _DIGITS.split(name))


_LONG = 18


def _pairs(found: Mapping[str, str]) -> list[Pair]:
    shown = list(found.items())[:_MOST_PAIRS]
    return [{"name": inert(name, _MOST_TEXT), "value": inert(value, _MOST_TEXT)} for name, value in shown]
