"""From what each check saw to the findings shown: like ones folded, the worst first, never a flood."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nnwidgets.introspect.records import Finding, Severity

_FOLD_FROM = 3
_MOST_OF_A_CODE = 20
_MOST_FIX_LINES = 60
_NUMBER = re.compile(r"(?:(?<=\.)|(?<=\[)|^)\d+(?=[.\[\]]|$)")
_RANKS: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Draft:
    """One problem at one place.

    Attributes:
        code: As in `Finding`.
        severity: As in `Finding`.
        row: The row of the reading it is at, for the order of findings.
        path: As in `Finding`.
        message: As in `Finding`.
        fix: As in `Finding`.
        like: What else must agree for two to be the same problem in two blocks: a class, a shape.
    """

    code: str
    severity: Severity
    row: int
    path: str
    message: str
    fix: str | None = None
    like: str = ""


def findings(drafts: Iterable[Draft]) -> tuple[Finding, ...]:
    """Return findings, like ones at numbered places folded into one from three on, at most 20 of a code.

    Example:
        >>> blocks = [Draft("frozen", "note", i, f"h.{i}.weight", "Not trained.") for i in range(12)]
        >>> [(found.path, found.message) for found in findings(blocks)]
        [('h.0.weight', 'Not trained. The same at 11 more places: h.1.weight … h.11.weight.')]
    """
    groups: dict[tuple[str, str, str, str], list[Draft]] = {}
    for draft in drafts:
        groups.setdefault((draft.code, draft.severity, _NUMBER.sub("*", draft.path), draft.like), []).append(draft)
    folded = [draft for group in groups.values() for draft in ([_fold(group)] if len(group) >= _FOLD_FROM else group)]
    folded.sort(key=lambda draft: (_RANKS[draft.severity], draft.row))
    return worst_first(_capped(folded))


def worst_first(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings ordered by severity, otherwise as they came."""
    return tuple(sorted(found, key=lambda finding: _RANKS[finding.severity]))


def _fold(group: list[Draft]) -> Draft:
    first, second, last = group[0], group[1], group[-1]
    message = f"{first.message} The same at {len(group) - 1:,} more places: {second.path} … {last.path}."
    fixes = [draft.fix for draft in group if draft.fix is not None]
    fix = first.fix
    if fix is not None:
        whole = "\n".join(fixes)
        is_short = whole.count("\n") < _MOST_FIX_LINES
        fix = whole if is_short else f"{fix}\n# and the same for the other {len(group) - 1:,} places"
    return Draft(first.code, first.severity, first.row, first.path, message, fix, first.like)


def _capped(drafts: list[Draft]) -> list[Finding]:
    shown: list[Finding] = []
    left: dict[str, list[Draft]] = {}
    counts: dict[str, int] = {}
    totals: dict[str, int] = {}
    for draft in drafts:
        totals[draft.code] = totals.get(draft.code, 0) + 1
    for draft in drafts:
        counts[draft.code] = counts.get(draft.code, 0) + 1
        if totals[draft.code] <= _MOST_OF_A_CODE or counts[draft.code] < _MOST_OF_A_CODE:
            shown.append(Finding(draft.code, draft.severity, draft.path, draft.message, draft.fix))
        else:
            left.setdefault(draft.code, []).append(draft)
    shown.extend(
        Finding(
            code,
            rest[0].severity,
            rest[0].path,
            f"And {len(rest):,} more findings of this kind, from {rest[0].path or 'the model itself'} on, "
            "left out here. Mend those above and check again.",
        )
        for code, rest in left.items()
    )
    return shown
