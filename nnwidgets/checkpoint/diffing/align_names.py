"""Names of one side brought to what the other calls the same tensors, as a plan of a load would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnwidgets.checkpoint.diffing.operands import FileTensor, Operand, OperandTensor
from nnwidgets.checkpoint.loading.layouts.join_layouts import namesakes
from nnwidgets.checkpoint.loading.layouts.judge_pairs import judge
from nnwidgets.checkpoint.loading.renames.apply_renames import apply_renames
from nnwidgets.checkpoint.loading.renames.suggest_renames import Named, is_floating, suggest
from nnwidgets.errors import PathNotFoundError
from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.module_tree.tree import tree_of


@dataclass(frozen=True, slots=True)
class Aligned:
    """Two sides whose tensors are called alike.

    Attributes:
        one: Tensors of the first, by name.
        other: Those of the second.
        renames: Which names are others now: from what they are on their side.
    """

    one: Mapping[str, OperandTensor]
    other: Mapping[str, OperandTensor]
    renames: dict[str, str]


def align(one: Operand, other: Operand, rename: Mapping[Any, str] | None) -> Aligned:
    """Rename what needs it: names of a file to a model's paths, else the first side's to the second's.

    Args:
        one: The first side.
        other: The second.
        rename: As for `plan`; None for those that are sure, found here.

    Raises:
        PathNotFoundError: A rename names nothing on its side, or leads to nothing on the other.
        CheckpointMismatchError: Two names become one.
    """
    is_second = one.live is not None and other.live is None
    parts, wanted = (other.parts, one.parts) if is_second else (one.parts, other.parts)
    names = apply_renames(list(parts), _sure(parts, wanted) if rename is None else rename)
    for key, path in (rename or {}).items():
        if isinstance(key, str) and key in parts and path not in wanted:
            raise PathNotFoundError.among(path, wanted, where="the other side", listed_by="")
    renamed = {names[name]: part for name, part in parts.items()}
    live = one.live if is_second else other.live
    if live is not None:
        renamed |= _converted(names, parts, wanted, live)
        renamed |= _tied(renamed, wanted, live)
    renames = {name: path for name, path in names.items() if name != path}
    return Aligned(wanted, renamed, renames) if is_second else Aligned(renamed, wanted, renames)


def _sure(parts: Mapping[str, OperandTensor], wanted: Mapping[str, OperandTensor]) -> dict[str, str]:
    """The renames that a plan would call sure."""
    apart = namesakes(parts, wanted)
    both = {path: part for path, part in wanted.items() if path in parts and path not in apart}
    missing = [Named(path, part.shape, is_floating(part.dtype)) for path, part in wanted.items() if path not in both]
    left = [Named(name, part.shape, is_floating(part.dtype)) for name, part in parts.items() if name not in both]
    if not missing or not left:
        return {}
    matched = [Named(path, part.shape) for path, part in both.items() if part.shape == parts[path].shape]
    taken = [
        each.shape for path, part in both.items() if part.shape != parts[path].shape for each in (part, parts[path])
    ]
    found = suggest(missing, left, matched=matched, taken=taken, with_candidates=False)
    return {each.source: path for path, each in found.sure.items()}


def _tied(
    parts: Mapping[str, OperandTensor], wanted: Mapping[str, OperandTensor], live: LiveModel
) -> dict[str, OperandTensor]:
    """What a file has once, for tensors of a model that are one: as a load, each name of them gets it."""
    missing = wanted.keys() - parts.keys()
    made: dict[str, OperandTensor] = {}
    for group in tree_of(live.scan).ties if missing else ():
        held = next((path for path in group.members if path in parts), None)
        if held is not None and group.kind in {"object", "storage"}:
            made.update((path, parts[held]) for path in missing.intersection(group.members))
    return made


def _converted(
    names: Mapping[str, str],
    parts: Mapping[str, OperandTensor],
    wanted: Mapping[str, OperandTensor],
    live: LiveModel,
) -> dict[str, OperandTensor]:
    """Tensors of a file whose values lie otherwise than the model's, as a load would turn them."""
    held = {name: part for name, part in parts.items() if isinstance(part, FileTensor)}
    sources = {path: name for name, path in names.items() if path in wanted and name in held}
    described = {name: part.described for name, part in held.items()}
    judged = judge(sources, described, wanted, live.modules)
    return {path: held[sources[path]].converted(how) for path, how in judged.conversions.items()}
