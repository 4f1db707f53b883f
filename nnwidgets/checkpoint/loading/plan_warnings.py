"""What to know of a plan before it is carried out: sentences for its warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nnwidgets.checkpoint.description import Opaque
from nnwidgets.checkpoint.loading.layouts.join_layouts import Joined
from nnwidgets.checkpoint.loading.layouts.lossy_casts import loses
from nnwidgets.checkpoint.loading.renames.suggest_renames import is_floating
from nnwidgets.checkpoint.records import PlanEntry
from nnwidgets.checkpoint.state_dict import StateDictLocation
from nnwidgets.formatting import and_more, some
from nnwidgets.introspect import ModuleTree

_MOST_NAMED = 3


def converted_warnings(entries: Sequence[PlanEntry]) -> list[str]:
    """What is done to values, one sentence for each way."""
    by_reason: dict[str, list[PlanEntry]] = {}
    for entry in entries:
        if entry.conversion is not None:
            by_reason.setdefault(entry.conversion.reason, []).append(entry)
    return [
        f"{those[0].path}{and_more(len(those) - 1)} {'is' if len(those) == 1 else 'are'} converted: {reason}."
        for reason, those in by_reason.items()
    ]


def unwritable_warning(entries: Sequence[PlanEntry]) -> list[str]:
    """Why tensors that fit can't be written, where they can't."""
    return [f"{each.reason}" for each in entries if each.is_loaded and each.reason]


def namesakes_warning(those: Mapping[str, Joined]) -> list[str]:
    """Of names that both sides have for two tensors."""
    if not those:
        return []
    name, first = next(iter(those.items()))
    is_theirs = first.name == name
    what = f"{first.path} in the model" if is_theirs else f"{first.name} in the file"
    said = f"{name}{and_more(len(those) - 1)} is a name of both sides for two tensors, by {first.title}"
    return [f"{said}: the {'file' if is_theirs else 'model'}'s is {what}. None is loaded under its own name."]


def unsaved_warning(found: ModuleTree, paths: Sequence[str]) -> list[str]:
    """Of what only the file has: what the model has under that name too, and doesn't save."""
    unsaved = {each.path for each in found.tensors if each.role == "buffer" and not each.persistent}
    made = [path for path in paths if path in unsaved]
    if not made:
        return []
    what, verb = ("is a buffer", "is") if len(made) == 1 else ("are buffers", "are")
    said = f"{some(made, _MOST_NAMED)} {what} that the model makes itself and doesn't save"
    return [f"{said}: the file's {verb} left out."]


def kept_warning(kept: Sequence[str]) -> list[str]:
    """Of counters of batch norms that files of older torch lack."""
    if not kept:
        return []
    more = and_more(len(kept) - 1)
    return [f"{kept[0]}{more} isn't in the file, as in those of older torch; the counter keeps its value."]


def leftover_warning(found: StateDictLocation, taken: set[str]) -> list[str]:
    """Of what the state dict holds besides tensors."""
    names = [name for name in found.others if isinstance(name, str) and name not in taken]
    opaque = {name: each.class_name for name in names if isinstance(each := found.others[name], Opaque)}
    plain = [name for name in names if name not in opaque]
    made = []
    if plain:
        what = "is no tensor and is" if len(plain) == 1 else "are no tensors and are"
        made.append(f"{some(plain, _MOST_NAMED)} in the file {what} left out.")
    if opaque:
        of, verb = some(list(dict.fromkeys(opaque.values())), _MOST_NAMED), "is" if len(opaque) == 1 else "are"
        made.append(f"{some(list(opaque), _MOST_NAMED)} in the file {verb} described only ({of}) and {verb} left out.")
    return made


def casts_and_alternatives(entries: Sequence[PlanEntry], found: StateDictLocation) -> list[str]:
    """Of dtypes that change, and of other state dicts in the file."""
    made = []
    lossy = [entry for entry in entries if _is_cast(entry) and loses(entry.dtype, entry.source_dtype)]
    if lossy:
        first = lossy[0]
        more = and_more(len(lossy) - 1)
        made.append(
            f"{first.path}{more}: {first.source_dtype} in the file becomes {first.dtype}, which can't hold every value."
        )
    whole = [entry for entry in entries if _is_cast(entry) and _may_be_codes(entry)]
    if whole:
        first = whole[0]
        made.append(
            f"{first.path}{and_more(len(whole) - 1)}: whole numbers ({first.source_dtype}) in the file become "
            f"{first.dtype}; where they are codes of a quantized model, they aren't the weights."
        )
    if found.alternatives:
        made.append(
            f"The file has other state dicts too, at {', '.join(map(repr, found.alternatives[:_MOST_NAMED]))}"
            f"{and_more(len(found.alternatives) - _MOST_NAMED)}. Taken is {found.entry}."
        )
    return made


def _is_cast(entry: PlanEntry) -> bool:
    return entry.status == "dtype_cast" or (entry.status == "sharded" and entry.dtype != entry.source_dtype)


def _may_be_codes(entry: PlanEntry) -> bool:
    """Whether narrow whole numbers go where a matrix of floating point ones is."""
    return (
        entry.source_dtype in {"int8", "uint8", "int4", "uint4"}
        and len(entry.shape or ()) > 1
        and bool(is_floating(entry.dtype))
    )
