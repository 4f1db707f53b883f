"""Where in a checkpoint the state dict is: the whole of it, or one entry of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from nnwidgets.checkpoint.description import DESCRIBED, Described, name_of, tensors_in
from nnwidgets.checkpoint.pickled_module import with_state_dicts
from nnwidgets.errors import SaveError
from nnwidgets.introspect import LiveModel, ModuleTree, TensorEntry
from nnwidgets.introspect.module_tree.tree import tree_of
from nnwidgets.introspect.safe_access import objects

_USUAL = (
    "state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "weights", "params",
    "ema_state_dict", "model_ema", "ema",
)  # fmt: skip
_OPTIMIZERS = ("optimizer", "optimizer_state_dict", "optimizer_state", "optim", "optimizer_states", "optimizers")


@dataclass(frozen=True, slots=True)
class StateDictLocation:
    """The parts of a checkpoint's content.

    Attributes:
        key: Key of the state dict: ``""`` for the whole content, None where there is none.
        tensors: The state dict's tensors by name.
        others: What the state dict holds besides tensors (extra state, say), by name.
        optimizer_key: Key of an optimizer's state, or None.
        optimizer: The optimizer's state, or None.
        alternatives: Other keys that hold a state dict too.
    """

    key: str | None
    tensors: dict[str, Described]
    others: dict[str, Any]
    optimizer_key: str | None = None
    optimizer: Any = None
    alternatives: tuple[str, ...] = ()


def find(content: Any) -> StateDictLocation:
    """Find the state dict in a checkpoint's content.

    It is the entry under the most usual key that is a dict by text with tensors in it, and no fewer than the content
    holds beside it; else the whole content where that is such a dict; else the first entry that is. A module that was
    pickled whole counts as its state dict.
    """
    content = with_state_dicts(content)
    if not isinstance(content, dict):
        return StateDictLocation(None, {}, {})
    optimizer_key = next((key for key in _OPTIMIZERS if _is_optimizer(content.get(key))), None)
    optimizer = None if optimizer_key is None else content[optimizer_key]
    usual = next((key for key in _USUAL if is_state_dict(content.get(key))), None)
    if is_state_dict(content) and (usual is None or _n_direct(content[usual]) < _n_direct(content)):
        return _split("", content, optimizer_key, optimizer, ())
    having = [key for key, value in content.items() if isinstance(key, str) and is_state_dict(value)]
    having = [key for key in having if key not in _OPTIMIZERS]
    if not having:
        is_empty = not any(True for _ in tensors_in(content)) and not content
        return StateDictLocation("" if is_empty else None, {}, {}, optimizer_key, optimizer)
    best = next((key for key in _USUAL if key in having), having[0])
    others = tuple(key for key in having if key != best)
    return _split(best, content[best], optimizer_key, optimizer, others)


def is_state_dict(value: Any) -> bool:
    """Whether it is a dict by text that holds a tensor directly."""
    return (
        isinstance(value, dict)
        and all(isinstance(key, str) for key in value)
        and any(isinstance(each, DESCRIBED) for each in value.values())
    )


def _n_direct(held: dict[str, Any]) -> int:
    return sum(isinstance(each, DESCRIBED) for each in held.values())


def _split(
    key: str, held: dict[str, Any], optimizer_key: str | None, optimizer: Any, alternatives: tuple[str, ...]
) -> StateDictLocation:
    tensors: dict[str, Described] = {}
    others: dict[str, Any] = {}
    for name, value in held.items():
        if isinstance(value, DESCRIBED):
            tensors[name] = value
        elif not key and name == optimizer_key:
            continue
        else:
            others[name] = value
    return StateDictLocation(key, tensors, others, optimizer_key, optimizer, alternatives)


def _is_optimizer(value: Any) -> bool:
    if isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, dict) and "state" in value and "param_groups" in value


def rest_of(content: Any, found: StateDictLocation) -> dict[str, Described]:
    """The tensors that aren't the state dict's, by their whole place."""
    own = {id(each) for each in found.tensors.values()}
    if isinstance(content, dict):
        content = {key: each for key, each in content.items() if id(each) not in own}
    return {name_of(steps): each for steps, each in tensors_in(content) if id(each) not in own}


@dataclass(frozen=True, slots=True)
class State:
    """What of a module is saved.

    Attributes:
        content: Its tensors by name, and perhaps extra state.
        by_path: Whether the names are paths, since torch made no state dict.
        warnings: Why.
    """

    content: Any
    by_path: bool = False
    warnings: list[str] = field(default_factory=list)


def state_of(module: Any) -> State:
    """What of a module is saved; its tensors themselves, none copied.

    Where its ``state_dict`` raises, for a key that isn't text, a circle of modules or a hook that throws, its
    parameters and persistent buffers are taken by path.

    Example:
        >>> from torch import nn
        >>> odd = nn.Module()
        >>> odd._modules[nn.ReLU()] = nn.Linear(2, 1)
        >>> list(state_of(odd).content)
        ['[0].weight', '[0].bias']
    """
    try:
        with torch.no_grad():
            made = module.state_dict()
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the warning's text
        return _by_path(module, f"its state_dict() raised {objects.reason(error).rstrip('.')}")
    if not objects.is_a(made, dict):
        return _by_path(module, f"its state_dict() gave a {objects.type_name(type(made))}")
    odd = next((key for key, _ in objects.plain_items(made) if objects.text_of(key) is None), None)
    if odd is not None:
        return _by_path(module, f"its state_dict() has a key that is a {objects.type_name(type(odd))}")
    return State(made)


def optimizer_state(optimizer: Any) -> Any:
    """An optimizer's state dict; a dict is taken for one.

    Raises:
        SaveError: It has none.
    """
    if objects.is_a(optimizer, dict):
        return optimizer
    make = getattr(optimizer, "state_dict", None)
    if not callable(make):
        raise SaveError(
            f"The optimizer is a {objects.type_name(type(optimizer))}, "
            "expected one of torch.optim or its state_dict().",
            hint="Nothing was changed.",
        )
    try:
        with torch.no_grad():
            return make()
    except Exception as error:
        raise SaveError(
            f"The optimizer's state_dict() raised {objects.reason(error).rstrip('.')}.", hint="Nothing was changed."
        ) from error


def _by_path(module: Any, why: str) -> State:
    model = LiveModel(module)
    live, entries = model.tensors, tree_of(model.scan).tensors
    kept = {entry.path: live[entry.path] for entry in entries if entry.path in live and is_saved(entry)}
    said = f"Saved under path names, since {why}; to_load_code() of the report gives the Python that loads them."
    return State(kept, by_path=True, warnings=[said])


def is_saved(entry: TensorEntry) -> bool:
    """Whether a state dict has a tensor: parameters and persistent buffers."""
    return entry.role == "parameter" or (entry.role == "buffer" and entry.persistent)


def saved_entries(tree: ModuleTree) -> dict[str, TensorEntry]:
    """What a state dict has, under every name: those of the walk in order, then those through aliases.

    Example:
        >>> from torch import nn
        >>> from nnwidgets.introspect import tree
        >>> shared = nn.Linear(2, 2, bias=False)
        >>> list(saved_entries(tree(nn.Sequential(shared, shared))))
        ['0.weight', '1.weight']
    """
    made = {entry.path: entry for entry in tree.tensors if is_saved(entry)}
    listed = {entry.path for entry in tree.tensors}
    for group in tree.ties:
        owner = next((made[path] for path in group.members if path in made), None)
        if owner is not None:
            made.update({path: owner for path in group.members if path not in listed})
    return made
