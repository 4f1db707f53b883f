"""The errors nnwidgets raises on purpose, one tree.

    NNWidgetsError
    ├── PathNotFoundError          path-not-found
    ├── InvalidTargetError         invalid-target
    │   └── ChangedSinceError      changed-since
    ├── InitializerError           initializer
    ├── UnsafeCheckpointError      unsafe-checkpoint
    ├── CorruptCheckpointError     corrupt-checkpoint
    ├── CheckpointMismatchError    checkpoint-mismatch
    └── SaveError                  save

Each carries a stable ``code`` for programs, the ``path`` it speaks of, and a ``hint``: what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

from nnwidgets.formatting import cut


class NNWidgetsError(Exception):
    """The base of every error nnwidgets raises on purpose.

    Attributes:
        code: A stable name for programs, in kebab case.
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
        super().__init__(f"{message} {hint}".rstrip())
        self.message = message
        self.path = path
        self.hint = hint


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
    def among(cls, path: str, names: Iterable[str], *, where: str = "the model") -> PathNotFoundError:
        """Build the error for ``path``, with the closest of ``names`` as the hint."""
        closest = closest_names(path, names)
        hint = f"Did you mean {' or '.join(repr(name) for name in closest)}?" if closest else "tree(model) lists them."
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
    """A file is damaged or departs from its format."""

    code = "corrupt-checkpoint"


class CheckpointMismatchError(NNWidgetsError):
    """A sound file does not fit the model."""

    code = "checkpoint-mismatch"


class SaveError(NNWidgetsError):
    """Nothing was saved; the old file, if any, is untouched."""

    code = "save"


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
    return tuple(difflib.get_close_matches(wanted, candidates, n=n, cutoff=0.5))


_MAX_COMPARED = 200
_MAX_CANDIDATES = 2_000
