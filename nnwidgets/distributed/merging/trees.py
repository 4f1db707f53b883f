"""The trees that the ranks read made into one: the whole model, each element once, and where the ranks disagree."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import xxhash

from nnwidgets.distributed.merging.tree_json import Kinds, TreeKinds, interned, with_bytes
from nnwidgets.formatting import letters
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.records import Held, TensorEntry, TieGroup

Facts = Mapping[str, str]
"""What all ranks should say the same of, by the path of a module or a tensor."""


@dataclass(frozen=True)
class Reading:
    """What the ranks said of a model's structure.

    Attributes:
        tree: The whole model's.
        digests: By rank, a fingerprint of what it has; of the ranks that answered.
        owners: Where they have different things, the ranks that have each tensor, by path; else empty: all have all.
    """

    tree: ModuleTree
    digests: Mapping[int, str]
    owners: Mapping[str, Sequence[int]]


def facts_of(tree: ModuleTree) -> dict[str, str]:
    """What a rank says of each module and tensor, but for what is its own: which part it holds, on which device.

    Example:
        >>> from torch import nn
        >>> from nnwidgets.introspect import tree
        >>> facts_of(tree(nn.Sequential(nn.ReLU()).eval()))
        {'': 'Sequential, eval', '0': 'ReLU, eval'}
    """
    made = {}
    for node in tree.nodes:
        mode = {True: "training", False: "eval", None: "no mode"}[node.training]
        made[node.path] = f"{node.class_name}, {mode}" if node.alias_of is None else f"another name of {node.alias_of}"
    for entry in tree.tensors:
        shape = "no shape" if entry.shape is None else " × ".join(map(str, entry.shape)) or "()"
        trained = ", trained" if entry.requires_grad else ""
        where = _how(entry.held)
        made.setdefault(entry.path, f"{entry.role} {shape} {entry.dtype}{trained}{where and f', {where}'}")
    return made


_OF_MODULES = ("class_name", "training", "alias_of")
_OF_TENSORS = ("role", "shape", "dtype", "requires_grad", "has_grad", "device", "held")


def digest_of(tree: ModuleTree, known: TreeKinds | None = None) -> str:
    """A fingerprint of what ranks should say the same, and of what a tree that was read before may lack.

    Args:
        tree: The tree.
        known: Its kinds by `kinds_of`, where they are worked out already.
    """
    kinds = known or TreeKinds(Kinds(tree.nodes, _OF_MODULES), Kinds(tree.tensors, _OF_TENSORS))
    modules, kinds_of_modules = kinds.nodes.by(_OF_MODULES)
    each, said = kinds.tensors.by(_OF_TENSORS)
    # Of a device its kind: each rank has a GPU of its own.
    place, kinds_of_tensors = interned((*rest, device.partition(":")[0], _how(held)) for *rest, device, held in said)
    made = xxhash.xxh3_128()
    paths = chain((node.path for node in tree.nodes), (entry.path for entry in tree.tensors))
    made.update("\n".join(paths).encode("utf-8", "surrogatepass"))
    for numbers in (modules, [place[at] for at in each]):
        made.update(array("q", numbers).tobytes())
    groups = [(group.id, group.kind, group.members) for group in tree.ties]
    made.update(repr((kinds_of_modules, kinds_of_tensors, groups)).encode("utf-8", "surrogatepass"))
    return made.hexdigest()


def _how(held: Held | None) -> str:
    """How a tensor is spread over ranks, which is the same on all of them; empty for what one of them does alone."""
    return held.how if held is not None and held.placements else ""


def merged(trees: Mapping[int, ModuleTree], local_bytes: Mapping[int, Mapping[str, int]]) -> ModuleTree:
    """Make one tree of those of several ranks: each module and tensor of any, once, as its first rank has it.

    Args:
        trees: By rank.
        local_bytes: By rank, what it holds of each node, by path; nothing of a rank that is missing.
    """
    whole = _joined(list(trees.values()))
    return with_bytes(
        whole, [[each.get(node.path, 0) for node in whole.nodes] for _, each in sorted(local_bytes.items())]
    )


def _joined(trees: Sequence[ModuleTree]) -> ModuleTree:
    """The union of trees by path: parts that one rank alone has, as the stages of a pipeline, beside the others'."""
    nodes: dict[str, ModuleNode] = {}
    tensors: dict[str, dict[str, TensorEntry]] = {}
    below: dict[str, dict[str, None]] = {}
    ties, letter_of = _all_ties(trees)
    for tree in trees:
        for node in tree.nodes:
            nodes.setdefault(node.path, node)
            below.setdefault(node.path, {}).update((child.path, None) for child in node.children)
            held = tensors.setdefault(node.path, {})
            for entry in node.tensors:
                held.setdefault(entry.path, replace(entry, tie=letter_of.get(entry.path)))
    if all(len(tree.nodes) == len(nodes) for tree in trees) and all(
        len(tree.tensors) == sum(map(len, tensors.values())) for tree in trees
    ):
        return trees[0]
    made: dict[str, ModuleNode] = {}
    order = _walk(below, trees[0].root.path)
    for path in reversed(order):
        children = tuple(made[child] for child in below[path])
        own = tuple(tensors[path].values())
        n_params = sum(entry.n_counted for entry in own if entry.role == "parameter")
        made[path] = replace(
            nodes[path],
            children=children,
            tensors=own,
            n_params=n_params + sum(child.n_params for child in children),
            n_params_torch=None,
            why=None,
        )
    every = [entry for path in order for entry in made[path].tensors]
    return replace(
        trees[0],
        root=made[order[0]],
        nodes=tuple(made[path] for path in order),
        tensors=tuple(every),
        ties=ties,
        n_params=made[order[0]].n_params,
        n_params_trainable=sum(e.n_counted for e in every if e.role == "parameter" and e.requires_grad),
        size_bytes=sum(e.size_bytes for e in every if e.n_counted or e.role != "parameter"),
        n_params_torch=None,
        why=None,
    )


def _all_ties(trees: Sequence[ModuleTree]) -> tuple[tuple[TieGroup, ...], dict[str, str]]:
    """The ties of all, lettered anew, and the letter of each name; a name has that of the first rank that ties it."""
    groups = {group.members: group for tree in trees for group in tree.ties}
    made = tuple(replace(group, id=letters(at)) for at, group in enumerate(groups.values()))
    letter_of: dict[str, str] = {}
    for group in made:
        for path in group.members:
            letter_of.setdefault(path, group.id)
    return made, letter_of


def _walk(below: Mapping[str, Iterable[str]], root: str) -> list[str]:
    order, waiting = [], [root]
    while waiting:
        path = waiting.pop()
        order.append(path)
        waiting.extend(reversed(list(below[path])))
    return order


NOWHERE = "nothing"
"""What a rank says of a path that it doesn't have."""


def disagreements(facts: Mapping[int, Facts]) -> Iterable[tuple[str, dict[str, list[int]]]]:
    """Where ranks say different things of one path: what is said, and by which ranks.

    Of what some ranks don't have at all only the topmost module is told.
    """
    told: set[str] = set()
    for path in dict.fromkeys(chain.from_iterable(facts.values())):
        said: dict[str, list[int]] = {}
        for rank, each in facts.items():
            said.setdefault(each.get(path, NOWHERE), []).append(rank)
        if len(said) == 1:
            continue
        if NOWHERE in said:
            told.add(path)
            if path.rpartition(".")[0] in told:
                continue
        yield path, said
