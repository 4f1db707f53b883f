"""Looking at strange objects without running their code.

``isinstance`` calls a ``__class__`` property, ``x.__dict__`` a ``__getattribute__``, ``cls.__name__`` a metaclass; a
dict subclass may override ``items``. The functions here go to the slots of the interpreter instead.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import inert

no_torch_function: Callable[[], AbstractContextManager[None]] = torch._C.DisableTorchFunction  # noqa: SLF001 - see below
"""No torch function of a user's class or mode runs inside; torch's public guards leave modes on."""

_type_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_type_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_type_dict: Callable[[type], Any] = type.__dict__["__dict__"].__get__
_type_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__

descends: Callable[[type, type], bool] = type.__subclasscheck__
"""``descends(base, kind)``: whether ``kind`` really is ``base`` or a subclass; no metaclass is asked."""


def _dict_of(kind: type) -> Callable[[Any], dict[str, Any]]:
    """What reads the real ``__dict__`` of a class's instances, and has a TypeError for anything else."""
    slot: Callable[[Any], dict[str, Any]] = kind.__dict__["__dict__"].__get__
    if sys.version_info < (3, 15):
        return slot

    def checked(value: Any) -> dict[str, Any]:
        # Since Python 3.15 all classes share one slot, which reads whatever has a dict.
        if not descends(kind, type(value)):
            raise TypeError(f"{type_name(type(value))} is no {kind.__name__}")
        return slot(value)

    return checked


instance_dict = _dict_of(nn.Module)
"""The real ``__dict__`` of a module; TypeError for anything else."""

tensor_dict = _dict_of(torch.Tensor)
"""The real ``__dict__`` of a tensor; TypeError for anything else."""

_TEXTS = (BaseException.__str__, KeyError.__str__, OSError.__str__, UnicodeDecodeError.__str__)
_TRIES = 100
_NAME_LIMIT = 200


def type_name(kind: type) -> str:
    """A class's name, cut and without control characters."""
    return inert(_type_name(kind), _NAME_LIMIT)


def whole_name(kind: type) -> str:
    """A class's name with its module, as a pickle has it: ``"collections.OrderedDict"``."""
    return inert(f"{_type_dict(kind).get('__module__', '')}.{_type_qualname(kind)}", _NAME_LIMIT)


def object_dict(value: object) -> dict[str, Any]:
    """The real ``__dict__`` of any object; empty where it has none."""
    slot = class_attribute(type(value), "__dict__")
    own = slot.__get__(value) if type(slot) in _DICT_SLOTS else None
    return own if type(own) is dict else {}


_DICT_SLOTS = (types.GetSetDescriptorType, types.MemberDescriptorType)


def type_mro(kind: type) -> tuple[type, ...]:
    """A class's method resolution order."""
    return _type_mro(kind)


def base_names(kind: type) -> tuple[str, ...]:
    """Names of the classes between a class of modules and ``nn.Module``, nearest first; none for another class."""
    between = [base for base in _type_mro(kind)[1:] if descends(nn.Module, base) and base is not nn.Module]
    return tuple(map(type_name, between))


def class_attribute(kind: type, name: str) -> Any:
    """What a class or its bases hold under ``name``, no descriptor called; None without one."""
    for base in _type_mro(kind):
        held = _type_dict(base)
        if name in held:
            return held[name]
    return None


def is_a(value: object, kind: type) -> bool:
    """``isinstance`` by the object's real type."""
    return descends(kind, type(value))


def is_module(value: object) -> bool:
    """Whether ``value`` really is an ``nn.Module``."""
    return descends(nn.Module, type(value))


def is_tensor(value: object) -> bool:
    """Whether ``value`` really is a tensor, of whatever class."""
    return descends(torch._C.TensorBase, type(value))  # noqa: SLF001 - the class that all tensors have below them


def is_array(value: object) -> bool:
    """Whether ``value`` really is an array of NumPy's, which isn't imported for that."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and descends(numpy.ndarray, type(value))


def own_slots(value: object) -> list[Any]:
    """What an object holds in the ``__slots__`` of its classes."""
    held = []
    for base in _type_mro(type(value)):
        for member in list(_type_dict(base).values()):
            if type(member) is types.MemberDescriptorType:
                with contextlib.suppress(AttributeError):
                    held.append(member.__get__(value))
    return held


class _Refusal(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Stands before a tensor class's own ``__torch_dispatch__`` and lets nothing through."""

    def __torch_dispatch__(self, func: Any, *_: Any, **__: Any) -> NoReturn:
        raise RuntimeError(f"its class answers {func} with Python code of its own")


@contextlib.contextmanager
def refusing_dispatch(kind: type) -> Iterator[None]:
    """Inside, what would call the ``__torch_dispatch__`` of a user's tensor class raises RuntimeError instead."""
    if class_attribute(kind, "__torch_dispatch__") is None or is_torchs_own(kind):
        yield
        return
    with _Refusal():  # type: ignore[no-untyped-call]
        yield


def is_torchs_own(kind: type) -> bool:
    """Whether a class is the one of its name in a module of torch."""
    held = _type_dict(kind)
    home = held.get("__module__")
    if type(home) is not str or not home.startswith("torch."):
        return False
    module = sys.modules.get(home)
    return module is not None and types.ModuleType.__getattribute__(module, "__dict__").get(_type_name(kind)) is kind


def text_of(key: object) -> str | None:
    """A key that is text, of whatever class, as plain text; None for any other."""
    return str.__str__(key) if descends(str, type(key)) else None


def plain_items(mapping: Any) -> list[tuple[Any, Any]]:
    """The items of a dict of whatever subclass, hashing no key of the user's; tried again where a thread changes it.

    They are in order; those of an ``OrderedDict`` that has a key of a class of the user's as they were first put in.
    """
    for _ in range(_TRIES - 1):
        try:
            return _items_once(mapping)
        except RuntimeError:
            continue
    return _items_once(mapping)


def _items_once(mapping: Any) -> list[tuple[Any, Any]]:
    # An OrderedDict looks each key up, by the key's own code, where it tells its order.
    if is_a(mapping, OrderedDict) and all(type(key) is str or type(key) is int for key in dict.keys(mapping)):
        return list(OrderedDict.items(mapping))
    return list(dict.items(mapping))


def own_dict(value: object) -> dict[str, Any]:
    """A copy of a module's ``__dict__`` as a plain dict; empty for what is no module."""
    return dict(plain_items(instance_dict(value))) if is_module(value) else {}


def reason(error: BaseException) -> str:
    """What went wrong, in one cut line; the text of a user's own exception class is not asked for."""
    kind = type(error)
    own_text = class_attribute(kind, "__str__") not in _TEXTS
    text = "" if own_text else str(error).strip().split("\n", 1)[0]
    return f"{type_name(kind)}: {inert(text)}" if text else type_name(kind)


def require_module(value: object) -> None:
    """Raise `InvalidTargetError` unless ``value`` is a module, saying what it is and what to pass instead."""
    if is_module(value):
        return
    kind = type(value)
    name = type_name(kind)
    if is_a(value, type) and descends(nn.Module, value):  # type: ignore[arg-type]
        called = type_name(value)  # type: ignore[arg-type]
        raise InvalidTargetError(
            f"{called} is a class, expected a module made from it.", hint=f"Call it first: {called}(…)."
        )
    raise InvalidTargetError(f"{_article(name)} is not a torch.nn.Module.", hint=_HINTS.get(_family(value), _ANY_HINT))


def _family(value: object) -> str:
    kinds = {type_name(kind) for kind in _type_mro(type(value))}
    if "TensorBase" in kinds or "Tensor" in kinds:
        return "tensor"
    if is_a(value, dict):
        return "dict"
    if is_a(value, str):
        return "str"
    if is_a(value, list) or is_a(value, tuple):
        return "list"
    return next((kind for kind in ("Optimizer", "_PipelineStageBase", "ModelHandle") if kind in kinds), "")


_ANY_HINT = "Pass the model itself, such as nn.Linear(2, 3)."
_HINTS = {
    "_PipelineStageBase": "Pass its submod, this rank's stage; ranks()[name] joins those of all.",
    "tensor": "Pass the module that holds it; stats(tensor) reads a single tensor.",
    "dict": "If it is a state_dict, load it into a model and pass the model.",
    "str": "Pass the model, not its name; explore(path) and peek(path) look into a file.",
    "list": "Wrap the modules in nn.ModuleList or nn.Sequential, or pass one of them.",
    "Optimizer": "Pass the model that the optimizer trains.",
    "ModelHandle": "It is on other processes: call this there, on each of them.",
}


def _article(name: str) -> str:
    return f"{'An' if name[:1] in 'AEIOUaeiou' else 'A'} {name}"


ORDINARY = frozenset((id(torch.Tensor), id(nn.Parameter)))
"""Ids of the classes whose tensors have no Python code of their own."""
