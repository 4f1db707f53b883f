"""Which tensors or modules of a model a target means, and what these are tied to.

A target is a pattern (`nnwidgets.introspect.patterns`), a module or tensor of the model, or several of these;
``!pattern`` among them leaves out what it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from types import GeneratorType
from typing import Any

import torch
from torch import nn

from nnwidgets.errors import Advice, AdvisedText, InvalidTargetError, PathNotFoundError
from nnwidgets.formatting import some
from nnwidgets.introspect import ModuleNode, ModuleTree, TensorEntry, get, paths
from nnwidgets.introspect.module_tree.tree import tree_of
from nnwidgets.introspect.patterns import Match, PatternMatcher, alternatives, glob, searchable
from nnwidgets.introspect.records import Record
from nnwidgets.introspect.safe_access.objects import descends, is_a, is_module, is_tensor, type_name
from nnwidgets.introspect.safe_access.scan import gc_paused
from nnwidgets.introspect.safe_access.tensors import gradient_of, shares_storage
from nnwidgets.introspect.tracing.unsharded import live_with_shards, shard_again

_MOST_NAMED = 3

Target = str | nn.Module | torch.Tensor | type[nn.Module] | Sequence[str | nn.Module | torch.Tensor | type[nn.Module]]
"""What `init` and others take; a generator, such as ``net.parameters()``, will do as well."""


@dataclass(frozen=True, slots=True)
class Tie(Record):
    """Another name that a change reaches.

    Attributes:
        path: The other name.
        of: The name that is written.
        relation: ``"object"``, ``"storage"``, ``"view"`` or ``"overlap"``, as of `TieGroup`.
    """

    path: str
    of: str
    relation: str


@dataclass(frozen=True, slots=True)
class TensorTarget:
    """A live tensor to write.

    Attributes:
        entry: What the tree says of it.
        tensor: Itself.
    """

    entry: TensorEntry
    tensor: Any

    @property
    def path(self) -> str:
        """Its path."""
        return self.entry.path


class ChangeScope:
    """One reading of a module, for the length of one change.

    Attributes:
        module: The module.
        live: What was read: its live objects.
        tree: The records of it.
        by_path: Its tensors, by path.
        passed_over: What targets meant and didn't reach, a sentence each.
    """

    @gc_paused()
    def __init__(self, module: object) -> None:
        self.module: Any = module
        self.live = live_with_shards(module)
        self.tree: ModuleTree = tree_of(self.live.scan)
        self.by_path = {entry.path: entry for entry in self.tree.tensors}
        self._order = {path: index for index, path in enumerate(self.by_path)}
        self._matcher = PatternMatcher(self.tree)
        self._read: dict[int, tuple[Target, tuple[list[str], list[str]]]] = {}
        self.passed_over: list[str] = []

    @cached_property
    def is_spread(self) -> bool:
        """Whether parts of tensors are on other ranks."""
        return any(entry.placements for entry in self.tree.tensors)

    def reshard(self) -> None:
        """Have FSDP read anew what was written."""
        shard_again(self.live.scan)

    def tensor(self, path: str) -> Any:
        """The live tensor at a path."""
        found = self.live.tensor(path)
        if found is None:
            # It may be no tensor, or in an attribute that no tree shows; else this tells the closest paths.
            found = get(self.module, path)
        if not is_tensor(found):
            kind = self.by_path[path].class_name if path in self.by_path else "no tensor"
            raise InvalidTargetError(
                f"{path} is {kind}, expected a tensor.",
                path=path,
                hint="Packed weights can't be written; replace the module.",
            )
        return found

    def places(self, target: Target) -> list[TensorTarget]:
        """The tensors a target means, in walk order: tensors it names, and parameters at or below modules it names.

        A glob means parameters, and other tensors only where it names no parameter. What ``!pattern`` names is left
        out, and with it what shares bytes with that.

        Raises:
            PathNotFoundError: It names nothing, or what it leaves out isn't there.
            InvalidTargetError: It names modules without parameters, or leaves out all that it names.
        """
        picked: dict[str, TensorEntry] = {}
        roots: list[ModuleNode] = []
        patterns, left_out = self._patterns(target)
        for pattern in patterns or ("",):
            if not pattern.strip():
                picked.update((entry.path, entry) for entry in self.tree.tensors if entry.role == "parameter")
                continue
            found = self._matcher.match(pattern, words=False)
            tensors = [entry for entry in found.tensors if not self.is_computed(entry)]
            if found.meaning in {"class-tensor", "path", "nothing"} and len(tensors) == len(found.nodes) == 0:
                self._refuse_computed(pattern, found.tensors)
            if not found.paths:
                raise PathNotFoundError.among(pattern, self._names(pattern))
            if found.meaning == "class-tensor":
                self._note_computed(pattern)
            if found.meaning == "glob" and any(entry.role == "parameter" for entry in tensors):
                tensors = [entry for entry in tensors if entry.role == "parameter"]
                self._note_left_by_glob(pattern.strip(), {entry.path for entry in tensors})
            if not tensors and next(self._parameters_below(found.nodes), None) is None:
                raise InvalidTargetError(
                    f"{found.paths[0] or 'The model'} has no parameters.",
                    path=found.paths[0],
                    hint=AdvisedText("Name a module or tensor that has; ", Advice.SEE_TREE, " shows them."),
                )
            picked.update((entry.path, entry) for entry in tensors)
            roots += found.nodes
        picked.update((entry.path, entry) for entry in self._parameters_below(roots))
        if left_out:
            picked = self._without(picked, left_out)
        live = self.live.tensors
        return [
            TensorTarget(picked[path], live[path] if path in live else self.tensor(path))
            for path in self.in_walk_order(picked)
        ]

    def names_modules(self, target: Target) -> bool:
        """Whether a target names a module, and not tensors alone."""
        patterns = self._patterns(target)[0]
        return not patterns or any(
            not each.strip() or self._matcher.match(each, words=False).nodes for each in patterns
        )

    def path_of(self, value: Any) -> str:
        """The first path of a module or tensor of the model.

        Raises:
            InvalidTargetError: It is none of the model's; it says what it comes from.
        """
        path = self._path_of_id.get(id(value))
        if path is not None:
            return path
        if is_module(value):
            said, hint = f"The {type_name(type(value))} that was passed is no part of the model.", _A_TARGET
        elif is_tensor(value):
            said, hint = "The tensor that was passed is none of the model's.", _A_TARGET
            of = self._made_from(value)
            if of is not None:
                said = f"The tensor that was passed is {of[0]}, and not one of the model's."
                hint = f"Name {of[1]!r}; a part of it is set by assign(net, '{of[1]}[0, 0]', value)."
        else:
            said = f"The target is of type {type_name(type(value))}, expected {_EXPECTED}."
            hint = "Such as 0.weight."
        raise InvalidTargetError(said, hint=hint)

    def _made_from(self, value: Any) -> tuple[str, str] | None:
        """What a tensor is of one of the model, and the path of that."""
        for path, tensor in self.live.tensors.items():
            if gradient_of(tensor) is value:
                return f"the gradient of {path}", path
            if shares_storage(tensor, value):
                return f"in the memory of {path}", path
        return None

    @cached_property
    def _path_of_id(self) -> dict[int, str]:
        found: dict[int, str] = {}
        for known in (self.live.modules, self.live.tensors):
            for path, value in known.items():
                found.setdefault(id(value), path)
        return found

    def _patterns(self, target: Target) -> tuple[list[str], list[str]]:
        """The patterns of a target, live objects as their paths, and those of what it leaves out; read once."""
        if id(target) not in self._read:
            self._read[id(target)] = target, self._patterns_of(_each_of(target))
        return self._read[id(target)][1]

    def _patterns_of(self, several: Sequence[Any]) -> tuple[list[str], list[str]]:
        wanted: list[str] = []
        left_out: list[str] = []
        for each in several:
            if is_a(each, type) and descends(nn.Module, each):
                wanted.append(type_name(each))
            elif type(each) is not str:
                wanted.append(self.path_of(each))
            elif self._matcher.names(each) or not each.strip():
                wanted.append(each)
            elif each.strip().startswith("!"):
                left_out += alternatives(each.strip()[1:].strip())
            else:
                wanted += alternatives(each)
        return wanted, left_out

    def _found_of(self, patterns: Iterable[str]) -> list[Match]:
        """What patterns that leave something out name."""
        found = []
        for pattern in patterns:
            found.append(self._matcher.match(pattern, words=False))
            if not found[-1].paths:
                raise PathNotFoundError.among(pattern, self._names(pattern))
        return found

    def _without(self, picked: Mapping[str, TensorEntry], patterns: Sequence[str]) -> dict[str, TensorEntry]:
        """Those of entries that patterns don't name, and that share no bytes with what they name."""
        named: dict[str, TensorEntry] = {}
        for found in self._found_of(patterns):
            below = (entry for node in self._nodes_below(found.nodes) for entry in node.tensors)
            for entry in (*found.tensors, *below):
                path = self._path_of_id.get(id(self.live.tensor(entry.path)), entry.path)
                named[path] = self.by_path.get(path, entry)
        ties = {entry.tie for entry in named.values()} - {None}
        left = {path: entry for path, entry in picked.items() if path not in named and entry.tie not in ties}
        tied = [path for path, entry in picked.items() if path not in named and entry.tie in ties]
        said = " and ".join(f"!{pattern}" for pattern in patterns[:_MOST_NAMED])
        if not left:
            raise InvalidTargetError(f"{said} leaves out all that is named.", hint="Leave out less, or name more.")
        if tied:
            self.passed_over.append(f"{some(tied, _MOST_NAMED)}: left too, for sharing bytes with what {said} names.")
        return left

    def computed_from(self, path: str) -> list[str]:
        """The parameters that a tensor at a path is computed from; none where it isn't, as far as torch's own ways go.

        These are parametrizations, and the older ``weight_norm``, ``spectral_norm`` and pruning.
        """
        owner, name = path[: path.rfind(".") + 1], path[path.rfind(".") + 1 :]
        list_of = self._nodes.get(f"{owner}parametrizations.{name}")
        if list_of is not None:
            return [entry.path for entry in list_of.tensors if entry.path[len(list_of.path) :].startswith(".original")]
        found = map(self.by_path.get, (f"{owner}{name}{end}" for end in ("_orig", "_g", "_v")))
        return [entry.path for entry in found if entry is not None and entry.role == "parameter"]

    def is_computed(self, entry: TensorEntry) -> bool:
        """Whether it is computed from others, so that what is written there would be lost."""
        return entry.role == "unregistered" and bool(self.computed_from(entry.path))

    def _computed_at(self, pattern: str, named: Iterable[TensorEntry] = ()) -> dict[str, list[str]]:
        """The computed tensors that a text means, each with what it is computed from."""
        nodes, name = self._matcher.of_class(pattern)
        known = [pattern.strip(), *(entry.path for entry in named)]
        known += [paths.join(node.path, name) for node in nodes if node.kind == "module"]
        return {path: originals for path in known if (originals := self.computed_from(path))}

    def _refuse_computed(self, pattern: str, named: Iterable[TensorEntry]) -> None:
        for path, originals in self._computed_at(pattern, named).items():
            raise InvalidTargetError(
                f"{path} is computed from {some(originals, _MOST_NAMED)}: what is written there would be lost.",
                path=path,
                hint=f"Name what it is computed from: {' or '.join(originals[:_MOST_NAMED])}.",
            )

    def _note_computed(self, pattern: str) -> None:
        passed = list(self._computed_at(pattern))
        if passed:
            self._tell_computed(pattern.strip(), passed)

    def _note_left_by_glob(self, pattern: str, reached: AbstractSet[str]) -> None:
        """Say of a glob which parameters a reader of it may miss: deeper ones, and those of computed tensors."""
        if not pattern.startswith("**"):
            fits = glob(f"*{pattern}").match if pattern.startswith("*") else None
            deeper = [
                entry.path
                for entry in (self.tree.tensors if fits else ())
                if entry.role == "parameter" and entry.path not in reached and fits and fits(searchable(entry.path))
            ]
            if deeper:
                self.passed_over.append(
                    f"{pattern} leaves {some(deeper, _MOST_NAMED)}, deeper down: '*' stands for one component. "
                    f"*{pattern} names those too."
                )
        matches = glob(pattern).match
        passed = [
            path
            for path, originals in self._computed.items()
            if matches(searchable(path)) and not reached >= set(originals)
        ]
        if passed:
            self._tell_computed(pattern, passed)

    def _tell_computed(self, pattern: str, passed: Sequence[str]) -> None:
        self.passed_over.append(
            f"{pattern} passes over {some(list(passed), _MOST_NAMED)}, computed from others: {passed[0]} from "
            f"{some(self.computed_from(passed[0]), _MOST_NAMED)}. Name those to change it."
        )

    @cached_property
    def _computed(self) -> dict[str, list[str]]:
        """Every computed tensor, with what it is computed from."""
        known = [entry.path for entry in self.tree.tensors if entry.role == "unregistered"]
        for node in self.tree.nodes:
            owner, mark, name = node.path.rpartition("parametrizations.")
            if mark and "." not in name:
                known.append(owner + name)
        return {path: originals for path in known if (originals := self.computed_from(path))}

    def _names(self, pattern: str) -> list[str]:
        """What a text may have meant: paths, classes, and where a class is written, its tensors."""
        wanted = pattern.strip().casefold()
        named = (
            f"{name}.{entry.path.rpartition('.')[2]}"
            for name in self._matcher.classes
            if wanted.rpartition(".")[0].endswith(name.casefold())
            for node in self._matcher.of_class(f"{name}.")[0]
            for entry in node.tensors
        )
        deeper = [f"*{pattern.strip()}"] if pattern.strip().startswith("*") else []
        deeper = [each for each in deeper if self._matcher.match(each, words=False).paths]
        return [
            *deeper,
            *dict.fromkeys(named),
            *self.by_path,
            *(node.path for node in self.tree.nodes),
            *self._matcher.classes,
        ]

    def modules(self, target: Target) -> list[tuple[str, Any]]:
        """The modules a target names, each once, in walk order.

        Raises:
            PathNotFoundError: It names nothing, or what it leaves out isn't there.
            InvalidTargetError: It names tensors, or leaves out all that it names.
        """
        live = self.live.modules
        wanted: set[str] = set()
        for pattern in self._patterns(target)[0] or ("**",):
            if not pattern.strip() or pattern in live:
                wanted.add(pattern.strip())
                continue
            found = self._matcher.match(pattern, words=False)
            if not found.paths:
                raise PathNotFoundError.among(pattern, [*live, *self._matcher.classes])
            if not found.nodes:
                raise InvalidTargetError(
                    f"{found.paths[0]} is a tensor, expected a module.",
                    path=found.paths[0],
                    hint="Name the module that holds it, or a class such as Linear.",
                )
            wanted.update(node.alias_of or node.path for node in found.nodes)
        kept = self._distinct_modules(wanted - self.left_out(target))
        if wanted and not kept:
            raise InvalidTargetError("The target leaves out all that it names.", hint="Leave out less, or name more.")
        return kept

    def left_out(self, target: Target) -> set[str]:
        """The paths of the modules at and below those that ``!pattern`` in a target names.

        Raises:
            PathNotFoundError: It names nothing.
            InvalidTargetError: It names tensors.
        """
        out: set[str] = set()
        for found in self._found_of(self._patterns(target)[1]):
            if not found.nodes:
                raise InvalidTargetError(
                    f"!{found.paths[0]} leaves out a tensor, and this is done to whole modules.",
                    path=found.paths[0],
                    hint="Leave out the module that holds it.",
                )
            out.update(node.path for node in self._nodes_below(found.nodes))
        return out

    def modules_below(self, paths: Iterable[str], without: AbstractSet[str] = frozenset()) -> list[tuple[str, Any]]:
        """The modules at some paths and below, each once, in walk order, but for some."""
        below = (node.path for node in self._nodes_below(self._nodes[path] for path in paths))
        return self._distinct_modules(path for path in below if path not in without)

    def tensors_below(self, paths: Iterable[str], without: AbstractSet[str] = frozenset()) -> list[TensorEntry]:
        """The tensors of modules at some paths and below, in walk order, but for those of some modules."""
        below = self._nodes_below(self._nodes[path] for path in paths)
        found = [entry for node in below if node.path not in without for entry in node.tensors]
        return sorted(found, key=lambda entry: self._order[entry.path])

    def ties_of(self, places: Iterable[TensorTarget]) -> tuple[Tie, ...]:
        """Every other name whose bytes the places share."""
        named = list(places)
        known = {place.path for place in named}
        groups = {group.id: group for group in self.tree.ties}
        made: list[Tie] = []
        for place in named:
            # The first place of a group tells all its names.
            group = groups.pop(place.entry.tie or "", None)
            for member in group.members if group else ():
                if group and member not in known:
                    known.add(member)
                    is_same = self.tensor(member) is place.tensor
                    made.append(Tie(member, place.path, "object" if is_same else group.kind))
        return tuple(made)

    def in_walk_order(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Paths in walk order, those through aliases last."""
        order, wanted = self._order, dict.fromkeys(paths)
        through_aliases = [path for path in wanted if path not in order]
        return (*sorted(wanted.keys() - through_aliases, key=order.__getitem__), *through_aliases)

    @cached_property
    def _nodes(self) -> dict[str, ModuleNode]:
        return {node.path: node for node in reversed(self.tree.nodes)}

    def _nodes_below(self, roots: Iterable[ModuleNode]) -> Iterator[ModuleNode]:
        """Nodes and all below them, each once; what an alias stands for in its place."""
        seen: set[str] = set()
        waiting = list(roots)[::-1]
        while waiting:
            node = waiting.pop()
            if node.alias_of is not None:
                node = self._nodes[node.alias_of]
            if node.path not in seen:
                seen.add(node.path)
                yield node
                waiting.extend(reversed(node.children))

    def _parameters_below(self, roots: Iterable[ModuleNode]) -> Iterator[TensorEntry]:
        return (entry for node in self._nodes_below(roots) for entry in node.tensors if entry.role == "parameter")

    def _distinct_modules(self, paths: Iterable[str]) -> list[tuple[str, Any]]:
        wanted = set(paths)
        picked: dict[int, tuple[str, Any]] = {}
        for path, value in self.live.modules.items():
            if path in wanted:
                picked.setdefault(id(value), (path, value))
        return list(picked.values())


_EXPECTED = "text, a module or tensor of the model, or a list of them"
_A_TARGET = "Pass a module or tensor of it, or a path."


def _each_of(target: Any) -> Sequence[Any]:
    if type(target) is GeneratorType:
        target = tuple(target)
    if type(target) in (list, tuple) and target:
        return tuple(target)
    if type(target) in (list, tuple, dict, set):
        raise InvalidTargetError(
            f"The target is {'empty' if not target else f'of type {type_name(type(target))}'}, expected {_EXPECTED}.",
            hint="Such as 0.weight.",
        )
    return (target,)
