"""Answers to `diff`: a checkpoint against the live model, or against another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from nnwidgets.checkpoint import Changed, StateDiff, diff
from nnwidgets.formatting import csv_table, inert, markdown_table, shape_text
from nnwidgets.server.handlers.paging import holds, window
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.notebook.folder import errors_named_from_here, resolve_in_folder
from nnwidgets.server.session.file_cache import signature
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.checkpoints import Difference, DiffReply, DiffRow

_MOST_TEXT = 200
_NUMBERS: tuple[Literal["max_abs_difference", "relative_norm", "n_different"], ...] = (
    "max_abs_difference", "relative_norm", "n_different",
)  # fmt: skip
_ORDER: tuple[Difference, ...] = ("shape", "dtype", "values", "removed", "added", "equal")


@handles("diff", long=True, over_ranks=True)
def answer_diff(session: Session, body: Mapping[str, Any], job: Job) -> DiffReply:
    """Compare, with progress; the result holds no tensor and is kept for scrolling through it.

    Raises:
        RequestError: `outside-folder`.
        CorruptCheckpointError: A file is damaged, or no checkpoint.
        PathNotFoundError: One isn't there.
    """
    one = resolve_in_folder(body["path"])
    two = None if body["other"] is None else resolve_in_folder(body["other"])
    name = session.name or "the model"
    entry = body.get("entry")
    key = ("diff", signature(one), None if two is None else signature(two), entry)

    def report(done: int, total: int) -> None:
        job.check()
        job.progress(done, total)

    def compare() -> tuple[StateDiff, list[DiffRow]]:
        with errors_named_from_here():
            # What the file has comes first: "added" is what the model has and the file lacks.
            found = (
                diff(one, two, entry=entry, progress=report)
                if two is not None
                else session.ask(lambda model: diff(one, model, entry=entry, progress=report))
            )
        return found, list(_rows(found))

    found, rows = session.file_cache.get(key, compare, fresh=body["fresh"])
    job.check()
    counts = {kind: sum(each["kind"] == kind for each in rows) for kind in _ORDER}
    keep, text = set(body["keep"]), body["text"]
    kept = [each for each in rows if (not keep or each["kind"] in keep) and holds(text, [each["path"]])]
    start, shown = window(kept, body["start"], body["count"])
    made: DiffReply = {
        "a": inert(found.a, _MOST_TEXT),
        "b": inert(name if two is None else found.b, _MOST_TEXT),
        "counts": {kind: n for kind, n in counts.items() if n},
        "is_equal": found.is_equal,
        "total": len(kept),
        "start": start,
        "rows": list(shown),
    }
    if "copy" in body:
        made["copied"] = _as_text(kept, body["copy"])
    return made


def _as_text(rows: Sequence[DiffRow], form: str) -> str:
    """The rows as a table; numbers in full."""
    cells = [
        [
            each["kind"],
            each["path"],
            " → ".join(map(shape_text, each["shapes"])),
            " → ".join(each["dtypes"]),
            *("" if each[name] is None else str(each[name]) for name in _NUMBERS),
        ]
        for each in rows
    ]
    heads = ["kind", "path", "shapes", "dtypes", *_NUMBERS]
    return csv_table(heads, cells) if form == "csv" else markdown_table(heads, cells, right=[4, 5, 6])


def _rows(found: StateDiff) -> Iterator[DiffRow]:
    """Give what differs before what doesn't, the greatest relative difference first."""
    for kind in ("shape", "dtype", "values"):
        yield from map(_changed_row, sorted((each for each in found.changed if each.kind == kind), key=_rank))
    yield from (_plain_row(path, "removed") for path in found.removed)
    yield from (_plain_row(path, "added") for path in found.added)
    yield from (_plain_row(path, "equal") for path in found.equal)


def _rank(each: Changed) -> float:
    norm = each.relative_norm
    return 0.0 if norm is None else -math.inf if math.isnan(norm) else -norm


def _changed_row(each: Changed) -> DiffRow:
    return {
        "path": each.path,
        "kind": each.kind,
        "shapes": [list(shape) for shape in each.shapes],
        "dtypes": list(each.dtypes),
        "max_abs_difference": each.max_abs_difference,
        "relative_norm": each.relative_norm,
        "n_different": each.n_different,
    }


def _plain_row(path: str, kind: Difference) -> DiffRow:
    return {
        "path": path,
        "kind": kind,
        "shapes": [],
        "dtypes": [],
        "max_abs_difference": None,
        "relative_norm": None,
        "n_different": None,
    }
