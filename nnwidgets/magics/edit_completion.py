"""What could stand next on a line that changes a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nnwidgets.edit import Initializer, history, initializers
from nnwidgets.edit.code import literal
from nnwidgets.edit.operations.initializers import get_initializer as find_initializer
from nnwidgets.errors import InitializerError
from nnwidgets.magics.line.candidates import Candidate
from nnwidgets.magics.line.grammar import CELL, LineError, unquoted
from nnwidgets.magics.line.path_completion import targets
from nnwidgets.magics.resolve import resolve_model, tensor_names

TAKE_TARGETS = frozenset({"init", "set", "freeze", "unfreeze", CELL})
"""What is followed by a path below the model."""

_SEVERAL = frozenset({"freeze", "unfreeze", CELL})


def edit_candidates(name: str, plain: list[str], last: str, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    """Ways to go on after a subcommand and a model.

    Args:
        name: The subcommand.
        plain: The words before, from the model on, without options.
        last: What is typed of the last word.
        namespace: The user's variables.
    """
    n = len(plain)
    if name == "code" and n == 1:
        yield from _numbers(plain[0], namespace)
    elif name == "set":
        yield from _set(plain, last, namespace)
    elif name == "init" and n > 1:
        yield from _initializers() if n == 2 else _parameters(unquoted(plain[2]), plain[3:], last)  # noqa: PLR2004 - a model and a target
    elif name in TAKE_TARGETS and (n == 1 or name in _SEVERAL):
        yield from target_candidates(plain[0], last, namespace, tensors=name != CELL, classes=True)


def target_candidates(
    model: str, last: str, namespace: Mapping[str, Any], *, tensors: bool, classes: bool = False
) -> Iterator[Candidate]:
    """Paths, globs and classes below a model, in quotes where they need them."""
    try:
        module = resolve_model(model, namespace).module
    except LineError:
        return
    typed = last.removeprefix('"')
    for path in targets(module, typed, tensors=tensors, classes=classes):
        needs_quotes = typed != last or any(map(str.isspace, path))
        yield Candidate(f'"{path}"' if needs_quotes else path, "path")


def _initializers() -> Iterator[Candidate]:
    offered = initializers()
    yield from (Candidate(name, "function") for name in offered)
    short = (name.removesuffix("_") for name, each in offered.items() if each.kind == "torch")
    yield from (Candidate(name, "function") for name in short)


def _parameters(how: str, before: list[str], last: str) -> Iterator[Candidate]:
    try:
        initializer = find_initializer(how)
    except InitializerError:
        return
    name, equals, _ = last.partition("=")
    if equals:
        yield from _values(initializer, name)
        return
    given = {word.partition("=")[0] for word in before}
    known = (each.name for each in initializer.parameters if each.name != "**" and each.name not in given)
    yield from (Candidate(f"{each}=", "keyword") for each in known)


def _values(initializer: Initializer, name: str) -> Iterator[Candidate]:
    found = next((each for each in initializer.parameters if each.name == name), None)
    if found is None:
        return
    if found.choices:
        yield from (Candidate(f"{name}={choice}", "value") for choice in found.choices)
    elif found.default is not None:
        yield Candidate(f"{name}={literal(found.default)}", "value")


def _set(plain: list[str], last: str, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    if len(plain) > 1 and plain[-1].endswith("="):
        yield from (Candidate(each, "value") for each in tensor_names(namespace))
    elif len(plain) == 1:
        yield from target_candidates(plain[0], last, namespace, tensors=True)
    elif len(plain) == 2 and not last:  # noqa: PLR2004 - a model and a target
        yield Candidate("=", "keyword")


def _numbers(model: str, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    try:
        known = history(resolve_model(model, namespace).module)
    except LineError:
        return
    yield from (Candidate(str(number), "value") for number in range(1, len(known.changes) + len(known.undone) + 1))
