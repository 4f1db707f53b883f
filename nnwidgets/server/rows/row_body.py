"""What the page gets of a row, and of the model's totals: made for the rows of the window that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from nnwidgets.formatting import dtype_short, inert, shape_text
from nnwidgets.introspect.module_tree.nodes import ModuleNode
from nnwidgets.introspect.records import TensorEntry
from nnwidgets.server.rows.flatten import FlatRow, FlatTree, fold_id, picked_member, row_id
from nnwidgets.server.rows.signal_marks import SignalMarks
from nnwidgets.server.rows.trace_marks import TraceMarks
from nnwidgets.server.rows.tree_index import RowRun, TreeIndex, is_frozen
from nnwidgets.wire.schema.tree import Fold, FoldMember, Row, Totals

_MAX_CELLS = 64
_MAX_NAME = 120


def row_body(flat: FlatTree, row: FlatRow, name: str, trace: TraceMarks, signal: SignalMarks) -> Row:
    """Return a row for the page.

    Args:
        flat: What the row is from.
        row: Which one.
        name: What the model itself is called.
        trace: What the last trace says of each module.
        signal: What the last run of `activations` does.
    """
    if row.tensor >= 0 and row.run is None:
        return _tensor_row(flat.index, row)
    made = _module_row(flat.index, row, name, trace) if row.run is None else _fold_row(flat, row, row.run)
    found = signal.row(made["path"] if made["fold"] is None else made["fold"]["picked_path"])
    if found is not None:
        made["signal"] = found
    return made


def own_name(index: TreeIndex, number: int, *, in_fold: bool = True) -> str:
    """Return what a module's name column says, the model itself aside: ``h.3`` below a list shown as its fold."""
    run = index.run_of(number) if in_fold else None
    parent = index.parent[number]
    if run is not None and run.container is not None and number != run.container:
        parent = index.parent[run.container]
    path, above = index.nodes[number].path, index.nodes[parent].path
    return inert(path[len(above) :].removeprefix("."), _MAX_NAME)


def run_label(index: TreeIndex, members: Sequence[int]) -> str:
    """Return what some members of a fold are called: ``h.3``, ``h.0 … h.4``."""
    ends = dict.fromkeys((members[0], members[-1]))
    return " … ".join(own_name(index, each) for each in ends)


def _blank(index: TreeIndex, row: FlatRow) -> dict[str, Any]:
    return {
        "id": row_id(index, row),
        "level": row.level,
        "position": row.position,
        "set_size": row.set_size,
        "shape": "",
        "n_params": None,
        "counted": True,
        "share": 0.0,
        "dtype": "",
        "dtype_short": "",
        "role": None,
        "expandable": False,
        "expanded": row.is_open,
        "tie": None,
        "tie_inside": None,
        "frozen": None,
        "findings": None,
        "findings_inside": 0,
        "worst_inside": None,
        "alias_of": None,
        "problem": None,
        "note": None,
        "matched": row.is_match,
        "fold": None,
        "trace": None,
    }


def _module_row(index: TreeIndex, row: FlatRow, name: str, trace: TraceMarks) -> Row:
    number = row.number
    node = index.nodes[number]
    made = _blank(index, row)
    has_below = index.size[number] > 1 or bool(node.tensors)
    made.update(
        kind="problem" if node.problem and not has_below and node.kind == "module" else node.kind,
        name=own_name(index, number, in_fold=row.in_fold) if number else name,
        path=node.path,
        class_name=inert(node.class_name),
        shape=inert(node.summary),
        expandable=has_below,
        tie_inside=index.tie_inside[number],
        findings=index.severity(node.path),
        findings_inside=index.findings_inside[number] - len(index.findings_at.get(node.path, ())),
        worst_inside=index.worst_below(number),
        alias_of=node.alias_of,
        problem=inert(node.problem) if node.problem else None,
        trace=trace.row(node.path),
    )
    if node.kind == "module":
        made.update(
            n_params=node.n_params if index.n_parameters[number] else None,
            counted=index.n_counted[number] > 0 or not index.n_parameters[number],
            share=_share(index, node.n_params),
            frozen=_frozen(index.n_frozen[number], index.n_parameters[number]),
            note=_module_note(index, number, node),
        )
    return made  # type: ignore[return-value] # made of all the keys; the wire tests check every reply


def _tensor_row(index: TreeIndex, row: FlatRow) -> Row:
    entry = index.tensors[row.tensor]
    made = _blank(index, row)
    owner = index.nodes[row.number].path
    counted = entry.n_counted > 0 or not entry.n_elements
    made.update(
        kind="tensor",
        name=inert(entry.path[len(owner) :].removeprefix("."), _MAX_NAME),
        path=entry.path,
        class_name=inert(entry.class_name),
        shape="" if entry.problem and entry.shape is None else shape_text(entry.shape),
        n_params=entry.n_elements if entry.shape is not None else None,
        counted=counted,
        share=_share(index, entry.n_elements) if entry.role == "parameter" else 0.0,
        dtype=entry.dtype,
        dtype_short=dtype_short(entry.dtype),
        role=entry.role,
        tie=index.tie(entry),
        frozen="all" if is_frozen(entry) else None,
        findings=index.severity(entry.path),
        problem=inert(entry.problem) if entry.problem else None,
        note=_tensor_note(index, entry),
    )
    if entry.placements:
        made["placement"] = " · ".join(map(_short_placement, entry.placements))
    return made  # type: ignore[return-value] # made of all the keys; the wire tests check every reply


def _short_placement(placement: str) -> str:
    """``S0`` of ``Shard(0)``, ``R`` of ``Replicate()``."""
    word, _, inside = placement.lstrip("_").partition("(")
    dimension = inside.removeprefix("dim=").split(",")[0].rstrip(")")
    return inert(word[:1] + (dimension if dimension.isdecimal() else ""))


def _fold_row(flat: FlatTree, row: FlatRow, run: RowRun) -> Row:
    index = flat.index
    first = run.members[0]
    made = _blank(index, row)
    below = index.totals_of(run)
    container = index.nodes[run.container].path if run.container is not None else None
    on_container = index.findings_at.get(container, []) if container is not None else []
    made.update(
        kind="fold",
        name=run_label(index, run.members),
        path=index.nodes[first].path,
        class_name=f"{len(run.members)} × {inert(index.nodes[first].class_name)}",
        shape=inert(index.nodes[first].summary),
        n_params=below.n_params if below.n_parameters else None,
        counted=below.n_counted > 0 or not below.n_parameters,
        share=_share(index, below.n_params),
        expandable=True,
        tie_inside=below.tie,
        frozen=_frozen(below.n_frozen, below.n_parameters),
        findings=index.severity(container) if on_container and container is not None else None,
        findings_inside=below.n_findings,
        worst_inside=below.worst,
        fold=_fold(flat, run),
    )
    return made  # type: ignore[return-value] # made of all the keys; the wire tests check every reply


def _fold(flat: FlatTree, run: RowRun) -> Fold:
    index, members = flat.index, run.members
    picked = picked_member(index, run, flat.state.picked)
    per_cell = -(-len(members) // _MAX_CELLS)
    cells = index.cells.get(members[0])
    if cells is None:
        cells = [_cell(index, members[at : at + per_cell]) for at in range(0, len(members), per_cell)]
        index.cells[members[0]] = cells
    return {
        "count": len(members),
        "picked": picked,
        "picked_path": index.nodes[members[picked]].path,
        "unfolded": fold_id(index, run) in flat.state.unfolded,
        "per_cell": per_cell,
        "members": cells,
    }


def _cell(index: TreeIndex, members: Sequence[int]) -> FoldMember:
    return {
        "path": index.nodes[members[0]].path,
        "label": run_label(index, members),
        "frozen": _frozen(
            sum(index.n_frozen[each] for each in members), sum(index.n_parameters[each] for each in members)
        ),
        "findings": sum(index.findings_inside[each] for each in members),
        "worst": index.worst_of(members),
    }


def _frozen(n_frozen: int, n_parameters: int) -> Literal["all", "some"] | None:
    if not n_frozen:
        return None
    return "all" if n_frozen == n_parameters else "some"


def _share(index: TreeIndex, n_params: int) -> float:
    total = index.tree.n_params
    return min(1.0, n_params / total) if total else 0.0


def _module_note(index: TreeIndex, number: int, node: ModuleNode) -> str | None:
    if node.why is not None:
        return inert(node.why, 2_000)
    if index.n_parameters[number] and not index.n_counted[number]:
        return "Every element here is already counted under an earlier name."
    return None if node.training is not False or number else "In evaluation mode."


def _tensor_note(index: TreeIndex, entry: TensorEntry) -> str | None:
    if not entry.n_counted and entry.path in index.first_name:
        return f"Already counted at {inert(index.first_name[entry.path])}."
    if entry.role == "unregistered":
        return "Not registered: parameters() and state_dict() leave it out."
    if entry.role == "buffer" and not entry.persistent:
        return "Not persistent: state_dict() leaves it out."
    if entry.held is not None:
        here = f", here {shape_text(entry.local_shape)}" if entry.held.is_part else ""
        return f"It is {inert(entry.held.how)}{here}."
    return None


_MAX_WHY = 2_000


def totals(index: TreeIndex) -> Totals:
    """Return the counts of the whole model."""
    tree = index.tree
    return {
        "n_params": tree.n_params,
        "n_params_trainable": tree.n_params_trainable,
        "n_params_torch": tree.root.n_params_torch,
        "size_bytes": tree.size_bytes,
        "n_modules": sum(node.kind == "module" for node in tree.nodes),
        "n_tensors": len(tree.tensors),
        "why": inert(tree.root.why, _MAX_WHY) if tree.root.why is not None else None,
    }
