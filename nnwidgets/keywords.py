"""What a public function says where an argument that goes by keyword was given by its place.

`nnwidgets.__getattr__` gives the functions so; inside the package they are called as they are. Python itself would only
count the arguments; what to write instead is the function's to know.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from nnwidgets.errors import InvalidTargetError, NNWidgetsError
from nnwidgets.formatting import counted

_Function = TypeVar("_Function", bound=Callable[..., Any])


def advises(advise: Callable[..., NNWidgetsError]) -> Callable[[_Function], _Function]:
    """Have a function tell by an error of its own what more positional arguments than it takes should have been.

    Args:
        advise: Called with the message and all positional arguments; gives the error.
    """

    def decorate(function: _Function) -> _Function:
        vars(function)[_ADVISE] = advise
        return function

    return decorate


def refusing_positional(function: _Function) -> _Function:
    """Give a function that raises on more positional arguments than it takes, and says what goes by keyword.

    Example:
        >>> def dump(net, *, to=None):
        ...     return to
        >>> refusing_positional(dump)("net", "x.pt")
        Traceback (most recent call last):
            ...
        nnwidgets.errors.InvalidTargetError: dump takes 1 positional argument (net), and got 2. What follows goes by
        keyword: to=….
    """
    parameters = inspect.signature(function).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return function
    taken = [each.name for each in parameters if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}]
    named = [f"{each.name}=…" for each in parameters if each.kind is each.KEYWORD_ONLY]
    advise = vars(function).get(_ADVISE, functools.partial(_advise, ", ".join(named)))

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if len(args) > len(taken):
            takes = counted(len(taken), "positional argument")
            message = f"{function.__name__} takes {takes} ({', '.join(taken)}), and got {len(args)}."
            raise advise(message, *args)
        return function(*args, **kwargs)

    called.__module__ = "nnwidgets"  # where pickle finds it
    return called  # type: ignore[return-value] # it is called as the function is


def _advise(named: str, message: str, *_: Any) -> NNWidgetsError:
    return InvalidTargetError(
        message, hint=f"What follows goes by keyword: {named}." if named else "Leave the rest out."
    )


_ADVISE = "nnwidgets_advise"
