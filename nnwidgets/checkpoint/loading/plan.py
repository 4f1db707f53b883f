"""What a load would do, told from the headers of the file alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from nnwidgets.checkpoint.description import Composed, Described, dtype_name
from nnwidgets.checkpoint.formats import CheckpointReader, open_checkpoint
from nnwidgets.checkpoint.loading.apply_renames import apply_renames
from nnwidgets.checkpoint.loading.layouts.explain_rest import explain
from nnwidgets.checkpoint.loading.layouts.judge_pairs import judge
from nnwidgets.checkpoint.loading.suggest_renames import Named, Suggested, suggest
from nnwidgets.checkpoint.records import LOADED, Conversion, LoadPlan, PlanEntry, Status, Suggestion
from nnwidgets.checkpoint.state_dict import StateDictLocation, find, saved_entries
from nnwidgets.edit.targets import ChangeScope
from nnwidgets.errors import CheckpointMismatchError, PathNotFoundError
from nnwidgets.formatting import and_more
from nnwidgets.introspect import ModuleTree, TensorEntry, TieGroup
from nnwidgets.introspect.safe_access.scan import gc_paused

_MOST_NAMED = 3
_COUNTER = "num_batches_tracked"


@gc_paused()
def plan(module: nn.Module, path: str | os.PathLike[str], *, rename: Mapping[Any, str] | None = None) -> LoadPlan:
    """Tell what loading a checkpoint would do, tensor by tensor; nothing is loaded, and no tensor's bytes are read.

    Args:
        module: The model.
        path: A checkpoint of any format that `peek` knows.
        rename: Names in the file to paths in the model. A key is a whole name, whole components of names
            (``{"out": "output"}``), a beginning that ends with a dot (``{"module.": ""}``), or a compiled pattern with
            a template as its value. Keys are applied in turn.

    Returns:
        The plan; its ``renames`` are those that leave no other answer, to be passed as ``rename``; its ``suggestions``
        are candidates, to be judged by who knows the model.

    Raises:
        PathNotFoundError: There is no such file; or a rename names nothing in it, or leads to nothing in the model.
        UnsafeCheckpointError: The file would have to run code to be read.
        CorruptCheckpointError: It is damaged, or no checkpoint.
        CheckpointMismatchError: It holds no state dict, or two renames lead to one path.

    Example:
        >>> import tempfile
        >>> from safetensors.torch import save_file
        >>> file = tempfile.mkdtemp() + "/old.safetensors"
        >>> save_file(nn.Sequential(nn.Linear(2, 3)).state_dict(prefix="module."), file)
        >>> found = plan(nn.Sequential(nn.Linear(2, 3)), file)
        >>> [entry.status for entry in found.entries], dict(found.renames)["module.0.weight"]
        (['missing', 'missing', 'unexpected', 'unexpected'], '0.weight')
        >>> plan(nn.Sequential(nn.Linear(2, 3)), file, rename=found.renames).counts
        {'renamed': 2}
    """
    with open_checkpoint(path) as held:
        return make_plan(ChangeScope(module), held, state_dict_in(held), rename)


def state_dict_in(held: CheckpointReader) -> StateDictLocation:
    """The state dict of an open checkpoint.

    Raises:
        CheckpointMismatchError: It holds none.
    """
    found = find(held.content)
    if found.key is None:
        raise CheckpointMismatchError(
            f"{held.path.name} holds no state dict: no dict of tensors by name.",
            path=str(held.path),
            hint="nnwidgets.read gives what is in it.",
        )
    return found


@gc_paused()
def make_plan(
    scope: ChangeScope, held: CheckpointReader, found: StateDictLocation, rename: Mapping[Any, str] | None = None
) -> LoadPlan:
    """The plan for an open checkpoint."""
    model = _model_side(scope.tree)
    tensors = found.tensors
    names = apply_renames(list(tensors), {} if rename is None else rename)
    _check_targets(rename or {}, tensors, model)
    sources = {path: name for name, path in names.items() if path in model}
    judged = judge(sources, tensors, {path: side.entry for path, side in model.items()}, scope.live.modules)
    refused = {sources.pop(path) for path in judged.refused}
    left = {name: tensor for name, tensor in tensors.items() if names[name] not in model or name in refused}
    statuses = {
        path: "converted" if path in judged.conversions else _status(side, sources.get(path), tensors)
        for path, side in model.items()
    }
    givers = _givers(statuses, model)
    missing = [side for path, side in model.items() if statuses[path] == "missing" and path not in givers]
    rest = explain(
        {names[name]: tensor for name, tensor in left.items() if name not in refused}, [each.path for each in missing]
    )
    suggested = _suggested(
        [side for side in missing if side.path not in judged.refused],
        {names[name]: (name, tensor) for name, tensor in left.items()
         if name not in refused and names[name] not in rest.names},
        [Named(path, tuple(tensors[name].shape)) for path, name in sources.items() if statuses[path] in LOADED],
    )  # fmt: skip
    entries = [
        _entry(
            side, sources.get(path), tensors, statuses[path], giver=givers.get(path),
            suggestion=suggested.sure.get(path), conversion=judged.conversions.get(path),
            reason=judged.refused.get(path, ""),
        )
        for path, side in model.items()
    ]  # fmt: skip
    kept = _kept_counters(scope, entries, model)
    entries += [_unexpected_entry(name, tensor) for name, tensor in left.items()]
    already = {name: path for name, path in names.items() if name != path and path in model and name not in refused}
    reasons = dict.fromkeys(judged.refused.values())
    obstacles = (*judged.warnings, *(f"{each}." for each in reasons), *rest.sentences, *suggested.doubts)
    return LoadPlan(
        file=str(held.path),
        entries=tuple(entries),
        renames=MappingProxyType(
            {**already, **{each.source: path for path, each in suggested.sure.items()}} if suggested.sure else {}
        ),
        rename=MappingProxyType(already),
        warnings=(
            *obstacles,
            *_converted_warnings(entries),
            *_warnings(entries, found),
            *_tie_warnings(entries, model, tensors),
            *_kept_warning(kept),
            *_leftover_warning(found),
        ),
        kept=kept,
        suggestions=MappingProxyType(suggested.candidates),
        obstacles=obstacles,
    )


def _suggested(
    missing: Sequence[_Side], left: Mapping[str, tuple[str, Described]], matched: Sequence[Named]
) -> Suggested:
    """What missing tensors may be in the file; ``left`` has what is left of it by names after renaming."""
    found = suggest(
        [Named(side.path, side.entry.shape) for side in missing],
        [Named(name, tuple(tensor.shape)) for name, (_, tensor) in left.items()],
        matched=matched,
    )

    def as_in_file(each: Suggestion) -> Suggestion:
        name = left[each.source][0]
        return each if name == each.source else replace(each, source=name)

    return Suggested(
        {path: as_in_file(each) for path, each in found.sure.items()},
        {path: tuple(map(as_in_file, those)) for path, those in found.candidates.items()},
        found.doubts,
    )


def _converted_warnings(entries: Sequence[PlanEntry]) -> list[str]:
    """What is done to values, one sentence for each way."""
    by_reason: dict[str, list[PlanEntry]] = {}
    for entry in entries:
        if entry.conversion is not None:
            by_reason.setdefault(entry.conversion.reason, []).append(entry)
    return [
        f"{those[0].path}{and_more(len(those) - 1)} {'is' if len(those) == 1 else 'are'} converted: {reason}."
        for reason, those in by_reason.items()
    ]


def _kept_counters(scope: ChangeScope, entries: Sequence[PlanEntry], model: Mapping[str, _Side]) -> tuple[str, ...]:
    """Counters of batch norms that the file lacks though it has the statistics they count for."""
    loaded = {entry.path for entry in entries if entry.status in LOADED}
    missing = [
        entry.path
        for entry in entries
        if entry.status == "missing"
        and entry.path is not None
        and entry.path.endswith(_COUNTER)
        and f"{entry.path.removesuffix(_COUNTER)}running_mean" in loaded
    ]
    modules = scope.live.modules if missing else {}
    return tuple(
        path
        for path in missing
        if isinstance(modules.get(model[path].entry.path.removesuffix(_COUNTER).rstrip(".")), _NormBase)
    )


def _leftover_warning(found: StateDictLocation) -> list[str]:
    names = [name for name in found.others if isinstance(name, str)]
    if not names:
        return []
    more = and_more(len(names) - _MOST_NAMED)
    return [f"{', '.join(names[:_MOST_NAMED])}{more} in the file is no tensor and is left out."]


def _kept_warning(kept: Sequence[str]) -> list[str]:
    if not kept:
        return []
    more = and_more(len(kept) - 1)
    return [f"{kept[0]}{more} isn't in the file, as in those of older torch; the counter keeps its value."]


class _Side(NamedTuple):
    """A name of the model that a state dict has.

    Attributes:
        path: It.
        entry: The tensor.
        group: The tie group it is in, where one of its names is as good as another.
    """

    path: str
    entry: TensorEntry
    group: TieGroup | None


def _model_side(found: ModuleTree) -> dict[str, _Side]:
    """Parameters and persistent buffers under every name, in walk order."""
    group_of = {path: group for group in found.ties if group.kind != "overlap" for path in group.members}
    return {path: _Side(path, entry, group_of.get(path)) for path, entry in saved_entries(found).items()}


def _check_targets(rename: Mapping[Any, str], tensors: Mapping[str, Described], model: Mapping[str, _Side]) -> None:
    """A whole name must lead to a path of the model."""
    for key, path in rename.items():
        if isinstance(key, str) and key in tensors and path not in model:
            raise PathNotFoundError.among(path, model)


def _entry(  # noqa: PLR0917 - as its fields
    side: _Side, source: str | None, tensors: Mapping[str, Described], status: Status, giver: str | None,
    suggestion: Suggestion | None, conversion: Conversion | None, reason: str,
) -> PlanEntry:  # fmt: skip
    ours = side.entry
    shape, dtype, n_elements = None, None, ours.n_elements
    if source is not None:
        shape, dtype = _form(tensors[source])
        n_elements = n_elements or tensors[source].n_elements
    return PlanEntry(
        side.path, source, status if giver is None else "tied", suggestion, ours.shape, ours.dtype, shape, dtype,
        n_elements, giver, conversion, reason,
    )  # fmt: skip


def _unexpected_entry(source: str, theirs: Described) -> PlanEntry:
    shape, dtype = _form(theirs)
    return PlanEntry(None, source, "unexpected", source_shape=shape, source_dtype=dtype, n_elements=theirs.n_elements)


def _form(tensor: Described) -> tuple[tuple[int, ...], str]:
    return tuple(tensor.shape), dtype_name(tensor.dtype)


def _status(side: _Side, source: str | None, tensors: Mapping[str, Described]) -> Status:
    """What becomes of a tensor by what the file has for it, ties aside."""
    if source is None:
        return "missing"
    ours, theirs = side.entry, tensors[source]
    is_sparse = isinstance(theirs, Composed) and theirs.layout != "strided"
    if (ours.shape is not None and ours.shape != tuple(theirs.shape)) or is_sparse != (ours.layout != "strided"):
        return "shape_mismatch"
    if ours.shape is not None and ours.dtype != dtype_name(theirs.dtype):
        return "dtype_cast"
    return "match" if source == side.path else "renamed"


def _givers(statuses: Mapping[str, Status], model: Mapping[str, _Side]) -> dict[str, str]:
    """For tensors whose bytes come under another name, that name."""
    first_loaded: dict[str, str | None] = {}
    givers = {}
    for path, side in model.items():
        group = side.group
        if group is None or statuses[path] != "missing":
            continue
        if group.id not in first_loaded:
            first_loaded[group.id] = next((each for each in group.members if statuses.get(each) in LOADED), None)
        giver = first_loaded[group.id]
        if giver is not None and _covers(model[giver], side):
            givers[path] = giver
    return givers


def _covers(giver: _Side, other: _Side) -> bool:
    """Whether filling one tensor fills the other: they have the same bytes, all of them."""
    return giver.entry.size_bytes == other.entry.size_bytes


def _warnings(entries: Sequence[PlanEntry], found: StateDictLocation) -> list[str]:
    made = []
    lossy = [entry for entry in entries if entry.status == "dtype_cast" and _loses(entry)]
    if lossy:
        first = lossy[0]
        more = and_more(len(lossy) - 1)
        made.append(
            f"{first.path}{more}: {first.source_dtype} in the file becomes {first.dtype}, which can't hold every value."
        )
    if found.alternatives:
        made.append(
            f"The file has other state dicts too, at {', '.join(map(repr, found.alternatives[:_MOST_NAMED]))}; the one "
            f"at {found.key!r} is taken."
        )
    return made


def _tie_warnings(
    entries: Sequence[PlanEntry], model: Mapping[str, _Side], tensors: Mapping[str, Described]
) -> list[str]:
    """Names of one tie group that come from different places in the file, whose values may differ."""
    by_group: dict[str, list[PlanEntry]] = {}
    for entry in entries:
        group = model[entry.path].group if entry.path is not None else None
        if group is not None and entry.source is not None and entry.status in LOADED:
            by_group.setdefault(group.id, []).append(entry)
    made = []
    for those in by_group.values():
        first = those[0]
        other = next((each for each in those if tensors[str(each.source)] != tensors[str(first.source)]), None)
        if other is not None:
            made.append(
                f"{first.path} and {other.path} are one tensor in the model and two in the file ({first.source}, "
                f"{other.source}); they load only where both hold the same values."
            )
    return made


def _loses(entry: PlanEntry) -> bool:
    """Whether a conversion can change a value."""
    theirs, ours = getattr(torch, str(entry.source_dtype), None), getattr(torch, str(entry.dtype), None)
    if not isinstance(theirs, torch.dtype) or not isinstance(ours, torch.dtype):
        return True
    try:
        return not _holds(ours, theirs)
    except (TypeError, RuntimeError):
        return True


def _holds(ours: torch.dtype, theirs: torch.dtype) -> bool:
    """Whether one dtype has every value of another."""
    if theirs is torch.bool or ours is torch.bool:
        return theirs is torch.bool
    if theirs.is_complex and not ours.is_complex:
        return False
    if not theirs.is_floating_point and not theirs.is_complex:
        low, high = torch.iinfo(theirs).min, torch.iinfo(theirs).max
        if not ours.is_floating_point and not ours.is_complex:
            return torch.iinfo(ours).min <= low and high <= torch.iinfo(ours).max
        # Every whole number up to one over its precision is in a float.
        return high <= 2 / torch.finfo(ours).eps and high <= torch.finfo(ours).max
    if not ours.is_floating_point and not ours.is_complex:
        return False
    a, b = torch.finfo(ours), torch.finfo(theirs)
    return a.eps <= b.eps and a.max >= b.max and _least(a) <= _least(b) and (a.min < 0 or b.min >= 0)


def _least(info: torch.finfo) -> float:
    """The least number above zero."""
    return info.smallest_normal * min(1.0, info.eps)
