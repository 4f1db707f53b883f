"""The state of a pickle machine, and all that its opcodes can do to it: none imports, calls or sets an attribute."""

from __future__ import annotations

import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nnwidgets.checkpoint.description import Opaque
from nnwidgets.checkpoint.formats.malformed import BeyondLimits, Malformed, brief
from nnwidgets.checkpoint.formats.pickle import names
from nnwidgets.checkpoint.formats.pickle.allowlist import BEYOND_TORCHS, allowed_names, is_known_to_torch
from nnwidgets.checkpoint.formats.pickle.arguments import Account, AllowedName
from nnwidgets.formatting import counted, inert, repr_start

Persistent = Callable[[Any], Any]
"""Gives what a persistent id stands for; raises `Malformed`."""


class Truncated(Malformed):
    """The bytes ended before the pickle did."""


@dataclass(slots=True, eq=False)
class RefusedName:
    """Something of the file's that is neither read nor described.

    Attributes:
        name: What would be imported to make it.
    """

    name: str

    def __repr__(self) -> str:
        return self.name


@dataclass(slots=True)
class PickleResult:
    """What came of a pickle.

    Attributes:
        content: What it holds.
        end: Where it ended.
        notes: Of what isn't read.
        wanted: Names it would import that are neither read nor described, in order; with any, ``content`` means
            nothing.
        deeds: What it would do with them, in words.
        fault: Why the rest couldn't be looked at, where there are ``wanted``.
        attributes: Dicts that attributes were set on, each with these.
        is_torchs: Whether ``torch.load(weights_only=True)`` takes all that it names.
    """

    content: Any = None
    end: int = 0
    notes: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    deeds: list[str] = field(default_factory=list)
    fault: str = ""
    attributes: list[tuple[dict[Any, Any], dict[Any, Any]]] = field(default_factory=list)
    is_torchs: bool = True


class Machine:
    """What a pickle's opcodes work on.

    Attributes:
        data: The bytes it is in.
        at: The next one.
        stack: Values since the last mark.
        below: The stacks under the marks.
        memo: Values by number.
        found: What has come of it.
        account: Of its calls.
    """

    def __init__(self, data: bytes, start: int, persistent: Persistent) -> None:
        self.data = data
        self.at = start
        self.persistent = persistent
        self.found = PickleResult()
        self.account = Account(_MOST_COPIED + len(data), self.found.notes)
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.known = dict(allowed_names())
        self.n_objects = 0
        self.n_refused = 0

    def take(self, n: int) -> bytes:
        """The next bytes."""
        end = self.at + n
        if end > len(self.data):
            raise Truncated("has a pickle that ends before its last opcode")
        made = self.data[self.at : end]
        self.at = end
        return made

    def number(self, form: struct.Struct) -> Any:
        """The next number."""
        made = form.unpack_from(self.data, self.at)[0]
        self.at += form.size
        return made

    def line(self) -> str:
        """A name or a number up to the end of a line."""
        end = self.data.find(b"\n", self.at, self.at + _LONGEST_LINE)
        if end < 0 and self.at + _LONGEST_LINE <= len(self.data):
            raise Malformed("has a pickle with a name without an end")
        return self.bytes_to_newline().decode("utf-8")

    def bytes_to_newline(self) -> bytes:
        """What is there up to the end of a line, however long."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise Truncated("has a pickle that ends within a name")
        made = self.data[self.at : end]
        self.at = end + 1
        return made

    def pop_to_mark(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        made = self.stack
        self.stack = self.below.pop()
        return made

    def contain(self, value: Any) -> None:
        """Put a new container on the stack."""
        self.n_objects += 1
        if self.n_objects > _MOST_OBJECTS:
            raise self._too_many()
        self.stack.append(value)

    def count(self, n: int = 1) -> None:
        """Count objects made: each takes some hundred bytes, and a single one of the file's may make it."""
        self.n_objects += n
        if self.n_objects > _MOST_OBJECTS:
            raise self._too_many()

    @staticmethod
    def _too_many() -> BeyondLimits:
        return BeyondLimits(
            f"has a pickle of more than {_MOST_OBJECTS:,} containers and calls, an object for {_AN_OBJECT}"
        )

    def name(self, module: str, name: str) -> Any:
        """What a name stands for."""
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        else:
            module = IMPORT_MAPPING.get(module, module)
        n = len(module) + len(name)
        if n > _LONGEST_LINE:
            raise Malformed(
                f"has a pickle with a name of {counted(n, 'character')}, expected at most {_LONGEST_LINE:,}"
            )
        whole = f"{module}.{name}"
        made = self.known.get(whole)
        self.found.is_torchs &= whole not in BEYOND_TORCHS
        if made is None:
            self.found.is_torchs &= is_known_to_torch(whole)
            self.count(_A_NAME + n // 8)
            if names.is_named_only(whole):
                made = AllowedName(whole)
            elif names.is_described(module, name):
                made = names.described(whole)
            else:
                self.want(whole)
                made = AllowedName(whole) if whole in _IN_CALLS else RefusedName(whole)
            self.known[whole] = made
        return made

    def want(self, name: str) -> None:
        """Note a name that refuses the file."""
        if len(self.found.wanted) < _MOST_WANTED and name not in self.found.wanted:
            self.found.wanted.append(name)

    def call(self, function: Any, args: Any) -> Any:
        """What stands for the result of a call."""
        if type(function) is AllowedName and function.call is not None:
            if self.found.wanted and type(args) is tuple and any(type(each) is RefusedName for each in args):
                return RefusedName(function.class_name)
            self.count()
            made = function.call(args, self.account)
            if type(made) is Opaque:
                self.count(_AN_OBJECT - 1)
            return made
        if type(function) is AllowedName and (made := self._known_call(function.class_name, args)) is not None:
            return made
        if type(function) is AllowedName:
            # Known as a value only: what calling it does isn't.
            self.want(function.class_name)
            function = RefusedName(function.class_name)
        if type(function) is RefusedName:
            self.count()
            begin, end = ("", "") if type(args) is tuple else ("(*", ")")
            self.deed(f"call {function.name}{begin}", args, end)
            return RefusedName(_called(function.name))
        if type(function) is Opaque:
            self.count(_AN_OBJECT)
            return Opaque(_called(function.class_name), args)
        raise Malformed(f"has a pickle that calls {brief(function)}, which is nothing to call")

    def _known_call(self, function: str, args: Any) -> Any:
        """What stands for a call of a function that is known only with some arguments; None for others.

        That is how pickles name a class within a class, a method of an object, and the class of None.
        """
        if type(args) is not tuple or not args:
            return None
        onto, *rest = args[:_MOST_ARGUMENTS]
        made = None
        self.count(_AN_OBJECT)
        if function == "builtins.type" and args == (None,):
            made = AllowedName("types.NoneType")
        elif function == "builtins.getattr" and len(rest) == 1 and type(onto) in (AllowedName, Opaque):
            name = rest[0] if type(rest[0]) is str else ""
            whole = f"{onto.class_name}.{name}"
            if name.isidentifier() and len(whole) <= _LONGEST_LINE:
                if names.is_named_only(whole):
                    made = AllowedName(whole)
                else:
                    module, _, outer = onto.class_name.rpartition(".")
                    made = names.described(whole) if names.is_described(module, f"{outer}.{name}") else None
        elif function.endswith("operator.getitem") and type(onto) is AllowedName and onto.class_name[:7] == "typing.":
            made = AllowedName(onto.class_name)
        if made is not None and function in self.found.wanted:
            self.found.wanted.remove(function)
        return made

    def deed(self, does: str, values: Any, where: str = "") -> None:
        """Note what the file would do, the first time; of one that does the same for ever not each is looked at."""
        self.n_refused += 1
        if self.n_refused > _MOST_LOOKED_AT or len(self.found.deeds) >= _MOST_DEEDS:
            return
        text = inert(f"{does}{repr_start(values, _MOST_DEED // 2)}{where}", _MOST_DEED)
        if text not in self.found.deeds:
            self.found.deeds.append(text)


def _called(name: str) -> str:
    """What stands for the result of a call, and for the result of calling that."""
    return name if name.endswith(_RESULT) else f"{name}{_RESULT}"


_IN_CALLS = {"builtins.getattr", "_operator.getitem", "operator.getitem"}
"""Functions that are known with some arguments, and refuse the file with others, or where they are never called."""
_A_NAME = 20
_AN_OBJECT = 10
"""What a name and an object count for, by the time that looking at them takes."""
_LONGEST_LINE = 1_024
_MOST_OBJECTS = 2_000_000
_MOST_WANTED = 100
_MOST_DEEDS = 8
_MOST_DEED = 160
_MOST_LOOKED_AT = 1_000
_MOST_COPIED = 100_000
_MOST_ARGUMENTS = 3
_RESULT = "(…)"
