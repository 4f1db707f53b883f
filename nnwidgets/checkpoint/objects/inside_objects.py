"""What stands in a described object's place where state dicts are looked for: none of the object's code runs.

A pickled module stands for its state dict; a subclass of dict or list for what is put into it; a record (a dataclass, a
namespace, a trainer, a learner) for its attributes, of which the tensors themselves belong to no state dict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnwidgets.checkpoint.description import DESCRIBED, Opaque, Step
from nnwidgets.checkpoint.objects.pickled_module import Flattening, is_pickled_module
from nnwidgets.errors import CheckpointMismatchError

_CONTAINERS = (dict, list, tuple, Opaque)
_CONTENTS = (*_CONTAINERS, *DESCRIBED)
_OF_LIBRARIES = ("torch.", "torchao.", "numpy.", "builtins.")
_SHALLOW = 2


class Insides:
    """What stands in the places of a file's objects, each looked into once."""

    def __init__(self) -> None:
        """Start with none."""
        self._flattening = Flattening()
        self._seen: dict[int, Any] = {}

    def of(self, value: Any, steps: Sequence[Step], *, is_within: bool) -> Any:
        """A container as it is, or what stands for an object; None for one that was looked into, or has nothing in it.

        Args:
            value: A container or an object.
            steps: The way to it.
            is_within: Whether it lies in an object; what does may be reached by many ways.

        Raises:
            CheckpointMismatchError: A pickled module near the top holds itself, or its names are without end.
        """
        is_object = type(value) is Opaque
        if is_within or is_object:
            if id(value) in self._seen:
                return None
            self._seen[id(value)] = value
        if not is_object:
            return value
        if is_pickled_module(value):
            try:
                return self._flattening.state_dict(value)
            except CheckpointMismatchError:
                if len(steps) > _SHALLOW:
                    return None
                raise
        return _inside(value)[1]


def _inside(value: Opaque) -> tuple[str, Any]:
    """What of an object holds its contents, and these; None where it holds no container."""
    if value.class_name.startswith(_OF_LIBRARIES) or value.class_name.endswith("(…)"):
        return "", None
    for role, held in (("entries", value.entries), ("items", value.items), ("state", _records(value))):
        if held and any(isinstance(each, _CONTENTS) for each in (held.values() if type(held) is dict else held)):
            return role, held
    arguments = value.arguments if type(value.arguments) is tuple else ()
    if len(arguments) == 1 and type(arguments[0]) is dict:
        return "argument", arguments[0]
    if any(isinstance(each, _CONTAINERS) for each in arguments):
        return "arguments", arguments
    return "", None


def _records(value: Opaque) -> dict[Any, Any] | None:
    """An object's attributes but for tensors: those of a metric, say, are no state dict. Nothing of an optimizer."""
    held = value.attributes
    if type(held) is not dict or "param_groups" in held:
        return None
    return {key: each for key, each in held.items() if not isinstance(each, DESCRIBED)}


def _place(value: Opaque, role: str) -> str:
    """How `Described.state` is asked for one of the things that an object is made of."""
    if role == "argument":
        return f"{_place(value, 'arguments')}[0]"
    return f"[{role!r}]" if len(value.roles) > 1 else ""


def code_of(content: Any, steps: Sequence[Step], root: str) -> tuple[str, bool]:
    """Python that gives what lies at some steps of what `nnwidgets.read` gives, and whether that is a pickled module.

    Args:
        content: The file's.
        steps: The way.
        root: The Python for the content.
    """
    code = root
    for _, key in steps:
        if type(content) is Opaque:
            role, inside = _inside(content)
            code, content = f"{code}.state{_place(content, role)}", inside
        if isinstance(content, dict) and not isinstance(key, str | int | bytes):
            # No Python makes an object that is only described.
            code += f".values()][{next(index for index, each in enumerate(content) if each is key)}]"
            code = f"[*{code}"
        else:
            code += f"[{key!r}]"
        content = content[key]
    if type(content) is not Opaque:
        return code, False
    return (
        (code, True) if is_pickled_module(content) else (f"{code}.state{_place(content, _inside(content)[0])}", False)
    )
