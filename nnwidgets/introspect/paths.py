"""The grammar of paths: dotted names as PyTorch says them, brackets where it can't.

path      = component { component }
component = name            after the first one, with a dot before it: block.0.weight
| "[" digits "]"  a child whose key is not a string, by its position; an item of a plain list
| "[" JSON "]"    a string key that is empty or holds one of . [ ] ": ["a.b"]
"""

from __future__ import annotations

import json
import re

from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import cut

_SPECIAL = re.compile(r'[.\[\]"]')
_COMPONENT = re.compile(r'\[\d+\]|\["(?:[^"\\]|\\.)*"\]|[^.\[\]"]+', re.DOTALL)


def component(key: str) -> str:
    """How a string key is written as a component.

    Example:
        >>> component("weight"), component("a.b")
        ('weight', '["a.b"]')
    """
    return key if key and not _SPECIAL.search(key) else in_brackets(key)


def in_brackets(key: str) -> str:
    """A string key in brackets.

    Example:
        >>> in_brackets("k")
        '["k"]'
    """
    return f"[{json.dumps(key, ensure_ascii=False)}]"


def position(index: int) -> str:
    """How a child is written whose key can't be.

    Example:
        >>> position(0)
        '[0]'
    """
    return f"[{index}]"


def join(parent: str, below: str) -> str:
    """The path of a component below a path.

    Example:
        >>> join("block", "0"), join("block", "[0]"), join("", "0")
        ('block.0', 'block[0]', '0')
    """
    if not parent or below.startswith("["):
        return parent + below
    return f"{parent}.{below}"


def split(path: str) -> list[str]:
    """The components of a path; ``[]`` for the model itself.

    Raises:
        InvalidTargetError: If it doesn't follow the grammar.

    Example:
        >>> split('block[0].weight'), split('["a.b"].weight')
        (['block', '[0]', 'weight'], ['["a.b"]', 'weight'])
    """
    components: list[str] = []
    at = 0
    while at < len(path):
        if components and path[at] == ".":
            at += 1
            dotted = True
        else:
            dotted = False
        match = _COMPONENT.match(path, at)
        if match is None or (bool(components) and dotted == match.group().startswith("[")):
            raise InvalidTargetError(
                f"The path {cut(path)!r} can't be read at character {at}.",
                path=path,
                hint='Paths look like block.0.weight, block[0].weight or ["a.b"].weight.',
            )
        components.append(match.group())
        at = match.end()
    return components


def parent(path: str) -> str:
    """The path one component up; ``""`` for a path of one component.

    Example:
        >>> parent("block.0.weight"), parent("weight")
        ('block.0', '')
    """
    return divide(path)[0]


def last(path: str) -> str:
    """The last component; ``""`` for the model itself.

    Example:
        >>> last("block.0.weight"), last('block["a.b"]')
        ('weight', '["a.b"]')
    """
    return divide(path)[1]


def divide(path: str) -> tuple[str, str]:
    """The path one component up, and the last component."""
    if "[" not in path:
        before, _, name = path.rpartition(".")
        return before, name
    components = split(path)
    tail = components[-1]
    return path[: -len(tail)].removesuffix("."), tail
