"""A tree as rows: what each says, how deep it stands, repeated blocks as one. Text and HTML are made from these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nnwidgets.formatting import (
    align_columns,
    counted,
    dtype_short,
    exact_count,
    inert,
    shape_text,
    short_bytes,
    short_count,
    some,
)
from nnwidgets.introspect.module_tree.folding import Alikes, FoldedRun, fold, one_by_one, only_run
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.records import TensorEntry

LineKind = Literal["module", "alias", "cycle", "tensor", "fold"]

_PLAIN_TENSORS = frozenset(("Parameter", "Tensor", "Buffer"))


@dataclass(frozen=True, slots=True)
class TextRow:
    """One row of a tree; texts of the model are as they are, not yet made safe to show.

    Attributes:
        level: 0 for the model itself.
        kind: What the row stands for; a fold stands for a run of like siblings.
        name: Its name below the row above it.
        path: Its path; a fold's is its first member's.
        class_name: ``"Linear"``, ``"12 × GPT2Block"``; empty for a plain tensor.
        shape: ``"20 → 256"``, ``"256 × 20"``; empty where there is none.
        n_params: Parameter elements, None where there are none to count.
        dtype: ``"f32"`` for a tensor, else empty.
        marks: What is special, a few words each: ``"tied A"``, ``"frozen"``, ``"buffer"``.
        members: Of a fold, the paths of all that it stands for.
    """

    level: int
    kind: LineKind
    name: str
    path: str
    class_name: str
    shape: str
    n_params: int | None
    dtype: str
    marks: tuple[str, ...]
    members: tuple[str, ...] = ()


def lines(
    tree: ModuleTree,
    *,
    path: str = "",
    name: str | None = None,
    depth: int | None = None,
    most: int = 500,
    is_folded: bool = True,
) -> tuple[tuple[TextRow, ...], int]:
    """The rows of a tree, or of what is below ``path``, in walk order, and how many modules and tensors are left out.

    A run of like siblings is one row, with the inside of its first member below it.

    Args:
        tree: What was read.
        path: The module to begin at.
        name: What the first row is called; its class where None.
        depth: How many levels of modules below it to show; None for all.
        most: The most rows given.
        is_folded: Whether runs of like siblings are one row.

    Raises:
        PathNotFoundError: If no module is there.

    Example:
        >>> from torch import nn
        >>> from nnwidgets import tree
        >>> shown, n_more = lines(tree(nn.Sequential(nn.Linear(20, 256), nn.ReLU())))
        >>> [(line.level, line.name, line.class_name, line.shape) for line in shown]
        [(0, 'Sequential', 'Sequential', ''), (1, '0', 'Linear', '20 → 256'), (2, 'weight', '', '256 × 20'),
         (2, 'bias', '', '256'), (1, '1', 'ReLU', '')]
    """
    begin = tree.root if not path else tree.find(path)
    first_names = _first_names(tree)
    if not isinstance(begin, ModuleNode):
        return (_tensor_line(begin, 0, "", first_names),), 0
    fold_like = Alikes(tree).fold if not path or any(node is begin for node in tree.nodes) else fold
    fold_like = fold_like if is_folded else one_by_one
    shown: list[TextRow] = []
    waiting: list[tuple[Sequence[ModuleNode], str, int]] = [((begin,), "", 0)]
    n_more = 0
    while waiting:
        run, above, level = waiting.pop()
        if len(shown) >= most:
            waiting.append((run, above, level))
            break
        node = run[0]
        called = name or node.class_name if not level else _below(node.path, above)
        shown.append(_module_line(run, level, called, above))
        if depth is not None and level >= depth:
            continue
        room = most - len(shown)
        shown.extend(_tensor_line(entry, level + 1, node.path, first_names) for entry in node.tensors[:room])
        n_more += max(0, len(node.tensors) - room)
        waiting.extend(reversed([(below, node.path, level + 1) for below in _runs(node, fold_like)]))
    return tuple(shown), n_more + _n_modules([node for run, _, _ in waiting for node in run])


def _n_modules(nodes: list[ModuleNode]) -> int:
    n = 0
    while nodes:
        n += 1
        nodes.extend(nodes.pop().children)
    return n


_Fold = Callable[[Sequence[ModuleNode]], list[FoldedRun]]


def _runs(node: ModuleNode, fold_like: _Fold) -> Iterator[Sequence[ModuleNode]]:
    """The rows below a module: single modules and runs; a bare list that holds but one run is that run."""
    for run in fold_like(node.children):
        inside = None if run.is_folded else only_run(run.nodes[0], fold_like)
        yield (inside or run).nodes


def _below(path: str, above: str) -> str:
    return path[len(above) :].removeprefix(".")


def _module_line(run: Sequence[ModuleNode], level: int, name: str, above: str) -> TextRow:
    node = run[0]
    kind: LineKind = "fold" if len(run) > 1 else node.kind
    marks: list[str] = []
    if node.kind != "module":
        marks.append(f"→ {node.alias_of or 'the model itself'}" + (" (its own ancestor)" if kind == "cycle" else ""))
    if node.training is False and level == 0:
        marks.append("eval mode")
    if node.n_params_torch is not None and node.n_params_torch != node.n_params and kind == "module":
        marks.append(f"parameters() sums to {node.n_params_torch:,}")
    if node.problem:
        marks.append(f"! {node.problem}")
    holds_parameters = node.n_params > 0 and node.kind == "module"
    return TextRow(
        level=level,
        kind=kind,
        name=f"{name} … {_below(run[-1].path, above)}" if kind == "fold" else name,
        path=node.path,
        class_name=f"{len(run)} × {node.class_name}" if kind == "fold" else node.class_name,
        shape=node.summary,
        n_params=sum(member.n_params for member in run) if holds_parameters else None,
        dtype="",
        marks=tuple(marks),
        members=tuple(member.path for member in run) if kind == "fold" else (),
    )


def _tensor_line(entry: TensorEntry, level: int, above: str, first_names: Mapping[str, str]) -> TextRow:
    is_parameter = entry.role == "parameter"
    marks: list[str] = []
    if not is_parameter:
        marks.append(entry.role if entry.persistent or entry.role != "buffer" else "buffer, not saved")
    elif not entry.requires_grad:
        marks.append("frozen")
    if entry.tie is not None:
        marks.append(f"tied {entry.tie}")
    if is_parameter and entry.path in first_names:
        marks.append(f"counted at {first_names[entry.path]}")
    if entry.device != "cpu":
        marks.append("meta: no data" if entry.device == "meta" else entry.device)
    if entry.layout not in {"strided", ""}:
        marks.append(entry.layout)
    if entry.held is not None:
        here = f", here {shape_text(entry.local_shape)}" if entry.held.is_part else ""
        marks.append(f"{entry.held.how}{here}")
    if entry.has_grad:
        marks.append("grad")
    if entry.problem:
        marks.append(f"! {entry.problem}")
    return TextRow(
        level=level,
        kind="tensor",
        name=_below(entry.path, above),
        path=entry.path,
        class_name="" if entry.class_name in _PLAIN_TENSORS else entry.class_name,
        shape=shape_text(entry.shape),
        n_params=entry.n_elements if is_parameter and entry.shape is not None else None,
        dtype=dtype_short(entry.dtype),
        marks=tuple(marks),
    )


def _first_names(tree: ModuleTree) -> dict[str, str]:
    """For each tensor whose every element has an earlier name: that name."""
    earlier: dict[str, str] = {}
    for group in tree.ties:
        if group.kind != "overlap":
            earlier.update((path, group.members[0]) for path in group.members[1:])
    return earlier


MOST_CELLS = 120


_MOST_LEVELS = 20


_MOST_NAME = 60


_MOST_SHAPE = 40


_MOST_MARKS = 80


def lay_out(lines: Sequence[TextRow], *, n_more: int = 0, most_cells: int = MOST_CELLS) -> list[str]:
    """Lines of text: name · class · shape · parameters · dtype · marks, each column aligned.

    Deeper than 20 levels the indent gives way to the level's number.

    Example:
        >>> line = TextRow(0, "module", "net", "", "Linear", "20 → 256", 5376, "", ())
        >>> lay_out([line])
        ['net  Linear  20 → 256  5\u202f376']
    """
    rows = [
        (
            _indent(line.level) + inert(line.name, _MOST_NAME),
            inert(line.class_name, MOST_CELLS) if line.class_name != line.name else "",
            inert(line.shape, _MOST_SHAPE),
            "" if line.n_params is None else exact_count(line.n_params),
            inert(line.dtype, _MOST_SHAPE),
            inert(" · ".join(line.marks), _MOST_MARKS),
        )
        for line in lines
    ]
    found = align_columns(rows, right=(3,), most=most_cells)
    if n_more:
        found.append(f"… {counted(n_more, 'more row', exact_count)}; name a path, or a smaller depth, to see them")
    return found


def _indent(level: int) -> str:
    return "  " * level if level <= _MOST_LEVELS else "  " * _MOST_LEVELS + f"[level {level}] "


def totals_text(tree: ModuleTree) -> str:
    """Parameters, bytes and modules of the whole model; what torch would count, where that differs.

    Example:
        >>> from torch import nn
        >>> from nnwidgets import tree
        >>> totals_text(tree(nn.Linear(2, 3)))
        '9 parameters · 36 B · 1 module'
    """
    n_modules = sum(node.kind == "module" for node in tree.nodes)
    frozen = tree.n_params - tree.n_params_trainable
    said = [
        counted(tree.n_params, "parameter", count_text) + (f", {count_text(frozen)} of them frozen" if frozen else ""),
        short_bytes(tree.size_bytes),
        counted(n_modules, "module", exact_count),
    ]
    if tree.local_bytes != tree.size_bytes:
        said[1] += f", {short_bytes(tree.local_bytes)} of it here"
    packed = [entry.path for entry in tree.tensors if entry.shape is None and "packed for" in (entry.problem or "")]
    if packed:
        said.append(f"not counted, being packed: {some(packed, _MOST_PACKED)}")
    if tree.why:
        said.append(tree.why)
    return " · ".join(said)


def count_text(n: int) -> str:
    r"""A count, short and exact.

    Example:
        >>> count_text(38_597_376) == "38.60 M (38\u202f597\u202f376)"
        True
    """
    short, exact = short_count(n), exact_count(n)
    return short if short == exact else f"{short} ({exact})"


MOST_LINES = 500
_MOST_PACKED = 2


def outline(tree: ModuleTree, *, most_lines: int = MOST_LINES) -> str:
    """Write a tree as text: name, class, shape, parameters, dtype and marks, aligned, repeated blocks as one.

    Args:
        tree: What to write.
        most_lines: Rows beyond are left out, and counted.

    Example:
        >>> from torch import nn
        >>> from nnwidgets import tree
        >>> print(outline(tree(nn.Sequential(nn.ReLU()))))
        Sequential
          0         ReLU
        0 parameters · 0 B · 2 modules
    """
    shown, n_more = lines(tree, most=most_lines)
    return "\n".join([*lay_out(shown, n_more=n_more), totals_text(tree)])
