"""A pickle machine that can't run anything: it knows what values are, and describes the rest.

It has no way to import, to call or to set an attribute. A name in the file is looked up in a table of descriptions
(`rebuilding.known`); one that isn't there is noted, and the machine goes on, so that the refusal lists all of them.
Source: the opcodes as in ``pickletools``; the names as ``torch.load(weights_only=True)`` takes them.
"""

from __future__ import annotations

import reprlib
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from nnwidgets.checkpoint.content import Opaque
from nnwidgets.checkpoint.formats.rebuilding import Known, Malformed, checked_key, known, said
from nnwidgets.introspect.labels import inert

MOST_BYTES = 2**27
"""Of one pickle: what describes half a million tensors."""

Persistent = Callable[[Any], Any]
"""Gives what a persistent id stands for; raises `Malformed`."""


class Ended(Malformed):
    """The bytes ended before the pickle did."""


@dataclass(slots=True, eq=False)
class Wanted:
    """Something of the file's that is neither known nor allowed.

    Attributes:
        name: What would be imported to make it.
    """

    name: str

    def __repr__(self) -> str:
        return self.name


@dataclass(slots=True)
class Found:
    """What came of a pickle.

    Attributes:
        content: What it holds.
        end: Where it ended.
        notes: Of what isn't read.
        wanted: Names it would import that are neither known nor allowed, in order; with any, ``content`` means nothing.
        deeds: What it would do with them, in words.
        fault: Why the rest couldn't be looked at, where there are ``wanted``.
    """

    content: Any = None
    end: int = 0
    notes: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    deeds: list[str] = field(default_factory=list)
    fault: str = ""


def unpickled(data: bytes, start: int, persistent: Persistent, allowed: frozenset[str] = frozenset()) -> Found:
    """Read one pickle.

    Args:
        data: The bytes it is in.
        start: Where it begins.
        persistent: What ids in it stand for.
        allowed: Names of classes whose values are taken as `Opaque`; they aren't imported either.

    Raises:
        Ended: The bytes end before it does.
        Malformed: It is damaged, or holds what a checkpoint doesn't.
    """
    machine = _Machine(data, start, persistent, allowed)
    try:
        machine.run()
        if not machine.found.wanted:
            check_size(machine.found.content)
    except Malformed as error:
        if not machine.found.wanted or isinstance(error, Ended):
            raise
        machine.found.fault = str(error)
    return machine.found


def user_allowed() -> frozenset[str]:
    """Names that the user has told torch to trust, by ``torch.serialization.add_safe_globals``."""
    made = set()
    for each in torch.serialization.get_safe_globals():
        if isinstance(each, tuple):
            made.add(str(each[-1]))
        else:
            made.add(f"{getattr(each, '__module__', '')}.{getattr(each, '__qualname__', '')}")
    return frozenset(name for name in made if name.split(".")[0] not in _NEVER)


def check_size(content: Any) -> None:
    """Make sure that containers hang together as a tree of sensible depth and size, whoever walks it.

    Raises:
        Malformed: One holds itself, they are nested too deeply, or a few that repeat each other stand for very many.
    """
    sizes: dict[int, int] = {}
    above: set[int] = set()
    waiting: list[tuple[Any, bool]] = [(content, False)]
    n_values = 0
    while waiting:
        value, is_done = waiting.pop()
        if type(value) not in _CONTAINERS:
            continue
        inside = value.values() if type(value) is dict else value
        if is_done:
            above.discard(id(value))
            sizes[id(value)] = 1 + len(value) + sum(sizes.get(id(each), 0) for each in inside)
            continue
        if id(value) in above:
            raise Malformed("has a container that holds itself, which no checkpoint needs")
        if id(value) in sizes:
            continue
        above.add(id(value))
        if len(above) > _DEEPEST:
            raise Malformed(f"nests containers more than {_DEEPEST} deep")
        n_values += len(value)
        waiting.append((value, True))
        waiting += [(each, False) for each in inside if type(each) in _CONTAINERS]
    size = sizes.get(id(content), 0)
    if size > _REPEATED * n_values + _FREE:
        raise Malformed(f"stands for {size:,} values by repeating {n_values:,}")


class _Machine:
    def __init__(self, data: bytes, start: int, persistent: Persistent, allowed: frozenset[str]) -> None:
        self.data = data
        self.at = start
        self.persistent = persistent
        self.allowed = allowed
        self.found = Found()
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.known = known()
        self.n_containers = 0

    def run(self) -> None:
        """Go through the opcodes to the last one."""
        data, memo, operations = self.data, self.memo, _OPERATIONS
        try:
            for _ in range(_MOST_OPCODES):
                code = data[self.at]
                self.at += 1
                # Every other opcode of torch's is one of these.
                if code == _BINPUT:
                    memo[data[self.at]] = self.stack[-1]
                    self.at += 1
                elif code == _BINGET:
                    self.stack.append(memo[data[self.at]])
                    self.at += 1
                elif code == _STOP:
                    self.found.content = self.stack.pop()
                    self.found.end = self.at
                    return
                else:
                    operation = operations.get(code)
                    if operation is None:
                        raise Malformed(f"has the pickle opcode {code:#04x}, which torch doesn't write")
                    operation(self)
        except (IndexError, struct.error):
            if self.at >= len(data) - _LONGEST_ARGUMENT:
                raise Ended("has a pickle that ends before its last opcode") from None
            raise Malformed("has a pickle that takes more from its stack than is there") from None
        except KeyError as error:
            raise Malformed(f"has a pickle that takes {said(error.args[0])} from its memo, where nothing is") from None
        except UnicodeDecodeError:
            raise Malformed("has a pickle with text that is no UTF-8") from None
        raise Malformed(f"has a pickle of more than {_MOST_OPCODES:,} opcodes")

    def take(self, n: int) -> bytes:
        """The next bytes."""
        end = self.at + n
        if end > len(self.data):
            raise Ended("has a pickle that ends before its last opcode")
        made = self.data[self.at : end]
        self.at = end
        return made

    def number(self, form: struct.Struct) -> Any:
        """The next number."""
        made = form.unpack_from(self.data, self.at)[0]
        self.at += form.size
        return made

    def line(self) -> str:
        """Text up to the end of a line."""
        end = self.data.find(b"\n", self.at, self.at + _LONGEST_LINE)
        if end < 0:
            if self.at + _LONGEST_LINE > len(self.data):
                raise Ended("has a pickle that ends within a name")
            raise Malformed("has a pickle with a name without an end")
        made = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return made

    def marked(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        made = self.stack
        self.stack = self.below.pop()
        return made

    def contain(self, value: Any) -> None:
        """Put a new container on the stack."""
        self.n_containers += 1
        if self.n_containers > _MOST_CONTAINERS:
            raise Malformed(f"has a pickle of more than {_MOST_CONTAINERS:,} containers")
        self.stack.append(value)

    def name(self, module: str, name: str) -> Any:
        """What a name stands for."""
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        else:
            module = IMPORT_MAPPING.get(module, module)
        whole = f"{module}.{name}"
        made = self.known.get(whole)
        if made is not None:
            return made
        if whole in self.allowed and whole.split(".", maxsplit=1)[0] not in _NEVER:
            return Known(whole, lambda args, _: Opaque(whole, args))
        if len(self.found.wanted) < _MOST_WANTED and whole not in self.found.wanted:
            self.found.wanted.append(whole)
        return Wanted(whole)

    def call(self, function: Any, args: Any) -> Any:
        """What stands for the result of a call."""
        if type(function) is Known and function.call is not None:
            if self.found.wanted and type(args) is tuple and any(type(each) is Wanted for each in args):
                return Wanted(function.class_name)
            return function.call(args, self.found.notes)
        if type(function) is Wanted:
            told = _REPR.repr(args)
            self.deed(f"call {function.name}{told if type(args) is tuple else f'(*{told})'}")
            return Wanted(f"{function.name}(…)")
        raise Malformed(f"has a pickle that calls {said(function)}, which is nothing to call")

    def deed(self, text: str) -> None:
        """Note what the file would do."""
        if len(self.found.deeds) < _MOST_DEEDS and (text := inert(text, _MOST_DEED)) not in self.found.deeds:
            self.found.deeds.append(text)


def _proto(m: _Machine) -> None:
    version = m.take(1)[0]
    if version > _NEWEST:
        raise Malformed(f"has a pickle of protocol {version}, expected at most {_NEWEST}")


def _mark(m: _Machine) -> None:
    if len(m.below) >= _MOST_MARKS:
        raise Malformed(f"has a pickle with more than {_MOST_MARKS} marks open")
    m.below.append(m.stack)
    m.stack = []


def _tuple(m: _Machine) -> None:
    made = tuple(m.marked())
    m.contain(made)


def _tuple_of(n: int) -> Callable[[_Machine], None]:
    def made(m: _Machine) -> None:
        if len(m.stack) < n:
            raise IndexError
        taken = tuple(m.stack[-n:])
        del m.stack[-n:]
        m.contain(taken)

    return made


def _text(m: _Machine) -> None:
    m.stack.append(m.take(m.number(_U4)).decode("utf-8", "surrogatepass"))


def _long(m: _Machine) -> None:
    m.stack.append(int.from_bytes(m.take(m.take(1)[0]), "little", signed=True))


def _append(m: _Machine) -> None:
    value = m.stack.pop()
    _extend(m.stack[-1], [value])


def _extend(onto: Any, values: list[Any]) -> None:
    if type(onto) is list:
        onto += values
    elif type(onto) is Opaque:
        onto.items += values
    elif type(onto) is not Wanted:
        raise Malformed(f"has a pickle that appends to {said(onto)}")


def _set_item(m: _Machine) -> None:
    value = m.stack.pop()
    key = m.stack.pop()
    _put(m.stack[-1], [key, value])


def _put(onto: Any, flat: list[Any]) -> None:
    if type(onto) is dict:
        if len(flat) % 2:
            raise Malformed("has a pickle with a key that has no value")
        for index in range(0, len(flat), 2):
            key = flat[index]
            # A key that is refused anyway need not be hashed.
            if type(key) is not Wanted:
                onto[key if type(key) is str else checked_key(key)] = flat[index + 1]
    elif type(onto) is Opaque:
        onto.items += zip(flat[::2], flat[1::2], strict=False)
    elif type(onto) is not Wanted:
        raise Malformed(f"has a pickle that sets items of {said(onto)}")


def _add_items(m: _Machine) -> None:
    values = m.marked()
    if type(m.stack[-1]) is not set:
        raise Malformed(f"has a pickle that adds items to {said(m.stack[-1])}")
    m.stack[-1].update(map(checked_key, values))


def _global(m: _Machine) -> None:
    module = m.line()
    m.stack.append(m.name(module, m.line()))


def _stack_global(m: _Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise Malformed(f"has a pickle that imports {said(name)} from {said(module)}")
    m.stack.append(m.name(module, name))


def _reduce(m: _Machine) -> None:
    args = m.stack.pop()
    m.stack[-1] = m.call(m.stack[-1], args)


def _new(m: _Machine) -> None:
    args, kind = m.stack.pop(), m.stack.pop()
    m.stack.append(m.call(kind, args))


def _new_ex(m: _Machine) -> None:
    named, args, kind = m.stack.pop(), m.stack.pop(), m.stack.pop()
    if named and type(kind) is Known:
        raise Malformed(f"has a pickle that passes arguments by name to {said(kind)}")
    m.stack.append(m.call(kind, args))


def _inst(m: _Machine) -> None:
    module = m.line()
    kind = m.name(module, m.line())
    args = tuple(m.marked())
    m.stack.append(m.call(kind, args))


def _obj(m: _Machine) -> None:
    kind, *args = m.marked() or [None]
    m.stack.append(m.call(kind, tuple(args)))


def _build(m: _Machine) -> None:
    state = m.stack.pop()
    onto = m.stack[-1]
    if type(onto) is Wanted:
        m.deed(f"set {_REPR.repr(state)} on {onto.name}")
    elif type(onto) is Opaque:
        onto.state = state
    # A state dict carries versions of its modules this way: nothing that a checkpoint's tensors need.
    elif type(onto) is not dict or type(state) is not dict:
        raise Malformed(f"has a pickle that sets the state of {said(onto)} to {said(state)}")


def _persistent(m: _Machine) -> None:
    found = m.stack.pop()
    if m.found.wanted and type(found) is tuple and any(type(each) is Wanted for each in found):
        m.stack.append(Wanted("storage"))
    else:
        m.stack.append(m.persistent(found))


def _extension(_: _Machine) -> None:
    raise Malformed("has a pickle with an extension code: a name that stands in no file")


def _long_get(m: _Machine) -> None:
    m.stack.append(m.memo[m.number(_U4)])


def _long_put(m: _Machine) -> None:
    m.memo[m.number(_U4)] = m.stack[-1]


def _memoize(m: _Machine) -> None:
    m.memo[len(m.memo)] = m.stack[-1]


def _pop(m: _Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.marked()


def _frame(m: _Machine) -> None:
    m.number(_U8)


def _extend_marked(m: _Machine) -> None:
    values = m.marked()
    _extend(m.stack[-1], values)


def _put_marked(m: _Machine) -> None:
    flat = m.marked()
    _put(m.stack[-1], flat)


_U2, _I4, _U4, _U8, _F8 = (struct.Struct(each) for each in ("<H", "<i", "<I", "<Q", ">d"))

_OPERATIONS: dict[int, Callable[[_Machine], None]] = {
    ord(code): operation
    for code, operation in {
        "\x80": _proto,
        "(": _mark,
        "t": _tuple,
        "\x85": _tuple_of(1),
        "\x86": _tuple_of(2),
        "\x87": _tuple_of(3),
        ")": lambda m: m.stack.append(()),
        "]": lambda m: m.contain([]),
        "}": lambda m: m.contain({}),
        "\x8f": lambda m: m.contain(set()),
        "N": lambda m: m.stack.append(None),
        "\x88": lambda m: m.stack.append(True),
        "\x89": lambda m: m.stack.append(False),
        "J": lambda m: m.stack.append(m.number(_I4)),
        "K": lambda m: m.stack.append(m.take(1)[0]),
        "M": lambda m: m.stack.append(m.number(_U2)),
        "\x8a": _long,
        "G": lambda m: m.stack.append(m.number(_F8)),
        "X": _text,
        "\x8c": lambda m: m.stack.append(m.take(m.take(1)[0]).decode("utf-8", "surrogatepass")),
        "\x8d": lambda m: m.stack.append(m.take(m.number(_U8)).decode("utf-8", "surrogatepass")),
        # Of Python 2, whose text is bytes.
        "U": lambda m: m.stack.append(m.take(m.take(1)[0]).decode("utf-8")),
        "C": lambda m: m.stack.append(m.take(m.take(1)[0])),
        "B": lambda m: m.stack.append(m.take(m.number(_U4))),
        "\x8e": lambda m: m.stack.append(m.take(m.number(_U8))),
        "\x96": lambda m: m.stack.append(bytearray(m.take(m.number(_U8)))),
        "a": _append,
        "e": _extend_marked,
        "s": _set_item,
        "u": _put_marked,
        "\x90": _add_items,
        "c": _global,
        "\x93": _stack_global,
        "R": _reduce,
        "\x81": _new,
        "\x92": _new_ex,
        "i": _inst,
        "o": _obj,
        "b": _build,
        "Q": _persistent,
        "\x82": _extension,
        "\x83": _extension,
        "\x84": _extension,
        "j": _long_get,
        "r": _long_put,
        "\x94": _memoize,
        "0": _pop,
        "1": lambda m: m.marked() and None,
        "2": lambda m: m.stack.append(m.stack[-1]),
        "\x95": _frame,
    }.items()
}


_BINPUT, _BINGET, _STOP = b"qh."
_NEWEST = 5
_NEVER = {"sys", "os", "posix", "nt"}
_CONTAINERS = (dict, list, tuple, set)
_DEEPEST = 200
_REPEATED = 8
_FREE = 100_000
_MOST_OPCODES = 16_000_000
_MOST_CONTAINERS = 3_000_000
_MOST_MARKS = 1_000
_MOST_WANTED = 100
_MOST_DEEDS = 8
_MOST_DEED = 160
_LONGEST_LINE = 1_024
_LONGEST_ARGUMENT = 8
_REPR = reprlib.Repr()
_REPR.maxlevel = 3
_REPR.maxstring = _REPR.maxother = 80
