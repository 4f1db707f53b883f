"""Which tensors a change would write: found, told apart from their ties, and checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nnwidgets.edit.undo_copy.memory_blocks import overlaps_itself, piece_of
from nnwidgets.errors import Advice, AdvisedText, InvalidTargetError, PathNotFoundError
from nnwidgets.introspect import ModuleTree, TensorEntry, get, live_modules, live_tensors, match, tree
from nnwidgets.introspect.safe_access.objects import ORDINARY, is_tensor, type_name
from nnwidgets.introspect.safe_access.tensors import (
    as_plain_tensor,
    plain_torch,
    torch_attribute,
    unreadable_reason,
    without_torch_function,
)
from nnwidgets.introspect.sharing import byte_ranges

Target = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class Tie:
    """Another name that a change reaches.

    Attributes:
        path: The other name.
        of: The name that is written.
        relation: ``"object"``, ``"storage"``, ``"view"`` or ``"overlap"``, as of `TieGroup`.
    """

    path: str
    of: str
    relation: str

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them."""
        return {"path": self.path, "of": self.of, "relation": self.relation}


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
    """One reading of a module, for the length of one change."""

    def __init__(self, module: object) -> None:
        self.module: Any = module
        self.tree: ModuleTree = tree(module)
        self._live = live_tensors(module)
        self.by_path = {entry.path: entry for entry in self.tree.tensors}

    def tensor(self, path: str) -> Any:
        """The live tensor at a path."""
        found = self._live.get(path)
        found = get(self.module, path) if found is None else found
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
        for pattern in _patterns(target):
            if not pattern.strip():
                picked.update((entry.path, entry) for entry in self.tree.tensors if entry.role == "parameter")
                continue
            found = match(self.tree, pattern, words=False)
            if not found.paths:
                names = [*self.by_path, *(node.path for node in self.tree.nodes), *self._classes()]
                raise PathNotFoundError.among(pattern, names)
            tensors = list(found.tensors)
            if found.meaning == "glob" and any(entry.role == "parameter" for entry in tensors):
                tensors = [entry for entry in tensors if entry.role == "parameter"]
            below = [entry for node in found.nodes for entry in self._below(node.alias_of or node.path)]
            if not tensors and not below:
                raise InvalidTargetError(
                    f"{found.paths[0] or 'The model'} has no parameters.",
                    path=found.paths[0],
                    hint=AdvisedText("Name a module or tensor that has; ", Advice.SEE_TREE, " shows them."),
                )
            picked.update((entry.path, entry) for entry in (*tensors, *below))
        order = {path: index for index, path in enumerate(self.by_path)}
        entries = sorted(picked.values(), key=lambda entry: order.get(entry.path, len(order)))
        return [TensorTarget(entry, self.tensor(entry.path)) for entry in entries]

    def modules(self, target: Target) -> list[tuple[str, Any]]:
        """The modules a target names, each once, in walk order.

        Raises:
            PathNotFoundError: It names nothing.
            InvalidTargetError: It names tensors only.
        """
        live = live_modules(self.module)
        picked: dict[int, tuple[str, Any]] = {}
        wanted: set[str] = set()
        for pattern in _patterns(target):
            if not pattern.strip() or pattern in live:
                wanted.add(pattern.strip())
                continue
            found = match(self.tree, pattern, words=False)
            if not found.paths:
                raise PathNotFoundError.among(pattern, [*live, *self._classes()])
            if not found.nodes:
                raise InvalidTargetError(
                    f"{found.paths[0]} is a tensor, expected a module.",
                    path=found.paths[0],
                    hint="Name the module that holds it, or a class such as Linear.",
                )
            wanted.update(node.alias_of or node.path for node in found.nodes)
        for path, value in live.items():
            if path in wanted:
                picked.setdefault(id(value), (path, value))
        return list(picked.values())

    def ties_of(self, places: Iterable[TensorTarget]) -> tuple[Tie, ...]:
        """Every other name whose bytes the places share."""
        written = {place.path for place in places}
        made: dict[str, Tie] = {}
        groups = {group.id: group for group in self.tree.ties}
        for place in places:
            group = groups.get(place.entry.tie or "")
            for member in group.members if group else ():
                if group and member not in written and member not in made:
                    is_same = self.tensor(member) is place.tensor
                    made[member] = Tie(member, place.path, "object" if is_same else group.kind)
        return tuple(made.values())

    def ordered(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Paths in walk order, those through aliases last."""
        order = {path: index for index, path in enumerate(self.by_path)}
        return tuple(sorted(dict.fromkeys(paths), key=lambda path: order.get(path, len(order))))

    def _below(self, path: str) -> list[TensorEntry]:
        return [
            entry
            for node in self.tree.nodes
            if node.path == path
            for below in node.walk()
            for entry in self.tree_node_tensors(below.alias_of or below.path)
            if entry.role == "parameter"
        ]

    def tree_node_tensors(self, path: str) -> tuple[TensorEntry, ...]:
        """The tensors of the node at a path."""
        return next((node.tensors for node in self.tree.nodes if node.path == path), ())

    def _classes(self) -> set[str]:
        return {node.class_name for node in self.tree.nodes}


def _patterns(target: Target) -> Sequence[str]:
    if type(target) is str:
        return (target,)
    if type(target) in (list, tuple) and target and all(type(each) is str for each in target):
        return target
    raise InvalidTargetError(
        f"The target is of type {type_name(type(target))}, expected text or a list of paths.", hint="Such as 0.weight."
    )


def check_writable(place: TensorTarget) -> torch.Tensor:
    """Give the plain data of a tensor that can be written in place.

    Raises:
        InvalidTargetError: It can't, and why.
    """
    tensor, path = place.tensor, place.path
    problem, hint = _why_not(tensor)
    if problem:
        raise InvalidTargetError(f"{path} can't be written: {problem}.", path=path, hint=hint)
    with plain_torch():
        return as_plain_tensor(tensor)


@without_torch_function
def _why_not(tensor: Any) -> tuple[str, str]:  # noqa: PLR0911 - one reason each
    reason = unreadable_reason(tensor)
    if reason is not None:
        return reason, "Give it data first: run a forward, or model.to_empty(device=…)."
    if torch_attribute(tensor, "layout") is not torch.strided:
        return (
            f"its layout is {torch_attribute(tensor, 'layout')}, expected torch.strided",
            "Assign a dense tensor instead.",
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
    with plain_torch():
        if overlaps_itself(as_plain_tensor(tensor)):
            return (
                "some of its elements are the same memory (it was expanded)",
                "Change the tensor it is a view of.",
            )
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
    kept: list[TensorTarget] = []
    pieces: list[byte_ranges.ByteRanges] = []
    warnings: list[str] = []
    with plain_torch():
        for place in places:
            found = piece_of(as_plain_tensor(place.tensor), len(kept))
            if found is None:
                kept.append(place)
                continue
            same = [each for each in pieces if each[:3] == found[:3]]
            met = [
                each for each in pieces if each.start < byte_ranges.end(found) and found.start < byte_ranges.end(each)
            ]
            met = [each for each in met if kept[each.owner].tensor.device == place.tensor.device]
            if not same and met:
                by_owners = byte_ranges.coverage([*met, found])
                shared = sum(n for owners, n in by_owners.items() if found.owner in owners and len(owners) > 1)
                alone = sum(n for owners, n in by_owners.items() if owners == {found.owner})
                if shared and not alone:
                    others = [kept[each.owner].path for each in met]
                    if not any(_is_view(found, each) for each in met):
                        warnings.append(f"{place.path} lies within {', '.join(others[:3])} and is filled with it.")
                    continue
                if shared:
                    warnings.append(
                        f"{place.path} overlaps {kept[met[0].owner].path}: it is filled after it, "
                        "and their common elements get its numbers."
                    )
            elif same:
                continue
            pieces.append(found)
            kept.append(place)
    return kept, warnings


def _is_view(one: byte_ranges.ByteRanges, other: byte_ranges.ByteRanges) -> bool:
    return one.start == other.start and byte_ranges.n_bytes(one) == byte_ranges.n_bytes(other)
