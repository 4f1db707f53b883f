"""What there is to say of checkpoints, plans, loads, saves and differences: one document each."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

from nnwidgets.checkpoint import (
    Changed,
    CheckpointIndex,
    Listed,
    Listing,
    LoadPlan,
    LoadReport,
    PlanEntry,
    SaveReport,
    StateDiff,
    StoredTensor,
)
from nnwidgets.checkpoint.diffing.diff import NOT_READ
from nnwidgets.checkpoint.loading.layouts.lossy_casts import loses
from nnwidgets.checkpoint.records import WORST_FIRST
from nnwidgets.formatting import and_more, counted, exact_count, shape_text, short_bytes, some
from nnwidgets.text.document import Block, Document, Facts, Note, Table, Title
from nnwidgets.text.pages.alike_rows import fold_rows, times
from nnwidgets.text.pages.model import MOST_ROWS, number, table_of

_MOST_VALUES = 12
_MOST_EQUAL = 8
_MOST_MEMBERS = 6
_MOST_TIES = 20

SIGNS: Mapping[str, str] = {
    "match": "✓",
    "renamed": "→",
    "dtype_cast": "~",
    "converted": "↻",
    "sharded": "◫",
    "tied": "=",
    "own_code": "λ",
    "missing": "−",
    "unexpected": "+",
    "shape_mismatch": "✗",
}
"""A sign beside the word of each status, for the eye that runs down a list."""

WORDS: Mapping[str, str] = {
    "match": "match",
    "renamed": "renamed",
    "dtype_cast": "other dtype",
    "converted": "converted",
    "sharded": "sharded",
    "tied": "tied",
    "own_code": "own code",
    "missing": "missing",
    "unexpected": "unexpected",
    "shape_mismatch": "other shape",
}
"""What each status is called."""


def index_page(index: CheckpointIndex) -> Document:
    """What is in a checkpoint."""
    facts = [
        ("format", index.format),
        ("size", short_bytes(index.size_bytes)),
        ("tensors", f"{exact_count(len(index.tensors))} · {counted(index.n_elements, 'element', exact_count)}"),
    ]
    if len(index.files) > 1:
        facts.append(("files", exact_count(len(index.files))))
    if index.state_dict:
        facts.append(("state dict at", repr(index.state_dict)))
    if index.optimizer:
        facts.append(("optimizer at", repr(index.optimizer)))
    if index.rest:
        facts.append(("other tensors", exact_count(len(index.rest))))
    facts += [(key, value) for key, value in list(index.metadata.items())[:_MOST_VALUES]]
    blocks: list[Block] = [Title(PurePath(index.path).name, "checkpoint"), Facts(tuple(facts))]
    if len(index.entries) > 1:
        entries = tuple(
            (each.name or "the whole file", exact_count(each.n_tensors), exact_count(each.n_elements))
            for each in index.entries[:MOST_ROWS]
        )
        n_left_out = max(0, len(index.entries) - MOST_ROWS)
        blocks.append(Table(("state dict", "tensors", "elements"), entries, right=(1, 2), n_more=n_left_out))
    if index.tensors or index.rest:
        blocks.append(_stored(index.tensors or index.rest))
    values = list(index.values.items())[:_MOST_VALUES]
    if values:
        blocks.append(Facts(tuple(values)))
    blocks += [Note(_tie_text(group.id, group.members), "note") for group in index.ties[:_MOST_TIES]]
    blocks += [Note(each, "warning") for each in index.departures]
    return tuple(blocks)


def stored_page(tensor: StoredTensor) -> Document:
    """One tensor in a file."""
    return (_stored((tensor,)),)


def folder_page(listing: Listing) -> Document:
    """The checkpoints of a folder, and how much else is in it."""
    shown = [each for each in listing.entries if each.kind != "other"]
    n_other = len(listing.entries) - len(shown) + listing.n_more
    blocks: list[Block] = [Title(listing.path, "folder")]
    if shown:
        blocks.append(_listed(shown))
    other = counted(n_other, "other file" if shown else "file", exact_count)
    blocks.append(Note(f"{other}, no checkpoints.") if n_other else Note(""))
    blocks += [Note(each.problem, "warning", each.name) for each in shown if each.problem]
    return tuple(block for block in blocks if not isinstance(block, Note) or block.text)


def listed_page(listed: Listed) -> Document:
    """One file or folder of a folder."""
    return (_listed((listed,)), *([Note(listed.problem, "warning")] if listed.problem else []))


def plan_page(plan: LoadPlan, *, next_step: str = "", layout: str = "") -> Document:
    """What a load would do, what it wouldn't first.

    Args:
        plan: It.
        next_step: What to do now.
        layout: The file whose names stand for a model's.
    """
    model = layout or "the model"
    facts = [("tensors", _counts(plan))]
    if plan.entry.name:
        facts.insert(0, ("state dict", str(plan.entry)))
    what = f"into the names of {layout}" if layout else "plan of a load"
    blocks: list[Block] = [Title(PurePath(plan.file).name, what), Facts(tuple(facts))]
    blocks += _entries(plan.entries, model)
    blocks += _candidates(plan, model)
    blocks += [Note(each, "warning") for each in plan.warnings]
    if plan.is_exact:
        place = f"the state dict at {plan.entry.name!r}" if plan.entry.name else "the file"
        blocks.append(Note(f"Every tensor of {model} is in {place}, and no other."))
    if not layout:
        blocks.append(Note("Nothing was loaded."))
    if next_step:
        blocks.append(Note(next_step))
    return tuple(blocks)


def entry_page(entry: PlanEntry) -> Document:
    """What a load would do with one tensor."""
    return tuple(_entries([entry]))


def load_page(report: LoadReport, *, next_step: str = "") -> Document:
    """What was loaded.

    Args:
        report: It.
        next_step: How to take it back.
    """
    plan = report.plan
    n_model = sum(entry.path is not None for entry in plan.entries)
    tensors, elements = (
        counted(report.n_loaded, "tensor", exact_count),
        counted(report.n_elements, "element", exact_count),
    )
    if report.left:
        n_all = report.n_elements + report.n_left_elements
        tensors = f"{exact_count(report.n_loaded)} of {counted(n_model, 'tensor', exact_count)}"
        elements = f"{exact_count(report.n_elements)} of {counted(n_all, 'element', exact_count)}"
    facts = [
        ("loaded", f"{tensors} · {elements}"),
        ("verified", _compared(plan) if report.verified else "no"),
    ]
    if report.optimizer is not None:
        facts.insert(1, ("and", str(report.optimizer)))
    if plan.entry.name:
        facts.insert(0, ("state dict", str(plan.entry)))
    if report.left:
        facts.append(("as before", some(report.left, _MOST_MEMBERS)))
    blocks: list[Block] = [Title(PurePath(plan.file).name, "loaded"), Facts(tuple(facts))]
    blocks += _entries([entry for entry in plan.entries if entry.status != "match"])
    blocks += [Note(each, "warning") for each in report.warnings]
    if next_step:
        blocks.append(Note(next_step))
    return tuple(blocks)


def _compared(plan: LoadPlan) -> str:
    """What the loaded values are equal to: the file's, or what was made of them."""
    made = any(
        entry.status == "converted" or (entry.status == "dtype_cast" and loses(entry.dtype, entry.source_dtype))
        for entry in plan.entries
    )
    return "✓ equal to the file, as converted" if made else "✓ equal to the file"


def save_page(report: SaveReport) -> Document:
    """What was saved."""
    paths = [PurePath(path).name for path in report.paths]
    more = and_more(len(paths) - _MOST_MEMBERS)
    n_others = 0 if report.optimizer is None else report.optimizer.n_tensors
    facts = (
        ("saved", f"{counted(report.n_tensors - n_others, 'tensor', exact_count)} · {short_bytes(report.size_bytes)}"),
        *([("and", str(report.optimizer))] if report.optimizer is not None else []),
        ("files", ", ".join(paths[:_MOST_MEMBERS]) + more),
        ("verified", "✓ read back, equal" if report.verified else "no"),
        ("digest", report.digest),
        ("took", f"{report.seconds:.2f} s"),
    )
    return (Title(paths[-1] if paths else "nothing", "saved"), Facts(facts),
            *(Note(each, "warning") for each in report.warnings))  # fmt: skip


def diff_page(diff: StateDiff) -> Document:
    """What differs, and by how much."""
    if diff.is_equal:
        said = f"{counted(len(diff.equal), 'tensor', exact_count)}, every bit the same."
        return (Title(f"{diff.a} = {diff.b}", "equal"), Note(said), *_part_of(diff), *_renamed(diff))
    counts: list[tuple[str, Sequence[object]]] = [
        ("changed", diff.changed), ("added", diff.added), ("removed", diff.removed), ("equal", diff.equal),
    ]  # fmt: skip
    if diff.close:
        counts.insert(3, ("close enough", diff.close))
    facts = tuple((word, exact_count(len(those))) for word, those in counts)
    rows = [
        *map(_changed_row, diff.changed),
        *(("≈ close", each.path, *_change(each)) for each in diff.close),
        *(("+ added", name, "", "", "") for name in diff.added),
        *(("− removed", name, "", "", "") for name in diff.removed),
    ]
    what = "close enough" if diff.is_close else "differences"
    blocks: list[Block] = [Title(f"{diff.a} → {diff.b}", what), Facts(facts), _differences(rows)]
    blocks += [*_part_of(diff), *_renamed(diff)]
    if diff.equal:
        blocks.append(Note(f"Bit-equal: {some(diff.equal, _MOST_EQUAL)}."))
    return tuple(blocks)


def changed_page(changed: Changed) -> Document:
    """How one tensor differs."""
    return (_differences([_changed_row(changed)]),)


def _differences(rows: Sequence[tuple[str, ...]]) -> Table:
    heads = ("what", "tensor", "how", "greatest difference", "relative norm")
    folded = fold_rows(rows, 1)
    return table_of(heads, [(times(what, n), *cells) for (what, *cells), n in folded], right=(3, 4))


def _changed_row(each: Changed) -> tuple[str, ...]:
    return ("~ changed", each.path, *_change(each))


def _stored(tensors: Sequence[StoredTensor]) -> Table:
    folded = fold_rows([_stored_row(each) for each in tensors], 0)
    rows = tuple(
        (*cells[:3], f"{exact_count(n)} × {cells[3]}" if n > 1 else cells[3], *cells[4:]) for cells, n in folded
    )
    heads = ("name", "shape", "dtype", "size", "tie")
    return table_of(heads, rows, right=(3,))


def _listed(entries: Sequence[Listed]) -> Table:
    heads = ("name", "what", "tensors", "size", "changed")
    return table_of(heads, tuple(map(_listing_row, entries)), right=(2, 3))


def _part_of(diff: StateDiff) -> list[Note]:
    """Whose result it is, where that isn't all of it."""
    return [] if diff.of == "all" else [Note(f"Compared is what is here: {diff.of}.", "note")]


def _renamed(diff: StateDiff) -> list[Note]:
    """That names of a side were taken for others."""
    names = [f"{name} as {path}" for name, path in diff.renames.items()]
    return [Note(f"Compared under another name: {some(names, _MOST_EQUAL)}.", "note")] if names else []


def _stored_row(tensor: StoredTensor) -> tuple[str, ...]:
    layout = "" if tensor.layout == "strided" else f" {tensor.layout}"
    size = short_bytes(tensor.size_bytes)
    return tensor.name, shape_text(tensor.shape), tensor.dtype + layout, size, tensor.tie or ""


def _tie_text(letter: str, members: Sequence[str]) -> str:
    return f"{letter}: {some(members, _MOST_MEMBERS)} share bytes in the file."


def _listing_row(each: Listed) -> tuple[str, ...]:
    is_folder = each.kind == "folder"
    what = {"folder": "folder", "refused": "refused"}.get(each.kind, str(each.format))
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.modified))
    tensors = exact_count(each.n_tensors) if each.kind == "checkpoint" else ""
    return (
        each.name + ("/" if is_folder else ""),
        what,
        tensors,
        "" if is_folder else short_bytes(each.size_bytes),
        when,
    )


def _counts(plan: LoadPlan) -> str:
    counts = plan.counts
    words = (f"{exact_count(counts[each])} {WORDS[each]}" for each in WORST_FIRST[::-1] if each in counts)
    return " · ".join(words) or "none on either side"


def _entries(entries: Iterable[PlanEntry], model: str = "the model") -> list[Block]:
    """A table of what is worth a look, the worst first; what merely matches is counted elsewhere."""
    rank = {status: index for index, status in enumerate(WORST_FIRST)}
    listed = sorted(entries, key=lambda entry: rank[entry.status])
    folded = fold_rows([_entry(entry) for entry in listed], 1, 2)
    if not folded:
        return []
    rows = [(times(status, n), *cells) for (status, *cells), n in folded]
    heads = ("status", f"in {model}", "in the file", "")
    return [table_of(heads, rows)]


def _entry(entry: PlanEntry) -> tuple[str, ...]:
    ours = "" if entry.path is None else f"{entry.path} {shape_text(entry.shape)}"
    theirs = "" if entry.source is None else f"{entry.source} {shape_text(entry.source_shape)}"
    if entry.suggestion is not None:
        theirs = f"{entry.suggestion.source} →"
    return f"{SIGNS[entry.status]} {WORDS[entry.status]}", ours, theirs, _remark(entry)


def _remark(entry: PlanEntry) -> str:
    if entry.status == "dtype_cast":
        return f"{entry.source_dtype} becomes {entry.dtype}"
    if entry.status == "tied":
        return f"comes with {entry.tied_to}"
    if entry.conversion is not None:
        return entry.conversion.reason
    if entry.suggestion is not None:
        return f"sure: {entry.suggestion.reason}"
    return entry.reason


def _candidates(plan: LoadPlan, model: str) -> list[Block]:
    """What may be in the file under another name, with what speaks for each."""
    rows = [
        (path, f"{each.source} ?", f"{each.confidence:.0%}: {each.reason}")
        for path, those in plan.suggestions.items()
        for each in those
    ]
    if not rows:
        return []
    heads = (f"in {model}", "perhaps in the file", "what speaks for it")
    return [table_of(heads, rows)]


def _change(each: Changed) -> tuple[str, str, str]:
    if each.kind == "shape":
        return f"{shape_text(each.shapes[0])} became {shape_text(each.shapes[1])}", "", ""
    if each.note:
        return " · ".join((*((" became ".join(each.dtypes),) if each.kind == "dtype" else ()), each.note)), "", ""
    if each.n_different is None:
        unread = next((each for each in each.dtypes if each.endswith(NOT_READ)), None)
        return "another value" if unread is None else f"not compared: {unread}", "", ""
    is_cast = each.kind == "dtype"
    how = " became ".join(each.dtypes) if is_cast else counted(each.n_different or 0, "element", exact_count)
    greatest, relative = each.max_abs_difference, each.relative_norm
    if relative == math.inf and greatest is not None and math.isfinite(greatest):
        return how, number(greatest), "from 0"
    return how, "" if greatest is None else number(greatest), _share(relative)


def _share(relative: float | None) -> str:
    if relative is None:
        return ""
    if not math.isfinite(relative):
        return number(relative)
    return f"{relative:.2%}" if 0.0001 <= relative < 100 else number(relative)  # noqa: PLR2004 - where percent read well
