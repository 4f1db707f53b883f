"""The tree as a flat list of rows: which there are, for what is open, picked, unfolded and filtered.

A session flattens its index for each `ViewState` that a page is in; `row_body` makes what the page gets of each row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, overload

from nnwidgets.server.rows.filter import Matches, matches
from nnwidgets.server.rows.tree_index import RowRun, TreeIndex
from nnwidgets.wire.schema.tree import RulerMark

_DEFAULT_ROWS = 26
_DEFAULT_TRIES = 200
_MAX_MARKS = 200


@dataclass(frozen=True, slots=True)
class ViewState:
    """What the page says is open: see `nnwidgets.wire.schema.RowsBody`."""

    expanded: frozenset[str] | None = None
    picked: Mapping[str, int] = field(default_factory=dict)
    unfolded: frozenset[str] = frozenset()
    filter: str = ""
    chips: frozenset[str] = frozenset()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ViewState:
        """Return the state that a `rows` or `locate` request tells."""
        return cls(
            expanded=None if body["expanded"] is None else frozenset(body["expanded"]),
            picked=body["picked"],
            unfolded=frozenset(body["unfolded"]),
            filter=body["filter"],
            chips=frozenset(body["chips"]),
        )

    @property
    def key(self) -> tuple[object, ...]:
        """A value that is equal for equal states."""
        return (self.expanded, tuple(sorted(self.picked.items())), self.unfolded, self.filter, self.chips)


class FlatRow(NamedTuple):
    """One row, before it is spelled out.

    Attributes:
        number: The node; for a tensor, the node it belongs to; for a fold, its first member.
        tensor: The tensor's number, or -1.
        run: The run that a fold row stands for, or None.
        level: 1 for the model itself.
        position: Among its siblings, from 1.
        set_size: How many siblings there are, itself included.
        is_open: Whether its children follow.
        is_match: Whether the filter asks for this very row.
        in_fold: Whether the row above is a fold, which then names its list too: ``h.3``.
    """

    number: int
    tensor: int
    run: RowRun | None
    level: int
    position: int
    set_size: int
    is_open: bool
    is_match: bool = False
    in_fold: bool = False


@dataclass(frozen=True)
class FlatTree:
    """The flattened tree.

    Attributes:
        index: What it was flattened from.
        rows: Every row.
        state: What the page says is open.
        expanded: Ids of the open rows.
        n_matches: Matches of the filter.
        problem: Why the filter can't be read, or None.
    """

    index: TreeIndex
    rows: Sequence[FlatRow]
    state: ViewState
    expanded: frozenset[str]
    n_matches: int = 0
    problem: str | None = None

    @cached_property
    def expanded_ids(self) -> list[str]:
        """Ids of the open rows, in order."""
        return sorted(self.expanded)

    @cached_property
    def position(self) -> dict[str, int]:
        """Where each row stands, by its id."""
        return {row_id(self.index, row): position for position, row in enumerate(self.rows)}

    @cached_property
    def ruler(self) -> list[RulerMark]:
        """The marks of the overview ruler: at most 200, findings before ties, evenly thinned."""
        marks = list(_marks(self))
        if len(marks) <= _MAX_MARKS:
            return marks
        graver = _thin_out([mark for mark in marks if mark["severity"] is not None], _MAX_MARKS)
        rest = _thin_out([mark for mark in marks if mark["severity"] is None], _MAX_MARKS - len(graver))
        return sorted([*graver, *rest], key=lambda mark: mark["index"])


def row_id(index: TreeIndex, row: FlatRow) -> str:
    """Return the id by which the page knows a row."""
    if row.run is not None:
        return fold_id(index, row.run)
    if row.tensor >= 0:
        return f"t:{index.tensors[row.tensor].path}"
    return f"m:{index.nodes[row.number].path}"


def fold_id(index: TreeIndex, run: RowRun) -> str:
    """Return the id of a fold's row."""
    return f"f:{index.nodes[run.members[0]].path}"


def flatten(index: TreeIndex, state: ViewState) -> FlatTree:
    """Return the rows of ``index`` in ``state``."""
    found = matches(index, state.filter, state.chips)
    if not found.is_filter:
        expanded = default_opening(index) if state.expanded is None else shown_ids(index, state.expanded, state)
        rows = list(_rows_below(index, (0, 1, 1, 1, False), expanded, state))
        return FlatTree(index, rows, state, expanded, problem=found.problem)
    known = frozenset({"m:"}) if state.expanded is None else state.expanded
    expanded = frozenset(each for each in known if each[2:] in index.number)
    filtered = FilteredRows(index, found, expanded, state)
    return FlatTree(index, filtered, state, expanded, n_matches=found.n)


def default_opening(index: TreeIndex) -> frozenset[str]:
    """Return the rows to open first: breadth first, while what shows stays within a screen."""
    expanded: set[str] = set()
    n_rows, tries = 1, 0
    queue: deque[int | RowRun] = deque([0])
    while queue and n_rows < _DEFAULT_ROWS and tries < _DEFAULT_TRIES:
        item = queue.popleft()
        tries += 1
        if isinstance(item, RowRun):
            below: tuple[int | RowRun, ...] = item.members[:1]
            n_below = 1
        else:
            below = index.items(item)
            n_below = len(below) + len(index.nodes[item].tensors)
        if n_below and (n_rows + n_below <= _DEFAULT_ROWS or n_rows == 1):
            n_rows += n_below
            expanded.add(fold_id(index, item) if isinstance(item, RowRun) else f"m:{index.nodes[item].path}")
            queue.extend(below[:_DEFAULT_ROWS])
    return frozenset(expanded)


def shown_ids(index: TreeIndex, expanded: frozenset[str], state: ViewState) -> frozenset[str]:
    """Return ``expanded`` with what is open below any member of a fold moved to the member shown."""
    memo: dict[int, int] = {0: 0}
    moved: set[str] = set()
    for each in expanded:
        number = index.number.get(each[2:])
        if number is None:
            continue
        if each.startswith("m:"):
            moved.add(f"m:{index.nodes[_shown_node(index, number, state, memo)].path}")
        elif each.startswith("f:") and number > 0:
            parent = index.parent[number]
            moved.add(f"f:{index.nodes[_shown_node(index, parent, state, memo) + number - parent].path}")
    return frozenset(moved)


def picked_member(index: TreeIndex, run: RowRun, picked: Mapping[str, int]) -> int:
    """Return which member of a fold is shown, counted from 0."""
    return min(max(picked.get(fold_id(index, run), 0), 0), len(run.members) - 1)


def _shown_node(index: TreeIndex, number: int, state: ViewState, memo: dict[int, int]) -> int:
    """Return the node that stands where ``number`` would, once every fold shows its picked member."""
    chain = []
    while number not in memo:
        chain.append(number)
        number = index.parent[number]
    for below in reversed(chain):
        parent = index.parent[below]
        shown = memo[parent] + below - parent
        run = index.run_of(shown)
        if run is not None and shown != run.container and fold_id(index, run) not in state.unfolded:
            shown = run.members[picked_member(index, run, state.picked)]
        memo[below] = shown
    return memo[chain[0]] if chain else memo[number]


_Pending = tuple[int | RowRun, int, int, int, bool]


def _rows_below(index: TreeIndex, start: _Pending, expanded: frozenset[str], state: ViewState) -> Iterator[FlatRow]:
    stack = [start]
    while stack:
        item, level, position, set_size, in_fold = stack.pop()
        if isinstance(item, RowRun):
            fold = fold_id(index, item)
            is_open = fold in expanded
            yield FlatRow(item.members[0], -1, item, level, position, set_size, is_open)
            if is_open:
                n = len(item.members)
                chosen = range(n) if fold in state.unfolded else (picked_member(index, item, state.picked),)
                stack.extend((item.members[j], level + 1, j + 1, n, True) for j in reversed(chosen))
            continue
        node = index.nodes[item]
        first = index.first_tensor[item]
        n_tensors = index.first_tensor[item + 1] - first
        is_open = (n_tensors > 0 or index.size[item] > 1) and f"m:{node.path}" in expanded
        yield FlatRow(item, -1, None, level, position, set_size, is_open, in_fold=in_fold)
        if is_open:
            below = index.items(item)
            total = n_tensors + len(below)
            for k in range(n_tensors):
                yield FlatRow(item, first + k, None, level + 1, k + 1, total, is_open=False)
            stack.extend((below[j], level + 1, n_tensors + j + 1, total, False) for j in range(len(below) - 1, -1, -1))


class FilteredRows(Sequence[FlatRow]):
    """The matches and their ancestors, nothing folded; below a match that is opened by hand, the plain rows.

    A filter may leave a hundred thousand rows and a page asks for fifty, so each is spelled out when it is asked for.
    """

    def __init__(self, index: TreeIndex, found: Matches, expanded: frozenset[str], state: ViewState) -> None:
        self._index = index
        self._found = found
        self._nodes = found.visible(index)
        self._visible = frozenset(self._nodes)
        self._leads_on = {index.parent[number] for number in self._nodes}
        self._leads_on.update([index.owner[tensor] for tensor in found.tensors])
        self._below: dict[int, list[int]] = {}
        expanded_nodes = {index.number[each[2:]] for each in expanded if each.startswith("m:")}
        self._opened_by_hand = (expanded_nodes & self._visible) - self._leads_on
        self._rows: list[int | FlatRow] = []
        self._lay_out(expanded, state)

    def _lay_out(self, expanded: frozenset[str], state: ViewState) -> None:
        """Fill the rows: a node by its number, a tensor by the complement of its own, plain rows as they are."""
        rows, index = self._rows, self._index
        owned: dict[int, list[int]] = {}
        for tensor in sorted(self._found.tensors):
            owned.setdefault(index.owner[tensor], []).append(tensor)
        for number in self._nodes:
            if number in self._opened_by_hand:
                row = self._row(number)
                pending = (number, row.level, row.position, row.set_size, False)
                plain = _rows_below(index, pending, expanded, state)
                rows.append(next(plain)._replace(is_match=row.is_match))
                rows.extend(plain)
            else:
                rows.append(number)
                if number in owned:
                    rows.extend([~tensor for tensor in owned[number]])

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> FlatRow: ...
    @overload
    def __getitem__(self, place: slice) -> list[FlatRow]: ...
    def __getitem__(self, place: int | slice) -> FlatRow | list[FlatRow]:
        if isinstance(place, slice):
            return [self._row(row) for row in self._rows[place]]
        return self._row(self._rows[place])

    def _row(self, row: int | FlatRow) -> FlatRow:
        if isinstance(row, FlatRow):
            return row
        index, tensor = self._index, -1
        if row < 0:
            tensor, row = ~row, index.owner[~row]
            siblings = self._siblings(row)
            position = bisect_left(siblings, tensor - len(index.tensors)) + 1
            return FlatRow(row, tensor, None, index.depth[row] + 2, position, len(siblings), False, True)
        siblings = self._siblings(index.parent[row]) if row else [0]
        position = bisect_left(siblings, row) + 1
        is_match = row in self._found.nodes
        return FlatRow(
            row, tensor, None, index.depth[row] + 1, position, len(siblings), row in self._leads_on, is_match
        )

    def _siblings(self, parent: int) -> list[int]:
        """Return what shows right below ``parent``, in order: tensors (as negative numbers), then nodes."""
        if parent not in self._below:
            index, n = self._index, len(self._index.tensors)
            tensors = range(index.first_tensor[parent], index.first_tensor[parent + 1])
            shown = [tensor - n for tensor in tensors if tensor in self._found.tensors]
            shown += [child for child in index.children(parent) if child in self._visible]
            self._below[parent] = shown
        return self._below[parent]


def _marks(flat: FlatTree) -> Iterator[RulerMark]:
    index = flat.index
    if not index.groups and not index.findings:
        return
    for position, row in enumerate(flat.rows):
        if row.tensor >= 0:
            entry = index.tensors[row.tensor]
            path, tie, severity = entry.path, index.tie(entry), index.severity(entry.path)
        else:
            path = index.nodes[row.number].path
            severity = index.severity(path) if row.run is None else None
            tie = None if row.is_open else index.tie_inside[row.number]
        if tie is not None or severity is not None:
            yield {"index": position, "tie": tie, "severity": severity, "path": path}


def _thin_out(marks: list[RulerMark], limit: int) -> list[RulerMark]:
    if len(marks) <= limit:
        return marks
    return [marks[i * len(marks) // limit] for i in range(limit)]
