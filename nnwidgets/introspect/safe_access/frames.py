"""Variables of functions that run, of this thread or another."""

from __future__ import annotations

import inspect
from types import FrameType
from typing import Any


def local_variable(frame: FrameType, name: str) -> Any:
    """What a running function has in a variable; None where it has none of that name.

    Nothing else of it is kept. Python before 3.13 would go on to hold all that the function's variables held when one
    was asked for, such as a step's activations.

    Example:
        >>> import sys
        >>> def train(net):
        ...     return local_variable(sys._getframe(), "net"), local_variable(sys._getframe(), "loss")
        >>> train("a model")
        ('a model', None)
    """
    code = frame.f_code
    if not code.co_flags & inspect.CO_OPTIMIZED:
        return frame.f_locals.get(name)  # of a module or a class: its own dict
    if name not in {*code.co_varnames, *code.co_cellvars, *code.co_freevars}:
        return None
    held: Any = frame.f_locals
    value = held.get(name)
    if type(held) is dict and frame.f_trace is None:  # a debugger writes it back
        held.clear()
    return value
