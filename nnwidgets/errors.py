"""The errors nnwidgets raises on purpose, one tree.

    NNWidgetsError
    ├── PathNotFoundError          path-not-found
    ├── InvalidTargetError         invalid-target
    │   └── ChangedSinceError      changed-since
    ├── InitializerError           initializer
    ├── UnsafeCheckpointError      unsafe-checkpoint
    ├── CorruptCheckpointError     corrupt-checkpoint
    ├── CheckpointMismatchError    checkpoint-mismatch
    ├── SaveError                  save
    ├── RankMissingError           rank-missing
    └── RanksDisagreeError         ranks-disagree

Each carries a stable ``code`` for programs, the ``path`` it speaks of, and a ``hint``: what to do next. Where that is a
call, the hint is an `AdvisedText`, so that a front end can say it in words of its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import ClassVar, Self

from nnwidgets.formatting import cut, inert
from nnwidgets.sentences import told_together


class Advice(Enum):
    """What can be done about an error or a warning; the value is how Python says it."""

    CLEAR_STATE = "clear_state=True"
    FORCE_UNDO = "undo(net, force=True)"
    FORCE_REDO = "redo(net, force=True)"
    SEE_HISTORY = "history(net)"
    ASSIGN = "assign(net, target, value)"
    FREEZE = "freeze and unfreeze"
    SEE_TREE = "tree(model)"
    LOAD_PARTLY = "strict=False"
    OVERWRITE = "overwrite=True"
    SEE_FILE = "peek(file)"
    SEE_ENTRIES = "nnwidgets.peek(path).entries"
    ENTRY = "entry="


class AdvisedText(str):
    """A text with advice in it, in Python's words; `worded` gives it in others.

    Args:
        before: The text before the advice.
        advice: The advice.
        after: The text after it.

    Example:
        >>> AdvisedText("Pass ", Advice.OVERWRITE, " to replace it.")
        'Pass overwrite=True to replace it.'
    """

    __slots__ = ("advice", "after", "before")
    before: str
    advice: Advice
    after: str

    def __new__(cls, before: str, advice: Advice, after: str) -> Self:
        """Put it together."""
        before, after = inert(before, _LONGEST), inert(after, _LONGEST)
        made = super().__new__(cls, f"{before}{advice.value}{after}")
        made.before, made.advice, made.after = before, advice, after
        return made

    def __getnewargs__(self) -> tuple[str, Advice, str]:  # type: ignore[override] # a copy is made of the parts
        return self.before, self.advice, self.after


def worded(text: str, words: Mapping[Advice, str]) -> str:
    """Give a text with its advice in the words of a front end; without advice it stays as it is.

    Example:
        >>> worded(AdvisedText("Pass ", Advice.OVERWRITE, " to replace it."), {Advice.OVERWRITE: "--overwrite"})
        'Pass --overwrite to replace it.'
    """
    return f"{text.before}{words[text.advice]}{text.after}" if isinstance(text, AdvisedText) else text


class NNWidgetsError(Exception):
    """The base of every error nnwidgets raises on purpose.

    As text it is in the language that `language` chose; what a program reads of it is English.

    Attributes:
        code: A stable name for programs, in kebab case.
        message: What was found, and what was expected.
        path: The path in the model (or the file) that the error speaks of, or None.
        hint: What to do next, one sentence, or an empty string.

    Example:
        >>> error = NNWidgetsError("x is an int, expected a torch.nn.Module.", hint="Pass a model.")
        >>> str(error)
        'x is an int, expected a torch.nn.Module. Pass a model.'
        >>> error.code
        'error'
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, path: str | None = None, hint: str = "") -> None:
        # Names of a file or a model may hold what moves a terminal's cursor.
        self.message = inert(message, _LONGEST)
        self.hint = hint if isinstance(hint, AdvisedText) else inert(hint, _LONGEST)
        super().__init__(f"{self.message} {inert(str(hint), _LONGEST)}".rstrip())
        self.path = path

    def __str__(self) -> str:
        return told_together(self.message, inert(str(self.hint), _LONGEST))

    @property
    def advice(self) -> Advice | None:
        """The advice in the hint, or None."""
        return self.hint.advice if isinstance(self.hint, AdvisedText) else None


class PathNotFoundError(NNWidgetsError):
    """A path names nothing in the model.

    Attributes:
        closest: The nearest names that do exist, best first, at most three.
    """

    code = "path-not-found"

    def __init__(self, message: str, *, path: str | None = None, hint: str = "", closest: tuple[str, ...] = ()) -> None:
        super().__init__(message, path=path, hint=hint)
        self.closest = closest

    @classmethod
    def among(
        cls, path: str, names: Iterable[str], *, where: str = "the model", listed_by: str | None = None
    ) -> PathNotFoundError:
        """Build the error for ``path``, with the closest of ``names`` as the hint, else what lists them."""
        known = list(names)
        closest = tuple(dict.fromkeys([*_same_ending(path, known), *closest_names(path, known)]))[:_MOST_NAMED]
        hint = AdvisedText("", Advice.SEE_TREE, " lists them.") if listed_by is None else listed_by
        if closest:
            hint = f"Did you mean {' or '.join(repr(name) for name in closest)}?"
        return cls(f"No module or tensor at {cut(path)!r} in {where}.", path=path, hint=hint, closest=closest)


class InvalidTargetError(NNWidgetsError):
    """What was passed is not something this call can work on."""

    code = "invalid-target"


class ChangedSinceError(InvalidTargetError):
    """Undo or redo would overwrite what other code has written since the change."""

    code = "changed-since"


class InitializerError(NNWidgetsError):
    """An initializer is unknown, can't apply to the target, or raised."""

    code = "initializer"


class UnsafeCheckpointError(NNWidgetsError):
    """A file would have to run code to be read."""

    code = "unsafe-checkpoint"


class CorruptCheckpointError(NNWidgetsError):
    """A file is damaged or departs from its format.

    Attributes:
        tensors: Where it showed only while ``load(…, undo=False)`` copied: what each tensor of the model holds now, by
            path: ``"new"``, ``"old"``, or ``"mixed"``. Else empty: nothing was changed.
    """

    code = "corrupt-checkpoint"

    def __init__(
        self, message: str, *, path: str | None = None, hint: str = "", tensors: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, path=path, hint=hint)
        self.tensors: Mapping[str, str] = tensors or {}


class CheckpointMismatchError(NNWidgetsError):
    """A sound file does not fit the model."""

    code = "checkpoint-mismatch"


class SaveError(NNWidgetsError):
    """Nothing was saved; the old file, if any, is untouched."""

    code = "save"


class RankMissingError(NNWidgetsError):
    """A rank gave no answer, or can't give one.

    Attributes:
        ranks: Which.
    """

    code = "rank-missing"

    def __init__(self, message: str, *, ranks: tuple[int, ...] = (), path: str | None = None, hint: str = "") -> None:
        super().__init__(message, path=path, hint=hint)
        self.ranks = ranks


class RanksDisagreeError(NNWidgetsError):
    """The ranks of a job were asked different things, or hold different things where they must hold the same."""

    code = "ranks-disagree"


def closest_names(name: str, names: Iterable[str], *, n: int = 3) -> tuple[str, ...]:
    """Return up to ``n`` of ``names`` that look most like ``name``, best first.

    Example:
        >>> closest_names("0.wieght", ["0.weight", "0.bias", "2.weight"], n=1)
        ('0.weight',)
    """
    wanted = name[:_MAX_COMPARED]
    candidates = [candidate for candidate in names if len(candidate) <= 2 * _MAX_COMPARED]
    if len(candidates) > _MAX_CANDIDATES:
        tail = wanted.rsplit(".", 1)[-1]
        same_tail = [candidate for candidate in candidates if candidate.rsplit(".", 1)[-1] == tail]
        candidates = (same_tail or candidates)[:_MAX_CANDIDATES]
    found = difflib.get_close_matches(wanted, candidates, n=n, cutoff=0.5)
    if found:
        return tuple(found)
    folded = {candidate.casefold(): candidate for candidate in reversed(candidates)}
    return tuple(folded[each] for each in difflib.get_close_matches(wanted.casefold(), folded, n=n, cutoff=0.75))


def _same_ending(path: str, names: Iterable[str]) -> list[str]:
    """The names that ``path`` is with components before it, longest first, else those that end in it."""
    known = set(names)
    parts = path.split(".")
    shorter = [tail for start in range(1, len(parts)) if (tail := ".".join(parts[start:])) in known]
    return shorter[:1] or sorted(
        (name for name in known if name.endswith(f".{path}")), key=lambda name: (len(name), name)
    )


_LONGEST = 10_000
_MOST_NAMED = 3
_MAX_COMPARED = 200
_MAX_CANDIDATES = 2_000
