"""Functions that run, in this thread or another, and what their variables and a notebook's are called."""

from __future__ import annotations

import inspect
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

_IPYTHON_CACHE = re.compile(r"_+|_\d+|_i+|_i\d+|_oh|_dh|_ih|_iii|In|Out")
"""Names under which IPython itself keeps results; they are not the user's."""


def main_frame() -> FrameType | None:
    """The innermost function that the main thread is in."""
    return sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001 - there is no other way


def outwards(frame: FrameType | None) -> Iterator[FrameType]:
    """A function's frame, and those of the functions that called it, to the outermost.

    Example:
        >>> next(outwards(sys._getframe())).f_code.co_name
        '<module>'
    """
    while frame is not None:
        yield frame
        frame = frame.f_back


def callers_variables() -> tuple[Mapping[str, Any], ...]:
    """Those of the innermost function that is not of this package, and its module's: what the user calls things."""
    for frame in outwards(sys._getframe()):  # noqa: SLF001 - only frames know
        if not str(frame.f_globals.get("__name__")).startswith("nnwidgets."):
            return frame.f_locals, frame.f_globals
    return ()


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


def is_users_name(name: str) -> bool:
    """Say whether a variable is the user's, not one in which IPython keeps what cells gave.

    Example:
        >>> [name for name in ("net", "_net", "_", "_12", "Out") if is_users_name(name)]
        ['net', '_net']
    """
    return name.isidentifier() and not _IPYTHON_CACHE.fullmatch(name)


def name_of(value: object, *namespaces: Mapping[str, Any]) -> str | None:
    """Return the first name that holds ``value`` in the first of ``namespaces`` that has one.

    Example:
        >>> net = object()
        >>> name_of(net, {"a": 1, "net": net})
        'net'
    """
    for namespace in namespaces:
        for name, held in list(namespace.items()):
            if held is value and is_users_name(name):
                return name
    return None
