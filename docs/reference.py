"""Writes the reference part of docs/protocol.md from the wire's schema: `python docs/reference.py`.

What stands above the heading ``## Kinds`` is written by hand and kept; a test says when the rest is not current.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from nnwidgets.wire import schema
from nnwidgets.wire.schema import envelope

DOCUMENT = Path(__file__).parent / "protocol.md"
_BEGIN = "## Kinds\n"
_WORDS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null", Any: "any"}
_KEYS_LINE = re.compile(r"[a-z_]+(, [a-z_]+)*: ")


def document() -> str:
    """Return the whole document, its reference made anew."""
    by_hand = DOCUMENT.read_text(encoding="utf-8").split(_BEGIN, 1)[0]
    return by_hand + "\n".join([*_kinds(), *_parts(), *_events(), *_codes()]).rstrip() + "\n"


def _kinds() -> Iterator[str]:
    yield _BEGIN
    for kind, (body, reply) in schema.KINDS.items():
        yield f"### `{kind}`\n"
        yield f"**Body** ({body.__name__}). {_prose(body)}\n"
        yield _table(body)
        yield f"**Reply** ({reply.__name__}). {_prose(reply)}\n"
        yield _table(reply)


def _parts() -> Iterator[str]:
    yield "## Parts of bodies and replies\n"
    replies = {reply: kind for kind, (_, reply) in schema.KINDS.items()}
    bodies = {body for body, _ in schema.KINDS.values()}
    seen: dict[Any, None] = {}
    for pair in schema.KINDS.values():
        for each in pair:
            _collect(each, seen)
    for part in seen:
        if part in replies:
            yield f"### {part.__name__}\n\nSee the reply of [`{replies[part]}`](#{replies[part]}).\n"
        elif part not in bodies:
            yield f"### {part.__name__}\n\n{_prose(part)}\n"
            yield _table(part)


def _events() -> Iterator[str]:
    yield "## Events\n"
    yield 'Three messages come unasked: `{"v": 1, "event": …, "body": …}`.\n'
    yield f"{_prose(envelope.Event).split(chr(10) * 2, 1)[1]}\n"
    for body in (envelope.ChangedBody, envelope.ClosedBody):
        yield f"### {body.__name__}\n\n{_prose(body)}\n"
        yield _table(body)


def _codes() -> Iterator[str]:
    yield "## Error codes\n"
    yield "| code | meaning |\n| --- | --- |"
    yield from (f"| `{code}` | {meaning} |" for code, meaning in schema.ERROR_CODES.items())


def _collect(hint: Any, seen: dict[Any, None]) -> None:
    if is_typeddict(hint):
        for inner in get_type_hints(hint).values():
            for part in _inside(inner):
                if part not in seen:
                    seen[part] = None
                    _collect(part, seen)


def _inside(hint: Any) -> Iterator[Any]:
    if is_typeddict(hint):
        yield hint
    for argument in get_args(hint):
        yield from _inside(argument)


def _table(typed_dict: type) -> str:
    hints = get_type_hints(typed_dict, include_extras=True)
    if not hints:
        return ""
    rows = [f"| `{key}`{_optional(hint)} | {_type(_plain(hint))} |" for key, hint in hints.items()]
    return "\n".join(["| key | type |", "| --- | --- |", *rows, ""])


def _optional(hint: Any) -> str:
    return " (optional)" if get_origin(hint) is NotRequired else ""


def _plain(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is NotRequired else hint


def _type(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " \\| ".join(f'"{argument}"' for argument in arguments)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"object of {_type(arguments[1])}"
    if is_typeddict(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return _WORDS[hint]


def _union(options: tuple[Any, ...]) -> str:
    number = get_args(envelope.Number)
    if not set(number) <= set(options):
        return " \\| ".join(map(_type, options))
    return " \\| ".join(["Number", *(_type(option) for option in options if option not in number)])


def _prose(typed_dict: type) -> str:
    paragraphs = inspect.cleandoc(typed_dict.__doc__ or "").split("\n\n")
    return "\n\n".join(_paragraph(paragraph.split("\n")) for paragraph in paragraphs)


def _paragraph(lines: list[str]) -> str:
    if not all(line.startswith("    ") or _KEYS_LINE.match(line) for line in lines):
        return " ".join(lines)
    items: list[str] = []
    for line in lines:
        if line.startswith("    "):
            items[-1] += f" {line.strip()}"
        else:
            keys, meaning = line.split(": ", 1)
            items.append(f"- {', '.join(f'`{key}`' for key in keys.split(', '))}: {meaning}")
    return "\n".join(items)


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
