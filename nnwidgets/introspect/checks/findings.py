"""From what each check saw to the findings shown: like ones folded, the worst first, never a flood."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nnwidgets.formatting import counted
from nnwidgets.introspect.records import SEVERITIES, Finding, Severity

_FOLD_FROM = 3
_MOST_OF_A_CODE = 20
_MOST_FIX_LINES = 60
_NUMBER = re.compile(r"(?:(?<=\.)|(?<=\[)|^)\d+(?=[.\[\]]|$)")


@dataclass(frozen=True, slots=True)
class SingleFinding:
    """One problem at one place.

    Attributes:
        code: As in `Finding`.
        severity: As in `Finding`.
        row: The row of the scan it is at, for the order of findings.
        path: As in `Finding`.
        message: As in `Finding`.
        fix: As in `Finding`.
        like: What else must agree for two to be the same problem in two blocks: a class, a shape.
        share: The share of values or units that the message tells, where it may differ from place to place.
        mends_all: Whether the fix is the same wherever this is found, whatever the places are called.
    """

    code: str
    severity: Severity
    row: int
    path: str
    message: str
    fix: str | None = None
    like: str = ""
    share: float | None = None
    mends_all: bool = False


def findings(singles: Iterable[SingleFinding]) -> tuple[Finding, ...]:
    """Return findings, like ones folded into one from three on, at most 20 of a code.

    Like are those at numbered places, and those that one fix mends.

    Example:
        >>> blocks = [SingleFinding("frozen", "note", i, f"h.{i}.weight", "Not trained.") for i in range(12)]
        >>> [(found.path, found.message) for found in findings(blocks)]
        [('h.0.weight', 'Not trained. The same at 11 more places: h.1.weight … h.11.weight.')]
    """
    groups: dict[tuple[str, str, str, str], list[SingleFinding]] = {}
    for single in singles:
        places = single.fix if single.mends_all and single.fix is not None else _NUMBER.sub("*", single.path)
        groups.setdefault((single.code, single.severity, places, single.like), []).append(single)
    folded = [single for group in groups.values() for single in ([_fold(group)] if len(group) >= _FOLD_FROM else group)]
    folded.sort(key=lambda single: (SEVERITIES.index(single.severity), single.row))
    return worst_first(_cap(folded))


def worst_first(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings ordered by severity, otherwise as they came."""
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _fold(group: list[SingleFinding]) -> SingleFinding:
    first, second, last = group[0], group[1], group[-1]
    where = f"{counted(len(group) - 1, 'more place')}"
    shares = {single.share for single in group[1:]}
    most = max((share for share in shares if share is not None), default=0.0)
    said = f"The same at {where}" if shares == {first.share} else f"At {where} it is up to {100 * most:.0f} %"
    message = f"{first.message} {said}: {second.path} … {last.path}."
    fixes = list(dict.fromkeys(single.fix for single in group if single.fix is not None))
    fix = first.fix
    if fix is not None:
        whole = "\n".join(fixes)
        is_short = whole.count("\n") < _MOST_FIX_LINES
        fix = whole if is_short else f"{fix}\n# and the same for {counted(len(group) - 1, 'other place')}"
    return SingleFinding(first.code, first.severity, first.row, first.path, message, fix, first.like)


def _cap(singles: list[SingleFinding]) -> list[Finding]:
    shown: list[Finding] = []
    left: dict[str, list[SingleFinding]] = {}
    counts: dict[str, int] = {}
    totals: dict[str, int] = {}
    for single in singles:
        totals[single.code] = totals.get(single.code, 0) + 1
    for single in singles:
        counts[single.code] = counts.get(single.code, 0) + 1
        if totals[single.code] <= _MOST_OF_A_CODE or counts[single.code] < _MOST_OF_A_CODE:
            shown.append(Finding(single.code, single.severity, single.path, single.message, single.fix))
        else:
            left.setdefault(single.code, []).append(single)
    shown.extend(
        Finding(
            code,
            rest[0].severity,
            rest[0].path,
            f"And {counted(len(rest), 'more finding')} of this kind, from {rest[0].path or 'the model itself'} on, "
            "left out here: check a part of the model to see its own.",
        )
        for code, rest in left.items()
    )
    return shown
