"""FSDP2's modules whose parameters are whole on this rank, since a forward; read from torch's own records."""

from __future__ import annotations

import sys

from torch import nn

from nnwidgets.introspect.safe_access.objects import is_torchs_own, object_dict, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan

_STATES = "torch.distributed._composable_state"


def unsharded_modules(scan: ModelScan) -> dict[str, nn.Module]:
    """The modules that hold their parameters whole until they are sharded again, by path.

    Example:
        >>> from nnwidgets.introspect.safe_access.scan import read
        >>> unsharded_modules(read(nn.Linear(2, 2)))
        {}
    """
    states = getattr(sys.modules.get(_STATES), "_module_state_mapping", None)
    whole = {id(module) for module, state in list(states.items()) if _is_whole(state())} if states else set()
    rows = zip(scan.row_paths, scan.modules, strict=True) if whole else ()
    return {path: module for path, module in rows if id(module) in whole}


def shard_again(scan: ModelScan, before: dict[str, nn.Module]) -> None:
    """Have FSDP cut what a forward made whole and what was cut before it."""
    for path, module in unsharded_modules(scan).items():
        if path not in before:
            module.reshard()  # type: ignore[operator] # FSDP2 gives the module's class this method


def _is_whole(state: object) -> bool:
    if type_name(type(state)) != "FSDPState" or not is_torchs_own(type(state)):
        return False
    # One group in older torch, several since 2.10 or so.
    groups = object_dict(state).get("_fsdp_param_groups") or [object_dict(state).get("_fsdp_param_group")]
    return any(
        getattr(object_dict(group).get("_sharded_state"), "name", "") == "UNSHARDED" for group in groups if group
    )
