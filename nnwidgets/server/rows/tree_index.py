"""A tree turned into arrays, so that any row of a hundred thousand is a few look-ups away.

Nodes are numbered in walk order, which is depth first: a node's descendants are the numbers right after its own.
Tensors have numbers of their own, in the same order: those of node ``n`` are ``first_tensor[n]`` to
``first_tensor[n + 1]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from nnwidgets.introspect import paths
from nnwidgets.introspect.module_tree.folding import SHORTEST, Alikes
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.records import Finding, Severity, TensorEntry, TieGroup

_Join = Callable[[int, int], int]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Worst first."""


@dataclass(frozen=True, slots=True)
class RowRun:
    """Siblings in a row that look alike.

    Attributes:
        members: Numbers of the nodes, at least three.
        container: Number of the node that holds nothing but this run and is shown as it, or None.
    """

    members: tuple[int, ...]
    container: int | None = None


class TreeIndex:
    """Where everything in a tree is, and what lies below each module.

    Args:
        tree: The tree; raw keys of it are not kept, since they may be modules.
        findings: What `check` found; those whose path is not in the tree stand at the model itself.
    """

    def __init__(self, tree: ModuleTree, findings: Iterable[Finding] = ()) -> None:
        self.tree = tree
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
        self._items: dict[int, tuple[int | RowRun, ...]] = {}
        self._run_of: dict[int | None, RowRun] = {}

    def children(self, number: int) -> Iterator[int]:
        """Give the numbers of the children of node ``number``, in order."""
        child, end = number + 1, number + self.size[number]
        while child < end:
            yield child
            child += self.size[child]

    def resolve(self, path: str) -> tuple[str, int] | None:
        """Return where ``path`` leads with aliases followed, and the number of the row that stands for it.

        That row is the thing's own, its module's for a tensor, or the first alias on the way, whose inside isn't shown.
        None where ``path`` leads nowhere.
        """
        known = self.tree.resolve(path)
        if known is None:
            return None
        if known == path:
            return path, self.number[path] if path in self.number else self.owner[self.tensor_at[path]]
        on_the_way = accumulate(paths.split(path), paths.join)
        rows = (self.number[at] for at in on_the_way if at in self.number)
        row = next(number for number in rows if self.nodes[number].alias_of is not None)
        if known in self.number:
            known = self.nodes[self.number[known]].alias_of or known
        return known, row

    def entry_at(self, path: str) -> TensorEntry | None:
        """Return the tensor at ``path``, aliases followed, or None where there is no tensor."""
        found = self.resolve(path)
        return self.tensors[self.tensor_at[found[0]]] if found is not None and found[0] in self.tensor_at else None

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
            shown_as_fold = self._contained(number) if self._is_single(number) else None
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

    def _item(self, group: tuple[int, ...]) -> int | RowRun:
        return RowRun(group) if len(group) > 1 else self._contained(group[0]) or group[0]

    def _groups(self, number: int) -> list[tuple[int, ...]]:
        """Return the children of node ``number``, like ones in a row together."""
        if number not in self._grouped:
            children = tuple(self.children(number))
            runs = self._alikes.fold(self.nodes[number].children)
            ends = list(accumulate((len(run.nodes) for run in runs), initial=0))
            self._grouped[number] = [children[start:end] for start, end in pairwise(ends)]
        return self._grouped[number]

    def _is_single(self, number: int) -> bool:
        """Return whether node ``number`` is below another one and not a member of a run there."""
        return number > 0 and (number,) in self._groups(self.parent[number])

    def _contained(self, number: int) -> RowRun | None:
        """Return the run that stands for node ``number``, if it is a bare list that holds nothing else."""
        node = self.nodes[number]
        if node.class_name != "ModuleList" or node.tensors or node.problem or len(node.children) < SHORTEST:
            return None
        groups = self._groups(number)
        return RowRun(groups[0], container=number) if len(groups) == 1 and len(groups[0]) >= SHORTEST else None

    # ---- what lies below ----

    @cached_property
    def first_name(self) -> dict[str, str]:
        """For each tied tensor but the first of its group: the first one's path."""
        return {path: group.members[0] for group in self.tree.ties for path in group.members[1:]}

    @cached_property
    def tie_inside(self) -> list[str | None]:
        """The first tie group, in the order of letters, with a member in or below each node."""
        order = {group.id: rank for rank, group in enumerate(self.tree.ties)}
        best = [len(order)] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            for entry in node.tensors:
                if (letter := self.tie(entry)) is not None:
                    best[index] = min(best[index], order[letter])
        self._carry_up(best, min)
        ids = [*order, None]
        return [ids[rank] for rank in best]

    @cached_property
    def n_parameters(self) -> list[int]:
        """Parameter tensors in and below each node."""
        return self._summed([sum(e.role == "parameter" for e in node.tensors) for node in self.nodes])

    @cached_property
    def n_frozen(self) -> list[int]:
        """Parameter tensors in and below each node that ask for no gradient."""
        return self._summed([sum(is_frozen(e) for e in node.tensors) for node in self.nodes])

    @cached_property
    def n_tensors(self) -> list[int]:
        """Tensors in and below each node."""
        return self._summed([len(node.tensors) for node in self.nodes])

    @cached_property
    def n_counted(self) -> list[int]:
        """Parameter tensors in and below each node that hold an element without an earlier name."""
        return self._summed(
            [sum(e.role == "parameter" and e.n_counted > 0 for e in node.tensors) for node in self.nodes]
        )

    @cached_property
    def findings_at(self) -> dict[str, list[Finding]]:
        """Findings by the path of the row they stand on."""
        at: dict[str, list[Finding]] = {}
        for finding in self.findings:
            known = self.resolve(finding.path)
            at.setdefault(known[0] if known is not None else "", []).append(finding)
        return at

    @cached_property
    def findings_inside(self) -> list[int]:
        """Findings on each node, on its tensors and below."""
        counts = [0] * len(self.nodes)
        for path, findings in self.findings_at.items():
            index = self.owner[self.tensor_at[path]] if path in self.tensor_at else self.number[path]
            counts[index] += len(findings)
        return self._summed(counts)

    def severity(self, path: str) -> Severity | None:
        """Return the worst severity of the findings that stand on the row of ``path``."""
        severities = {finding.severity for finding in self.findings_at.get(path, ())}
        return next((severity for severity in SEVERITIES if severity in severities), None)

    def n_params_of_run(self, run: RowRun) -> int:
        """Return the parameter elements of a run's members, each storage element counted once."""
        if run.container is not None:
            return self.nodes[run.container].n_params
        total, seen = 0, set()
        for number in range(run.members[0], run.members[-1] + self.size[run.members[-1]]):
            for entry in self.nodes[number].tensors:
                if entry.role == "parameter" and entry.tie not in seen:
                    total += entry.n_elements
                    if entry.tie is not None and self.groups[entry.tie].kind != "overlap":
                        seen.add(entry.tie)
        return total

    def _summed(self, counts: list[int]) -> list[int]:
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
