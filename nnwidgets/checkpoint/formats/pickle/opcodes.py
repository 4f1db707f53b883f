"""What each opcode of a pickle does to the machine, those of protocol 0 and 1 too, which torch never writes.

Source: ``pickletools`` of the standard library.
"""

from __future__ import annotations

import struct
from codecs import escape_decode
from collections.abc import Callable
from itertools import islice
from typing import Any

from nnwidgets.checkpoint.description import Opaque
from nnwidgets.checkpoint.formats.malformed import BeyondLimits, Elsewhere, Malformed, brief
from nnwidgets.checkpoint.formats.pickle.arguments import AllowedName
from nnwidgets.checkpoint.formats.pickle.machine import Machine, RefusedName
from nnwidgets.checkpoint.formats.pickle.numpy_values import array_with_state
from nnwidgets.checkpoint.formats.pickle.values import check_key
from nnwidgets.formatting import counted


def _proto(m: Machine) -> None:
    version = m.take(1)[0]
    if version > _NEWEST:
        raise Malformed(f"has a pickle of protocol {version}, expected at most {_NEWEST}")


def _mark(m: Machine) -> None:
    if len(m.below) >= _MOST_MARKS:
        raise BeyondLimits(f"has a pickle with more than {_MOST_MARKS} marks open")
    m.below.append(m.stack)
    m.stack = []


def _tuple_of_one(m: Machine) -> None:
    m.contain((m.stack.pop(),))


def _tuple_of_two(m: Machine) -> None:
    last = m.stack.pop()
    m.contain((m.stack.pop(), last))


def _tuple_of_three(m: Machine) -> None:
    last, middle = m.stack.pop(), m.stack.pop()
    m.contain((m.stack.pop(), middle, last))


def _empty_set(m: Machine) -> None:
    # A set takes as much as four dicts.
    m.count(3)
    m.contain(set())


def _long(m: Machine) -> None:
    m.stack.append(int.from_bytes(m.take(m.take(1)[0]), "little", signed=True))


def _long4(m: Machine) -> None:
    n = m.number(_I4)
    if not 0 <= n <= _LONGEST_NUMBER:
        raise BeyondLimits(
            f"has a pickle with a whole number of {counted(n, 'byte')}, expected at most {_LONGEST_NUMBER:,}"
        )
    m.stack.append(int.from_bytes(m.take(n), "little", signed=True))


def _digits(m: Machine) -> None:
    """A whole number in digits; 00 and 01 are False and True."""
    text = m.line()
    if text in _FLAGS:
        m.stack.append(_FLAGS[text])
        return
    try:
        m.stack.append(int(text.removesuffix("L")))
    except ValueError:
        raise Malformed(f"has a pickle with the number {brief(text)}") from None


def _float(m: Machine) -> None:
    text = m.line()
    try:
        m.stack.append(float(text))
    except ValueError:
        raise Malformed(f"has a pickle with the number {brief(text)}") from None


def _old_text(held: bytes) -> Any:
    """Text of Python 2, which may be bytes."""
    try:
        return held.decode("utf-8")
    except UnicodeDecodeError:
        return held


def _quoted(m: Machine) -> None:
    held = m.bytes_to_newline().strip()
    if len(held) < _QUOTES or held[:1] not in (b"'", b'"') or held[-1:] != held[:1]:
        raise Malformed(f"has a pickle with the text {brief(held)}, which isn't quoted")
    try:
        m.stack.append(_old_text(escape_decode(held[1:-1])[0]))
    except ValueError:
        raise Malformed(f"has a pickle with the text {brief(held)}") from None


def _unicode(m: Machine) -> None:
    try:
        m.stack.append(m.bytes_to_newline().decode("raw-unicode-escape"))
    except UnicodeDecodeError:
        raise Malformed("has a pickle with text that can't be read") from None


def _list(m: Machine) -> None:
    m.contain(m.pop_to_mark())


def _dict(m: Machine) -> None:
    flat = m.pop_to_mark()
    m.contain({})
    _put(m, m.stack[-1], flat)


def _numbered(m: Machine) -> int:
    text = m.line()
    if not text.isdecimal():
        raise Malformed(f"has a pickle that numbers a value {brief(text)}")
    return int(text)


def _put_numbered(m: Machine) -> None:
    m.memo[_numbered(m)] = m.stack[-1]


def _append(m: Machine) -> None:
    value = m.stack.pop()
    _extend(m.stack[-1], [value])


def _extend(onto: Any, values: list[Any]) -> None:
    if type(onto) is list:
        onto += values
    elif type(onto) is Opaque:
        onto.items = onto.items or []
        onto.items += values
    elif type(onto) is not RefusedName:
        raise Malformed(f"has a pickle that appends to {brief(onto)}")


def _set_item(m: Machine) -> None:
    value = m.stack.pop()
    key = m.stack.pop()
    _put(m, m.stack[-1], [key, value])


def _put(m: Machine, onto: Any, flat: list[Any]) -> None:
    if type(onto) is Opaque:
        onto.entries = onto = {} if onto.entries is None else onto.entries
    if type(onto) is dict:
        if len(flat) % 2:
            raise Malformed("has a pickle with a key that has no value")
        for index in range(0, len(flat), 2):
            key = flat[index]
            # A key that is refused anyway need not be hashed.
            if type(key) is not RefusedName:
                onto[key if type(key) is str else check_key(key, m.account)] = flat[index + 1]
    elif type(onto) is not RefusedName:
        raise Malformed(f"has a pickle that sets items of {brief(onto)}")


def _add_items(m: Machine) -> None:
    values = m.pop_to_mark()
    if type(m.stack[-1]) is Opaque:
        _extend(m.stack[-1], values)
        return
    if type(m.stack[-1]) is not set:
        raise Malformed(f"has a pickle that adds items to {brief(m.stack[-1])}")
    m.stack[-1].update(check_key(each, m.account) for each in values)


def _global(m: Machine) -> None:
    module = m.line()
    m.stack.append(m.name(module, m.line()))


def _stack_global(m: Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise Malformed(f"has a pickle that imports {brief(name)} from {brief(module)}")
    m.stack.append(m.name(module, name))


def _reduce(m: Machine) -> None:
    args = m.stack.pop()
    m.stack[-1] = m.call(m.stack[-1], args)


def _new(m: Machine) -> None:
    args, kind = m.stack.pop(), m.stack.pop()
    m.stack.append(m.call(kind, args))


def _new_ex(m: Machine) -> None:
    named, args, kind = m.stack.pop(), m.stack.pop(), m.stack.pop()
    if named and type(args) is tuple:
        m.account.copy(len(args))
        args = (*args, named)
    m.stack.append(m.call(kind, args))


def _inst(m: Machine) -> None:
    module = m.line()
    kind = m.name(module, m.line())
    args = tuple(m.pop_to_mark())
    m.stack.append(m.call(kind, args))


def _obj(m: Machine) -> None:
    kind, *args = m.pop_to_mark() or [None]
    m.stack.append(m.call(kind, tuple(args)))


def _build(m: Machine) -> None:
    state = m.stack.pop()
    onto = m.stack[-1]
    if type(onto) is AllowedName:
        # On a class or a function itself, which no pickler writes.
        m.want(onto.class_name)
        onto = RefusedName(onto.class_name)
    if type(onto) is RefusedName:
        m.deed("set ", state, f" on {onto.name}")
    elif type(onto) is Opaque:
        onto.state = state
        made = array_with_state(onto, state, m.account)
        if made is not None:
            _replace(m, onto, made)
    elif type(onto) is dict and type(state) is dict:
        # A state dict carries versions of its modules this way.
        m.found.attributes.append((onto, state))
    else:
        raise Malformed(f"has a pickle that sets the state of {brief(onto)} to {brief(state)}")


def _replace(m: Machine, old: Opaque, new: Any) -> None:
    """Put what came of an array in its place, on the stack and in the memo, where it is among the last."""
    m.stack[-1] = new
    for key in islice(reversed(m.memo), _RECENT):
        if m.memo[key] is old:
            m.memo[key] = new
            break


def _persistent(m: Machine) -> None:
    found = m.stack.pop()
    if m.found.wanted and type(found) is tuple and any(type(each) is RefusedName for each in found):
        m.stack.append(RefusedName("storage"))
    else:
        m.stack.append(m.persistent(found))


def _persistent_text(m: Machine) -> None:
    m.stack.append(m.persistent(m.line()))


def _extension(n_bytes: int) -> Callable[[Machine], None]:
    def extend(m: Machine) -> None:
        name = f"copyreg extension code {int.from_bytes(m.take(n_bytes), 'little')}"
        m.want(name)
        m.stack.append(RefusedName(name))

    return extend


def _no_buffer(_: Machine) -> None:
    raise Elsewhere("has a pickle with a buffer that is kept outside of it, which isn't in this file")


def _long_get(m: Machine) -> None:
    m.stack.append(m.memo[m.number(_U4)])


def _memoize(m: Machine) -> None:
    if len(m.memo) > _MOST_MEMOIZED:
        raise BeyondLimits(f"has a pickle that keeps more than {_MOST_MEMOIZED:,} values by number")
    m.memo[len(m.memo)] = m.stack[-1]


def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_to_mark()


def _frame(m: Machine) -> None:
    m.number(_U8)


def _extend_marked(m: Machine) -> None:
    values = m.pop_to_mark()
    _extend(m.stack[-1], values)


def _put_marked(m: Machine) -> None:
    flat = m.pop_to_mark()
    _put(m, m.stack[-1], flat)


_U2, _I4, _U4, _U8, _F8 = (struct.Struct(each) for each in ("<H", "<i", "<I", "<Q", ">d"))

OPERATIONS: dict[int, Callable[[Machine], None]] = {
    ord(code): operation
    for code, operation in {
        "\x80": _proto,
        "(": _mark,
        "\x85": _tuple_of_one,
        "\x86": _tuple_of_two,
        "\x87": _tuple_of_three,
        "]": lambda m: m.contain([]),
        "}": lambda m: m.contain({}),
        "\x8f": _empty_set,
        "N": lambda m: m.stack.append(None),
        "\x88": lambda m: m.stack.append(True),
        "\x89": lambda m: m.stack.append(False),
        "J": lambda m: m.stack.append(m.number(_I4)),
        "M": lambda m: m.stack.append(m.number(_U2)),
        "\x8a": _long,
        "\x8b": _long4,
        "I": _digits,
        "L": _digits,
        "F": _float,
        "S": _quoted,
        "V": _unicode,
        "l": _list,
        "d": _dict,
        "p": _put_numbered,
        "g": lambda m: m.stack.append(m.memo[_numbered(m)]),
        "G": lambda m: m.stack.append(m.number(_F8)),
        "\x8c": lambda m: m.stack.append(m.take(m.take(1)[0]).decode("utf-8", "surrogatepass")),
        "\x8d": lambda m: m.stack.append(m.take(m.number(_U8)).decode("utf-8", "surrogatepass")),
        # Of Python 2, whose text is bytes.
        "U": lambda m: m.stack.append(_old_text(m.take(m.take(1)[0]))),
        "T": lambda m: m.stack.append(_old_text(m.take(m.number(_U4)))),
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
        "P": _persistent_text,
        "\x82": _extension(1),
        "\x83": _extension(2),
        "\x84": _extension(4),
        "\x97": _no_buffer,
        "\x98": _no_buffer,
        "j": _long_get,
        "\x94": _memoize,
        "0": _pop,
        "1": lambda m: m.pop_to_mark() and None,
        "2": lambda m: m.stack.append(m.stack[-1]),
        "\x95": _frame,
    }.items()
}
"""By their codes; those that the machine's loop does itself aside."""
_NEWEST = 5
_MOST_MARKS = 1_000
_FLAGS = {"00": False, "01": True}
_QUOTES = 2
_LONGEST_NUMBER = 1_024
_MOST_MEMOIZED = 2_500_000
_RECENT = 64
"""Values that an array's state puts into the memo, and some more."""
