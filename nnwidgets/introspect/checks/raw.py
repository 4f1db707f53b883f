"""What a module holds, read without any code of its class, whatever it is."""

from __future__ import annotations

from typing import Any

from nnwidgets.introspect.safe_access.objects import instance_dict, is_a, is_module, plain_items


def attribute(module: Any, name: str) -> Any:
    """Return what is in a module's ``__dict__`` under a name; None without one, or without a module."""
    return dict.get(instance_dict(module), name) if is_module(module) else None


def registered(module: Any, which: str) -> dict[str, Any]:
    """Return what ``_parameters``, ``_buffers`` or ``_modules`` holds under string keys.

    Example:
        >>> from torch import nn
        >>> list(registered(nn.Linear(2, 2), "_parameters"))
        ['weight', 'bias']
    """
    held = attribute(module, which)
    return {key: value for key, value in plain_items(held) if type(key) is str} if is_a(held, dict) else {}
