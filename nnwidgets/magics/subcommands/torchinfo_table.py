"""torchinfo's table, where torchinfo can make it without harm.

torchinfo walks the model by its own methods, sets training flags, runs a forward, moves the model to a GPU if there is
one, and remembers the model in a cache of its own. Here it never moves it, everything it changes is put back, the
cache forgets, and where its way of walking would run the user's code or not end, it is not asked at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from nnwidgets.formatting import counted
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.safe_access.objects import instance_dict, reason, type_mro, type_name
from nnwidgets.introspect.tracing.restore import restore_on_exit

_MOST_STEPS = 200_000
_MOST_LEVELS = 100
_PLAIN_TENSORS = frozenset(("Parameter", "Tensor", "Buffer"))
_UNIT = re.compile(r"\bUnits\.(\w+)")
"""What torchinfo writes for ``M`` where Python's enumerations format themselves by name."""

_USED = (
    "train", "eval", "modules", "named_modules", "children", "named_children", "parameters", "named_parameters",
    "register_forward_hook", "register_forward_pre_hook", "kernel_size", "training", "__getattr__",
    "__getattribute__", "__setattr__", "__class__", "__call__", "__hash__", "__eq__", "__bool__", "__len__",
)  # fmt: skip
"""What torchinfo calls or reads on a module."""

_type_dict = type.__dict__["__dict__"].__get__


class DeclinedError(Exception):
    """Why torchinfo can't make the table; it ends the sentence "torchinfo …"."""


def torchinfo_table(
    module: nn.Module, tree: ModuleTree, live: Sequence[Any], inputs: Sequence[torch.Tensor], *, depth: int
) -> str:
    """Return torchinfo's table, with the model afterwards as it was before.

    Args:
        module: The model.
        tree: What was read of it.
        live: Its distinct modules.
        inputs: What its forward takes; without any, no forward is run.
        depth: Levels of modules shown.

    Raises:
        DeclinedError: If torchinfo can't, or would do harm.
    """
    _require_harmless(tree, live)
    import torchinfo
    from torchinfo import torchinfo as engine

    cached = dict(engine._cached_forward_pass)  # noqa: SLF001 - it would keep the model alive
    try:
        with restore_on_exit(module):
            statistics = torchinfo.summary(
                module, input_data=list(inputs) or None, depth=depth, verbose=0, device=None if inputs else "meta"
            )
            return _UNIT.sub(lambda found: str(torchinfo.Units[found[1]].value), str(statistics))
    except Exception as error:  # noqa: BLE001 - whatever it raises, the answer is a table of our own
        raise DeclinedError(f"raised {reason(error.__cause__ or error)}") from None
    finally:
        engine._cached_forward_pass.clear()  # noqa: SLF001 - as above
        engine._cached_forward_pass.update(cached)  # noqa: SLF001


def _require_harmless(tree: ModuleTree, live: Sequence[Any]) -> None:
    for node in tree.nodes:
        _require_plain(node)
    for entry in tree.tensors:
        if entry.shape is None and not entry.problem:
            raise DeclinedError(f"would give the lazy {entry.path} its shape")
        if entry.problem:
            raise DeclinedError(f"can't read {entry.path}")
        if entry.role == "parameter" and entry.class_name not in _PLAIN_TENSORS:
            raise DeclinedError(f"would run the code of {entry.class_name}, the class of {entry.path}")
    known: set[int] = set()
    for found in live:
        kind = type(found)
        own = instance_dict(found)
        called = next((name for name in _USED if name in own and name not in {"training", "kernel_size"}), None)
        if called is None and id(kind) not in known:
            known.add(id(kind))
            called = _find_override(kind)
        if called is not None:
            raise DeclinedError(f"would run the {called} of {type_name(kind)}")
    _require_short(tree)


def _require_plain(node: ModuleNode) -> None:
    if node.key is not None and type(node.key) is not str:
        raise DeclinedError(f"can't name {node.path}, whose key is not a string")
    if node.kind == "cycle":
        raise DeclinedError(f"would never end: {node.path} is one of its own ancestors")
    if node.problem:
        raise DeclinedError(f"can't read {node.path or 'the model'}")


def _find_override(kind: type) -> str | None:
    """Return what a class has in place of a method that torchinfo calls; torch's own classes may."""
    for base in type_mro(kind):
        if base in {nn.Module, object}:
            return None
        held = _type_dict(base)
        if base is torch.jit.ScriptModule or held.get("__module__") == "torch._dynamo.eval_frame":
            return "__call__"
        if str(held.get("__module__", "")).startswith("torch.nn."):
            continue
        found = next((name for name in _USED if name in held), None)
        if found is not None:
            return found
    return None


def _require_short(tree: ModuleTree) -> None:
    """Decline where torchinfo's time explodes: it adds up each module's rest anew for all that is above it."""
    by_path = {node.path: node for node in tree.nodes}
    below: dict[str, int] = {}
    height: dict[str, int] = {}
    total = 0
    for node in reversed(tree.nodes):
        if node.kind != "module":
            continue
        children = [by_path[child.alias_of] if child.kind == "alias" and child.alias_of in by_path else child
                    for child in node.children]  # fmt: skip
        if any(child.path not in below for child in children):
            raise DeclinedError("would walk shared modules without end")
        steps = 1 + sum(below[child.path] for child in children)
        below[node.path] = steps + sum(below[child.path] for child in children)
        height[node.path] = 1 + max((height[child.path] for child in children), default=0)
        total += steps
        if total > _MOST_STEPS or height[node.path] > _MOST_LEVELS:
            raise DeclinedError(f"would take too long on {counted(len(tree.nodes), 'module')}")
