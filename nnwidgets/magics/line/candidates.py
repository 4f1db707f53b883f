"""What Tab offers, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """One way to go on.

    Attributes:
        text: What replaces the fragment.
        kind: What it is, for the front end's icon: ``"module"``, ``"path"``, ``"keyword"``.
    """

    text: str
    kind: str


@dataclass(frozen=True)
class Completion:
    """What is typed of the last word, and what it could become."""

    fragment: str
    candidates: tuple[Candidate, ...]
