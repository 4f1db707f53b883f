"""Names in a file turned into the model's, as the caller asks: exact names, prefixes and patterns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nnwidgets.errors import Advice, AdvisedText, CheckpointMismatchError, InvalidTargetError, PathNotFoundError


def apply_renames(names: Sequence[str], rename: Mapping[Any, str]) -> dict[str, str]:
    """Apply a user's renames to the names in a file.

    A key that is a whole name stands for that one alone. Otherwise keys are applied in turn, each where it is found
    first: text as whole components (``"out"`` is found in ``"head.out.weight"``, not in ``"out_proj.weight"``; with a
    dot at its end only where a name begins with it), a compiled pattern as a regular expression, its value with group
    references.

    Returns:
        The new name of each.

    Raises:
        PathNotFoundError: A key matches nothing.
        CheckpointMismatchError: Two names become one.
        InvalidTargetError: A key or value is neither text nor a pattern.

    Example:
        >>> apply_renames(["module.out.weight"], {"module.": "", "out": "output"})
        {'module.out.weight': 'output.weight'}
    """
    if not isinstance(rename, Mapping):
        raise InvalidTargetError(
            f"rename is {rename!r}, expected a mapping from names in the file to paths in the model.",
            hint='Such as {"out": "output"}.',
        )
    known = set(names)
    whole = {key: new for key, new in rename.items() if isinstance(key, str) and key in known}
    parts = [(key, _pattern(key), new) for key, new in rename.items() if key not in whole]
    if not all(isinstance(new, str) for new in rename.values()):
        raise InvalidTargetError("A rename leads to something that is no text.", hint='Such as {"out": "output"}.')
    used: set[int] = set()
    made: dict[str, str] = {}
    for name in names:
        new = whole.get(name)
        if new is None:
            new = name
            for number, (key, pattern, template) in enumerate(parts):
                after = _replace(new, key, pattern, template)
                if after is not None:
                    used.add(number)
                    new = after
        made[name] = new
    for number, (key, _, _) in enumerate(parts):
        if number not in used:
            text = key if isinstance(key, str) else key.pattern
            components = {part for name in names for part in name.split(".")}
            raise PathNotFoundError.among(
                text.rstrip("."), [*names, *components], where="the file",
                listed_by=AdvisedText("", Advice.SEE_FILE, " lists them."),
            )  # fmt: skip
    _check_distinct(made)
    return made


def _pattern(key: Any) -> re.Pattern[str]:
    if isinstance(key, re.Pattern) and isinstance(key.pattern, str):
        return key
    if not isinstance(key, str) or not key:
        raise InvalidTargetError(
            f"{key!r} can't be renamed, expected a name in the file, a part of one, or a compiled pattern.",
            hint='Such as {"out": "output"} or {re.compile(r"^h(\\d+)"): r"layers.\\1"}.',
        )
    if key.endswith("."):
        return re.compile(f"^{re.escape(key)}")
    return re.compile(rf"(?:(?<=\.)|^){re.escape(key)}(?=\.|$)")


def _replace(name: str, key: Any, pattern: re.Pattern[str], template: str) -> str | None:
    """A name after one rename; None where it doesn't apply."""
    if isinstance(key, str):
        found = pattern.search(name)
        if found is None:
            return None
        return tidy_dots(name[: found.start()] + template + name[found.end() :])
    try:
        new, n = pattern.subn(template, name)
    except (re.error, IndexError) as error:
        raise InvalidTargetError(f"{template!r} doesn't go with the pattern {pattern.pattern!r}: {error}.") from None
    return new if n else None


def tidy_dots(name: str) -> str:
    """A name without the dot that a component taken away leaves."""
    return name.strip(".").replace("..", ".")


def _check_distinct(made: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for name, new in made.items():
        if new in seen:
            raise CheckpointMismatchError(
                f"The renames make {seen[new]} and {name} of the file both {new}.",
                path=new,
                hint="Rename one of them to something else, or by its whole name.",
            )
        seen[new] = name
