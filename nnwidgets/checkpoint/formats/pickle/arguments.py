"""What the calls in a pickle are made of: functions that are known, arguments checked one by one, and an account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from nnwidgets.checkpoint.formats.malformed import Malformed, brief
from nnwidgets.formatting import counted


@dataclass(slots=True)
class Account:
    """What all calls of one pickle have taken together, and what is to be said of them.

    Attributes:
        n_left: Elements and bytes that they may still copy: a few of a pickle's bytes can ask for the same ones again
            and again, while those that a pickler writes are copied once.
        notes: Of what isn't read.
        keys: Keys whose hash can be chosen, by that.
    """

    n_left: int
    notes: list[str] = field(default_factory=list)
    keys: dict[int, list[Any]] = field(default_factory=dict)

    def copy(self, n: int) -> None:
        """Take ``n`` elements or bytes.

        Raises:
            Malformed: There are none left.
        """
        self.n_left -= n
        if self.n_left < 0:
            raise Malformed("has a pickle that copies the same values over and over")

    def meet(self, key: Any) -> None:
        """Make sure that a key can be told from all others of its hash in little time.

        Raises:
            Malformed: Too many have the same.
        """
        others = self.keys.setdefault(hash(key), [])
        if key not in others:
            others.append(key)
        if len(others) > _MOST_MEETING:
            raise Malformed(f"has the key {brief(key)} and {_MOST_MEETING} others of the same hash")


_MOST_MEETING = 100

Call = Callable[[Any, Account], Any]
"""Takes a function's arguments and the account of its pickle, gives what it would make."""


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
        given = counted(len(args), "argument") if type(args) is tuple else brief(args)
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
