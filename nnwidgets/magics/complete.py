"""What could stand next on a line, from what is typed and the user's variables; nothing of theirs is run."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any

from nnwidgets.introspect.safe_access.objects import class_attribute, instance_dict, is_a, is_module, plain_items
from nnwidgets.magics.edit_completion import edit_candidates, target_candidates
from nnwidgets.magics.file_completion import file_candidates, optimizer_candidates, rename_candidates
from nnwidgets.magics.line.candidates import Candidate, Completion
from nnwidgets.magics.line.grammar import CELL, DTYPES, EDITS, FILES, FLAGS, OPTIONS, SUBCOMMANDS, LineError
from nnwidgets.magics.line.tokenizer import words_so_far
from nnwidgets.magics.resolve import model_names, resolve, resolve_model, tensor_names

MOST = 300
"""The most candidates given."""

_MOST_DEPTH = 9
_GLOB = frozenset("*?")
_REPEATED = frozenset({"--input", "--rename"})


def complete(line: str, namespace: Mapping[str, Any]) -> Completion:
    """Complete a line.

    Args:
        line: What stands between ``%nn`` and the cursor.
        namespace: The user's variables.

    Example:
        >>> from torch import nn
        >>> complete("show net 0.w", {"net": nn.Sequential(nn.Linear(2, 3))}).candidates
        (Candidate(text='0.weight', kind='path'),)
    """
    *before, last = [word.text for word in words_so_far(line)] or [""]
    return _fitting(_candidates(before, last, namespace), last)


def complete_cell(line: str, namespace: Mapping[str, Any]) -> Completion:
    """Complete the line of ``%%nn_init``.

    Args:
        line: What stands between ``%%nn_init`` and the cursor.
        namespace: The user's variables.

    Example:
        >>> from torch import nn
        >>> complete_cell("net Lin", {"net": nn.Sequential(nn.Linear(2, 3))}).candidates
        (Candidate(text='Linear', kind='path'),)
    """
    *before, last = [word.text for word in words_so_far(line)] or [""]
    return _fitting(_after(CELL, before, last, namespace), last)


def _fitting(candidates: Iterator[Candidate], last: str) -> Completion:
    found: list[Candidate] = []
    seen: set[str] = set()
    for candidate in candidates:
        if candidate.text.startswith(last) or (_GLOB & set(last)):  # what a glob means doesn't begin like it
            if candidate.text not in seen:
                found.append(candidate)
                seen.add(candidate.text)
            if len(found) == MOST:
                break
    return Completion(last, tuple(found))


def _candidates(before: list[str], last: str, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    if not before:
        yield from (Candidate(name, "keyword") for name in SUBCOMMANDS)
        yield from _models(last, namespace)
        return
    name = before[0]
    if name == "auto" and len(before) == 1:
        yield from (Candidate(word, "keyword") for word in ("on", "off"))
    if name not in SUBCOMMANDS or name == "auto":
        return
    yield from _after(name, before[1:], last, namespace)


def _after(name: str, before: list[str], last: str, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    """Ways to go on after a subcommand."""
    options = OPTIONS.get(name, ())
    if last.startswith("-"):
        option, equals, value = last.partition("=")
        if equals and option in options:
            found = _values(option, value, _without_options(before, options), namespace)
            yield from (Candidate(f"{option}={each.text}", each.kind) for each in found)
        else:
            known = (*options, *FLAGS.get(name, ()))
            yield from (Candidate(each, "keyword") for each in known if each in _REPEATED or each not in before)
    elif before and before[-1] in options:
        yield from _values(before[-1], last, _without_options(before[:-1], options), namespace)
    else:
        yield from _plain(name, _without_options(before, options), last, namespace)


def _plain(name: str, plain: list[str], last: str, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    if name in FILES and (plain or name in {"ls", "diff"}):
        if name == "diff" and len(plain) < 2:  # noqa: PLR2004 - two sides
            yield from _models(last, namespace)
        yield from file_candidates(name, plain, last)
    elif not plain:
        yield from _models(last, namespace)
    elif name == "trace":
        yield from _arguments(plain[0], last, namespace)
    elif name in {"tree", "show"} and len(plain) == 1:
        yield from target_candidates(plain[0], last, namespace, tensors=name == "show")
    elif name in {*EDITS, CELL}:
        yield from edit_candidates(name, plain, last, namespace)


def _without_options(words: list[str], options: tuple[str, ...]) -> list[str]:
    plain: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word in options:
            next(waiting, None)
        elif not word.startswith("-"):
            plain.append(word)
    return plain


def _values(option: str, value: str, plain: list[str], namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    if option == "--rename":
        yield from rename_candidates(plain, value, namespace)
    elif option == "--optimizer":
        yield from optimizer_candidates(plain, namespace)
    elif option == "--depth":
        yield from (Candidate(str(depth), "value") for depth in range(1, _MOST_DEPTH + 1))
    elif option == "--input" and ":" in value:
        shape = value.partition(":")[0]
        yield from (Candidate(f"{shape}:{dtype}", "value") for dtype in DTYPES)


def _models(last: str, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    """Variables that hold a module; below a variable, the modules stored there."""
    cut = max(last.rfind("."), last.rfind("["))
    if cut < 0:
        yield from (Candidate(name, "module") for name in model_names(namespace))
        return
    owner = last[:cut]
    try:
        value = resolve(owner, namespace, among=(), kind="model")
    except LineError:
        return
    if last[cut] == ".":
        names = [key for key, item in _stored(value) if type(key) is str and key.isidentifier() and is_module(item)]
        yield from (Candidate(f"{owner}.{name}", "module") for name in names)
    elif is_a(value, list) or is_a(value, tuple):
        items = list(list.__iter__(value)) if is_a(value, list) else list(tuple.__iter__(value))
        yield from (Candidate(f"{owner}[{at}]", "module") for at, item in enumerate(items) if is_module(item))
    elif is_a(value, dict):
        keys = [key for key, item in plain_items(value) if type(key) in {str, int} and is_module(item)]
        yield from (Candidate(f"{owner}[{key!r}]", "module") for key in keys)
    elif is_module(value):
        n = len(_children(value))
        yield from (Candidate(f"{owner}[{at}]", "module") for at in range(min(n, MOST)))


def _stored(value: Any) -> list[tuple[Any, Any]]:
    """Names and values stored in an object, read without its own code."""
    if is_module(value):
        return [*_children(value), *plain_items(instance_dict(value))]
    if type(value) is types.ModuleType:
        return plain_items(vars(value))
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return []
    return plain_items(held) if is_a(held, dict) else []


def _children(module: Any) -> list[tuple[Any, Any]]:
    held = instance_dict(module).get("_modules")
    return plain_items(held) if is_a(held, dict) else []


def _arguments(model: str, last: str, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    """Tensors, and by name what the model's forward takes."""
    name, equals, _ = last.partition("=")
    if equals:
        yield from (Candidate(f"{name}={each}", "value") for each in tensor_names(namespace))
        return
    yield from (Candidate(each, "value") for each in tensor_names(namespace))
    try:
        module = resolve_model(model, namespace).module
    except LineError:
        return
    forward = class_attribute(type(module), "forward")
    if type(forward) is types.FunctionType:
        code = forward.__code__
        taken = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        yield from (Candidate(f"{each}=", "keyword") for each in taken)
