"""What a load would do, told from the headers of the file alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from nnwidgets.checkpoint.description import Composed, Described, dtype_name, wrapped_in
from nnwidgets.checkpoint.entries import EXTRA_STATE, Model
from nnwidgets.checkpoint.formats import CheckpointReader, open_checkpoint
from nnwidgets.checkpoint.loading.layouts.explain_rest import explain
from nnwidgets.checkpoint.loading.layouts.join_layouts import namesakes
from nnwidgets.checkpoint.loading.layouts.judge_pairs import judge
from nnwidgets.checkpoint.loading.materialize import has_no_data
from nnwidgets.checkpoint.loading.plan_warnings import (
    casts_and_alternatives,
    converted_warnings,
    kept_warning,
    leftover_warning,
    namesakes_warning,
    unsaved_warning,
    unwritable_warning,
)
from nnwidgets.checkpoint.loading.renames.apply_renames import apply_renames
from nnwidgets.checkpoint.loading.renames.suggest_renames import Named, Suggested, is_floating, suggest
from nnwidgets.checkpoint.loading.sharded_tensors import is_cut, why_not
from nnwidgets.checkpoint.loading.whole_tensors import is_written_in_place, refusals, sharded_warning
from nnwidgets.checkpoint.own_code.parts import OwnCode, own_code_in, own_code_warning, part_of
from nnwidgets.checkpoint.records import LOADED, Conversion, LoadPlan, PlanEntry, Status, Suggestion
from nnwidgets.checkpoint.state_dict import StateDictLocation, find, name_in_state_dict, saved_entries
from nnwidgets.edit.targets import ChangeScope, TensorTarget
from nnwidgets.edit.writable import check_writable
from nnwidgets.errors import CheckpointMismatchError, InvalidTargetError, PathNotFoundError
from nnwidgets.introspect import ModuleTree, TensorEntry, TieGroup
from nnwidgets.introspect.handles import over_handles
from nnwidgets.introspect.safe_access.scan import gc_paused

_MOST_NAMED = 3
_MOST_TRIED = 16
_COUNTER = "num_batches_tracked"


@over_handles
@gc_paused()
def plan(
    module: nn.Module,
    path: str | os.PathLike[str],
    *,
    rename: Mapping[Any, str] | None = None,
    entry: str | None = None,
) -> LoadPlan:
    """Tell what loading a checkpoint would do, tensor by tensor; nothing is loaded, and no tensor's bytes are read.

    Of a model that ranks hold together, shapes are the whole's, what each rank has a part of is ``"sharded"``, and no
    other rank is asked.

    Args:
        module: The model.
        path: A checkpoint of any format that `peek` knows.
        rename: Names in the file to paths in the model. A key is a whole name, whole components of names
            (``{"out": "output"}``), a beginning that ends with a dot (``{"module.": ""}``), or a compiled pattern with
            a template as its value. Keys are applied in turn.
        entry: Which state dict of the file, by its name in ``peek(path).entries``, or what the names of one begin
            with. Otherwise the one that fits the model best by names and shapes is taken; the plan's ``entry`` says
            which, and why.

    Returns:
        The plan; its ``renames`` are those that leave no other answer, to be passed as ``rename``; its ``suggestions``
        are candidates, to be judged by who knows the model.

    Raises:
        PathNotFoundError: There is no such file; or ``entry`` or a rename names nothing in it, or a rename leads to
            nothing in the model.
        UnsafeCheckpointError: The file would have to run code to be read.
        CorruptCheckpointError: It is damaged, or no checkpoint.
        CheckpointMismatchError: It holds no state dict, or several that fit equally, or two renames lead to one path.

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
        scope = ChangeScope(module)
        return make_plan(scope, held, state_dict_in(held, lambda: forms_of(scope.tree), entry), rename)


def forms_of(tree: ModuleTree) -> dict[str, tuple[tuple[int, ...] | None, str]]:
    """Shape and dtype of each tensor of a model's state dict, by its name there."""
    return {name_in_state_dict(path): (each.shape, each.dtype) for path, each in saved_entries(tree).items()}


def state_dict_in(
    held: CheckpointReader, model: Callable[[], Model] | None = None, entry: str | None = None
) -> StateDictLocation:
    """The state dict that is meant in an open checkpoint; see `find`.

    Raises:
        CheckpointMismatchError: It holds none, or several that fit equally.
        PathNotFoundError: It holds none of the name ``entry``.
    """
    found = find(held, model, entry)
    if found.key is None:
        name, hint = held.path.name, "nnwidgets.read gives what is in it"
        if found.optimizers:
            name = f"{name} holds an optimizer's state and"
            hint = f"{hint}; a folder with the model beside it loads both"
        raise CheckpointMismatchError(
            f"{name}{'' if found.optimizers else ' holds'} no state dict: no dict of tensors by name.",
            path=str(held.path),
            hint=f"{hint}.",
        )
    return found


@gc_paused()
def make_plan(
    scope: ChangeScope,
    held: CheckpointReader,
    found: StateDictLocation,
    rename: Mapping[Any, str] | None = None,
    parts: Mapping[str, OwnCode] | None = None,
) -> LoadPlan:
    """The plan for an open checkpoint; ``parts`` are the model's modules with code of their own, where known."""
    model = _model_side(scope.tree)
    parts = own_code_in(scope.live.scan) if parts is None else parts
    tensors, names = loadable_tensors(found), names_in_model(found, rename, parts, model)
    _check_targets(rename or {}, tensors, model, parts)
    # What a module's own code is given, it may rename and convert itself.
    own = {path for path in model if part_of(path, parts) is not None}
    sources = {path: name for name, path in names.items() if path in model and name in tensors}
    entry_of = {path: side.entry for path, side in model.items()}
    apart = namesakes({names[name]: tensor for name, tensor in tensors.items()}, entry_of)
    apart = {path: pair for path, pair in apart.items() if sources.get(path) == path and path not in own}
    misnamed = {sources.pop(path) for path in apart}
    plain = {path: name for path, name in sources.items() if path not in own}
    judged = judge(plain, tensors, entry_of, scope.live.modules, format_name=held.metadata.get("format", ""))
    for why, paths in refusals(plain, tensors, entry_of, scope.tensor):
        judged.refuse(why, paths)
    refused = {sources.pop(path) for path in judged.refused}
    unloaded = refused | misnamed
    left = {name: tensor for name, tensor in tensors.items() if names[name] not in model or name in unloaded}
    loose = {
        name: tensor for name, tensor in left.items() if name not in refused and part_of(names[name], parts) is None
    }
    statuses: dict[str, Status] = {
        path: "own_code" if path in own
        else "converted" if path in judged.conversions
        else _status(side, sources.get(path), tensors)
        for path, side in model.items()
    }  # fmt: skip
    givers = _givers(statuses, model, sources)
    missing = [side for path, side in model.items() if path not in sources and path not in givers]
    rest = explain(
        {names[name]: tensor for name, tensor in loose.items()},
        [each.path for each in missing if each.path not in own],
    )
    suggested = _suggested(
        [side for side in missing if side.path not in judged.refused],
        {names[name]: (name, tensor) for name, tensor in loose.items() if names[name] not in rest.names},
        [Named(path, tuple(tensors[name].shape)) for path, name in sources.items() if statuses[path] in LOADED],
        [shape for path, name in sources.items() if statuses[path] == "shape_mismatch"
         for shape in (tuple(tensors[name].shape), model[path].entry.shape)],
    )  # fmt: skip
    entries = [
        _entry(
            side, sources.get(path), tensors, statuses[path], giver=givers.get(path),
            suggestion=suggested.sure.get(path), conversion=judged.conversions.get(path),
            reason=judged.refused.get(path, ""),
        )
        for path, side in model.items()
    ]  # fmt: skip
    entries = _with_unwritable(scope, entries, model)
    kept = _kept_counters(scope, entries, model)
    entries += [_left_entry(name, names[name], tensor, parts) for name, tensor in left.items()]
    own_values = {name for name in names if name not in found.tensors and part_of(names[name], parts) is not None}
    entries += [_left_entry(name, names[name], None, parts) for name in names if name in own_values]
    already = {
        name: path
        for name, path in names.items()
        if path in model and name != path and name != name_in_state_dict(path) and name not in refused
    }
    reasons = dict.fromkeys(judged.refused.values())
    kept_shards = {
        entry_of[str(each.path)]: each.reason for each in entries if each.status == "sharded" and each.reason
    }
    obstacles = (
        *judged.warnings, *(f"{each}." for each in reasons), *sharded_warning(kept_shards), *rest.sentences,
        *suggested.doubts, *namesakes_warning(apart),
        *unsaved_warning(scope.tree, [names[name] for name in left]),
    )  # fmt: skip
    return LoadPlan(
        file=str(held.path),
        entries=tuple(entries),
        renames=MappingProxyType(
            {**already, **{each.source: path for path, each in suggested.sure.items()}} if suggested.sure else {}
        ),
        rename=MappingProxyType(already),
        warnings=(
            *own_code_warning(parts.values()),
            *obstacles,
            *converted_warnings(entries),
            *unwritable_warning(entries),
            *casts_and_alternatives(entries, found),
            *_tie_warnings(entries, model, tensors),
            *kept_warning(kept),
            *leftover_warning(found, own_values | tensors.keys()),
        ),
        kept=kept,
        entry=found.entry,
        suggestions=MappingProxyType(suggested.candidates),
        obstacles=obstacles,
    )


def entries_that_fit(plan: LoadPlan) -> list[str]:
    """The values of ``entry`` under which a file has all that a model has, where it has more beside it."""
    model = {entry.path: entry.shape for entry in plan.entries if entry.path is not None}
    left = {str(entry.source): entry.source_shape for entry in plan.entries if entry.path is None}
    left |= {source: model[path] for source, path in plan.renames.items()}
    wanted = {path: shape for path, shape in model.items() if path not in plan.kept}
    first = next(iter(wanted), None)
    if first is None or any(entry.source == entry.path for entry in plan.entries if entry.path is not None):
        return []
    beginnings = [name.removesuffix(first) for name in left if name.endswith(f".{first}")][:_MOST_TRIED]
    fits = [
        beginning
        for beginning in beginnings
        if all(f"{beginning}{path}" in left and shape in (None, left[f"{beginning}{path}"])
               for path, shape in wanted.items())
        and any(not name.startswith(beginning) for name in left)
    ]  # fmt: skip
    above = f"{plan.entry.name}." if plan.entry.name else ""
    return [f"{above}{beginning[:-1]}" for beginning in fits]


def _suggested(
    missing: Sequence[_Side],
    left: Mapping[str, tuple[str, Described]],
    matched: Sequence[Named],
    taken: Sequence[tuple[int, ...] | None],
) -> Suggested:
    """What missing tensors may be in the file; ``left`` has what is left of it by names after renaming."""
    found = suggest(
        [Named(side.path, side.entry.shape, is_floating(side.entry.dtype)) for side in missing],
        [Named(name, tuple(tensor.shape), is_floating(tensor.dtype)) for name, (_, tensor) in left.items()],
        matched=matched,
        taken=taken,
    )

    def as_in_file(each: Suggestion) -> Suggestion:
        name = left[each.source][0]
        return each if name == each.source else replace(each, source=name)

    return Suggested(
        {path: as_in_file(each) for path, each in found.sure.items()},
        {path: tuple(map(as_in_file, those)) for path, those in found.candidates.items()},
        found.doubts,
    )


def _with_unwritable(scope: ChangeScope, entries: list[PlanEntry], model: Mapping[str, _Side]) -> list[PlanEntry]:
    """The entries; that of the first tensor of the model that nothing can be written into with its reason."""
    taken = [str(entry.path) for entry in entries if entry.is_loaded and entry.status not in ("own_code", "tied")]
    try:
        named = ((model[path].entry, scope.tensor(path)) for path in taken)
        live = [TensorTarget(entry, tensor) for entry, tensor in named if is_written_in_place(entry)]
        try:
            check_writable(live, parts=True)
        except InvalidTargetError:
            # Those without data are given some.
            check_writable([each for each in live if not has_no_data(each.tensor)], parts=True)
    except InvalidTargetError as error:
        return [replace(each, reason=error.message) if each.path == error.path else each for each in entries]
    return entries


def _kept_counters(scope: ChangeScope, entries: Sequence[PlanEntry], model: Mapping[str, _Side]) -> tuple[str, ...]:
    """Counters of batch norms that the file lacks though it has the statistics they count for."""
    loaded = {entry.path for entry in entries if entry.is_loaded}
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


def loadable_tensors(found: StateDictLocation) -> dict[str, Any]:
    """The tensors of a state dict, by name, and those that wrapping classes keep in others."""
    return {**found.tensors, **wrapped} if (wrapped := wrapped_in(found.others)) else found.tensors


def names_in_model(
    found: StateDictLocation, rename: Mapping[Any, str] | None, parts: Mapping[str, OwnCode], model: Iterable[str]
) -> dict[str, str]:
    """The path in the model of each name of the file; of plain values too, where a module's own code takes such."""
    values = [name for name in found.others if isinstance(name, str)] if parts else wrapped_in(found.others)
    made = apply_renames([*found.tensors, *values], {} if rename is None else rename)
    path_of = {name_in_state_dict(path): path for path in model if "[" in path}
    return {name: path_of.get(path, path) for name, path in made.items()} if path_of else made


def _check_targets(
    rename: Mapping[Any, str],
    tensors: Mapping[str, Described],
    model: Mapping[str, _Side],
    parts: Mapping[str, OwnCode],
) -> None:
    """A whole name must lead to a path of the model."""
    for key, path in rename.items():
        if isinstance(key, str) and key not in tensors and key in model and path in tensors and path not in model:
            raise PathNotFoundError(
                f"The rename {key!r} to {path!r} is the wrong way round: the model has {key!r}, and the file {path!r}.",
                path=key,
                hint=f"Renames go from names in the file to paths in the model: {{{path!r}: {key!r}}}.",
            )
        if isinstance(key, str) and key in tensors and path not in model and part_of(path, parts) is None:
            raise PathNotFoundError.among(path, model)


def _entry(  # noqa: PLR0917 - as its fields
    side: _Side, source: str | None, tensors: Mapping[str, Described], status: Status, giver: str | None,
    suggestion: Suggestion | None, conversion: Conversion | None, reason: str,
) -> PlanEntry:  # fmt: skip
    ours = side.entry
    shape, dtype, n_elements = None, None, ours.n_elements
    if source is not None:
        reason = reason or _unlike(ours, tensors[source]) or (why_not(ours) if status == "sharded" else "")
        shape, dtype = _form(tensors[source])
        n_elements = n_elements or tensors[source].n_elements
    return PlanEntry(
        side.path, source, status if giver is None else "tied", suggestion, ours.shape, ours.dtype, shape, dtype,
        n_elements, giver, conversion, reason,
    )  # fmt: skip


def _left_entry(source: str, path: str, theirs: Described | None, parts: Mapping[str, OwnCode]) -> PlanEntry:
    """Of a name that no tensor of the model has."""
    shape, dtype = (None, None) if theirs is None else _form(theirs)
    n_elements = 0 if theirs is None else theirs.n_elements
    part = part_of(path, parts)
    status: Status = "unexpected" if part is None else "own_code"
    is_extra = part is not None and path.endswith(EXTRA_STATE)
    return PlanEntry(
        path if is_extra else None, source, status, None, None, None, shape, dtype, n_elements
    )  # fmt: skip


def _form(tensor: Described) -> tuple[tuple[int, ...], str]:
    return tuple(tensor.shape), dtype_name(tensor.dtype)


def _status(side: _Side, source: str | None, tensors: Mapping[str, Described]) -> Status:
    """What becomes of a tensor by what the file has for it, ties aside."""
    if source is None:
        return "missing"
    ours, theirs = side.entry, tensors[source]
    # Torch takes one element for a scalar, as files of old have them.
    is_alike = ours.shape in (None, tuple(theirs.shape)) or (ours.shape == () and tuple(theirs.shape) == (1,))
    if not is_alike or _unlike(ours, theirs):
        return "shape_mismatch"
    if is_cut(ours):
        return "sharded"
    if ours.shape is not None and ours.dtype != dtype_name(theirs.dtype):
        return "dtype_cast"
    return "match" if source in (side.path, name_in_state_dict(side.path)) else "renamed"


def _unlike(ours: TensorEntry, theirs: Described) -> str:
    """What else than a shape makes a tensor of the file none that goes into the model's."""
    layout = theirs.layout if isinstance(theirs, Composed) else "strided"
    if layout == "meta":
        return "the file has no data for it: it was saved from the meta device"
    if (layout == "strided") != (ours.layout == "strided"):
        return f"it is {layout} in the file and {ours.layout} in the model"
    return ""


def _givers(statuses: Mapping[str, Status], model: Mapping[str, _Side], sources: Mapping[str, str]) -> dict[str, str]:
    """For tensors whose bytes come under another name, that name."""
    first_loaded: dict[str, str | None] = {}
    givers = {}
    for path, side in model.items():
        group = side.group
        if group is None or statuses[path] != "missing":
            continue
        if group.id not in first_loaded:
            loaded = (each for each in group.members if each in sources and statuses[each] in LOADED)
            first_loaded[group.id] = next(loaded, None)
        giver = first_loaded[group.id]
        if giver is not None and _covers(model[giver], side):
            givers[path] = giver
    return givers


def _covers(giver: _Side, other: _Side) -> bool:
    """Whether filling one tensor fills the other: they have the same bytes, all of them."""
    return giver.entry.size_bytes == other.entry.size_bytes


def _tie_warnings(
    entries: Sequence[PlanEntry], model: Mapping[str, _Side], tensors: Mapping[str, Described]
) -> list[str]:
    """Names of one tie group that come from different places in the file, whose values may differ."""
    by_group: dict[str, list[PlanEntry]] = {}
    for entry in entries:
        group = model[entry.path].group if entry.path is not None and entry.path in model else None
        if group is not None and entry.source is not None and entry.is_loaded:
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
