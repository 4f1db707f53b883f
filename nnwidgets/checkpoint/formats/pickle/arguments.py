"""What the calls in a pickle are made of: functions that are known, and their arguments, checked one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from nnwidgets.checkpoint.formats.malformed import Malformed, brief

Call = Callable[[Any, list[str]], Any]
"""Takes a function's arguments and a list for remarks, gives what it would make."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AllowedName:
    """A function or class that a file may name, and what calling it gives.

    Attributes:
        class_name: Its whole name.
        call: What stands for it; None for what is named and never called.
    """

    class_name: str
    call: Call | None = None

    def __repr__(self) -> str:
        return f"<{self.class_name}>"


@dataclass(frozen=True, slots=True, eq=False)
class StorageType:
    """A class of storages, such as ``torch.FloatStorage``.

    Attributes:
        dtype: Of its elements.
    """

    dtype: torch.dtype


def check_count(name: str, args: Any, *lengths: int) -> tuple[Any, ...]:
    """The arguments of a function that takes as many, or from the first of ``lengths`` to the last.

    Raises:
        Malformed: There are more or fewer.
    """
    if type(args) is not tuple or not lengths[0] <= len(args) <= lengths[-1]:
        given = f"{len(args)} arguments" if type(args) is tuple else brief(args)
        raise Malformed(f"passes {given} to {name}, expected {' or '.join(map(str, dict.fromkeys(lengths)))}")
    return args


def sizes(found: Any, what: str) -> tuple[int, ...]:
    """The shape or the strides of a tensor.

    Raises:
        Malformed: They are none, or those of a tensor that can't be.
    """
    if type(found) is torch.Size:
        found = tuple(found)
    if type(found) is not tuple or len(found) > _MOST_DIMENSIONS:
        raise Malformed(f"has a tensor whose {what} is {brief(found)}, expected up to {_MOST_DIMENSIONS} whole numbers")
    product = 1
    for each in found:
        if type(each) is not int or not 0 <= each <= MOST:
            raise Malformed(f"has a tensor whose {what} is {brief(found)}, expected whole numbers, none negative")
        product *= each or 1
    if what == "shape" and product > MOST:
        raise Malformed(f"has a tensor of shape {brief(found)}: more elements than there can be")
    return found


MOST = 2**62
"""Of elements, bytes, sizes: what fits torch's numbers with room to spare."""
_MOST_DIMENSIONS = 64
