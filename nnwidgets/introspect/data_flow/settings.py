"""How modules are set: their plain attributes as text, by which repeated calls that differ are told apart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch

from nnwidgets.introspect.safe_access.modules import STANDARD
from nnwidgets.introspect.safe_access.objects import (
    instance_dict,
    is_a,
    is_module,
    is_tensor,
    object_dict,
    plain_items,
    text_of,
    type_name,
)

_LONGEST = 300
_MOST_VALUES = 1_000
_MOST_NESTED = 8
_WORD_BITS = 64
_WHICH = re.compile(r"(.*_)?(idx|index|id|uid|name|prefix|path|fqn)|i|(layer|block)_?(i|no|num|number)")
_LEFT_OUT = frozenset(STANDARD) - {"training"}
_SCALARS = frozenset({bool, int, float, complex, str, type(None)})
_SAYING_ALL = frozenset({*_SCALARS, torch.dtype, torch.device, torch.layout, torch.memory_format})
_FUNCTIONS = (FunctionType, BuiltinFunctionType)


class ModuleSettings:
    """The settings of modules, each read once; no code of theirs runs for it."""

    def __init__(self) -> None:
        self._of_modules: dict[int, str] = {}
        self._of_objects: dict[int, str] = {}
        self._of_names: dict[tuple[str, ...], list[str]] = {}
        self._of_values: dict[tuple[Any, ...], str] = {}
        self._n_left = 0

    def of(self, module: Any) -> str:
        """How a module is set; of what is long, the beginning and a digest of the whole.

        Numbers and names by which it is known among its like, such as ``layer_idx``, are left out.

        Example:
            >>> ModuleSettings().of(torch.nn.LeakyReLU(0.2))
            'training=True, negative_slope=0.2, inplace=False'
        """
        found = self._of_modules.get(id(module))
        if found is None:
            found = self._of_modules[id(module)] = self._read(module) if is_module(module) else ""
        return found

    def _read(self, module: Any) -> str:
        own = instance_dict(module)
        self._n_left = _MOST_VALUES
        items = [(name, own.get(name)) for name in self._names(own)]
        for registry in ("_parameters", "_buffers"):  # such as a bias that isn't there
            held = own.get(registry)
            if held and is_a(held, dict):
                items += [each for each in plain_items(held) if each[1] is None and type(each[0]) is str]
        # Most modules hold numbers and texts alone, and many the same: the text of these is made once.
        key = tuple([(name, type(value), value) for name, value in items if _is_hashed(value)])
        if len(key) < len(items):
            text = self._text_of_items(items, _MOST_NESTED)
            return self._of_values.setdefault((text,), text)
        found = self._of_values.get(key)
        if found is None:
            found = self._of_values[key] = self._text_of_items(items, _MOST_NESTED)
        return found

    def _names(self, own: dict[str, Any]) -> list[str]:
        """Names of a module's settings; most modules have the attributes that others have."""
        names = tuple(own)
        if set(map(type, names)) != {str}:
            return [name for name in names if _is_setting(name)]
        found = self._of_names.get(names)
        if found is None:
            found = self._of_names[names] = [name for name in names if _is_setting(name)]
        return found

    def _text_of_items(self, items: Iterable[tuple[str, Any]], nested: int) -> str:
        return _cut(", ".join([f"{name}={self._text(value, nested)}" for name, value in items]))

    def _text(self, value: Any, nested: int) -> str:
        kind = type(value)
        self._n_left -= 1
        if kind is int and value.bit_length() > _WORD_BITS:
            return f"an integer of {value.bit_length()} bits"
        if kind in _SAYING_ALL:
            return _cut(repr(value))
        if kind in _FUNCTIONS:
            return f"{text_of(value.__module__) or ''}.{text_of(value.__qualname__) or ''}"
        if not nested or self._n_left < 0 or is_module(value) or is_tensor(value) or is_a(value, type):
            return type_name(kind)
        return self._text_of_many(value, nested - 1)

    def _text_of_many(self, value: Any, nested: int) -> str:
        many = slice(_MOST_VALUES)
        for base, ends in ((tuple, "()"), (list, "[]"), (dict, "{}")):
            if is_a(value, base):
                held: Any = plain_items(value)[many] if base is dict else base.__getitem__(value, many)
                return f"{ends[0]}{_cut(', '.join([self._text(each, nested) for each in held]))}{ends[1]}"
        return self._text_of_object(value, nested)

    def _text_of_object(self, value: Any, nested: int) -> str:
        """The class of an object with its attributes, such as a configuration that many modules have."""
        found = self._of_objects.get(id(value))
        if found is None:
            self._of_objects[id(value)] = type_name(type(value))  # where it holds itself
            items = [each for each in plain_items(object_dict(value))[:_MOST_VALUES] if _is_setting(each[0])]
            found = f"{type_name(type(value))}({self._text_of_items(items, nested)})"
            self._of_objects[id(value)] = found
        return found


def _is_setting(name: Any) -> bool:
    return type(name) is str and name not in _LEFT_OUT and _WHICH.fullmatch(name) is None


def _is_hashed(value: Any) -> bool:
    kind = type(value)
    return kind in _SCALARS or (kind is tuple and all(type(each) in _SCALARS for each in value))


def _cut(text: str) -> str:
    """A text, or where it is long its beginning and a digest, so that others have another."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}… {blake2b(text.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"
