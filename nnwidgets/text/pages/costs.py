"""What there is to say of costs: a table of modules, repeated blocks as one, and what they add up to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnwidgets.formatting import short_bytes, short_count
from nnwidgets.introspect.cost_records import Costs, ModuleCosts
from nnwidgets.introspect.module_tree.text import lines
from nnwidgets.text.document import Block, Document, Note, Table
from nnwidgets.text.pages.model import MOST_ROWS, work_text

_Column = tuple[str, Callable[[ModuleCosts], int | None], Callable[[int], str]]

_COLUMNS: tuple[_Column, ...] = (
    ("parameters", lambda each: each.parameter_bytes, short_bytes),
    ("buffers", lambda each: each.buffer_bytes, short_bytes),
    ("gradients", lambda each: each.gradient_bytes, short_bytes),
    ("optimizer", lambda each: each.optimizer_bytes, short_bytes),
    ("activations", lambda each: each.activation_bytes, short_bytes),
    ("flops", lambda each: each.flops, short_count),
    ("mult-adds", lambda each: each.mult_adds, short_count),
)


def costs_page(costs: Costs, *, name: str | None = None, depth: int | None = None, most: int = MOST_ROWS) -> Document:
    """What each module costs, ``depth`` levels of them, a run of like ones as their sum; empty columns left out."""
    total = costs.total
    columns = _columns(total)
    by_path = {each.path: each for each in costs.modules}
    shown, n_more = lines(costs._tree, name=name, depth=depth, most=most)  # noqa: SLF001 - kept for this
    rows: list[tuple[str, ...]] = []
    for line in shown:
        if line.kind == "tensor":
            continue
        meant = [by_path[path] for path in line.members or (line.path,)]
        cells = [_cell([of(each) for each in meant], text) for _, of, text in columns]
        rows.append(("  " * min(line.level, 12) + line.name, line.class_name if line.level else "", *cells))
    blocks: list[Block] = [_table(columns, rows)]
    if n_more:
        blocks.append(Note("Further modules are left out; a smaller depth shows the upper ones."))
    said = [f"{short_bytes(total.size_bytes)} together"]
    if costs.is_traced:
        said += work_text(total.flops) or ["flops unknown: an operator ran that there is no formula for"]
    blocks.append(Note(" · ".join(said)))
    blocks += [Note(f"Not in it: {each}.") for each in _missing(costs)]
    return tuple(blocks)


def module_costs_page(costs: ModuleCosts) -> Document:
    """What one module costs."""
    columns = _columns(costs)
    cells = [_cell([of(costs)], text) for _, of, text in columns]
    return (_table(columns, [(costs.path or "the model itself", costs.class_name, *cells)]),)


def _columns(total: ModuleCosts) -> list[_Column]:
    return [each for each in _COLUMNS if each[0] == "parameters" or each[1](total)]


def _table(columns: Sequence[_Column], rows: Sequence[tuple[str, ...]]) -> Table:
    heads = ("module", "class", *(head for head, _, _ in columns))
    return Table(heads, tuple(rows), right=tuple(range(2, len(heads))))


def _cell(values: Sequence[int | None], text: Callable[[int], str]) -> str:
    known = [value for value in values if value is not None]
    return text(sum(known)) if len(known) == len(values) else ""


def _missing(costs: Costs) -> list[str]:
    """What training takes besides, as far as it is known."""
    made = []
    if costs.missing_gradient_bytes:
        made.append(f"gradients that aren't there yet, {short_bytes(costs.missing_gradient_bytes)}")
    if not costs.is_traced:
        made.append("activations and arithmetic, for want of an input to trace")
    elif costs.total.activation_bytes is None:
        made.append("activations, which nothing keeps while gradients are off")
    if not costs.n_optimizers:
        made.append("what an optimizer remembers, for want of one")
    return made
