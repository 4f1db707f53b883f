"""The part of the schema that is about all tensors at once: `table` and `mark`."""

from __future__ import annotations

from typing import Literal, TypedDict

from nnwidgets.wire.schema.envelope import ModelBody, Number
from nnwidgets.wire.schema.tree import Chip

Column = Literal[
    "path", "shape", "dtype", "mean", "std", "min", "max", "norm", "n_zero", "n_nan", "n_inf", "grad_norm",
    "n_grad_bad", "moved", "note",
]  # fmt: skip


class TableBody(ModelBody):
    """Statistics of all tensors, a row each, as a window.

    fresh: measure anew; without it a window of what was measured last comes. It is exact and tells how far it is.
    filter, chips: as in `rows`; a module that they keep stands for the tensors below it.
    sort: the column to go by, None for walk order. NaN is the greatest; what has no such number comes last.
    start, count: the window; at most 500 rows come.
    text: "markdown" or "csv" for all rows that are kept, as text; "" for none.
    """

    fresh: bool
    filter: str
    chips: list[Chip]
    sort: Column | None
    descending: bool
    start: int
    count: int
    text: Literal["", "markdown", "csv"]


class TableRow(TypedDict):
    """One tensor; numbers are None where nothing was measured, or there is no gradient or mark.

    n_grad_bad: NaN and infinite elements of the gradient. moved: the norm of the change since the mark over the norm
    then. tied_to: the path of the first tensor over the very same elements, whose numbers these are, or "". note: what
    it is, where that isn't a plain tensor of its own elements; why nothing was measured.
    """

    path: str
    shape: list[int] | None
    dtype: str
    mean: Number | None
    std: Number | None
    min: Number | None
    max: Number | None
    norm: Number | None
    n_zero: Number | None
    n_nan: Number | None
    n_inf: Number | None
    grad_norm: Number | None
    n_grad_bad: Number | None
    moved: Number | None
    tied_to: str
    note: str


class TableReply(TypedDict):
    """A window of the table.

    columns: those in which something stands. n_tensors: of the whole model. mark: what rows have moved since, or None.
    problem: why the filter can't be read, or None.
    """

    columns: list[Column]
    n_tensors: int
    total: int
    start: int
    rows: list[TableRow]
    mark: str | None
    problem: str | None
    text: str


class MarkBody(ModelBody):
    """Keep what the tensors are now, for `table` to tell how far they move; `set` false lets go of it."""

    set: bool


class MarkReply(TypedDict):
    """The mark that there is now, or None; what it holds in memory.

    has_values: false where the values would not fit the undo budget, so that only what moved is told, not how far.
    """

    mark: str | None
    size_bytes: Number
    has_values: bool
