"""FSDP2's modules whose parameters are whole on this rank, since a forward; read from torch's own records."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from torch import nn

from nnwidgets.introspect.safe_access.objects import is_tensor, is_torchs_own, object_dict, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan

_STATES = "torch.distributed._composable_state"


def unsharded_modules(scan: ModelScan) -> dict[str, nn.Module]:
    """The modules that hold their parameters whole until they are sharded again, by path.

    Example:
        >>> from nnwidgets.introspect.safe_access.scan import read
        >>> unsharded_modules(read(nn.Linear(2, 2)))
        {}
    """
    whole = {id(module) for module, group in _groups() if _is_whole(group)}
    rows = zip(scan.row_paths, scan.modules, strict=True) if whole else ()
    return {path: module for path, module in rows if id(module) in whole}


def read_shards(scan: ModelScan) -> None:
    """Have a scan's parameters that FSDP keeps whole for now be the shards that they are made of.

    Their memory stays as long as they do, whatever another thread trains meanwhile; the whole's is freed beneath it.
    """
    shards: dict[int, Any] = {}
    for _, group in _groups():
        for each in object_dict(group).get("fsdp_params") or ():
            own = object_dict(each)
            if "_unsharded_param" in own and is_tensor(own.get("sharded_param")):
                shards[id(own["_unsharded_param"])] = own["sharded_param"]
    if shards:
        scan.slot_values[:] = [shards.get(id(value), value) for value in scan.slot_values]


def shard_again(scan: ModelScan, before: dict[str, nn.Module]) -> None:
    """Have FSDP cut what a forward made whole and what was cut before it."""
    for path, module in unsharded_modules(scan).items():
        if path not in before:
            module.reshard()  # type: ignore[operator] # FSDP2 gives the module's class this method


def _groups() -> Iterator[tuple[Any, Any]]:
    """FSDP2's groups of parameters in this process, each with the module that it is of."""
    states = getattr(sys.modules.get(_STATES), "_module_state_mapping", None)
    for module, reference in list(states.items()) if states else ():
        state = reference()
        if type_name(type(state)) == "FSDPState" and is_torchs_own(type(state)):
            # One group in older torch, several since 2.10 or so.
            own = object_dict(state)
            for group in own.get("_fsdp_param_groups") or [own.get("_fsdp_param_group")]:
                if group:
                    yield module, group


def _is_whole(group: object) -> bool:
    return getattr(object_dict(group).get("_sharded_state"), "name", "") == "UNSHARDED"
