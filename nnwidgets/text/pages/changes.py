"""What there is to say of a change and of a history: one document each."""

from __future__ import annotations

from nnwidgets.edit import Change, History, Tie
from nnwidgets.edit.change import Outcome
from nnwidgets.formatting import and_more, budget_text, counted, exact_count, short_bytes, some
from nnwidgets.introspect.records import TensorStats
from nnwidgets.sentences import head
from nnwidgets.text.document import Block, Code, Document, Facts, Note, Table, Title
from nnwidgets.text.pages.alike_rows import fold_rows
from nnwidgets.text.pages.model import MOST_ROWS, number, table_of

MOST_TENSORS = 12
"""Tensors whose numbers are shown; the names of more are counted."""

_MOST_NAMES = 8
_MOST_CODE = 200_000
_SAME = {
    "object": "the same tensor",
    "storage": "the same bytes",
    "view": "the same bytes, seen otherwise",
    "overlap": "some bytes in common",
}
_COLUMNS = ("mean", "std", "min", "max")


def change_page(
    change: Change, *, name: str | None = None, outcome: Outcome | None = None, next_step: str = ""
) -> Document:
    """A change: what, where, numbers before and after, what to know, what to do next.

    Args:
        change: The change.
        name: The variable that holds the model.
        outcome: Whether it was just made, taken back, or made again, where the change doesn't say.
        next_step: How to undo it, or what else can be done now.
    """
    outcome = outcome or change.outcome
    done = {"done": "", "undone": "undone", "redone": "done again"}[outcome]
    detail = " · ".join(filter(None, ("preview" if change.is_preview else done, name)))
    blocks: list[Block] = [Title(change.label, detail), Facts(tuple(_facts(change)))]
    if change.kind in {"freeze", "unfreeze"}:
        blocks.append(_flags(change, is_undone=outcome == "undone"))
    elif change.paths:
        blocks.append(_numbers(change, is_undone=outcome == "undone"))
        others = [cells[0] for cells, _ in fold_rows([(path,) for path in change.paths[MOST_TENSORS:]], 0)]
        if others:
            blocks.append(Note(f"The others: {some(others, _MOST_NAMES)}."))
    blocks += [Note(_tie_text(of_one, ties), "note") for of_one, ties in _by_owner(change).items()]
    if outcome != "undone":
        blocks += [Note(warning, "warning") for warning in change.warnings]
    if change.is_preview:
        blocks.append(Note("Nothing was written."))
    if next_step:
        blocks.append(Note(next_step))
    return tuple(blocks)


def history_page(history: History, *, name: str | None = None, next_step: str = "") -> Document:
    """The changes of a model, the oldest first, and those that were undone.

    Args:
        history: The history.
        name: The variable that holds the model.
        next_step: What can be done now.
    """
    of = f" of {name}" if name else ""
    if not history.changes and not history.undone:
        return (Note(f"No changes{of} yet."),)
    rows = [
        _row(number, change, "can't be undone" if number <= history.n_dropped else "")
        for number, change in enumerate(history.changes, start=1)
    ]
    rows += [_row(number, change, "undone") for number, change in enumerate(history.undone, start=len(rows) + 1)]
    n_more = max(0, len(rows) - MOST_ROWS)
    blocks: list[Block] = [
        Table(("change", "#", "time", "tensors", "elements", "seed", ""), tuple(rows[n_more:]), right=(1, 4, 5)),
    ]
    if n_more:
        blocks.insert(0, Note(f"… {counted(n_more, 'older change', exact_count)}"))
    copies = f"Undo copies: {short_bytes(history.kept_bytes)} of {budget_text(history.budget_bytes)}."
    if history.marked_bytes:
        copies += f" Marks hold {short_bytes(history.marked_bytes)} of that too."
    if history.n_dropped:
        copies += f" The oldest {exact_count(history.n_dropped)} can't be undone: their copies were dropped."
    blocks.append(Note(copies))
    if next_step:
        blocks.append(Note(next_step))
    return tuple(blocks)


def code_page(source: str, *, whole: str = "history(net).to_code()") -> Document:
    """Python to copy, whole: where it is too long to be shown, it is said how to get it.

    Args:
        source: The code.
        whole: What gives it in Python.
    """
    if not source.strip():
        return (Note("No changes yet, so no code."),)
    if len(source) > _MOST_CODE:
        said = (
            f"The code has {counted(len(source), 'character', exact_count)}, too many to show: print({whole}) gives it."
        )
        return (Note(said, "note"),)
    return (Code(source.rstrip("\n"), is_whole=True),)


def _facts(change: Change) -> list[tuple[str, str]]:
    facts = [("time", change.when)] if not change.is_preview else []
    if change.seed is not None:
        facts.append(("seed", str(change.seed)))
    facts.append(("elements", exact_count(change.n_elements)))
    return facts


def _flags(change: Change, *, is_undone: bool) -> Table:
    now = "as before" if is_undone else "frozen" if change.kind == "freeze" else "trainable"
    folded = fold_rows([(path,) for path in change.paths], 0)
    return table_of(("tensor", ""), [(*cells, now if n == 1 else f"{exact_count(n)} {now}") for cells, n in folded])


def _numbers(change: Change, *, is_undone: bool) -> Table:
    """Two lines per tensor: what it was, what it is."""
    first, second = ("undone", "now") if is_undone else ("before", "after")
    shown = change.paths[:MOST_TENSORS]
    before, after = change.numbers(shown)
    then, now = (after, before) if is_undone else (before, after)
    odd = any(_odd(side[path]) for side in (then, now) for path in shown if path in side)
    rows = []
    for path in shown:
        rows.append((path, head(first), *_cells(then.get(path), odd=odd)))
        rows.append(("", head(second), *_cells(now.get(path), odd=odd)))
    heads = ("tensor", "", *_COLUMNS, *(("not finite",) if odd else ()))
    return Table(heads, tuple(rows), right=tuple(range(2, len(heads))), n_more=len(change.paths) - len(shown))


def _cells(stats: TensorStats | None, *, odd: bool) -> tuple[str, ...]:
    if stats is None:
        return ("–",) * (len(_COLUMNS) + odd)
    about = "" if stats.is_exact else "≈ "
    cells = tuple(about + number(getattr(stats, name)) for name in _COLUMNS)
    return (*cells, exact_count(_odd(stats))) if odd else cells


def _odd(stats: TensorStats) -> int:
    return stats.n_nan + stats.n_inf


def _by_owner(change: Change) -> dict[str, list[Tie]]:
    found: dict[str, list[Tie]] = {}
    for tie in change.ties:
        if tie.path in change.paths:
            found.setdefault(tie.of, []).append(tie)
    return found


def _tie_text(of: str, ties: list[Tie]) -> str:
    names = ", ".join(f"{tie.path} ({_SAME.get(tie.relation, tie.relation)})" for tie in ties[:_MOST_NAMES])
    more = f" and {exact_count(len(ties) - _MOST_NAMES)} more" if len(ties) > _MOST_NAMES else ""
    return f"{of} is tied, so these change with it: {names}{more}."


def tie_page(tie: Tie) -> Document:
    """One name that changed with another."""
    return (Note(_tie_text(tie.of, [tie])),)


def _row(number: int, change: Change, mark: str) -> tuple[str, ...]:
    paths = ", ".join(change.paths[:2]) + and_more(len(change.paths) - 2)
    seed = "" if change.seed is None else str(change.seed)
    return (change.label, str(number), change.when, paths, exact_count(change.n_elements), seed, mark)
