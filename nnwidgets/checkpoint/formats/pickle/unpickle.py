"""A pickle machine that can't run anything: it knows what values are, and describes the rest.

A name in the file is looked up in a table of what is read (`allowlist.allowed_names`); of others, `names` says whether
their objects are described. One that is neither is noted, and the machine goes on, so that the refusal lists them all.
Source: the opcodes as in ``pickletools``; the names as ``torch.load(weights_only=True)`` takes them.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Any

from nnwidgets.checkpoint.description import Opaque
from nnwidgets.checkpoint.formats.malformed import BeyondLimits, Malformed, brief
from nnwidgets.checkpoint.formats.pickle.machine import Machine, Persistent, PickleResult, Truncated
from nnwidgets.checkpoint.formats.pickle.opcodes import OPERATIONS

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
            check_size(machine.found.content)
            check_size([state for _, state in machine.found.attributes])
    except Malformed as error:
        if not machine.found.wanted or isinstance(error, Truncated):
            raise
        machine.found.fault = str(error)
    return machine.found


def check_size(content: Any) -> None:
    """Make sure that containers hang together as trees of sensible depth and size, whoever walks them.

    An object is a tree of its own, which may hold itself or another: who walks objects visits each once.

    Raises:
        Malformed: A container holds itself, or a few that repeat each other stand for very many.
        BeyondLimits: They are nested too deeply.
    """
    sizes: dict[int, int] = {}
    seen: dict[int, Any] = {}
    waiting: deque[tuple[Any, int]] = deque([(content, 0)])
    n_values = 0
    while waiting:
        found, depth = waiting.popleft()
        root = [found.told] if type(found) is Opaque else [found]
        if depth > _DEEPEST_OBJECT:
            raise BeyondLimits(f"nests objects more than {_DEEPEST_OBJECT} deep")
        objects: list[tuple[Opaque, int]] = []
        n_values += _measure(root, sizes, objects)
        # What was made on the way must not give its identity to the next.
        seen[id(root)] = root
        if sizes[id(root)] > _REPEATED * n_values + _FREE:
            raise Malformed(f"stands for {sizes[id(root)]:,} values by repeating {n_values:,}")
        for each, at in objects:
            if id(each) not in seen:
                seen[id(each)] = each
                waiting.append((each, depth + at))


def _measure(root: Any, sizes: dict[int, int], objects: list[tuple[Opaque, int]]) -> int:
    """Find the size of each container below one that isn't known yet, and objects with their depths.

    Returns:
        How many values there are in containers that weren't known.
    """
    n_values = 0
    above: set[int] = set()
    waiting: list[tuple[Any, list[Any] | None]] = [(root, None)]
    while waiting:
        value, below = waiting.pop()
        if below is not None:
            above.discard(id(value))
            sizes[id(value)] = 1 + len(value) + sum([sizes[id(each)] for each in below])
            continue
        if id(value) in above:
            raise Malformed("has a container that holds itself, which no checkpoint needs")
        if id(value) in sizes:
            continue
        above.add(id(value))
        if len(above) > _DEEPEST:
            raise BeyondLimits(f"nests containers more than {_DEEPEST} deep")
        n_values += len(value)
        inside = value.values() if type(value) is dict else value
        below = [each for each in inside if type(each) in _CONTAINERS and each]
        waiting.append((value, below))
        waiting += [(each, None) for each in below]
        objects += [(each, len(above)) for each in inside if type(each) is Opaque and not each.is_bare]
    return n_values


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
_CONTAINERS = (dict, list, tuple, set)
_DEEPEST = 200
_DEEPEST_OBJECT = 1_000
_REPEATED = 8
_FREE = 100_000
_MOST_OPCODES = 10_000_000
_LONGEST_ARGUMENT = 8
