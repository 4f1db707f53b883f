"""Two state dicts compared, tensor by tensor: in one pass, in pieces, with the memory of a few of them.

By one thread, and torch shares each operation out among the cores: threads that each compared pieces of their own would
hand Python's lock to each other a hundred thousand times for a gibibyte, which takes longer than all else.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn

from nnwidgets.checkpoint.bytes_equal import is_same
from nnwidgets.checkpoint.description import dtype_name
from nnwidgets.checkpoint.diffing.align_names import align
from nnwidgets.checkpoint.diffing.digests import DigestTensor, digest_of
from nnwidgets.checkpoint.diffing.numeric import Scratch, differences, is_within, squares
from nnwidgets.checkpoint.diffing.operands import (
    PIECE_BYTES,
    ClassName,
    LiveTensor,
    MadeSide,
    Operand,
    OperandTensor,
    operands_of,
    piece_bounds,
)
from nnwidgets.checkpoint.diffing.state_diff import Changed, Difference, StateDiff
from nnwidgets.checkpoint.own_code.torch_load import is_equal
from nnwidgets.checkpoint.progress import Progress, Tick, tick_of
from nnwidgets.checkpoint.records import Described
from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import counted, short_repr
from nnwidgets.introspect.handles import Handle
from nnwidgets.introspect.safe_access.frames import callers_variables, name_of
from nnwidgets.introspect.safe_access.objects import is_a, is_module, type_name
from nnwidgets.introspect.safe_access.tensors import plain_torch
from nnwidgets.introspect.statistics.exact_stats import exact_stats

NOT_READ = " (not read)"
"""Ends the class of extra state that is only described, and so not compared."""

SideLike = str | os.PathLike[str] | nn.Module | MadeSide | Mapping[str, torch.Tensor]


def diff(
    a: SideLike,
    b: SideLike,
    *,
    rename: Mapping[Any, str] | None = None,
    entry: str | None = None,
    rtol: float = 0.0,
    atol: float = 0.0,
    progress: Progress | None = None,
) -> StateDiff:
    """Compare two state dicts: what was added, removed, and changed, and by how much.

    Args:
        a: A checkpoint's path, a module, a mark of one that `snapshot` made, or a dict of tensors such as an earlier
            ``state_dict()``.
        b: The same.
        rename: As for `plan`: names of a file to paths of a model; of two files, names of the first to those of the
            second. None for those that are sure, which it finds as `plan` does; ``{}`` for none at all.
        entry: Which state dict of a file, by its name in ``peek(path).entries``; of two files, of those that have it.
            Otherwise the one that fits the other side best.
        rtol: How far an element may be from the second side's, as a part of that; what differs by no more than this
            and ``atol`` together is listed as ``close``. Whole numbers have to be equal.
        atol: The same, in absolute terms.
        progress: Told bytes done and in all; what it raises cancels it.

    Returns:
        The differences, from ``a`` to ``b``; a model or dict is called as the caller's variable is, else by its class.
        Tensors are equal where all bits are, so NaN equals the same NaN. A module with code of its own for state dicts
        is asked for its ``state_dict()``, as `save` asks it; extra state that is no tensor is compared by value. With a
        mark neither is looked at: no code of the model's own runs then. Of a model that is spread over ranks, what this
        one holds is compared with the same part of the other side, and nothing is sent; ``of`` says so.

    Raises:
        PathNotFoundError: There is no such file, or no state dict called ``entry``, or a rename names nothing.
        CheckpointMismatchError: A file holds no state dict, or several that fit the other side equally.
        InvalidTargetError: A side is something else, a tensor of a model has no data, or a tolerance is negative or no
            number.

    Example:
        >>> net = nn.Linear(2, 3)
        >>> before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        >>> _ = nn.init.constant_(net.bias, 1.0)
        >>> found = diff(before, net)
        >>> found.equal, [change.path for change in found.changed]
        (('weight',), ['bias'])
    """
    handle: Any = next((side for side in (a, b) if is_a(side, Handle)), None)
    if handle is not None:
        options = {"rename": rename, "entry": entry, "rtol": rtol, "atol": atol, "progress": progress}
        made: StateDiff = handle.answer("diff", (b if handle is a else a,), {**options, "is_second": handle is b})
        return made
    tolerance = _checked(rtol, "rtol"), _checked(atol, "atol")
    one, other = operands_of(a, b, entry)
    one.label, other.label = _told_apart((a, one.label), (b, other.label))
    return diff_of(one, other, rename=rename, tolerance=tolerance, progress=progress)


def diff_with_sums(
    a: SideLike,
    b: SideLike,
    *,
    name: str,
    sums: dict[str, Sums],
    progress: Progress | None = None,
    rename: Mapping[Any, str] | None = None,
    entry: str | None = None,
    rtol: float = 0.0,
    atol: float = 0.0,
) -> StateDiff:
    """As `diff`, of a model called ``name``, with what makes one comparison of those of several parts in ``sums``."""
    tolerance = _checked(rtol, "rtol"), _checked(atol, "atol")
    one, other = operands_of(a, b, entry)
    one.label, other.label = (name if is_module(side) else each.label for side, each in ((a, one), (b, other)))
    return diff_of(one, other, rename=rename, tolerance=tolerance, progress=progress, sums=sums)


def diff_of(
    one: Operand,
    other: Operand,
    *,
    rename: Mapping[Any, str] | None = None,
    tolerance: tuple[float, float] = (0.0, 0.0),
    progress: Progress | None = None,
    sums: dict[str, Sums] | None = None,
) -> StateDiff:
    """As `diff`, of sides that are open; closes them."""
    try:
        sides = align(one, other, rename)
        common = [name for name in sides.one if name in sides.other]
        comparisons = [_comparison(name, sides.one[name], sides.other[name], tolerance) for name in common]
        comparable = [each for each in comparisons if each.is_comparable]
        total = sum(each.n_bytes for each in comparable)
        _run((piece for each in comparable for piece in each.pieces()), tick_of(progress, total))
        uncounted = (piece for each in comparable for piece in each.uncounted_pieces(every=sums is not None))
        _run(uncounted, tick_of(None, 0))
        if sums is not None:
            sums.update((each.name, each.sums) for each in comparable)
    finally:
        one.close()
        other.close()
    names, others = {**sides.one, **one.values}, {**sides.other, **other.values}
    values = [name for name in one.values if name in other.values]
    return StateDiff(
        of=_of(comparisons),
        a=one.label,
        b=other.label,
        added=tuple(name for name in others if name not in names),
        removed=tuple(name for name in names if name not in others),
        changed=(
            *(each.change() for each in comparisons if not each.is_equal and not each.is_close),
            *(
                _changed_value(name, one, other)
                for name in values
                if not is_equal(one.values[name], other.values[name])
            ),
        ),
        equal=tuple(each.name for each in comparisons if each.is_equal),
        renames=MappingProxyType(sides.renames),
        close=tuple(each.change() for each in comparisons if not each.is_equal and each.is_close),
    )


def _of(comparisons: Sequence[_Comparison]) -> str:
    """Whose result it is."""
    cut = [each.of for each in comparisons if each.of != "all"]
    return f"{cut[0].partition(':')[0]}: its part of {counted(len(cut), 'tensor')}" if cut else "all"


def _told_apart(one: tuple[object, str], other: tuple[object, str]) -> tuple[str, str]:
    """What sides are called: one in memory by the caller's variable; two that are called alike by their place, too."""
    scopes = callers_variables()
    a, b = (((is_module(side) or is_a(side, dict)) and name_of(side, *scopes)) or label for side, label in (one, other))
    return (a, b) if a != b or one[0] is other[0] else (f"{a} (a)", f"{b} (b)")


def _checked(tolerance: Any, name: str) -> float:
    if type(tolerance) in (int, float) and 0 <= tolerance < math.inf:
        return float(tolerance)
    raise InvalidTargetError(
        f"{name} is {short_repr(tolerance)}, expected a number that isn't negative.", hint=f"Such as {name}=1e-5."
    )


def _changed_value(name: str, one: Operand, other: Operand) -> Changed:
    """Of extra state that is no tensor: that it is another."""
    kinds = _kind_of(one.values[name]), _kind_of(other.values[name])
    return Changed(name, "values", ((), ()), kinds, None, None, None)


def _kind_of(value: Any) -> str:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Described):
            return f"{each.class_name}{NOT_READ}"
        waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list | tuple) else ()
    return str(value) if isinstance(value, ClassName) else type_name(type(value))


class Sums(NamedTuple):
    """What is added up over the pieces of a tensor that are compared, and over its parts on several ranks.

    Attributes:
        box: First and last index of the part along each dimension; nothing of a whole tensor.
        n_different: Elements that differ.
        greatest: The greatest absolute difference.
        squares: Of the differences.
        squares_of_one: Of the first side's elements.
        has_odd_nan: Whether one side has NaN where the other has a number.
    """

    box: tuple[tuple[int, int], ...]
    n_different: int
    greatest: float
    squares: float
    squares_of_one: float
    has_odd_nan: bool

    def to_json(self) -> list[Any]:
        """All of it, floating point numbers as text that gives them back."""
        return [self.box, self.n_different, *map(repr, self[2:5]), self.has_odd_nan]

    @classmethod
    def from_json(cls, made: Sequence[Any]) -> Sums:
        """What `to_json` gave."""
        box, n_different, *numbers, has_odd_nan = made
        greatest, squares, squares_of_one = map(float, numbers)
        return cls(
            tuple((first, last) for first, last in box), n_different, greatest, squares, squares_of_one, has_odd_nan
        )


class _Comparison:
    """One name that both sides have."""

    def __init__(self, name: str, one: OperandTensor, other: OperandTensor, tolerance: tuple[float, float]) -> None:
        self.shapes = one.shape, other.shape
        self.is_comparable = one.shape == other.shape
        part = one.part or other.part
        self.of = "all" if part is None or not self.is_comparable else one.of if one.part else other.of
        self.box = () if part is None else tuple((each.start, each.stop) for each in part.box)
        if part is not None and self.is_comparable:
            one, other = one.within(part), other.within(part)
        self.name, self.one, self.other, self.tolerance = name, one, other, tolerance
        # Not by rows where it can be helped: the only row of a tensor of shape [1, n] is all of it.
        self.is_run = one.is_run and other.is_run
        self.n_different = 0
        self.greatest = 0.0
        self.has_odd_nan = False
        self.squares = 0.0
        self.squares_of_one = 0.0
        self.is_within = any(tolerance)
        self._equal_pieces: list[_Piece] = []

    @property
    def is_equal(self) -> bool:
        """Whether all bits are the same; asked when all pieces are compared."""
        return self.is_comparable and self._is_alike and not self.n_different

    @property
    def is_close(self) -> bool:
        """Whether it differs in values alone, by no more than was let pass; asked when all pieces are compared."""
        return self.is_comparable and self.one.dtype is self.other.dtype and self.is_within

    @property
    def _is_alike(self) -> bool:
        return self.one.dtype is self.other.dtype and self.one.quantizer == self.other.quantizer

    @property
    def n_bytes(self) -> int:
        """Of both sides."""
        n = math.prod(self.one.shape)
        return n * (self.one.dtype.itemsize + self.other.dtype.itemsize)

    def pieces(self) -> Iterator[_Piece | _DigestPiece]:
        """Parts to be compared by themselves."""
        width = max(self.one.dtype.itemsize, self.other.dtype.itemsize)
        is_cut = self.one.is_cut and self.other.is_cut
        for start, stop in piece_bounds(self.one.shape, width, is_run=self.is_run, is_cut=is_cut):
            yield _Piece(self, start, stop)

    def compare(self, piece: _Piece, one: torch.Tensor, other: torch.Tensor, scratch: Scratch) -> None:
        """Compare a piece of either side, and add it up."""
        if one.dtype is other.dtype and is_same(one, other):
            self._equal_pieces.append(piece)
            return
        found = differences(one, other, scratch)
        self.is_within = self.is_within and is_within(one, other, *self.tolerance)
        self.n_different += found.n_different
        self.has_odd_nan = self.has_odd_nan or found.has_odd_nan
        self.greatest = max(self.greatest, found.greatest)
        self.squares += found.squares
        self.squares_of_one += found.squares_of_one

    @property
    def sums(self) -> Sums:
        """What makes one comparison of this part's and others'."""
        return Sums(self.box, self.n_different, self.greatest, self.squares, self.squares_of_one, self.has_odd_nan)

    def uncounted_pieces(self, *, every: bool = False) -> list[_Piece]:
        """Equal pieces of a tensor that isn't: for how large it is, they count as well; of ``every`` one where told."""
        return [] if self.is_equal and not every else [replace(piece, is_counted=True) for piece in self._equal_pieces]

    def count(self, one: torch.Tensor) -> None:
        """Add up a piece that is equal on both sides."""
        self.squares_of_one += squares(one)

    def change(self) -> Changed:
        """The record."""
        if not self.is_comparable:
            return Changed(self.name, "shape", self.shapes, self._dtypes(), None, None, None)
        norm = math.sqrt(self.squares_of_one)
        moved = math.sqrt(self.squares) if math.isfinite(self.squares) else self.squares
        relative = math.nan if self.has_odd_nan else moved / norm if norm else math.inf if moved else 0.0
        return Changed(
            path=self.name,
            kind="values" if self.one.dtype is self.other.dtype else "dtype",
            shapes=self.shapes,
            dtypes=self._dtypes(),
            max_abs_difference=math.nan if self.has_odd_nan else self.greatest,
            relative_norm=relative,
            n_different=self.n_different,
            of=self.of,
        )

    def _dtypes(self) -> tuple[str, str]:
        return dtype_name(self.one.dtype), dtype_name(self.other.dtype)


class _DigestComparison(_Comparison):
    """One name that both sides have, one of them by its digest alone."""

    is_same = True

    @property
    def is_equal(self) -> bool:
        return self.is_comparable and self._is_alike and self.is_same

    @property
    def is_close(self) -> bool:
        return False

    def pieces(self) -> Iterator[_Piece | _DigestPiece]:
        yield _DigestPiece(self)

    def change(self) -> Changed:
        if not self.is_comparable:
            return super().change()
        kind: Difference = "values" if self.one.dtype is self.other.dtype else "dtype"
        norms = " → ".join(f"{norm:.6g}" for norm in map(_norm_of, (self.one, self.other)) if norm is not None)
        note = f"another digest; norm {norms}" if norms else "another digest"
        return Changed(self.name, kind, self.shapes, self._dtypes(), None, None, None, note, self.of)


def _norm_of(side: OperandTensor) -> float | None:
    if isinstance(side, DigestTensor):
        return None if side.stats is None else side.stats.norm
    return exact_stats(side.data, bins=0).norm if isinstance(side, LiveTensor) else None


def _comparison(name: str, one: OperandTensor, other: OperandTensor, tolerance: tuple[float, float]) -> _Comparison:
    is_digest = isinstance(one, DigestTensor) or isinstance(other, DigestTensor)
    return (_DigestComparison if is_digest else _Comparison)(name, one, other, tolerance)


@dataclass(frozen=True, slots=True)
class _DigestPiece:
    of: _DigestComparison

    def run(self, buffer: torch.Tensor, other_buffer: torch.Tensor, scratch: Scratch) -> int:  # noqa: ARG002 - as of `_Piece`
        """Compare the digests; gives the bytes of both sides."""
        if self.of.one.dtype is self.of.other.dtype:
            self.of.is_same = digest_of(self.of.one) == digest_of(self.of.other)
        return self.of.n_bytes


@dataclass(frozen=True, slots=True)
class _Piece:
    of: _Comparison
    start: int
    stop: int
    is_counted: bool = False

    def run(self, buffer: torch.Tensor, other_buffer: torch.Tensor, scratch: Scratch) -> int:
        """Compare it, or count it only; gives the bytes of both sides that were compared."""
        one = self._part(self.of.one, buffer)
        if self.is_counted:
            self.of.count(one)
            return 0
        other = self._part(self.of.other, other_buffer)
        if one.numel():
            self.of.compare(self, one, other, scratch)
        return one.numel() * (self.of.one.dtype.itemsize + self.of.other.dtype.itemsize)

    def _part(self, side: OperandTensor, buffer: torch.Tensor) -> torch.Tensor:
        return (side.elements if self.of.is_run else side.rows)(self.start, self.stop, buffer)


def _run(pieces: Iterable[_Piece | _DigestPiece], tick: Tick) -> None:
    buffer, other_buffer = (torch.empty(PIECE_BYTES, dtype=torch.uint8, device="cpu") for _ in range(2))
    scratch = Scratch()
    with plain_torch():
        for piece in pieces:
            tick(piece.run(buffer, other_buffer, scratch))
