"""Ranks that begin a forward together, or not at all.

A forward of a model that is spread over ranks waits in its collectives for all of them, as long as the group's timeout
(minutes). So each says on the store of the process group that it is there, and only when all have come does any begin.
Whoever waits too long calls it off, for all by one compare-and-set; a rank that comes afterwards begins another turn.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

from nnwidgets.errors import RankMissingError
from nnwidgets.formatting import rank_names
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

PATIENCE = 4.0
"""Seconds that a rank waits for the others before a forward, unless told otherwise."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.01
_GO, _OFF = b"go", "off "
_turns: weakref.WeakKeyDictionary[Any, dict[str, int]] = weakref.WeakKeyDictionary()
"""Of each store, how many times ranks came together on it, by their names there."""


def ranks_of_forward(scan: ModelScan) -> tuple[int, ...]:
    """The ranks that a forward of a model waits for; none where it runs by itself.

    Example:
        >>> from nnwidgets.introspect.safe_access.scan import read
        >>> ranks_of_forward(read(torch.nn.Linear(2, 2)))
        ()
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_backend() == "fake":
        return ()
    found: set[int] = set()
    for each in _ranks_of_tensors(scan):
        found.update(each)
    for module in scan.modules:
        found.update(_ranks_of_module(module))
    return tuple(sorted(found)) if found - {dist.get_rank()} else ()


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


def _ranks_of_module(module: Any) -> Sequence[int]:
    """Those that a wrapper of torch's, or a norm over all ranks, talks to when it is called."""
    own = instance_dict(module)
    names = {type_name(kind) for kind in type_mro(type(module)) if is_torchs_own(kind)}
    if not (
        "FullyShardedDataParallel" in names
        or ("DistributedDataParallel" in names and own.get("broadcast_buffers") and own.get("modules_buffers"))
        or (is_a(module, torch.nn.SyncBatchNorm) and own.get("training"))
    ):
        return ()
    group = own.get("process_group")
    return range(dist.get_world_size()) if group is None else dist.get_process_group_ranks(group)


def come_together(ranks: Sequence[int], seconds: float, where: str = "forward") -> None:
    """Go on only with all of some ranks, which call this alike.

    Args:
        ranks: Which, this one among them; of none there is nothing to wait for.
        seconds: How long to wait for the others.
        where: A name of the meeting.

    Raises:
        RankMissingError: Some didn't come; those that did are told so too.
    """
    if not ranks:
        return
    store = _get_default_store()
    name = f"{where}/{','.join(map(str, ranks)) if len(ranks) < dist.get_world_size() else 'all'}"
    held, turns = PrefixStore(f"nnwidgets/{name}", store), _turns.setdefault(store, {})
    began, me = time.monotonic(), dist.get_rank()
    turn = turns.get(name, 0)
    try:
        while held.check([f"{turn}/decided"]):  # called off before this rank came
            turn += 1
        held.set(f"{turn}/{me}", "here")
        if held.add(f"{turn}/here", 1) == len(ranks):
            held.compare_set(f"{turn}/decided", "", _GO.decode())
        decided = wait_for(held, f"{turn}/decided", began + seconds)
        if decided is None:
            late = [rank for rank in ranks if not held.check([f"{turn}/{rank}"])]
            decided = held.compare_set(f"{turn}/decided", "", _OFF + " ".join(map(str, late)))
        turns[name] = turn + 1
        if decided == _GO:
            _leave(held, turn, ranks)
            return
        missing = tuple(int(rank) for rank in decided.decode().removeprefix(_OFF).split())
    except RuntimeError:  # the store is gone, with the rank that had it
        missing = tuple(rank for rank in ranks if rank != me)
    raise RankMissingError(
        f"This forward needs {rank_names(ranks)}, and {rank_names(missing)} didn't come within "
        f"{time.monotonic() - began:.1f} s. Nothing was run.",
        ranks=missing,
        hint="Run the same line on all of them; trace(ranks(timeout=60)[name], …) waits longer.",
    )


def _leave(held: Any, turn: int, ranks: Sequence[int]) -> None:
    """Say that this rank knows; the last one takes everything back."""
    if held.add(f"{turn}/left", 1) == len(ranks):
        for key in (*ranks, "here", "decided", "left"):
            held.delete_key(f"{turn}/{key}")


def wait_for(store: Any, key: str, deadline: float) -> bytes | None:
    """What a store has under a key, as soon as it is there; None where it isn't by the deadline.

    Not the store's own wait, which complains on stderr where nothing comes.
    """
    pause = _FIRST_PAUSE
    while not store.check([key]):
        if time.monotonic() >= deadline:
            return None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return bytes(store.get(key))
