"""FSDP2's groups of parameters, and those that are whole on this rank since a forward; read from torch's records."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Collection, Iterator
from itertools import chain
from typing import Any

from torch import nn

from nnwidgets.introspect.safe_access.lookup import LiveModel
from nnwidgets.introspect.safe_access.objects import is_tensor, is_torchs_own, object_dict, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan

_STATES = "torch.distributed._composable_state"


def fsdp_groups(scan: ModelScan) -> dict[str, Any]:
    """FSDP2's groups of parameters, by the path of the module that each is of, the first of several there.

    Example:
        >>> from nnwidgets.introspect.safe_access.scan import read
        >>> fsdp_groups(read(nn.Linear(2, 2)))
        {}
    """
    return {path: groups[0] for path, _, groups in _with_groups(scan)}


def unsharded_modules(scan: ModelScan) -> dict[str, nn.Module]:
    """The modules that hold their parameters whole until they are sharded again, by path.

    Example:
        >>> from nnwidgets.introspect.safe_access.scan import read
        >>> unsharded_modules(read(nn.Linear(2, 2)))
        {}
    """
    return {path: module for path, module, groups in _with_groups(scan) if any(map(_is_whole, groups))}


def _with_groups(scan: ModelScan) -> Iterator[tuple[str, nn.Module, list[Any]]]:
    states = getattr(sys.modules.get(_STATES), "_module_state_mapping", None)
    held = {id(module): _groups(state) for module, state in list(states.items())} if states else {}
    for path, module in zip(scan.row_paths, scan.modules, strict=True) if held else ():
        groups = held.get(id(module))
        if groups:
            yield path, module, groups


def read_shards(scan: ModelScan) -> None:
    """Have a scan's parameters that FSDP keeps whole for now be the shards that they are made of.

    Their memory stays as long as they do, whatever another thread trains meanwhile; the whole's is freed beneath it.
    """
    shards: dict[int, Any] = {}
    for group in chain.from_iterable(groups for _, _, groups in _with_groups(scan)):
        for own in map(object_dict, object_dict(group).get("fsdp_params") or ()):
            if "_unsharded_param" in own and is_tensor(own.get("sharded_param")):
                shards[id(own["_unsharded_param"])] = own["sharded_param"]
    if shards:
        scan.slot_values[:] = [shards.get(id(value), value) for value in scan.slot_values]


def live_with_shards(module: object) -> LiveModel:
    """The live objects of a model, with the shards of parameters that FSDP keeps whole for now."""
    live = LiveModel(module)
    read_shards(live.scan)
    return live


def shard_again(scan: ModelScan, before: Collection[str] = ()) -> None:
    """Have FSDP cut again what it keeps whole, but for the modules at the paths that were whole before."""
    for path, module in unsharded_modules(scan).items():
        if path not in before:
            module.reshard()  # type: ignore[operator] # FSDP2 gives the module's class this method


def _groups(state: object) -> list[Any]:
    if isinstance(state, weakref.ref):  # the state itself in torch 2.4
        state = state()
    if type_name(type(state)) != "FSDPState" or not is_torchs_own(type(state)):
        return []
    # One group in older torch, several since 2.10 or so.
    groups = object_dict(state).get("_fsdp_param_groups") or [object_dict(state).get("_fsdp_param_group")]
    return [group for group in groups if group]


def _is_whole(group: object) -> bool:
    return getattr(object_dict(group).get("_sharded_state"), "name", "") == "UNSHARDED"
