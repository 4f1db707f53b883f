"""An optimizer's groups and states, read from its fields: properties and methods of its class aren't called.

An optimizer may be within another: accelerate's, which has only that, and ZeroRedundancyOptimizer, whose groups are of
all parameters and whose states are in the one within, of this process's share.
"""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from nnwidgets.introspect.safe_access.objects import is_a, is_tensor, object_dict, plain_items

_MOST_NESTING = 8


def groups_of(optimizer: object) -> list[dict[str, Any]]:
    """The parameter groups of an optimizer; of one that has none itself, those of the one within."""
    for each in _nested(optimizer):
        groups = object_dict(each).get("param_groups")
        if type(groups) is list:
            return [group for group in groups if is_a(group, dict)]
    return []


def tensors_of(group: dict[str, Any]) -> list[Any]:
    """The tensors of a group, in order."""
    held = dict.get(group, "params")
    return [tensor for tensor in held if is_tensor(tensor)] if type(held) is list else []


def held_tensors(optimizer: object) -> list[Any]:
    """Return the tensors that an optimizer trains, group by group."""
    return [tensor for group in groups_of(optimizer) for tensor in tensors_of(group)]


def states_by_id(optimizer: object) -> dict[int, dict[Any, Any]]:
    """What an optimizer remembers, by ``id`` of the parameter; empty states are left out, no tensor is hashed."""
    found: dict[int, dict[Any, Any]] = {}
    for each in _nested(optimizer):
        states = object_dict(each).get("state")
        for key, state in plain_items(states) if is_a(states, dict) else ():
            if is_tensor(key) and is_a(state, dict) and state:
                found.setdefault(id(key), state)
    return found


def _nested(optimizer: object) -> list[object]:
    """An optimizer, the one within it, the one within that."""
    found = [optimizer]
    while len(found) < _MOST_NESTING:
        within = {id(each): each for each in object_dict(found[-1]).values() if is_a(each, Optimizer)}
        if len(within) != 1 or next(iter(within)) in map(id, found):
            break
        found += within.values()
    return found
