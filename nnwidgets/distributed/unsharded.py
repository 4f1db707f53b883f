"""FSDP2's modules whose parameters are whole on this rank since a forward, read from torch's own records."""

from __future__ import annotations

import sys

from torch import nn

from nnwidgets.introspect.safe_access.objects import is_torchs_own, object_dict, type_name
from nnwidgets.introspect.safe_access.scan import read

_STATES = "torch.distributed._composable_state"


def unsharded_modules(module: nn.Module) -> list[str]:
    """Paths of the modules that hold their parameters whole until they are sharded again.

    Example:
        >>> unsharded_modules(nn.Linear(2, 2))
        []
    """
    states = getattr(sys.modules.get(_STATES), "_module_state_mapping", None)
    if not states:
        return []
    whole = {id(managed) for managed, state in list(states.items()) if _is_whole(state())}
    scan = read(module) if whole else None
    rows = zip(scan.row_paths, scan.modules, strict=True) if scan is not None else ()
    return [path for path, each in rows if id(each) in whole]


def _is_whole(state: object) -> bool:
    if type_name(type(state)) != "FSDPState" or not is_torchs_own(type(state)):
        return False
    groups = object_dict(state).get("_fsdp_param_groups") or [object_dict(state).get("_fsdp_param_group")]
    return any(
        getattr(object_dict(group).get("_sharded_state"), "name", "") == "UNSHARDED"
        for group in groups
        if group is not None
    )
