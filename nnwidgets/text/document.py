"""What is to be said, before it is text or HTML: blocks of plain records, with the model's own words still raw.

`pages` makes documents, `plain` and `html` write them out; whatever came from a model is made inert there, so that a
document can hold any class name or path as it is. They write it in the language that was chosen, so that it is English
here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from nnwidgets.introspect.data_flow.flow_graph import FlowGraph
from nnwidgets.introspect.module_tree.text import TextRow
from nnwidgets.introspect.records import Severity
from nnwidgets.sentences import head, told

_BREAKS = re.compile(r"[ \t\r\n]+")
_SIGNS = {"error": "✗", "warning": "▲", "note": "ℹ"}


@dataclass(frozen=True)
class Title:
    """The head of a document: what it is about, and what kind of thing that is."""

    text: str
    detail: str = ""


@dataclass(frozen=True)
class Facts:
    """Names with values."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """Rows under heads.

    Attributes:
        heads: One per column.
        rows: As many cells each.
        right: Columns that stand to the right.
        n_more: Rows left out.
        behind: What HTML says in its place until it is opened; "" where it is open.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    n_more: int = 0
    behind: str = ""


@dataclass(frozen=True)
class Outline:
    """Rows of a tree; `Line.level` says how they nest.

    Attributes:
        lines: The rows, in order.
        n_more: Rows left out at the end.
        heads: Of the columns of ``numbers``.
        numbers: More cells of a tensor's row by its path, which HTML alone shows.
    """

    lines: tuple[TextRow, ...]
    n_more: int = 0
    heads: tuple[str, ...] = ()
    numbers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Note:
    """A sentence, with how much it matters."""

    text: str
    severity: Severity | None = None
    where: str = ""

    @property
    def line(self) -> str:
        """The sentence in one line; the narrow spaces inside numbers stay."""
        return _BREAKS.sub(" ", told(self.text)).strip()

    @property
    def sign(self) -> str:
        """How much it matters, as a sign and a word."""
        severity = self.severity or "note"
        return f"{_SIGNS[severity]} {head(severity)}"


@dataclass(frozen=True)
class Code:
    """Python to copy.

    Attributes:
        source: The code.
        is_whole: Whether it is to be pasted and run: written from the left edge and never cut.
    """

    source: str
    is_whole: bool = False


@dataclass(frozen=True)
class Bars:
    """A histogram.

    Attributes:
        counts: Elements per bin.
        low: The lowest edge, written out.
        high: The highest.
    """

    counts: tuple[int, ...]
    low: str
    high: str


@dataclass(frozen=True)
class Curve:
    """A line of `Curves`.

    Attributes:
        name: What it is of.
        values: Its height at each place; None where there is none.
        lows: The lowest that it was there.
        highs: The highest.
    """

    name: str
    values: tuple[float | None, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]


@dataclass(frozen=True)
class Curves:
    """Positive numbers by place, over each other on a logarithmic axis.

    Attributes:
        title: What they are of.
        first: The first place, written out.
        last: The last.
        curves: The lines.
    """

    title: str
    first: str
    last: str
    curves: tuple[Curve, ...]

    @property
    def decades(self) -> tuple[float, float] | None:
        """The decimal logarithms that the axis goes from and to; None where nothing is above zero.

        Example:
            >>> stds = (0.1, None, 10.0)
            >>> Curves("std", "0", "2", (Curve("now", stds, stds, stds),)).decades
            (-1.0, 1.0)
        """
        known = [value for curve in self.curves for value in curve.values if value is not None and value > 0]
        return (math.log10(min(known)), math.log10(max(known))) if known else None


@dataclass(frozen=True)
class Flow:
    """A graph as a picture, which HTML alone shows: what it tells is told beside it."""

    graph: FlowGraph


@dataclass(frozen=True)
class Preformatted:
    """Lines that are laid out already."""

    text: str


Block = Title | Facts | Table | Outline | Note | Code | Bars | Curves | Flow | Preformatted
Document = tuple[Block, ...]
