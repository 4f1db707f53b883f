"""What a comparison gives: frozen records, no tensors in them, safe to keep and to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from nnwidgets.formatting import counted
from nnwidgets.introspect.records import Record

Difference = Literal["values", "shape", "dtype"]


@dataclass(frozen=True, slots=True)
class Changed(Record):
    """A tensor that is not the same on both sides.

    Attributes:
        path: Its name.
        kind: ``"values"``, ``"shape"`` or ``"dtype"`` (values are then compared as well, where shapes are equal).
        shapes: On either side.
        dtypes: On either side; of extra state its class, with ``(not read)`` where a file's is only described.
        max_abs_difference: Greatest absolute difference of an element; NaN where an element is NaN on one side only;
            None where shapes differ. Exact but for float32 and narrower, where it is as near as float32 can be.
        relative_norm: Norm of the difference over the norm of the first side; None where shapes differ. Of float32 and
            narrower to six digits.
        n_different: Elements that differ; None where shapes differ.
        note: Why there are no numbers, where shapes don't differ: a mark that has kept digests alone, for instance.
        of: Whose numbers they are: ``"all"``, or the part that is here: ``"rank 2: 8 × 64 of 32 × 64"``.
    """

    path: str
    kind: Difference
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    dtypes: tuple[str, str]
    max_abs_difference: float | None
    relative_norm: float | None
    n_different: int | None
    note: str = ""
    of: str = "all"


@dataclass(frozen=True, slots=True, repr=False)
class StateDiff(Record):
    """Two state dicts, compared.

    Attributes:
        a: What the first side is called.
        b: What the second side is called.
        added: Names only the second has.
        removed: Names only the first has.
        changed: Those that differ.
        equal: Names of those that are bit-equal.
        renames: Names of a side that go by another here, from what they are there.
        close: Those that differ by no more than ``rtol`` and ``atol`` let pass.
        of: Whose result it is: ``"all"``, or that of what is here: ``"rank 2: its part of 21 tensors"``.
    """

    a: str
    b: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[Changed, ...]
    equal: tuple[str, ...]
    renames: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    close: tuple[Changed, ...] = ()
    of: str = "all"

    @property
    def is_equal(self) -> bool:
        """Whether both have the same names with the same bits."""
        return self.is_close and not self.close

    @property
    def is_close(self) -> bool:
        """Whether both have the same names, with the same bits but for what ``rtol`` and ``atol`` let pass."""
        return not (self.added or self.removed or self.changed)

    def __repr__(self) -> str:
        of = "" if self.of == "all" else f"; {self.of}"
        if self.is_equal:
            return f"StateDiff({self.a} = {self.b}: {counted(len(self.equal), 'tensor')}, bit-equal{of})"
        return (
            f"StateDiff({self.a} → {self.b}: {len(self.changed):,} changed, {len(self.added):,} added, "
            f"{len(self.removed):,} removed{f', {len(self.close):,} close' if self.close else ''}, "
            f"{len(self.equal):,} equal{of})"
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them."""
        return {**Record.to_dict(self), "is_equal": self.is_equal, "is_close": self.is_close}
