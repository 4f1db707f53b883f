"""Which part of a tensor that is spread over ranks lies here: arithmetic on torch's records, nothing sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import shape_text
from nnwidgets.introspect.safe_access.holders import is_dtensor, local_shard
from nnwidgets.introspect.safe_access.objects import is_torchs_own, no_torch_function, type_name
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor


@dataclass(frozen=True, slots=True)
class Part:
    """A box of a tensor: the elements that this rank holds.

    Attributes:
        shape: The whole's sizes.
        stride: The whole's strides.
        box: Of each dimension, the indices that are here.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    box: tuple[range, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all of it is here."""
        return self.local_shape == self.shape

    @property
    def local_shape(self) -> tuple[int, ...]:
        """The sizes of the box."""
        return tuple(map(len, self.box))

    @property
    def is_contiguous(self) -> bool:
        """Whether the whole's elements lie one after the other."""
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if size != 1 and stride != expected:
                return False
            expected *= size
        return True

    @property
    def n_elements(self) -> int:
        """How many elements the whole has."""
        return math.prod(self.shape)

    def of(self, whole: torch.Tensor) -> torch.Tensor:
        """The box of a tensor of the whole's sizes, as a view."""
        return whole[tuple(slice(each.start, each.stop) for each in self.box)]

    def keep(self, run: torch.Tensor, start: int, local: torch.Tensor) -> None:
        """Copy into ``local``, which is the box, what of a run of the whole's elements belongs there.

        Args:
            run: Elements one after the other, in the order of the whole's indices.
            start: The place of the first one.
            local: A plain tensor of the box's sizes.

        Example:
            >>> part, local = Part((4, 3), (3, 1), (range(1, 3), range(0, 2))), torch.zeros(2, 2)
            >>> part.keep(torch.arange(2.0, 9.0), 2, local)
            >>> local
            tensor([[3., 4.],
                    [6., 7.]])
        """
        if not self.shape:
            local.copy_(run[0])
        elif local.numel():
            self._keep(run, start, local, 0)

    def _keep(self, run: torch.Tensor, start: int, local: torch.Tensor, dim: int) -> None:
        """Of a run within one slice of the dimensions before ``dim``."""
        box, stop = self.box[dim], start + run.numel()
        if dim == len(self.shape) - 1:
            low, high = max(box.start, start), min(box.stop, stop)
            if low < high:
                local[low - box.start : high - box.start] = run[low - start : high - start]
            return
        width = math.prod(self.shape[dim + 1 :])
        first, last = -(-start // width), stop // width
        if first > last:  # within one row
            self._keep_row(run, start, local, dim, start // width)
            return
        low, high = max(box.start, first), min(box.stop, last)
        if low < high:
            rows = run[low * width - start : high * width - start].view(high - low, *self.shape[dim + 1 :])
            inner = tuple(slice(each.start, each.stop) for each in self.box[dim + 1 :])
            local[low - box.start : high - box.start] = rows[:, *inner]
        if start < first * width:
            self._keep_row(run[: first * width - start], start, local, dim, first - 1)
        if last * width < stop:
            self._keep_row(run[last * width - start :], last * width, local, dim, last)

    def _keep_row(self, run: torch.Tensor, start: int, local: torch.Tensor, dim: int, row: int) -> None:
        if row in self.box[dim]:
            width = math.prod(self.shape[dim + 1 :])
            self._keep(run, start - row * width, local[row - self.box[dim].start], dim + 1)


def part_of(tensor: Any, path: str = "") -> Part | None:
    """Which part of a DTensor is here; None of any other tensor, all of which is here.

    Args:
        tensor: Any.
        path: Where it is, for the error.

    Raises:
        InvalidTargetError: It is spread in a way that isn't known, or has summands in place of its values.

    Example:
        >>> part_of(torch.ones(2)) is None
        True
    """
    if not is_dtensor(type(tensor)):
        return None
    with no_torch_function():
        spec = tensor._spec  # noqa: SLF001 - torch's own record
        meta, mesh = spec.tensor_meta, spec.mesh
        shape, stride = tuple(map(int, meta.shape)), tuple(map(int, meta.stride))
        placements, at = spec.placements, mesh.get_coordinate()
    held = [_CUTS.get(type_name(type(each)) if is_torchs_own(type(each)) else "") for each in placements]
    if None in held:
        told = ", ".join(map(str, placements))
        raise InvalidTargetError(
            f"{path} can't be written: it is placed as {told[:200]}, expected Shard and Replicate.",
            path=path,
            hint="A Partial tensor has summands here, not values: redistribute it first.",
        )
    if at is None:  # this rank is no part of the mesh
        return Part(shape, stride, tuple(range(0) for _ in shape) or ())
    cuts = [
        _Cut(each.dim % len(shape), mesh.size(dim), at[dim], getattr(each, "split_factor", 1))
        for dim, (each, is_cut) in enumerate(zip(placements, held, strict=True))
        if is_cut
    ]
    if not all(_is_reached(cut, cuts[number + 1 :]) for number, cut in enumerate(cuts)):
        raise InvalidTargetError(
            f"{path} can't be written: it is placed as {', '.join(map(str, placements))[:200]}, of which this rank has "
            "several runs, expected one.",
            path=path,
            hint="Redistribute it to Shard first.",
        )
    box = [range(size) for size in shape]
    for cut in in_order(cuts):
        box[cut.dim] = chunk(box[cut.dim], cut.n, cut.at)
    with no_torch_function():
        local = tuple(map(int, local_shard(tensor).shape))
    made = Part(shape, stride, tuple(box))
    if made.local_shape != local:
        raise InvalidTargetError(
            f"{path} can't be written: this rank has {shape_text(local)} of its {shape_text(shape)}, expected "
            f"{shape_text(made.local_shape)} of a tensor that is placed as {', '.join(map(str, placements))[:200]}.",
            path=path,
            hint="Change it before it is sharded.",
        )
    return made


_CUTS = {"Shard": True, "_StridedShard": True, "Replicate": False}


def data_of(tensor: Any) -> Any:
    """What is written in place of a tensor: of a DTensor the part here, as a plain tensor; else itself.

    Example:
        >>> weight = torch.ones(2)
        >>> data_of(weight) is weight
        True
    """
    if not is_dtensor(type(tensor)):
        return tensor
    local = as_plain_tensor(tensor)
    if local.numel():
        return local
    # A rank that is no part of the mesh has an empty tensor of one dimension.
    part = part_of(tensor)
    return local if part is None or not part.shape else local.view(part.local_shape)


MODULE = f"torch.distributed.{'tensor' if torch.__version__ >= '2.5' else '_tensor'}"
"""Where this torch has DTensor."""

IMPORT = f"from {MODULE} import distribute_tensor"
"""What `part_code` and `whole_code` need, beside torch."""


def part_code(whole: str, name: str) -> str:
    """Code of this rank's part of a tensor that all ranks have whole, to go into a DTensor.

    Example:
        >>> part_code("state['weight']", "net.weight")  # doctest: +ELLIPSIS
        "distribute_tensor(state['weight'], net.weight.device_mesh, net.weight.placements...)"
    """
    # Before torch 2.6 the first rank always sends its own, which are the same.
    own = ", src_data_rank=None" if torch.__version__ >= "2.6" else ""
    return f"distribute_tensor({whole}, {name}.device_mesh, {name}.placements{own})"


def whole_code(tensor: Any, name: str, lines: Sequence[str], *, is_read: bool = False) -> list[str]:
    """Code that does something to a whole DTensor and has each rank keep its part, under ``no_grad``.

    Args:
        tensor: It.
        name: What it is in code.
        lines: What is done to ``whole``, all of it.
        is_read: Whether that needs the values it had, for which all ranks send theirs.
    """
    if is_read:
        begin = "whole = p.full_tensor()"
    else:
        is_contiguous = part_of(tensor).is_contiguous  # type: ignore[union-attr] # of a DTensor there is one
        made = "empty(p.shape" if is_contiguous else "empty_strided(p.shape, p.stride()"
        begin = f"whole = torch.{made}, dtype=p.dtype, device=p.device)"
    return [f"p = {name}", begin, *lines, f"p.copy_({part_code('whole', 'p')})"]


@dataclass(frozen=True, slots=True)
class _Cut:
    """One dimension of a mesh that cuts a dimension of a tensor: into how many, and which of them is here."""

    dim: int
    n: int
    at: int
    after: int
    """How many parts the dimension is in already when this cuts it: those that dimensions further right make."""


def _is_reached(cut: _Cut, right: Sequence[_Cut]) -> bool:
    """Whether dimensions further right make just the parts that a cut comes after; else what it leaves is no box."""
    n = 1
    for each in right:
        if n >= cut.after:
            break
        n *= each.n if each.dim == cut.dim else 1
    return n == cut.after


def in_order(cuts: Sequence[_Cut]) -> list[_Cut]:
    """Cuts in the order in which they are made: from the left, but for those that come after some to their right."""
    made: list[_Cut] = []
    waiting = list(cuts)
    while waiting:
        cut = waiting.pop(0)
        n, at = 1, 0
        while n < cut.after and at < len(waiting):
            n *= waiting[at].n if waiting[at].dim == cut.dim else 1
            at += 1
        if at:
            waiting.insert(at, _Cut(cut.dim, cut.n, cut.at, 1))
        else:
            made.append(cut)
    return made


def chunk(whole: range, n: int, at: int) -> range:
    """One of the ``n`` parts that ``torch.chunk`` makes of some indices, empty where there are fewer.

    Example:
        >>> [chunk(range(7), 4, at) for at in range(4)], chunk(range(3), 4, 3)
        ([range(0, 2), range(2, 4), range(4, 6), range(6, 7)], range(3, 3))
    """
    size = -(-len(whole) // n)
    return whole[min(at * size, len(whole)) : min((at + 1) * size, len(whole))]
