"""The notebook's variables, looked at by identity and type alone: no attribute of a user's object is touched.

Requests name models by them, and code to paste calls models and optimizers as they do.
"""

from __future__ import annotations

import itertools
import re
import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import ModuleType
from typing import Any, cast

from torch import nn
from torch.optim import Optimizer

from nnwidgets.introspect.optimizers import optimizer_variables
from nnwidgets.introspect.safe_access.frames import is_users_name, local_variable, main_frame, name_of, outwards
from nnwidgets.introspect.safe_access.objects import is_module, is_tensor, object_dict, plain_items


def notebook() -> Mapping[str, Any]:
    """Return the namespace that cells run in."""
    return vars(sys.modules["__main__"])


def modules() -> dict[str, nn.Module]:
    """Return the notebook's variables that hold a module, in the order they were made."""
    return {name: value for name, value in list(notebook().items()) if is_module(value) and is_users_name(name)}


_PLACE = re.compile(r"""[^\W\d]\w*(?:\.[^\W\d]\w*|\[(?:\d+|'[^'\\\n]*'|"[^"\\\n]*")\])?""")
_MOST_WITHIN = 100
_LONGEST_KEY = 60


def is_place(name: object) -> bool:
    """Return whether a name is one that `listed_modules` gives: a variable, or what is right within one.

    Example:
        >>> is_place("net"), is_place("models[0]"), is_place("trainer.model"), is_place("a.b.c"), is_place("my model")
        (True, True, True, False, False)
    """
    return isinstance(name, str) and _PLACE.fullmatch(name) is not None


def listed_modules() -> dict[str, nn.Module]:
    """Return the modules in variables and, one level deep, in their lists, dicts and attributes, by Python's names.

    Names that begin with an underscore are left out, and what a variable holds already. No attribute is asked for: the
    objects' own dicts are read.

    Example:
        >>> import __main__
        >>> __main__.models, __main__._hidden = [nn.Linear(2, 2), nn.ReLU()], nn.Tanh()
        >>> [name for name in listed_modules() if "models" in name or "hidden" in name]
        ['models[0]', 'models[1]']
        >>> del __main__.models, __main__._hidden
    """
    made = {name: module for name, module in modules().items() if not name.startswith("_")}
    known = {id(module) for module in made.values()}
    for name, value in list(notebook().items()):
        if name.startswith("_") or is_module(value) or not is_users_name(name):
            continue
        for place, module in _within(name, value):
            if id(module) not in known:
                known.add(id(module))
                made[place] = module
    return made


def _within(name: str, value: object) -> Iterator[tuple[str, nn.Module]]:
    """Give the modules right within a value: items of a list or dict, attributes of an object."""
    if type(value) in (list, tuple):
        each: Any
        for at, each in enumerate(islice(cast("Sequence[Any]", value), _MOST_WITHIN)):
            if is_module(each):
                yield f"{name}[{at}]", each
    elif type(value) is dict:
        for key, each in plain_items(value)[:_MOST_WITHIN]:
            place = f"{name}[{key!r}]" if type(key) in (str, int) and len(str(key)) <= _LONGEST_KEY else ""
            if is_module(each) and is_place(place):
                yield place, each
    elif type(value) is not ModuleType and not issubclass(type(value), type):
        for key, each in plain_items(object_dict(value))[:_MOST_WITHIN]:
            if is_module(each) and type(key) is str and not key.startswith("_") and key.isidentifier():
                yield f"{name}.{key}", each


def running_variable(name: str) -> nn.Module | None:
    """Return the module that a function of the main thread has in a variable, the outermost's: of a script's `main`."""
    found = None
    for frame in outwards(main_frame()):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        held = None if package in {"nnwidgets", "torch"} else local_variable(frame, name)
        found = held if is_module(held) else found
    return found


def optimizers() -> dict[str, Optimizer]:
    """Return the notebook's variables that hold a torch optimizer, in the order they were made."""
    return optimizer_variables(notebook())


def tensors() -> dict[str, Any]:
    """Return the notebook's variables that hold a tensor, in the order they were made."""
    return {name: value for name, value in list(notebook().items()) if is_tensor(value) and is_users_name(name)}


def optimizer_name(live: Sequence[Optimizer]) -> str:
    """Return what pasted code calls the first of the live optimizers."""
    return (live and name_of(live[0], notebook())) or "optimizer"


class Identities:
    """A number for each object, the same for as long as it lives and never given to another.

    ``id`` alone won't do: a new object often gets the address of the one that it replaces.

    Example:
        >>> class Model: ...
        >>> numbers, net = Identities(), Model()
        >>> numbers.of(net) == numbers.of(net) != numbers.of(Model())
        True
    """

    def __init__(self) -> None:
        self._count = itertools.count(1)
        self._known: dict[int, tuple[weakref.ref[object], int]] = {}

    def of(self, value: object) -> int:
        """Return the number of ``value``, which must take weak references, as modules and optimizers do."""
        known = self._known.get(id(value))
        if known is not None and known[0]() is value:
            return known[1]
        address, number = id(value), next(self._count)

        def forget(_reference: object) -> None:
            # Where another object has the address already, that one's number stays.
            if self._known.get(address, (None, None))[1] == number:
                del self._known[address]

        self._known[address] = weakref.ref(value, forget), number
        return number
