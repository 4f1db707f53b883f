"""The plain text of a tree: one line per module and tensor, columns aligned, repeated blocks in one line."""

from __future__ import annotations

from typing import NamedTuple

from nnwidgets.introspect import paths
from nnwidgets.introspect.folding import Alikes, Run
from nnwidgets.introspect.labels import dtype_short, inert, shape_text, short_bytes, short_count
from nnwidgets.introspect.records import ModuleNode, ModuleTree, TensorEntry

MOST_LINES = 1_000
_NAME_LIMIT = 60
_CLASS_LIMIT = 40
_INDENT_LIMIT = 40


class Line(NamedTuple):
    """One line, not yet aligned."""

    name: str
    class_name: str
    shape: str
    n_params: str
    dtype: str
    marks: str


def outline(tree: ModuleTree, *, most_lines: int = MOST_LINES) -> str:
    """Write a tree as text.

    Args:
        tree: What to write.
        most_lines: Rows beyond are left out, and counted in the last line.
    """
    lines, n_left = _lines(tree, most_lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    written = [
        (
            f"{line.name:<{widths[0]}}  {line.class_name:<{widths[1]}}  {line.shape:<{widths[2]}}  "
            f"{line.n_params:>{widths[3]}}  {line.dtype:<{widths[4]}}  {line.marks}"
        ).rstrip()
        for line in lines
    ]
    if n_left:
        written.append(f"… {n_left:,} more rows; show a part of the model to see them")
    written.append(_totals(tree))
    return "\n".join(written)


def _lines(tree: ModuleTree, most_lines: int) -> tuple[list[Line], int]:
    alikes = Alikes(tree)
    lines: list[Line] = []
    waiting: list[tuple[Run | TensorEntry, int]] = [(Run((tree.root,)), 0)]
    while waiting and len(lines) < most_lines:
        shown, depth = waiting.pop()
        if isinstance(shown, TensorEntry):
            lines.append(_tensor_line(shown, depth))
            continue
        node = shown.nodes[0]
        lines.append(_module_line(shown, depth))
        waiting.extend((run, depth + 1) for run in reversed(alikes.fold(node.children)))
        waiting.extend((entry, depth + 1) for entry in reversed(node.tensors))
    return lines, sum(len(list(shown.nodes[0].walk())) if isinstance(shown, Run) else 1 for shown, _ in waiting)


def _name(name: str, depth: int) -> str:
    indent = "  " * depth if depth <= _INDENT_LIMIT else f"{'  ' * _INDENT_LIMIT}({depth}) "
    return indent + inert(name, _NAME_LIMIT)


def _module_line(run: Run, depth: int) -> Line:
    node = run.nodes[0]
    if depth == 0:
        return Line(
            inert(node.class_name, _NAME_LIMIT),
            "",
            node.summary,
            short_count(node.n_params),
            "",
            _problem(node.problem),
        )
    class_name = inert(node.class_name, _CLASS_LIMIT)
    if run.is_folded:
        n_params = sum(each.n_params for each in run.nodes)
        class_name = f"{len(run.nodes)} × {class_name}"
        return Line(_name(run.label, depth), class_name, node.summary, _count(n_params), "", _problem(node.problem))
    if node.alias_of is not None:
        what = "same module as" if node.kind == "alias" else "back to"
        target = inert(node.alias_of, _NAME_LIMIT) or "the model itself"
        return Line(_name(run.label, depth), class_name, "", "–", "", f"{what} {target}")
    return Line(_name(run.label, depth), class_name, node.summary, _count(node.n_params), "", _problem(node.problem))


def _tensor_line(entry: TensorEntry, depth: int) -> Line:
    marks = [f"tie {entry.tie}"] if entry.tie else []
    if entry.role == "unregistered":
        marks.append("unregistered")
    elif entry.role == "buffer":
        marks.append("buffer" if entry.persistent else "buffer, not saved")
    elif not entry.requires_grad and entry.shape is not None:
        marks.append("frozen")
    if entry.problem:
        marks.append(_problem(entry.problem))
    n_elements = short_count(entry.n_elements) if entry.shape is not None else "–"
    dtype = dtype_short(entry.dtype)
    class_name = inert(entry.class_name, _CLASS_LIMIT)
    return Line(
        _name(paths.last(entry.path), depth), class_name, shape_text(entry.shape), n_elements, dtype, ", ".join(marks)
    )


def _count(n_params: int) -> str:
    return short_count(n_params) if n_params else "–"


def _problem(problem: str | None) -> str:
    return f"! {inert(problem)}" if problem else ""


def _totals(tree: ModuleTree) -> str:
    frozen = tree.n_params - tree.n_params_trainable
    parts = [
        f"{short_count(tree.n_params)} parameters" + (f" ({short_count(frozen)} frozen)" if frozen else ""),
        f"{len(tree.nodes):,} modules",
        f"{len(tree.tensors):,} tensors",
        short_bytes(tree.size_bytes),
    ]
    return " · ".join(parts) + (f"\n{inert(tree.why, 500)}" if tree.why else "")


def node_name(node: ModuleNode) -> str:
    """What a module's row is called: the last component of its path, the class for the model itself."""
    return paths.last(node.path) or node.class_name
