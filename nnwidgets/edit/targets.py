"""Which tensors a change would write: found, told apart from their ties, and checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from nnwidgets.edit.undo_copy.memory_blocks import overlaps_itself, piece_of
from nnwidgets.errors import Advice, AdvisedText, InvalidTargetError, PathNotFoundError
from nnwidgets.formatting import shape_text, some
from nnwidgets.introspect import LiveModel, ModuleNode, ModuleTree, TensorEntry, get, paths
from nnwidgets.introspect.module_tree.tree import tree_of
from nnwidgets.introspect.patterns import PatternMatcher, glob, searchable
from nnwidgets.introspect.records import Held, Record
from nnwidgets.introspect.safe_access.objects import ORDINARY, is_tensor, no_torch_function, type_name
from nnwidgets.introspect.safe_access.scan import gc_paused
from nnwidgets.introspect.safe_access.tensors import (
    as_plain_tensor,
    how_to_read,
    plain_runs,
    plain_torch,
    torch_attribute,
    unreadable_reason,
)
from nnwidgets.introspect.sharing import byte_ranges

Target = str | Sequence[str]


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
        self.live = LiveModel(module)
        self.tree: ModuleTree = tree_of(self.live.scan)
        self.by_path = {entry.path: entry for entry in self.tree.tensors}
        self._order = {path: index for index, path in enumerate(self.by_path)}
        self._matcher = PatternMatcher(self.tree)
        self.passed_over: list[str] = []

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

        A glob means parameters, and other tensors only where it names no parameter.

        Raises:
            PathNotFoundError: It names nothing.
            InvalidTargetError: It names modules without parameters.
        """
        picked: dict[str, TensorEntry] = {}
        roots: list[ModuleNode] = []
        for pattern in _patterns(target):
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
        live = self.live.tensors
        return [
            TensorTarget(picked[path], live[path] if path in live else self.tensor(path))
            for path in self.in_walk_order(picked)
        ]

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
            PathNotFoundError: It names nothing.
            InvalidTargetError: It names tensors only.
        """
        live = self.live.modules
        wanted: set[str] = set()
        for pattern in _patterns(target):
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
        return self._distinct_modules(wanted)

    def modules_below(self, paths: Iterable[str]) -> list[tuple[str, Any]]:
        """The modules at some paths and below, each once, in walk order."""
        return self._distinct_modules(node.path for node in self._nodes_below(self._nodes[path] for path in paths))

    def tensors_below(self, paths: Iterable[str]) -> list[TensorEntry]:
        """The tensors of modules at some paths and below, in walk order."""
        found = [entry for node in self._nodes_below(self._nodes[path] for path in paths) for entry in node.tensors]
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


def _patterns(target: Target) -> Sequence[str]:
    if type(target) is str:
        return (target,)
    if type(target) in (list, tuple) and target and all(type(each) is str for each in target):
        return target
    raise InvalidTargetError(
        f"The target is of type {type_name(type(target))}, expected text or a list of paths.", hint="Such as 0.weight."
    )


def check_writable(places: Sequence[TensorTarget]) -> list[torch.Tensor]:
    """Give the plain data of tensors that can all be written in place.

    Raises:
        InvalidTargetError: One can't, and why.
    """
    tensors = [place.tensor for place in places]
    data = plain_runs(tensors)
    # Of torch's own classes, each one run of memory: what doesn't ask for gradients is a leaf too.
    are_whole = all(place.entry.held is None for place in places)
    if data is not None and are_whole and all(map(_is_leaf, tensors)) and not any(map(_is_inference, tensors)):
        return data
    for place in places:
        with no_torch_function():
            problem, hint = _why_not(place.tensor, place.entry.held)
        if problem:
            raise InvalidTargetError(f"{place.path} can't be written: {problem}.", path=place.path, hint=hint)
    return list(map(as_plain_tensor, tensors))


_is_leaf: Any = torch.Tensor.is_leaf.__get__  # type: ignore[attr-defined] # it is a property
_is_inference: Any = torch.Tensor.is_inference


def _why_not(tensor: Any, held: Held | None) -> tuple[str, str]:  # noqa: PLR0911 - one reason each
    if held is not None and held.is_part and (held.placements or not tensor.numel()):
        return (
            f"it is {held.how}, and this process has {shape_text(held.local_shape)} of {shape_text(held.shape)}",
            "Change it before it is sharded; a change on one process alone would leave the others as they are.",
        )
    if held is not None and held.kind == "wrapper":
        return f"it is a {type_name(type(tensor))}, {held.how}", "Change the model before its tensors are made so."
    reason = unreadable_reason(tensor)
    if reason is not None:
        return reason, how_to_read(tensor)
    if torch_attribute(tensor, "layout") is not torch.strided:
        return (
            f"its layout is {torch_attribute(tensor, 'layout')}, expected torch.strided",
            "Put a dense tensor in its place, such as its to_dense(), and change that.",
        )
    if torch_attribute(tensor, "is_quantized"):
        return f"it is quantized ({torch_attribute(tensor, 'dtype')})", "Change the float model and quantize it again."
    if torch_attribute(tensor, "is_inference")():
        return (
            "it was made in inference mode, where torch forbids changes in place outside of it",
            "Replace it by tensor.clone() made outside inference mode.",
        )
    kind = type(tensor)
    if id(kind) not in ORDINARY and not _is_ordinary_below(kind):
        return (
            f"it is a {type_name(kind)}, whose bytes are kept by its own class",
            "Change the local tensors it is made of.",
        )
    if torch_attribute(tensor, "requires_grad") and not torch_attribute(tensor, "is_leaf"):
        return (
            "it is computed from other tensors, so the next forward would overwrite it",
            "Change the tensor it is computed from.",
        )
    data = as_plain_tensor(tensor)
    if not data.is_contiguous() and overlaps_itself(data):
        return "some of its elements are the same memory (it was expanded)", "Change the tensor it is a view of."
    return "", ""


def _is_ordinary_below(kind: type) -> bool:
    """A subclass of Tensor or Parameter that leaves operations as they are."""
    own = getattr(kind, "__torch_function__", None)
    plain_function = own is torch._C._disabled_torch_function_impl or (  # noqa: SLF001 - what Parameter has
        getattr(own, "__func__", None) is torch.Tensor.__torch_function__.__func__  # type: ignore[attr-defined]
    )
    return plain_function and kind.__dict__.get("__torch_dispatch__") is None and "DTensor" not in kind.__name__


def distinct_memory(places: Sequence[TensorTarget]) -> tuple[list[TensorTarget], list[str]]:
    """Leave out places whose bytes earlier ones have, and say where they overlap in part.

    Returns:
        The places to fill, in order, and warnings.
    """
    first_of, ranges = _memory_of(places)
    if not first_of:
        return list(places), []
    shared = _bytes_by_owners(places, ranges)
    kept: list[TensorTarget] = []
    written: set[int] = set()
    warnings: list[str] = []
    for index, place in enumerate(places):
        if first_of.get(index, index) != index:
            continue
        met = sorted({each for owners in shared.get(index, ()) for each in owners if each in written})
        if met and all(not owners.isdisjoint(written) for owners in shared[index]):
            if not any(_is_view(ranges[index], ranges[each]) for each in met):
                names = ", ".join(places[each].path for each in met[:_MOST_NAMED])
                warnings.append(f"{place.path} lies within {names} and is filled with it.")
            continue
        if met:
            warnings.append(
                f"{place.path} overlaps {places[met[0]].path}: it is filled after it, "
                "and their common elements get its numbers."
            )
        written.add(index)
        kept.append(place)
    return kept, warnings


def _memory_of(places: Sequence[TensorTarget]) -> tuple[dict[int, int], dict[int, byte_ranges.ByteRanges]]:
    """Of places that are tied, by index: the first one over the very same bytes, and those bytes of each first one."""
    sites: dict[tuple[Any, ...], int] = {}
    first_of: dict[int, int] = {}
    ranges: dict[int, byte_ranges.ByteRanges] = {}
    with plain_torch():
        for index, place in enumerate(places):
            found = piece_of(as_plain_tensor(place.tensor), index) if place.entry.tie is not None else None
            if found is not None:
                first_of[index] = sites.setdefault((place.tensor.device, *found[:3]), index)
                if first_of[index] == index:
                    ranges[index] = found
    return first_of, ranges


def _bytes_by_owners(
    places: Sequence[TensorTarget], ranges: dict[int, byte_ranges.ByteRanges]
) -> dict[int, list[frozenset[int]]]:
    """For each place, by index: the sets of places that have some of its bytes together, itself among them."""
    by_device: dict[torch.device, list[byte_ranges.ByteRanges]] = {}
    for index, each in ranges.items():
        by_device.setdefault(places[index].tensor.device, []).append(each)
    shared: dict[int, list[frozenset[int]]] = {}
    for held in by_device.values():
        for owners in byte_ranges.coverage(held):
            for owner in owners:
                shared.setdefault(owner, []).append(owners)
    return shared


_MOST_NAMED = 3


def _is_view(one: byte_ranges.ByteRanges, other: byte_ranges.ByteRanges) -> bool:
    return one.start == other.start and byte_ranges.n_bytes(one) == byte_ranges.n_bytes(other)
