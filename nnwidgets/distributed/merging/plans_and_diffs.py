"""What ranks say of a checkpoint, each for what it holds, made one: plans of a load, loads, saves, differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from nnwidgets.checkpoint import Changed, LoadPlan, LoadReport, PlanEntry, SaveReport, StateDiff
from nnwidgets.checkpoint.diffing.diff import Sums
from nnwidgets.checkpoint.records import Conversion, StateDictEntry, Suggestion
from nnwidgets.checkpoint.saving.over_ranks.report_json import report_from_json
from nnwidgets.edit import Change
from nnwidgets.formatting import rank_names

Json = Mapping[str, Any]


def plan_from_json(made: Json) -> LoadPlan:
    """The plan that ``to_dict`` was asked of."""
    about = {key: value for key, value in made.items() if key != "is_exact"}
    suggested = {path: tuple(Suggestion(**each) for each in those) for path, those in made["suggestions"].items()}
    return LoadPlan(
        **{
            **about,
            "entries": tuple(map(_entry, made["entries"])),
            "renames": MappingProxyType(made["renames"]),
            "rename": MappingProxyType(made["rename"]),
            "entry": StateDictEntry(**made["entry"]),
            "suggestions": MappingProxyType(suggested),
            **{name: tuple(made[name]) for name in ("warnings", "kept", "obstacles")},
        }
    )


def _entry(made: Json) -> PlanEntry:
    conversion, suggestion = made["conversion"], made["suggestion"]
    if conversion is not None:
        conversion = Conversion(**{key: _tuple(value) for key, value in conversion.items()})
    return PlanEntry(
        **{
            **{key: _tuple(value) for key, value in made.items()},
            "conversion": conversion,
            "suggestion": None if suggestion is None else Suggestion(**suggestion),
        }
    )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def merged_plans(plans: Mapping[int, LoadPlan]) -> LoadPlan:
    """One plan: what any rank has, as the worst of them has it; what only the file has, where no rank has it."""
    first, *others = [each for _, each in sorted(plans.items())]
    if all(each == first for each in others):
        return first
    every = [first, *others]
    of_model: dict[str, PlanEntry] = {}
    for each in (entry for plan in every for entry in plan.entries if entry.path is not None):
        known = of_model.get(str(each.path))
        if known is None or (known.is_loaded and not known.reason and (not each.is_loaded or each.reason)):
            of_model[str(each.path)] = each
    used = {entry.source for entry in of_model.values()}
    left = {entry.source: entry for plan in every for entry in plan.entries if entry.path is None}
    return replace(
        first,
        entries=(*of_model.values(), *(entry for source, entry in left.items() if source not in used)),
        renames=MappingProxyType({name: path for plan in every for name, path in plan.renames.items()}),
        suggestions=MappingProxyType({path: those for plan in every for path, those in plan.suggestions.items()}),
        warnings=_each_once(plan.warnings for plan in every),
        kept=_each_once(plan.kept for plan in every),
        obstacles=_each_once(plan.obstacles for plan in every),
    )


def _each_once(several: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for each in several for text in each))


def report_of(said: Mapping[int, Json], change: Change) -> LoadReport:
    """One report of what all ranks loaded."""
    reports = [each for _, each in sorted(said.items())]
    return LoadReport(
        plan=merged_plans({rank: plan_from_json(each["plan"]) for rank, each in said.items()}),
        n_loaded=max(each["n_loaded"] for each in reports),
        n_elements=max(int(each["n_elements"]) for each in reports),
        verified=all(each["verified"] for each in reports),
        change=change,
        warnings=_each_once(each["warnings"] for each in reports),
        left=_each_once(each["left"] for each in reports),
        n_left_elements=max(int(each["n_left_elements"]) for each in reports),
        ranks=change.ranks,
        world_size=change.world_size,
    )


def save_report_of(said: Mapping[int, Json], warnings: Sequence[str]) -> SaveReport:
    """One report of what all ranks saved, who all have the same.

    Args:
        said: What each rank's `report_to_json` gave.
        warnings: More of them.
    """
    first = said[min(said)]
    return report_from_json(first, warnings=(*first["warnings"], *warnings))


class _Part(NamedTuple):
    """What one rank found of a tensor that both sides have."""

    changed: Changed | None
    is_close: bool
    sums: Sums | None


def merged_diffs(said: Mapping[int, Json], missing: Sequence[int]) -> StateDiff:
    """One comparison: parts that several ranks have are counted once.

    Args:
        said: What each rank answered: its ``diff``, and ``sums`` by path.
        missing: Ranks that gave no answer.
    """
    diffs = [each["diff"] for _, each in sorted(said.items())]
    first, by_path = diffs[0], _parts_by_path(said)
    equal: list[str] = []
    changed: list[Changed] = []
    close: list[Changed] = []
    of = f"all but {rank_names(missing)}" if missing else "all"
    for path, parts in by_path.items():
        found = next((each.changed for each in parts if each.changed is not None), None)
        if found is None:
            equal.append(path)
            continue
        is_close = all(each.changed is None or each.is_close for each in parts)
        (close if is_close else changed).append(_whole(found, parts, of))
    return StateDiff(
        a=first["a"],
        b=first["b"],
        added=tuple(name for name in _each_once(each["added"] for each in diffs) if name not in by_path),
        removed=tuple(name for name in _each_once(each["removed"] for each in diffs) if name not in by_path),
        changed=tuple(changed),
        equal=tuple(equal),
        renames=MappingProxyType({name: path for each in diffs for name, path in each["renames"].items()}),
        close=tuple(close),
        of=of,
    )


def _parts_by_path(said: Mapping[int, Json]) -> dict[str, list[_Part]]:
    # What was compared is there in the order of the state dict.
    made: dict[str, list[_Part]] = {path: [] for _, each in sorted(said.items()) for path in each["sums"]}
    for _, each in sorted(said.items()):
        sums = {path: Sums.from_json(found) for path, found in each["sums"].items()}
        for path in each["diff"]["equal"]:
            made.setdefault(path, []).append(_Part(None, is_close=True, sums=sums.get(path)))
        for key in ("changed", "close"):
            for found in each["diff"][key]:
                record = _changed(found)
                made.setdefault(record.path, []).append(_Part(record, key == "close", sums.get(record.path)))
    return made


def _changed(made: Json) -> Changed:
    shapes, dtypes = made["shapes"], made["dtypes"]
    numbers = {name: _float(made[name]) for name in ("max_abs_difference", "relative_norm")}
    return Changed(**{**made, **numbers, "shapes": tuple(map(tuple, shapes)), "dtypes": tuple(dtypes)})


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _whole(found: Changed, parts: Sequence[_Part], of: str) -> Changed:
    """One record of what all parts of a tensor were found to be."""
    known = {each.sums.box: each.sums for each in parts if each.sums is not None}.values()
    if not known or found.n_different is None:
        return replace(found, of=of)
    is_odd = any(each.has_odd_nan for each in known)
    moved, norm = (math.sqrt(sum(getattr(each, name) for each in known)) for name in ("squares", "squares_of_one"))
    return replace(
        found,
        n_different=sum(each.n_different for each in known),
        max_abs_difference=math.nan if is_odd else max(each.greatest for each in known),
        relative_norm=math.nan if is_odd else moved / norm if norm else math.inf if moved else 0.0,
        of=of,
    )
