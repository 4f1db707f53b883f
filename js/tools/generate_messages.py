"""Write ``js/src/protocol/messages.ts`` from ``nnwidgets/wire/schema``.

``--check`` only says whether it is current.
"""

from __future__ import annotations

import sys
import types
import typing
from inspect import cleandoc
from pathlib import Path

from nnwidgets.wire import schema
from nnwidgets.wire.schema import changes, checkpoints, envelope, graph, inspect, ranks, signal, table, tree

TARGET = Path(__file__).parents[1] / "src" / "protocol" / "messages.ts"
PLAIN = {int: "number", float: "number", str: "string", bool: "boolean", type(None): "null", typing.Any: "unknown"}


def type_text(kind: object) -> str:  # noqa: PLR0911 - one return a kind of type
    """A Python type of the schema, as TypeScript writes it."""
    if kind in PLAIN:
        return PLAIN[typing.cast("type", kind)]
    if typing.is_typeddict(kind):
        return kind.__name__
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.NotRequired:
        return type_text(arguments[0])
    if origin is typing.Literal:
        return " | ".join(f'"{argument}"' for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(type_text(argument) for argument in arguments))
    if origin is list:
        inner = type_text(arguments[0])
        return f"readonly ({inner})[]" if " " in inner else f"readonly {inner}[]"
    if origin is dict:
        return f"Readonly<Record<{type_text(arguments[0])}, {type_text(arguments[1])}>>"
    raise TypeError(f"The generator has no TypeScript for {kind!r}; teach it.")


def doc_text(kind: type) -> str:
    """The class's docstring as a comment."""
    lines = cleandoc(kind.__doc__ or "").splitlines()
    if len(lines) == 1:
        return f"/** {lines[0]} */"
    return "\n".join(["/**", *(f" * {line}".rstrip() for line in lines), " */"])


def optional_mark(hint: object) -> str:
    """The question mark of a key that may be left out."""
    return "?" if typing.get_origin(hint) is typing.NotRequired else ""


def interface_text(kind: type) -> str:
    """One TypedDict as an interface."""
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = (f"  readonly {name}{optional_mark(hint)}: {type_text(hint)};" for name, hint in hints.items())
    return "\n".join([doc_text(kind), f"export interface {kind.__name__} {{", *fields, "}"])


def messages_text() -> str:
    """The whole file."""
    names = {
        name: value
        for part in (envelope, tree, inspect, graph, table, changes, checkpoints, ranks, signal)
        for name, value in vars(part).items()
    }
    kinds = list(dict.fromkeys(value for value in names.values() if typing.is_typeddict(value)))
    parts = [
        "// Generated from nnwidgets/wire/schema by js/tools/generate_messages.py. Edit the schema, then run that.",
        f"export const VERSION = {envelope.VERSION};",
    ]
    parts += [
        f"export type {name} = {type_text(value)};"
        for name, value in names.items()
        if typing.get_origin(value) in (typing.Literal, types.UnionType, typing.Union)
    ]
    parts.append("export type ErrorCode =\n" + "\n".join(f'  | "{code}"' for code in schema.ERROR_CODES) + ";")
    parts += [interface_text(kind) for kind in kinds]
    for name, side in (("Bodies", 0), ("Replies", 1)):
        fields = [f"  readonly {kind}: {pair[side].__name__};" for kind, pair in schema.KINDS.items()]
        parts.append("\n".join([f"export interface {name} {{", *fields, "}"]))
    parts.append("export type Kind = keyof Bodies;")
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Write the file, or with ``--check`` return 1 where it is not what the schema says."""
    text = messages_text()
    if "--check" in sys.argv[1:]:
        return int(not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
