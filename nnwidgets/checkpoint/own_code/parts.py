"""Which modules take part in saving and loading with code of their own: told from their classes, hooks and attributes.

Nothing of it is run. What torch's own modules do that comes to the same as copying (the counters of batch norms, the
shapes of lazy parameters) doesn't count as such code.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.modules.module import _WrappedHook

from nnwidgets.formatting import and_more
from nnwidgets.introspect.safe_access.objects import class_attribute, is_a, is_module, own_dict, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan

_METHODS = ("state_dict", "_save_to_state_dict", "_load_from_state_dict", "get_extra_state", "set_extra_state")
_OF_THE_ROOT = "load_state_dict"
"""Torch calls it of the model that is loaded into, and of none below."""

_HOOKS = {
    "_state_dict_pre_hooks": "a hook before saving",
    "_state_dict_hooks": "a hook after saving",
    "_load_state_dict_pre_hooks": "a hook before loading",
    "_load_state_dict_post_hooks": "a hook after loading",
}
_PLAIN = {id(vars(nn.Module)[name]) for name in (*_METHODS, _OF_THE_ROOT)} | {
    id(vars(_NormBase)["_load_from_state_dict"]),
    id(vars(_InstanceNorm)["_load_from_state_dict"]),
    id(vars(LazyModuleMixin)["_save_to_state_dict"]),
}
_LAZY_HOOK = vars(LazyModuleMixin)["_lazy_load_hook"]


@dataclass(frozen=True, slots=True)
class OwnCode:
    """A module that has such code, with all below it: that code may reach there.

    Attributes:
        path: Its path in the model.
        module: Itself.
        code: What it has, in words: ``("_load_from_state_dict", "a hook after loading")``.
    """

    path: str
    module: Any
    code: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """What the names of its state dict begin with."""
        return f"{self.path}." if self.path else ""

    def __str__(self) -> str:
        return f"{self.path or 'The model'} ({type_name(type(self.module))}: {', '.join(self.code)})"


def own_code_in(scan: ModelScan) -> dict[str, OwnCode]:
    """The outermost modules with such code, by path, in walk order; those met again come last, once for each path.

    Example:
        >>> from nnwidgets.introspect import LiveModel
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        >>> own_code_in(LiveModel(net).scan)
        {}
        >>> hook = net[0].register_load_state_dict_post_hook(lambda module, keys: None)
        >>> print(*own_code_in(LiveModel(net).scan).values())
        0 (Linear: a hook after loading)
    """
    found = _outermost(scan)
    made = [OwnCode(scan.path(row), scan.modules[row], code) for row, code in found]
    rows, ends = [row for row, _ in found], scan.ends() if found else []
    for row, first in scan.first_met.items() if found else ():
        above = bisect_right(rows, row) - 1
        if (above >= 0 and row < ends[rows[above]]) or scan.is_cycle(row):
            continue
        base = scan.path(first)
        for at, code in found[bisect_left(rows, first) : bisect_left(rows, ends[first])]:
            made.append(OwnCode(scan.path(row) + scan.path(at)[len(base) :], scan.modules[at], code))
    return {each.path: each for each in made}


def _outermost(scan: ModelScan) -> list[tuple[int, tuple[str, ...]]]:
    """The rows of modules with such code, with what they have, none below another."""
    by_class: dict[int, tuple[str, ...]] = {}
    found: list[tuple[int, tuple[str, ...]]] = []
    inside = 0
    owns, met = scan.owns, scan.first_met
    for row, module in enumerate(scan.modules):
        if row < inside or row in met:
            continue
        own = owns[row]
        if own is None and not is_module(module):
            continue
        kind = type(module)
        code = by_class.get(id(kind))
        if code is None:
            code = by_class[id(kind)] = _code_of_class(kind)
        own = own_dict(module) if own is None else own
        code += _code_of_instance(own)
        if row == 0 and not _is_plain(kind, own, _OF_THE_ROOT):
            code = (*code, _OF_THE_ROOT)
        if code:
            found.append((row, code))
            inside = scan.ends()[row]
    return found


def part_of(name: str, parts: Mapping[str, OwnCode]) -> OwnCode | None:
    """The part that a name of a state dict belongs to, or None.

    Example:
        >>> part = OwnCode("0", nn.Linear(2, 3), ("get_extra_state",))
        >>> part_of("0._extra_state", {"0": part}) is part, part_of("01.weight", {"0": part})
        (True, None)
    """
    if not parts:
        return None
    if "" in parts:
        return parts[""]
    for at, sign in enumerate(name):
        if sign in ".[" and name[:at] in parts:
            return parts[name[:at]]
    return None


def own_code_warning(parts: Iterable[OwnCode]) -> list[str]:
    """What to know of a load into them; nothing without any."""
    named = list(parts)
    if not named:
        return []
    told = "; ".join(map(str, named[:_MOST_NAMED])) + and_more(len(named) - _MOST_NAMED)
    has = f"Has code of its own for state dicts: {told}."
    return [f"{has} What the file has for it goes through that, as in load_state_dict: it shows when that has run."]


_MOST_NAMED = 3


def _code_of_class(kind: type) -> tuple[str, ...]:
    return tuple(name for name in _METHODS if not _is_plain(kind, {}, name))


def _is_plain(kind: type, own: Mapping[str, Any], name: str) -> bool:
    return name not in own and id(class_attribute(kind, name)) in _PLAIN


def _code_of_instance(own: Mapping[str, Any]) -> tuple[str, ...]:
    code = tuple(name for name in _METHODS if name in own)
    for name, word in _HOOKS.items():
        held = own.get(name)
        if held and not (is_a(held, dict) and all(map(_is_torchs_copying, dict.values(held)))):
            code = (*code, word)
    return code


# The second is where torch 2.4 and 2.5 have it.
_FSDP2 = "torch.distributed.fsdp._fully_shard.", "torch.distributed._composable.fsdp."


def _is_torchs_copying(hook: Any) -> bool:
    """Whether a hook is the one that shapes lazy parameters by the file, or one of FSDP2's for its shards."""
    hook = hook.hook if type(hook) is _WrappedHook else hook
    if type(hook) is FunctionType:
        home = hook.__module__
        return type(home) is str and home.startswith(_FSDP2)
    return getattr(hook, "__func__", None) is _LAZY_HOOK
