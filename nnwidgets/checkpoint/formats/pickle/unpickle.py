"""A pickle machine that can't run anything: it knows what values are, and describes the rest.

A name in the file is looked up in a table of what is read (`allowlist.allowed_names`); of others, `names` says whether
their objects are described. One that is neither is noted, and the machine goes on, so that the refusal lists them all.
Source: the opcodes as in ``pickletools``; the names as ``torch.load(weights_only=True)`` takes them.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Any, NamedTuple

from nnwidgets.checkpoint.description import DESCRIBED, Opaque
from nnwidgets.checkpoint.formats.malformed import BeyondLimits, Malformed, brief
from nnwidgets.checkpoint.formats.pickle.machine import Machine, Persistent, PickleResult, Truncated
from nnwidgets.checkpoint.formats.pickle.opcodes import OPERATIONS
from nnwidgets.formatting import counted

MOST_BYTES = 2**27
"""Of one pickle: what describes half a million tensors."""


def unpickle(data: bytes, start: int, persistent: Persistent) -> PickleResult:
    """Read one pickle.

    Args:
        data: The bytes it is in.
        start: Where it begins.
        persistent: What ids in it stand for.

    Raises:
        Ended: The bytes end before it does.
        Malformed: It is damaged, or holds what a checkpoint doesn't.
    """
    machine = Machine(data, start, persistent)
    try:
        _run(machine)
        if not machine.found.wanted:
            check_size(machine.found.content, machine.found.end - start)
            check_size([state for _, state in machine.found.attributes], machine.found.end - start)
    except Malformed as error:
        if not machine.found.wanted or isinstance(error, Truncated):
            raise
        machine.found.fault = str(error)
    return machine.found


def check_size(content: Any, n_bytes: int = 0) -> None:
    """Make sure that containers hang together as trees of sensible depth and size, whoever walks them.

    An object is a tree of its own, which may hold itself or another: who walks objects visits each once.

    Args:
        content: What a pickle holds.
        n_bytes: How long the pickle is.

    Raises:
        Malformed: A container holds itself, or a few that repeat each other stand for very many.
        BeyondLimits: They are nested too deeply, or the names of all that is in them are too long together.
    """
    extents: dict[int, Extent] = {}
    seen: dict[int, Any] = {}
    kept: list[Any] = []
    waiting: deque[tuple[Any, int, int]] = deque([(content, 0, 0)])
    n_values = n_named = n_merged = n_characters = 0
    while waiting:
        found, depth, n_above = waiting.popleft()
        root = [*found.parts] if type(found) is Opaque else [found]
        # What was made on the way must not give its identity to the next.
        kept.append(root)
        if depth > _DEEPEST_OBJECT:
            raise BeyondLimits(f"nests objects more than {_DEEPEST_OBJECT} deep")
        objects: list[tuple[Opaque, int]] = []
        n_new, n_new_named = _measure(root, extents, objects)
        n_values += n_new
        n_named += n_new_named
        n_merged += found.n_merged if type(found) is Opaque else 0
        whole = extents[id(root)]
        n_stands_for = max(whole.n_values, n_merged)
        if n_stands_for > _REPEATED * n_values + _FREE:
            raise Malformed(f"stands for {counted(n_stands_for, 'value')} by repeating {n_values:,}")
        if whole.n_named > _REPEATED * n_named + _FREE_NAMED:
            raise Malformed(f"stands for {counted(whole.n_named, 'object')} by repeating {n_named:,}")
        n_characters += whole.n_characters + whole.n_named * n_above
        if n_characters > _NAMED * n_bytes + _FREE_CHARACTERS:
            raise BeyondLimits(f"has values whose whole names take more than {counted(n_characters, 'character')}")
        for each, at in objects:
            if id(each) not in seen:
                seen[id(each)] = each
                waiting.append((each, depth + at, n_above + whole.longest))


class Extent(NamedTuple):
    """What a container stands for where all that it holds is written out.

    Attributes:
        n_values: Values.
        n_named: Tensors, containers and objects, each of which is told by its whole name.
        n_characters: Of those names, from the container on.
        longest: Of those names.
    """

    n_values: int
    n_named: int
    n_characters: int
    longest: int


def _measure(root: Any, extents: dict[int, Extent], objects: list[tuple[Opaque, int]]) -> tuple[int, int]:
    """Find the extent of each container below one that isn't known yet, and objects with their depths.

    Returns:
        How many values there are in containers that weren't known, and how many of them have a name.
    """
    n_values = n_named = 0
    above: set[int] = set()
    waiting: list[tuple[Any, list[tuple[int, Any]] | None]] = [(root, None)]
    while waiting:
        value, inside = waiting.pop()
        if inside is not None:
            above.discard(id(value))
            extents[id(value)] = _extent(value, inside, extents)
            continue
        if id(value) in above:
            raise Malformed("has a container that holds itself, which no checkpoint needs")
        if id(value) in extents:
            continue
        above.add(id(value))
        if len(above) > _DEEPEST:
            raise BeyondLimits(f"nests containers more than {_DEEPEST} deep")
        n_values += len(value)
        if type(value) is dict:
            inside = [
                (_STEP + (len(key) if type(key) is str else 0), each)
                for key, each in value.items()
                if type(each) in _WITH_NAMES
            ]
        else:
            inside = [(_STEP, each) for each in value if type(each) in _WITH_NAMES]
        n_named += len(inside)
        waiting.append((value, inside))
        waiting += [(each, None) for _, each in inside if each and type(each) in _CONTAINERS]
        objects += [(each, len(above)) for _, each in inside if type(each) is Opaque and not each.is_bare]
    return n_values, n_named


def _extent(value: Any, inside: list[tuple[int, Any]], extents: dict[int, Extent]) -> Extent:
    n_values, n_named, n_characters, longest = 1 + len(value), len(inside), 0, 0
    for n, each in inside:
        n_characters += n
        longest = max(longest, n)
        if each and type(each) in _CONTAINERS:
            below = extents[id(each)]
            n_values += below.n_values
            n_named += below.n_named
            n_characters += below.n_characters + n * below.n_named
            longest = max(longest, n + below.longest)
    return Extent(n_values, n_named, n_characters, longest)


def _run(machine: Machine) -> None:
    """Go through the opcodes to the last one."""
    try:
        _go(machine)
    except (IndexError, struct.error):
        if machine.at >= len(machine.data) - _LONGEST_ARGUMENT:
            raise Truncated("has a pickle that ends before its last opcode") from None
        raise Malformed("has a pickle that takes more from its stack than is there") from None
    except KeyError as error:
        raise Malformed(f"has a pickle that takes {brief(error.args[0])} from its memo, where nothing is") from None
    except UnicodeDecodeError:
        raise Malformed("has a pickle with text that is no UTF-8") from None


def _go(machine: Machine) -> None:  # noqa: C901, PLR0912 - one loop: a call for each opcode takes as long as all the rest
    data, memo, stack, at = machine.data, machine.memo, machine.stack, machine.at
    operations, from_bytes, ordered_dict = OPERATIONS, int.from_bytes, machine.known["collections.OrderedDict"]
    try:
        for _ in range(_MOST_OPCODES):
            code = data[at]
            at += 1
            # More than half of torch's opcodes are these.
            if code == _LONG_BINPUT:
                memo[from_bytes(data[at : at + 4], "little")] = stack[-1]
                at += 4
            elif code == _BININT1:
                stack.append(data[at])
                at += 1
            elif code == _BINGET:
                stack.append(memo[data[at]])
                at += 1
            elif code == _BINPUT:
                memo[data[at]] = stack[-1]
                at += 1
            elif code == _BINUNICODE:
                end = at + 4 + from_bytes(data[at : at + 4], "little")
                if end > len(data):
                    raise Truncated("has a pickle that ends before its last opcode")
                stack.append(str(data[at + 4 : end], "utf-8", "surrogatepass"))
                at = end
            elif code == _TUPLE:
                made = tuple(stack)
                stack = machine.stack = machine.below.pop()
                machine.contain(made)
            elif code == _EMPTY_TUPLE:
                stack.append(())
            elif code == _REDUCE and stack[-2] is ordered_dict and type(stack[-1]) is tuple and not stack[-1]:
                # A module has a dozen of these.
                machine.count()
                stack.pop()
                stack[-1] = {}
            elif code == _STOP:
                machine.found.content = stack.pop()
                machine.found.end = at
                return
            else:
                if code not in operations:
                    raise Malformed(f"has the pickle opcode {code:#04x}, which there is none of")
                machine.at = at
                operations[code](machine)
                at, stack = machine.at, machine.stack
    finally:
        machine.at = max(machine.at, at)
    raise BeyondLimits(f"has a pickle of more than {_MOST_OPCODES:,} opcodes")


_BINPUT, _LONG_BINPUT, _BINGET, _BININT1, _BINUNICODE, _TUPLE, _EMPTY_TUPLE, _REDUCE, _STOP = b"qrhKXt)R."
_CONTAINERS = frozenset((dict, list, tuple, set, frozenset))
_WITH_NAMES = _CONTAINERS | {*DESCRIBED, Opaque}
_DEEPEST = 200
_DEEPEST_OBJECT = 1_000
_REPEATED = 8
_FREE = 100_000
_FREE_NAMED = 10_000
_STEP = 8
_NAMED = 16
_FREE_CHARACTERS = 2**24
_MOST_OPCODES = 10_000_000
_LONGEST_ARGUMENT = 8
