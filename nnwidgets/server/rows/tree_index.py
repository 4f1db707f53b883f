"""A tree turned into arrays, so that any row of a hundred thousand is a few look-ups away.

A session has one for each tree it reads; all that answers about rows asks it.

Nodes are numbered in walk order, which is depth first: a node's descendants are the numbers right after its own.
Tensors have numbers of their own, in the same order: those of node ``n`` are ``first_tensor[n]`` to
``first_tensor[n + 1]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

from nnwidgets.errors import PathNotFoundError
from nnwidgets.introspect import paths
from nnwidgets.introspect.module_tree.folding import Alikes, only_run
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.patterns import PatternMatcher
from nnwidgets.introspect.records import SEVERITIES, Finding, Severity, TensorEntry, TieGroup
from nnwidgets.wire.schema.tree import FoldMember

_Join = Callable[[int, int], int]
_RANKED = (*SEVERITIES, None)


@dataclass(frozen=True, slots=True)
class RowRun:
    """Siblings in a row that look alike.

    Attributes:
        members: Numbers of the nodes, at least three.
        container: Number of the node that holds nothing but this run and is shown as it, or None.
    """

    members: tuple[int, ...]
    container: int | None = None


class RunTotals(NamedTuple):
    """What lies in and below the members of a run.

    Attributes:
        n_params: Parameter elements, each storage element counted once.
        n_parameters: Parameter tensors.
        n_frozen: Those that ask for no gradient.
        n_counted: Those that hold an element without an earlier name.
        n_findings: Findings.
        tie: The first tie group, in the order of letters, with a member there.
        worst: The worst severity of the findings.
    """

    n_params: int
    n_parameters: int
    n_frozen: int
    n_counted: int
    n_findings: int
    tie: str | None
    worst: Severity | None


class TreePlace(NamedTuple):
    """Where a path leads.

    Attributes:
        path: The same with aliases followed.
        row: Number of the module's row that stands for it: its own, its module's for a tensor, or the first alias on
            the way, whose inside isn't shown.
        entry: The tensor there, or None for a module.
    """

    path: str
    row: int
    entry: TensorEntry | None


class TreeIndex:
    """Where everything in a tree is, and what lies below each module.

    Args:
        tree: The tree; raw keys of it are not kept, since they may be modules.
        findings: What `check` found; those whose path is not in the tree stand at the model itself.
        owners: Of a model over ranks that have different things, the ranks that have each tensor, by path.
    """

    def __init__(
        self, tree: ModuleTree, findings: Iterable[Finding] = (), owners: Mapping[str, Sequence[int]] | None = None
    ) -> None:
        self.tree = tree
        self.owners = owners or {}
        self.nodes: tuple[ModuleNode, ...] = tree.nodes
        self.parent, self.size = _shape_of(self.nodes)
        self.depth = _depths(self.parent)
        self.number = {node.path: index for index, node in enumerate(self.nodes)}
        self.tensors = [entry for node in self.nodes for entry in node.tensors]
        self.owner = [number for number, node in enumerate(self.nodes) for _ in node.tensors]
        self.first_tensor = list(accumulate((len(node.tensors) for node in self.nodes), initial=0))
        self.tensor_at = {entry.path: place for place, entry in enumerate(self.tensors)}
        self.groups: dict[str, TieGroup] = {group.id: group for group in tree.ties}
        self._badged = frozenset(self._groups_worth_a_badge())
        self.findings: tuple[Finding, ...] = tuple(findings)
        self._alikes = Alikes(tree)
        self._grouped: dict[int, list[tuple[int, ...]]] = {}
        self._singles: set[int] = set()
        self._items: dict[int, tuple[int | RowRun, ...]] = {}
        self._run_of: dict[int | None, RowRun] = {}
        self._totals: dict[int, RunTotals] = {}
        self.cells: dict[int, list[FoldMember]] = {}
        """Cells of folds by their first member, as `row_body` made them: scrolling past a fold is cheap."""

    def children(self, number: int) -> Iterator[int]:
        """Give the numbers of the children of node ``number``, in order."""
        child, end = number + 1, number + self.size[number]
        while child < end:
            yield child
            child += self.size[child]

    def resolve(self, path: str) -> TreePlace | None:
        """Return where ``path`` leads, or None where it leads nowhere."""
        known = self.tree.resolve(path)
        if known is None:
            return None
        if known == path:
            row = self.number[path] if path in self.number else self.owner[self.tensor_at[path]]
        else:
            on_the_way = accumulate(paths.split(path), paths.join)
            rows = (self.number[at] for at in on_the_way if at in self.number)
            row = next(number for number in rows if self.nodes[number].alias_of is not None)
            if known in self.number:
                known = self.nodes[self.number[known]].alias_of or known
        return TreePlace(known, row, self.tensors[self.tensor_at[known]] if known in self.tensor_at else None)

    def place(self, path: str) -> TreePlace:
        """Return where ``path`` leads.

        Raises:
            PathNotFoundError: Nothing is there; the closest paths are named.
        """
        found = self.resolve(path)
        if found is None:
            raise PathNotFoundError.among(path, [*self.number, *self.tensor_at])
        return found

    @cached_property
    def matcher(self) -> PatternMatcher:
        """What tells which rows a filter's words mean."""
        return PatternMatcher(self.tree)

    def tie(self, entry: TensorEntry) -> str | None:
        """Return the letter that ``entry`` wears: its group's, unless the rows say that tie already.

        Below a module registered twice every tensor has two names. The second place is one row that points to the
        first, so letters are left to ties that would otherwise not be seen.
        """
        return entry.tie if entry.tie in self._badged else None

    def _groups_worth_a_badge(self) -> Iterator[str]:
        twice = {node.alias_of for node in self.nodes if node.alias_of is not None}
        for group in self.tree.ties:
            own = [self.tensor_at[path] for path in group.members if path in self.tensor_at]
            if len(own) != 1 or self.nodes[self.owner[own[0]]].path in twice:
                yield group.id

    def items(self, number: int) -> tuple[int | RowRun, ...]:
        """Return what stands below node ``number``, its tensors left out: nodes, and runs of like siblings as one."""
        if number not in self._items:
            shown_as_fold = self._only_run(number) if self._is_single(number) else None
            if shown_as_fold is not None:
                items: tuple[int | RowRun, ...] = (shown_as_fold,)
            else:
                items = tuple(self._item(group) for group in self._groups(number))
            for run in items:
                if isinstance(run, RowRun):
                    for member in (*run.members, run.container):
                        self._run_of.setdefault(member, run)
            self._items[number] = items
        return self._items[number]

    def run_of(self, number: int) -> RowRun | None:
        """Return the run that node ``number`` is a member of, or that stands in its place."""
        parent = self.parent[number]
        if parent < 0:
            return None
        if self.parent[parent] >= 0:
            self.items(self.parent[parent])
        if number not in self._run_of:
            self.items(parent)
        return self._run_of.get(number)

    def member_index(self, run: RowRun, number: int) -> int:
        """Return which member of ``run`` node ``number`` is; like siblings have subtrees of one size."""
        return (number - run.members[0]) // self.size[run.members[0]]

    def fold_around(self, number: int) -> tuple[int, list[int]] | None:
        """Return the fold member above node ``number`` and all members of its fold; the innermost one, or None."""
        up = number
        while up > 0:
            run = self.run_of(up)
            if run is not None and up != run.container:
                return up, list(run.members)
            up = self.parent[up]
        return None

    def _item(self, group: tuple[int, ...]) -> int | RowRun:
        return RowRun(group) if len(group) > 1 else self._only_run(group[0]) or group[0]

    def _groups(self, number: int) -> list[tuple[int, ...]]:
        """Return the children of node ``number``, like ones in a row together."""
        if number not in self._grouped:
            children = tuple(self.children(number))
            runs = self._alikes.fold(self.nodes[number].children)
            ends = list(accumulate((len(run.nodes) for run in runs), initial=0))
            self._grouped[number] = groups = [children[start:end] for start, end in pairwise(ends)]
            self._singles.update([group[0] for group in groups if len(group) == 1])
        return self._grouped[number]

    def _is_single(self, number: int) -> bool:
        """Return whether node ``number`` is below another one and not a member of a run there."""
        if number > 0:
            self._groups(self.parent[number])
        return number in self._singles

    def _only_run(self, number: int) -> RowRun | None:
        """Return the run that stands for node ``number``, if it is a bare list that holds nothing else."""
        if only_run(self.nodes[number], self._alikes.fold) is None:
            return None
        return RowRun(tuple(self.children(number)), container=number)

    # ---- what lies below ----

    @cached_property
    def first_name(self) -> dict[str, str]:
        """For each tied tensor but the first of its group: the first one's path."""
        return {path: group.members[0] for group in self.tree.ties for path in group.members[1:]}

    @cached_property
    def tie_inside(self) -> list[str | None]:
        """The first tie group, in the order of letters, with a member in or below each node."""
        best = [len(self._tie_rank)] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            for entry in node.tensors:
                if (letter := self.tie(entry)) is not None:
                    best[index] = min(best[index], self._tie_rank[letter])
        self._carry_up(best, min)
        ids = [*self._tie_rank, None]
        return [ids[rank] for rank in best]

    @cached_property
    def _tie_rank(self) -> dict[str, int]:
        """The place of each tie group in the order of letters."""
        return {group.id: rank for rank, group in enumerate(self.tree.ties)}

    @cached_property
    def n_parameters(self) -> list[int]:
        """Parameter tensors in and below each node."""
        return self._sum_up([sum(e.role == "parameter" for e in node.tensors) for node in self.nodes])

    @cached_property
    def n_frozen(self) -> list[int]:
        """Parameter tensors in and below each node that ask for no gradient."""
        return self._sum_up([sum(is_frozen(e) for e in node.tensors) for node in self.nodes])

    @cached_property
    def n_tensors(self) -> list[int]:
        """Tensors in and below each node."""
        return self._sum_up([len(node.tensors) for node in self.nodes])

    @cached_property
    def n_counted(self) -> list[int]:
        """Parameter tensors in and below each node that hold an element without an earlier name."""
        return self._sum_up(
            [sum(e.role == "parameter" and e.n_counted > 0 for e in node.tensors) for node in self.nodes]
        )

    @cached_property
    def findings_at(self) -> dict[str, list[Finding]]:
        """Findings by the path of the row they stand on."""
        at: dict[str, list[Finding]] = {}
        for finding in self.findings:
            place = self.resolve(finding.path)
            at.setdefault(place.path if place is not None else "", []).append(finding)
        return at

    @cached_property
    def findings_inside(self) -> list[int]:
        """Findings on each node, on its tensors and below."""
        counts = [0] * len(self.nodes)
        for path, findings in self.findings_at.items():
            counts[self._row_of(path)] += len(findings)
        return self._sum_up(counts)

    @cached_property
    def _worst(self) -> tuple[list[int], list[int]]:
        """The ranks of the gravest finding on each node, and of the gravest below it, its tensors' included."""
        on, below = ([len(SEVERITIES)] * len(self.nodes) for _ in range(2))
        for path, findings in self.findings_at.items():
            place, number = below if path in self.tensor_at else on, self._row_of(path)
            place[number] = min(place[number], *(SEVERITIES.index(finding.severity) for finding in findings))
        for number in range(len(self.nodes) - 1, 0, -1):
            parent = self.parent[number]
            below[parent] = min(below[parent], below[number], on[number])
        return on, below

    def worst_below(self, number: int) -> Severity | None:
        """Return the worst severity of the findings below node ``number``, those on its tensors included."""
        return _RANKED[self._worst[1][number]]

    def worst_of(self, numbers: Iterable[int]) -> Severity | None:
        """Return the worst severity of the findings on and below nodes."""
        on, below = self._worst
        return _RANKED[min(min(on[number], below[number]) for number in numbers)]

    def findings_below(self, number: int) -> list[Finding]:
        """Return the findings on node ``number``, on its tensors and below."""
        span = range(number, number + self.size[number])
        found = self.findings_at.items() if self.findings_inside[number] else ()
        return [finding for path, findings in found if self._row_of(path) in span for finding in findings]

    def _row_of(self, path: str) -> int:
        """Return the number of the node that is at a path of the tree, or that holds the tensor there."""
        return self.owner[self.tensor_at[path]] if path in self.tensor_at else self.number[path]

    def severity(self, path: str) -> Severity | None:
        """Return the worst severity of the findings that stand on the row of ``path``."""
        severities = {finding.severity for finding in self.findings_at.get(path, ())}
        return next((severity for severity in SEVERITIES if severity in severities), None)

    def totals_of(self, run: RowRun) -> RunTotals:
        """Return what lies in and below the members of a run; added up once, so that scrolling past it is cheap."""
        first, members = run.members[0], run.members
        if first not in self._totals:
            ties = {tie for member in members if (tie := self.tie_inside[member]) is not None}
            self._totals[first] = RunTotals(
                n_params=self.n_params_of(members if run.container is None else (run.container,)),
                n_parameters=sum([self.n_parameters[member] for member in members]),
                n_frozen=sum([self.n_frozen[member] for member in members]),
                n_counted=sum([self.n_counted[member] for member in members]),
                n_findings=sum([self.findings_inside[member] for member in members]),
                tie=min(ties, key=self._tie_rank.__getitem__, default=None),
                worst=self.worst_of(members),
            )
        return self._totals[first]

    def n_params_of(self, numbers: Sequence[int]) -> int:
        """Return the parameter elements in and below nodes, those of tied tensors counted once."""
        if len(numbers) == 1:
            return self.nodes[numbers[0]].n_params
        total, seen = 0, set()
        for number in chain.from_iterable(range(first, first + self.size[first]) for first in numbers):
            for entry in self.nodes[number].tensors:
                if entry.role == "parameter" and entry.tie not in seen:
                    total += entry.n_elements
                    if entry.tie is not None and self.groups[entry.tie].kind != "overlap":
                        seen.add(entry.tie)
        return total

    def _sum_up(self, counts: list[int]) -> list[int]:
        self._carry_up(counts, int.__add__)
        return counts

    def _carry_up(self, values: list[int], join: _Join) -> None:
        for index in range(len(values) - 1, 0, -1):
            parent = self.parent[index]
            values[parent] = join(values[parent], values[index])


def is_frozen(entry: TensorEntry) -> bool:
    """Return whether ``entry`` is a parameter that asks for no gradient."""
    return entry.role == "parameter" and not entry.requires_grad


def _shape_of(nodes: tuple[ModuleNode, ...]) -> tuple[list[int], list[int]]:
    """Return each node's parent and the size of its subtree, from the walk order and the counts of children."""
    parent, size = [-1] * len(nodes), [1] * len(nodes)
    waiting: list[list[int]] = []
    for index, node in enumerate(nodes):
        if waiting:
            parent[index] = waiting[-1][0]
            waiting[-1][1] -= 1
            while waiting and not waiting[-1][1]:
                waiting.pop()
        if node.children:
            waiting.append([index, len(node.children)])
    for index in range(len(nodes) - 1, 0, -1):
        size[parent[index]] += size[index]
    return parent, size


def _depths(parent: list[int]) -> list[int]:
    depth = [0] * len(parent)
    for index in range(1, len(parent)):
        depth[index] = depth[parent[index]] + 1
    return depth
