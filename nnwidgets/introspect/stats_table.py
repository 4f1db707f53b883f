"""The statistics of all tensors of a model as a table: a row each, to sort, filter and copy."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import nn

from nnwidgets.errors import InvalidTargetError, PathNotFoundError, closest_names
from nnwidgets.formatting import csv_table, inert, markdown_table, printed, shape_text
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.module_tree.tree import tree_of
from nnwidgets.introspect.patterns import PatternMatcher
from nnwidgets.introspect.records import Record, TensorEntry, TensorStats
from nnwidgets.introspect.safe_access.lookup import LiveModel
from nnwidgets.introspect.safe_access.objects import is_tensor, no_torch_function
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, gradient_of, plain_torch, unreadable_reason
from nnwidgets.introspect.statistics.blocks import Runs
from nnwidgets.introspect.statistics.exact_stats import each_stats

Target = str | nn.Module | torch.Tensor | Sequence[str | nn.Module | torch.Tensor]


class Moved(NamedTuple):
    """How far a tensor has moved.

    Attributes:
        by: The norm of the change over the norm before; None where that can't be told.
        said: Why it can't, or what else became of the tensor; mostly empty.
    """

    by: float | None
    said: str = ""


class Mark(Protocol):
    """What a model was like once."""

    def moved(self, module: object) -> Mapping[str, Moved]:
        """How far each tensor has moved since, by path."""


@dataclass(frozen=True, slots=True)
class StatsRow(Record):
    """One tensor of a `StatsTable`. NaN and infinite elements are counted and left out of the other numbers.

    Attributes:
        path: Where it is.
        shape: Its sizes, the whole's where it is sharded; None where they can't be known.
        dtype: ``"float32"``.
        role: ``"parameter"``, ``"buffer"`` or ``"unregistered"``.
        n_elements: Number of elements.
        mean: Arithmetic mean; None where nothing was measured, in all that follow too.
        std: Standard deviation with Bessel's correction.
        min: Least finite element.
        max: Greatest finite element.
        norm: L2 norm.
        n_zero: Elements equal to zero.
        n_nan: NaN elements.
        n_inf: Infinite elements.
        grad_norm: L2 norm of the gradient; None where there is none.
        n_grad_bad: NaN and infinite elements of the gradient; None where there is none.
        moved: How far it has moved since the mark: the norm of the change over the norm then; None without a mark, or
            where that can't be told.
        tied_to: The path of the first tensor over the very same elements, whose numbers these are; else empty.
        note: What it is, where that isn't a plain tensor of its own elements; why nothing was measured.
    """

    path: str
    shape: tuple[int, ...] | None
    dtype: str
    role: str
    n_elements: int
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    max: float | None = None
    norm: float | None = None
    n_zero: int | None = None
    n_nan: int | None = None
    n_inf: int | None = None
    grad_norm: float | None = None
    n_grad_bad: int | None = None
    moved: float | None = None
    tied_to: str = ""
    note: str = ""


COLUMNS = tuple(each.name for each in fields(StatsRow))
"""What a table is sorted by."""


class StatsTable(tuple[StatsRow, ...]):  # noqa: SLOT001 - a tuple of any length has no room for named slots
    """Statistics of the tensors of a model, a row each, in walk order unless sorted; a tuple of `StatsRow` in all else.

    Example:
        >>> from nnwidgets import stats
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> _ = nn.init.constant_(net[2].weight, 9.0)
        >>> table = stats(net)
        >>> table.sort("max")[0].path, [row.path for row in table.filter("**.bias")]
        ('2.weight', ['0.bias', '2.bias'])
        >>> print(table.filter("2.weight").to_csv().splitlines()[1][:40])
        2.weight,1 × 3,float32,parameter,3,9.0,0
    """

    _tree: ModuleTree | None

    def __new__(cls, rows: Iterable[StatsRow] = (), tree: ModuleTree | None = None) -> Self:
        """Make one of rows; ``tree`` is what patterns are looked for in."""
        made = super().__new__(cls, rows)
        made._tree = tree
        return made

    def __repr__(self) -> str:
        return printed(self)

    __str__ = __repr__

    def sort(self, by: str, *, descending: bool | None = None) -> StatsTable:
        """The same rows in another order; NaN counts as the greatest, rows without that number come last.

        Args:
            by: A field of `StatsRow`.
            descending: By default numbers are, and text isn't.

        Raises:
            InvalidTargetError: There is no such column.
        """
        if by not in COLUMNS:
            near = closest_names(str(by), COLUMNS)
            raise InvalidTargetError(
                f"The table has no column {inert(str(by), 80)!r}.",
                hint=f"Did you mean {near[0]}?" if near else f"It has {', '.join(COLUMNS)}.",
            )
        is_text = by in _TEXTS
        known = [row for row in self if getattr(row, by) is not None]
        rest = [row for row in self if getattr(row, by) is None]
        is_down = not is_text if descending is None else descending
        known.sort(key=lambda row: _rank(getattr(row, by)), reverse=is_down)
        return StatsTable((*known, *rest), self._tree)

    def filter(self, target: str | Sequence[str]) -> StatsTable:
        """The rows of the tensors that a path, a glob, a class or ``Linear.weight`` names, or of those below.

        Raises:
            PathNotFoundError: It names nothing in the model.
            InvalidTargetError: It is empty.
        """
        if self._tree is None:
            raise InvalidTargetError("This table has no model to look in.", hint="Make it by stats(net).")
        named = {entry.path for entry in _entries_meant(self._tree, target, {})}
        return StatsTable((row for row in self if row.path in named), self._tree)

    def to_dict(self) -> dict[str, Any]:
        """``{"rows": […]}``, each row as JSON has it; NaN, infinities and integers beyond 2^53 as text."""
        return {"rows": [row.to_dict() for row in self]}

    def to_markdown(self) -> str:
        """A Markdown table of the columns that say something, numbers in six digits."""
        heads = self._heads()
        rows = [[_short(getattr(row, name)) for name in heads] for row in self]
        return markdown_table(heads, rows, right=[at for at, name in enumerate(heads) if name not in _TEXTS])

    def to_csv(self) -> str:
        """All columns as comma-separated values, numbers in full; what may be a formula gets a quote before it."""
        return csv_table(COLUMNS, [[_full(getattr(row, name)) for name in COLUMNS] for row in self])

    def to_dataframe(self, library: str | None = None) -> Any:
        """A data frame of all columns.

        Args:
            library: ``"pandas"`` or ``"polars"``; by default the first of these that is installed.

        Raises:
            InvalidTargetError: It is neither.
            ImportError: It isn't installed.
        """
        if library not in (None, *_FRAMES):
            raise InvalidTargetError(f"library is {library!r:.80}, expected 'pandas' or 'polars'.")
        columns = {name: [_cell(getattr(row, name)) for row in self] for name in COLUMNS}
        for name in _FRAMES if library is None else (library,):
            try:
                return importlib.import_module(name).DataFrame(columns)
            except ModuleNotFoundError as error:
                if error.name != name:
                    raise
        missing = " and ".join(_FRAMES) if library is None else library
        raise ImportError(
            f"A data frame needs pandas or polars, and {missing} {'are' if library is None else 'is'} not installed: "
            f"pip install {library or 'pandas'}. to_dict() and to_csv() need neither.",
            name=library,
        )

    def _heads(self) -> list[str]:
        """Columns in which something stands, and those that every table has."""
        return [name for name in COLUMNS if name not in _OPTIONAL or any(getattr(row, name) for row in self)]


_FRAMES = ("pandas", "polars")
_TEXTS = frozenset(("path", "shape", "dtype", "role", "tied_to", "note"))
_OPTIONAL = frozenset(("n_nan", "n_inf", "grad_norm", "n_grad_bad", "moved", "tied_to", "note"))


def _rank(value: Any) -> Any:
    if isinstance(value, tuple):
        return math.prod(value), value
    return isinstance(value, float) and math.isnan(value), value


def _cell(value: Any) -> Any:
    return shape_text(value) if isinstance(value, tuple) else value


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(_cell(value))


def _full(value: Any) -> str:
    return "" if value is None else str(_cell(value))


def stats_table(
    module: object,
    target: Target | None = None,
    *,
    since: Mark | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    is_busy: Callable[[], bool] = lambda: False,
) -> StatsTable:
    """As `stats` of a module; says how far it is, and stops when asked, as `exact_stats` does.

    Raises:
        InvalidTargetError: ``module`` is none, or the target isn't one.
        PathNotFoundError: The target names nothing.
        CancelledError: ``cancelled`` said so.
    """
    live = LiveModel(module)
    tree = tree_of(live.scan)
    entries = tree.tensors if target is None else tuple(_entries_meant(tree, target, _paths_by_id(live)))
    tensors = [live.tensors.get(entry.path) for entry in entries]
    first = _first_of_same(entries, tensors)
    with no_torch_function():
        gradients = [gradient_of(tensor) if is_tensor(tensor) else None for tensor in tensors]
    wanted = [index for index, at in enumerate(first) if at == index]
    with_gradient = [index for index in wanted if gradients[index] is not None]
    found = each_stats(
        [*(tensors[index] for index in wanted), *(gradients[index] for index in with_gradient)],
        progress=progress, cancelled=cancelled, is_busy=is_busy,
    )  # fmt: skip
    of_values = dict(zip(wanted, found, strict=False))
    of_gradients = dict(zip(with_gradient, found[len(wanted) :], strict=True))
    moved = {} if since is None else since.moved(module)
    rows = []
    for entry, tensor, at in zip(entries, tensors, first, strict=True):
        since_then = moved.get(entry.path, Moved(None))
        notes = [*_what_it_is(entry, tensor, of_values[at]), since_then.said]
        tied_to = "" if entries[at] is entry else entries[at].path
        of_gradient = of_gradients.get(at)
        rows.append(row_of(entry, of_values[at], notes, gradient=of_gradient, moved=since_then.by, tied_to=tied_to))
    return StatsTable(rows, tree)


def row_of(
    entry: TensorEntry,
    found: TensorStats | None,
    notes: Iterable[str],
    *,
    gradient: TensorStats | None = None,
    moved: float | None = None,
    tied_to: str = "",
) -> StatsRow:
    """Make the row of a tensor.

    Args:
        entry: The tensor.
        found: Its statistics; None where nothing was measured.
        notes: What it is, and why nothing was measured; empty ones are left out.
        gradient: Those of its gradient.
        moved: As `StatsRow` has it.
        tied_to: The same.
    """
    return StatsRow(
        path=entry.path, shape=entry.shape, dtype=entry.dtype, role=entry.role, n_elements=entry.n_elements,
        **({} if found is None else {name: getattr(found, name) for name in _MEASURED}),
        grad_norm=None if gradient is None else gradient.norm,
        n_grad_bad=None if gradient is None else gradient.n_nan + gradient.n_inf,
        moved=moved,
        tied_to=tied_to,
        note=" · ".join(filter(None, notes)),
    )  # fmt: skip


_MEASURED = ("mean", "std", "min", "max", "norm", "n_zero", "n_nan", "n_inf")


def _what_it_is(entry: TensorEntry, tensor: Any, found: TensorStats | None) -> Iterator[str]:
    if entry.held is not None:
        yield entry.held.how
    if entry.layout not in {"strided", ""}:
        yield entry.layout
    if found is None:
        yield entry.problem or unreadable_reason(tensor) or "no tensor"
    elif found.of != "all" and (entry.held is None or found.of != entry.held.how):
        yield f"numbers of {found.of}"


def _first_of_same(entries: Sequence[TensorEntry], tensors: Sequence[Any]) -> list[int]:
    """For each tensor the first one over the very same elements: itself, where none is before it."""
    known: dict[Any, int] = {}
    made = []
    for index, (entry, tensor) in enumerate(zip(entries, tensors, strict=True)):
        at = index
        if entry.tie is not None:
            at = known.setdefault(id(tensor), index)
            if at == index and unreadable_reason(tensor) is None:
                at = known.setdefault(_elements_of(as_plain_tensor(tensor), index), index)
        made.append(at)
    return made


def _elements_of(data: torch.Tensor, index: int) -> Any:
    """What tells which elements a tensor has, in whatever order; ``index`` where nothing does."""
    if data.layout is not torch.strided or data.is_quantized or data.is_neg() or data.is_conj():
        return index, None
    with plain_torch():
        return data.device, data.dtype, data.data_ptr(), Runs.of(data)


def _paths_by_id(live: LiveModel) -> dict[int, str]:
    return {id(value): path for known in (live.tensors, live.modules) for path, value in reversed(known.items())}


def _entries_meant(tree: ModuleTree, target: Any, path_of: Mapping[int, str]) -> list[TensorEntry]:
    """The tensors that a target names, and those at and below modules that it names, in walk order.

    Args:
        tree: Where.
        target: A pattern, a module or tensor of the model, or several of these; ``!pattern`` leaves out what it names.
        path_of: Paths of live objects by their ids.
    """
    matcher = PatternMatcher(tree)
    named: set[str] = set()
    below: list[ModuleNode] = []
    several = target if type(target) in (list, tuple) else (target,)
    excluding = [each for each in several if type(each) is str and each.startswith("!") and not matcher.names(each)]
    if excluding:
        without = {entry.path for entry in _entries_meant(tree, [each[1:] for each in excluding], path_of)}
        kept = [each for each in several if not any(each is other for other in excluding)]
        return [entry for entry in _entries_meant(tree, kept or "", path_of) if entry.path not in without]
    for each in several:
        pattern = each if type(each) is str else path_of.get(id(each))
        if pattern is None:
            raise InvalidTargetError(
                "The target is no part of the model, expected text, a module or tensor of it, or a list of these.",
                hint="Such as 0.weight.",
            )
        if not pattern:
            return list(tree.tensors)
        found = matcher.match(pattern, words=False)
        if not found.paths:
            raise PathNotFoundError.among(pattern, [*_paths(tree.nodes), *_paths(tree.tensors)])
        named.update(tree.resolve(entry.path) or entry.path for entry in found.tensors)
        below += found.nodes
    by_path = {node.path: node for node in tree.nodes} if below else {}
    seen: set[str] = set()
    while below:
        node = below.pop()
        node = by_path[node.alias_of] if node.alias_of is not None else node
        if node.path not in seen:
            seen.add(node.path)
            named.update(entry.path for entry in node.tensors)
            below += node.children
    return [entry for entry in tree.tensors if entry.path in named]


def _paths(those: Iterable[ModuleNode | TensorEntry]) -> Iterator[str]:
    return (each.path for each in those if each.path)
