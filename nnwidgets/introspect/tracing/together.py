"""Ranks that begin a forward together, or not at all: which they are, told by the model's metadata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist

from nnwidgets.introspect.meeting import PATIENCE, Meeting, Words
from nnwidgets.introspect.safe_access.holders import holder_of, is_dtensor
from nnwidgets.introspect.safe_access.objects import (
    instance_dict,
    is_a,
    is_tensor,
    is_torchs_own,
    no_torch_function,
    object_dict,
    type_mro,
    type_name,
)
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.tracing.unsharded import fsdp_groups


def ranks_of_forward(scan: ModelScan) -> tuple[int, ...]:
    """The ranks that a forward of a model waits for; none where it runs by itself.

    Example:
        >>> from nnwidgets.introspect.safe_access.scan import read
        >>> ranks_of_forward(read(torch.nn.Linear(2, 2)))
        ()
    """
    return _ranks(scan, is_forward=True)


def ranks_of_model(scan: ModelScan) -> tuple[int, ...]:
    """The ranks that hold a model together, or the same one each (DDP); none where it is this rank's own.

    Example:
        >>> from nnwidgets.introspect.safe_access.scan import read
        >>> ranks_of_model(read(torch.nn.Linear(2, 2)))
        ()
    """
    return _ranks(scan, is_forward=False)


def _ranks(scan: ModelScan, *, is_forward: bool) -> tuple[int, ...]:
    if not is_in_group():
        return ()
    groups = set(map(frozenset, _ranks_of_tensors(scan)))
    groups |= {frozenset(_ranks_of_module(module, is_forward=is_forward)) for module in scan.modules}
    largest, me = max(groups, key=len), frozenset((dist.get_rank(),))
    if largest <= me:
        return ()
    # Where no group has all of the others, each rank finds others: all of the job's are the same for every one of them.
    is_one = all(each <= largest for each in groups | {me})
    return tuple(sorted(largest)) if is_one else tuple(range(dist.get_world_size()))


def is_in_group() -> bool:
    """Whether there are other ranks that could be talked to."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1 and dist.get_backend() != "fake"


def _ranks_of_tensors(scan: ModelScan) -> Iterator[Sequence[int]]:
    for group in fsdp_groups(scan).values():
        mesh = getattr(object_dict(group).get("mesh_info"), "mesh", None)
        if mesh is not None:
            yield mesh.mesh.flatten().tolist()
    meshes = set()
    with no_torch_function():
        for tensor in filter(is_tensor, scan.slot_values):
            if is_dtensor(type(tensor)):
                meshes.add(tensor._spec.mesh)  # noqa: SLF001 - torch's own record
            else:
                held = holder_of(tensor)
                if held is not None and held.is_part:  # ZeRO-3, whose modules gather when they are called
                    yield range(dist.get_world_size())
    for mesh in meshes:
        yield mesh.mesh.flatten().tolist()


def _ranks_of_module(module: Any, *, is_forward: bool) -> Sequence[int]:
    """Those that a wrapper of torch's, or a norm over all ranks, talks to: when it is called, or at all."""
    own = instance_dict(module)
    names = {type_name(kind) for kind in type_mro(type(module)) if is_torchs_own(kind)}
    if not (
        "FullyShardedDataParallel" in names
        or (
            "DistributedDataParallel" in names
            and (not is_forward or (own.get("broadcast_buffers") and own.get("modules_buffers")))
        )
        or (is_a(module, torch.nn.SyncBatchNorm) and own.get("training"))
    ):
        return ()
    group = own.get("process_group")
    return range(dist.get_world_size()) if group is None else dist.get_process_group_ranks(group)


def come_together(ranks: Sequence[int], seconds: float = PATIENCE, where: str = "forward") -> None:
    """Go on only with all of some ranks, which call this alike.

    Args:
        ranks: Which, this one among them; of none there is nothing to wait for.
        seconds: How long to wait for the others.
        where: A name of the meeting.

    Raises:
        RankMissingError: Some didn't come; those that did are told so too.
    """
    if ranks:
        Meeting(ranks, seconds, where, _WORDS).agree()


_WORDS = Words(
    "forward",
    "Nothing was run.",
    "Run the same line on all of them; trace(ranks(timeout=60)[name], …) waits longer.",
)
