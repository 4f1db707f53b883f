"""What this rank holds of a tensor: which part of how many, told by metadata alone; nothing is sent or waited for."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch

from nnwidgets.distributed.merging.stats import BINS, rows_of
from nnwidgets.distributed.merging.tree_json import interned
from nnwidgets.errors import NNWidgetsError
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access import objects
from nnwidgets.introspect.safe_access.holders import FLAT_PARAMETERS, flat_parameters, holder_of, is_dtensor, part_here
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor
from nnwidgets.introspect.statistics.exact_stats import each_stats, exact_stats

State = Literal["held", "nothing", "unreduced", "unreadable", "absent"]


class Share(NamedTuple):
    """What a rank holds of a tensor.

    Attributes:
        state: ``"held"`` its elements can be read, ``"nothing"`` it is in no part of the mesh, ``"unreduced"`` it has
            a summand of the values rather than the values, ``"unreadable"`` it has no data here that can be read,
            ``"absent"`` the model here has no such tensor.
        part: Its place along each dimension of the mesh that the tensor is cut over; ``()`` where it holds all.
        n_parts: How many parts there are.
        n_elements: The elements of all parts together.
    """

    state: State
    part: tuple[int, ...]
    n_parts: int
    n_elements: int


ABSENT = Share("absent", (), 1, 0)
"""Of a tensor that is in the model of other ranks only, as in another stage of a pipeline."""


def place_in_group() -> tuple[int, int]:
    """This process's rank and how many there are; 0 of 1 outside of a process group."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def flat_shares(scan: ModelScan) -> dict[int, Share]:
    """What is held of each parameter, by its id, that FSDP1 has flattened and cut over the ranks of a group of its."""
    if FLAT_PARAMETERS not in sys.modules:
        return {}
    found: dict[int, Share] = {}
    with objects.no_torch_function():
        for each in flat_parameters(scan):
            held = holder_of(each.flat)
            if held is not None:
                found[id(each.flat)] = Share("held", (each.rank,), each.n_parts, held.n_elements)
                for original, shape in each.originals:
                    found[id(original)] = Share("held", (each.rank,), each.n_parts, math.prod(shape))
    return found


def share_of(tensor: Any, rank: int, world_size: int, flat: Mapping[int, Share] = MappingProxyType({})) -> Share:
    """Tell what this rank holds of a tensor.

    Args:
        tensor: Any.
        rank: This one.
        world_size: How many there are.
        flat: What `flat_shares` says of the model.

    Example:
        >>> share_of(torch.ones(2, 3), rank=1, world_size=4)
        Share(state='held', part=(), n_parts=1, n_elements=6)
    """
    if id(tensor) in flat:
        return flat[id(tensor)]
    with objects.no_torch_function():
        held = holder_of(tensor)
        if held is None:
            return Share("held", (), 1, tensor.numel())
        if is_dtensor(type(tensor)):
            return _of_dtensor(tensor, held.placements, held.n_elements)
        if held.is_part:  # ZeRO-3: cut over all ranks, in their order
            return Share("held", (rank,), world_size, held.n_elements)
    return Share("held", (), 1, math.prod(held.local_shape))


def _of_dtensor(tensor: Any, placements: tuple[str, ...], n_elements: int) -> Share:
    mesh = tensor._spec.mesh  # noqa: SLF001 - torch's own record; `DTensor.device_mesh` asks a subclass
    coordinate = mesh.get_coordinate()
    if coordinate is None:
        return Share("nothing", (), 1, n_elements)
    if any(word.startswith("Partial") for word in placements):
        return Share("unreduced", tuple(coordinate), mesh.size(), n_elements)
    cut = [dim for dim, word in enumerate(placements) if not word.startswith("Replicate")]
    return Share("held", tuple(coordinate[dim] for dim in cut), math.prod(mesh.size(dim) for dim in cut), n_elements)


def stats_of(tensors: Sequence[Any], shares: Sequence[Share], *, bins: bool) -> list[TensorStats | None]:
    """Statistics of what is held of each tensor; None where there is nothing to read.

    Args:
        tensors: Any.
        shares: What `share_of` says of each.
        bins: Whether to count elements per bin too; without, small tensors are measured together.
    """
    held = [_held(tensor, share) for tensor, share in zip(tensors, shares, strict=True)]
    return [None if each is None else exact_stats(each, bins=BINS) for each in held] if bins else each_stats(held)


def rows_said(shares: Sequence[Share], found: Sequence[TensorStats | None]) -> dict[str, Any]:
    """What a rank says of tensors' statistics.

    Args:
        shares: Of each tensor.
        found: Of each what is held of it; None where there is nothing to read.
    """
    told = (
        share._replace(state="unreadable") if part is None and share.state == "held" else share
        for share, part in zip(shares, found, strict=True)
    )
    share_of_each, distinct = interned(told)
    return {"shares": distinct, "share_of": share_of_each, "rows": rows_of(found).to_text()}


def _held(tensor: Any, share: Share) -> torch.Tensor | None:
    """The elements of a tensor that are here and can be read."""
    if share.state != "held":
        return None
    try:
        data = as_plain_tensor(part_here(tensor))
    except NNWidgetsError:
        return None
    padding = _padding(tensor, share)
    return data if padding is None else data.flatten()[:padding]


def _padding(tensor: Any, share: Share) -> int | None:
    """How many elements of a padded part are the tensor's own; None where it has no padding.

    ZeRO-3 and FSDP1's flat parameter cut a flat run of elements into parts of one size, the last ones filled up.
    """
    if share.n_parts == 1 or is_dtensor(type(tensor)):
        return None
    with objects.no_torch_function():
        size = objects.tensor_dict(tensor).get("ds_tensor")
        here = int(torch._C.TensorBase.numel(part_here(tensor)))  # noqa: SLF001 - its methods can't be overridden
        is_padded = size is not None or objects.tensor_dict(tensor).get("_is_flat_param") is True
    return min(max(share.n_elements - share.part[0] * here, 0), here) if is_padded else None
