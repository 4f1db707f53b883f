"""A report of a save as JSON, its code with it, as ranks tell it to each other and to whoever asked them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nnwidgets.checkpoint.records import SaveReport
from nnwidgets.edit.code import Recipe


def report_to_json(report: SaveReport) -> dict[str, Any]:
    """A report as JSON."""
    return {**report.to_dict(), "recipes": recipes_to_json(report._recipes or ())}  # noqa: SLF001 - its text


def recipes_to_json(recipes: Iterable[Recipe]) -> list[list[list[str]]]:
    """A report's code as JSON: of each recipe its lines and its imports."""
    return [[list(each.lines), list(each.imports)] for each in recipes]


def report_from_json(made: Mapping[str, Any], **more: Any) -> SaveReport:
    """The report that `report_to_json` was given.

    Args:
        made: It; of fields that have a value without being given, those that there are.
        more: Fields that are to be others.
    """
    about = {**made, **more}
    about |= {name: tuple(about[name]) for name in ("paths", "warnings", "ranks") if name in about}
    about |= {"size_bytes": int(about["size_bytes"]), "ties": tuple(map(tuple, about["ties"]))}
    save, load = (Recipe(tuple(lines), tuple(imports)) for lines, imports in about.pop("recipes"))
    return SaveReport(**about, _recipes=(save, load))
