"""From a name on the line to the live object, and what Tab offers for it: looked up, nothing run.

An attribute is looked for where it is stored (a module's registries, an instance's dict), so that no property and no
``__getattr__`` of the user's runs.
"""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn
from torch.optim import Optimizer

from nnwidgets.checkpoint import Snapshot
from nnwidgets.errors import closest_names
from nnwidgets.formatting import and_more, counted, inert
from nnwidgets.introspect.handles import Handles, ModelHandle, is_model
from nnwidgets.introspect.optimizers import optimizer_variables, optimizers_holding
from nnwidgets.introspect.safe_access.objects import (
    class_attribute,
    instance_dict,
    is_a,
    is_module,
    is_tensor,
    plain_items,
    type_name,
)
from nnwidgets.magics.line.grammar import Candidate, LineError, cut, unquote

_REGISTRIES = ("_modules", "_parameters", "_buffers")
_MAX_EXPRESSION = 10_000
_MAX_LISTED = 5
_INDEXED = re.compile(r"\[(\d+)\](?=[.\[])")


class _NothingThereError(LookupError):
    """No such item; the message continues ``net.encoder``."""


def model_names(namespace: Mapping[str, Any]) -> list[str]:
    """Names of the user's variables that hold a model, in the order they were made.

    Example:
        >>> model_names({"net": nn.ReLU(), "_": nn.ReLU(), "x": 1})
        ['net']
    """
    return [name for name, value in list(namespace.items()) if not name.startswith("_") and is_model(value)]


def tensor_names(namespace: Mapping[str, Any]) -> list[str]:
    """Names of the user's variables that hold a tensor, in the order they were made."""
    return [name for name, value in list(namespace.items()) if not name.startswith("_") and is_tensor(value)]


def mark_names(namespace: Mapping[str, Any]) -> list[str]:
    """Names of the user's variables that hold a mark, in the order they were made."""
    return [name for name, value in list(namespace.items()) if not name.startswith("_") and is_a(value, Snapshot)]


def mark_candidates(typed: str, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    """The marks whose names begin as what is typed."""
    return (Candidate(name, "value") for name in mark_names(namespace) if name.startswith(typed))


def resolve_mark(expression: str, namespace: Mapping[str, Any]) -> Snapshot:
    """The mark that ``expression`` names.

    Raises:
        LineError: It names none.
    """
    found: Any = resolve(expression, namespace, among=mark_names(namespace), kind="mark")
    if not is_a(found, Snapshot):
        raise LineError(f"{cut(expression)} is no mark; %nn snapshot net {cut(expression)} makes one.")
    made: Snapshot = found
    return made


def resolve_model(expression: str, namespace: Mapping[str, Any]) -> nn.Module | ModelHandle:
    """Return the module that ``expression`` names, or the model over ranks.

    Raises:
        LineError: If it can't be read, names nothing, or names something else than a module.

    Example:
        >>> resolve_model("nets[0]", {"nets": [nn.ReLU()]})
        ReLU()
    """
    value: nn.Module = resolve(expression, namespace, among=model_names(namespace), kind="model")
    if not is_model(value):
        raise LineError(_not_a_module(expression, value, namespace))
    return value


def in_two_words(expression: str, namespace: Mapping[str, Any]) -> str:
    """The model and the path of what is written in one word, ``net.hidden.weight``; empty where no model begins it.

    Example:
        >>> in_two_words("net.hidden.weight[0, 0]", {"net": nn.Linear(2, 2)})
        'net hidden.weight[0, 0]'
        >>> in_two_words("models[0].weight", {"models": [nn.Linear(2, 2)]})
        'models[0] weight'
    """
    for end in re.finditer(r"\.|(?=\[)", expression):
        model, path = expression[: end.start()], expression[end.end() :]
        try:
            value = resolve(model, namespace, among=(), kind="model")
        except LineError:
            return ""
        if is_module(value) and path and len(path) < _MAX_EXPRESSION:
            path = _INDEXED.sub(r".\1", path)
            return f"{model} {path.removeprefix('.')}"
    return ""


def resolve(expression: str, namespace: Mapping[str, Any], *, among: Iterable[str], kind: str) -> Any:
    """Return what ``expression`` names: a variable, an attribute or item of one, or a plain constant.

    Args:
        expression: As written.
        namespace: The user's variables.
        among: Names to suggest where there is no such variable.
        kind: What such a name is called: ``"model"``.

    Raises:
        LineError: If it can't be read or names nothing.
    """
    value: Any = None
    so_far = ""
    for step in _steps(expression):
        try:
            value, so_far = _take(value, so_far, step, namespace)
        except _NothingThereError as error:
            raise LineError(f"{cut(expression)}: {error}") from None
        except KeyError:
            raise LineError(_no_variable(inert(str(step.value), 80), among, kind)) from None
    return value


def file_of(word: str, namespace: Mapping[str, Any]) -> Path | None:
    """Return the file or folder that a word names where a model could stand; None where a variable is called so.

    Example:
        >>> file_of("net", {"net": nn.ReLU()}) is None, file_of("/dev/null/x", {}) is None
        (True, True)
    """
    name = unquote(word)
    place = Path(name).expanduser() if name and "\0" not in name else None
    try:
        return place if place is not None and name not in namespace and place.exists() else None
    except OSError:
        return None


class _Step(NamedTuple):
    kind: str
    value: Any


def _steps(expression: str) -> list[_Step]:
    """Return the names and indices of an expression, first to last; only these are allowed."""
    unreadable = LineError(
        f"{cut(expression)} can't be read: expected a variable, as net, net.encoder or nets[0]; nothing is called here."
    )
    if len(expression) > _MAX_EXPRESSION:
        raise unreadable
    try:
        node: ast.expr = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise unreadable from None
    steps: list[_Step] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            steps.append(_Step("attribute", node.attr))
            node = node.value
        elif isinstance(node, ast.Subscript) and type(index := _constant(node.slice)) in {int, str}:
            steps.append(_Step("item", index))
            node = node.value
        elif not steps and _constant(node) is not Ellipsis:
            return [_Step("constant", _constant(node))]
        else:
            raise unreadable
    steps.append(_Step("name", node.id))
    return steps[::-1]


def _constant(node: ast.expr) -> Any:
    """Return the value of a plain constant; Ellipsis for anything else."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if type(value) in {int, float}:
            return -value  # type: ignore[operator] # both can be negated
    return Ellipsis


def _take(value: Any, so_far: str, step: _Step, namespace: Mapping[str, Any]) -> tuple[Any, str]:
    if step.kind == "constant":
        return step.value, repr(step.value)
    if step.kind == "name":
        return namespace[step.value], step.value
    if step.kind == "attribute":
        return _attribute(value, so_far, step.value), f"{so_far}.{step.value}"
    return _item(value, so_far, step.value), f"{so_far}[{step.value!r}]"


def _attribute(value: Any, so_far: str, name: str) -> Any:
    if is_a(value, Handles):
        return value[name]
    stored = [(key, item) for key, item in _attributes(value) if type(key) is str]
    for key, item in stored:
        if key == name:
            return item
    if class_attribute(type(value), name) is not None:
        raise _NothingThereError(
            f"{name} is computed by {type_name(type(value))}, and %nn runs no code of yours; give it a name first."
        )
    near = closest_names(name, [key for key, _ in stored if not key.startswith("_")])
    raise _NothingThereError(f"no {inert(name, 80)} in {inert(so_far, 80)}{_suggestion(near)}")


def _attributes(value: Any) -> list[tuple[Any, Any]]:
    """Names and values stored in an object, and what a module has registered."""
    if is_module(value):
        return [*plain_items(instance_dict(value)), *chain(*(_registry(value, each) for each in _REGISTRIES))]
    try:
        held = vars(value) if type(value) is types.ModuleType else object.__getattribute__(value, "__dict__")
    except AttributeError:
        return []
    return plain_items(held) if is_a(held, dict) else []


def _registry(module: nn.Module, registry: str) -> list[tuple[Any, Any]]:
    held = instance_dict(module).get(registry)
    return plain_items(held) if is_a(held, dict) else []


def _item(value: Any, so_far: str, index: int | str) -> Any:
    if is_a(value, Handles) and type(index) is str:
        return value[index]
    sequence, mapping = _sequence(value), _mapping(value)
    if sequence is not None and type(index) is int:
        if -len(sequence) <= index < len(sequence):
            return sequence[index]
        raise _NothingThereError(f"{so_far} has {counted(len(sequence), 'item')}, no [{index}].")
    if mapping is not None and (type(index) is str or not is_module(value)):
        for key, item in mapping:
            if type(key) is type(index) and key == index:
                return item
        near = closest_names(str(index), [key for key, _ in mapping if type(key) is str])
        raise _NothingThereError(f"no key {index!r} in {so_far}{_suggestion(near)}")
    kind = type_name(type(value))
    if is_module(value):
        raise _NothingThereError(f"indexing {so_far} would run {kind}'s own code; name the part by its attribute.")
    if sequence is not None:
        raise _NothingThereError(f"{so_far} is a {kind}, whose index is a number.")
    raise _NothingThereError(f"{so_far} is {_article(kind)}, which has no items.")


def _sequence(value: Any) -> list[Any] | None:
    """What numbers choose from: a module only where its class leaves indexing as torch wrote it."""
    if is_a(value, list):
        return list(list.__iter__(value))
    if is_a(value, tuple):
        return list(tuple.__iter__(value))
    if is_module(value) and _indexing(value) in {nn.Sequential.__getitem__, nn.ModuleList.__getitem__}:
        return [child for _, child in _registry(value, "_modules")]
    return None


def _mapping(value: Any) -> list[tuple[Any, Any]] | None:
    """What keys choose from, likewise."""
    if is_a(value, dict):
        return plain_items(value)
    if is_module(value) and _indexing(value) is nn.ModuleDict.__getitem__:
        return _registry(value, "_modules")
    return None


def _indexing(module: nn.Module) -> Any:
    return class_attribute(type(module), "__getitem__")


def _not_a_module(expression: str, value: Any, namespace: Mapping[str, Any]) -> str:
    kind = type(value)
    named = inert(expression, 80)
    if is_a(value, type) and nn.Module in type.__dict__["__mro__"].__get__(value):
        return f"{named} is a class, expected a module made from it: net = {named}(…)."
    what = f"{named} is {_article(type_name(kind))}, expected a torch.nn.Module"
    words = in_two_words(expression, namespace) if is_tensor(value) else ""
    if words:
        return f"{what}. The model and what is in it are two words: {inert(words, 160)}."
    names = model_names(namespace)
    return f"{what}; {_names_here(names)}." if names else f"{what}; no variable holds one."


def _no_variable(name: str, among: Iterable[str], kind: str) -> str:
    names = list(among)
    near = closest_names(name, names)
    if near:
        return f"No variable {name!r}{_suggestion(near)}"
    return f"No variable {name!r}{f'; {_names_here(names, kind)}' if names else f', and no {kind} yet'}."


def _names_here(names: list[str], kind: str = "model") -> str:
    shown = ", ".join(inert(name, 40) for name in names[:_MAX_LISTED])
    more = and_more(len(names) - _MAX_LISTED)
    return f"{kind}s here: {shown}{more}"


def _suggestion(near: tuple[str, ...]) -> str:
    return f"; did you mean {' or '.join(inert(name, 80) for name in near)}?" if near else "."


def _article(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"


def optimizers_in(namespace: Mapping[str, Any], module: nn.Module) -> dict[str, Optimizer]:
    """The optimizers that hold a tensor of a model, each under its first name.

    Example:
        >>> net = nn.Linear(2, 3)
        >>> import torch
        >>> list(optimizers_in({"adam": torch.optim.Adam(net.parameters()), "x": 1}, net))
        ['adam']
    """
    named = optimizer_variables(namespace)
    found = optimizers_holding(module, named.values())
    return {next(name for name, value in named.items() if value is each): each for each in found}


def free_name(namespace: Mapping[str, Any]) -> str:
    """A name for a model that no variable has."""
    names = ("net", "model", *(f"model_{number}" for number in range(2, len(namespace) + 3)))
    return next(name for name in names if name not in namespace)


def model_candidates(last: str, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    """Ways to write a model: variables that hold one; below a variable, the modules stored there.

    Args:
        last: What is typed of it.
        namespace: The user's variables.
    """
    end = max(last.rfind("."), last.rfind("["))
    if end < 0:
        yield from (Candidate(name, "module") for name in model_names(namespace))
        return
    owner = last[:end]
    try:
        value = resolve(owner, namespace, among=(), kind="model")
    except LineError:
        return
    keys: list[Any]
    if last[end] == ".":
        keys = [key for key, item in _attributes(value) if type(key) is str and key.isidentifier() and is_module(item)]
        yield from (Candidate(f"{owner}.{key}", "module") for key in keys)
        return
    sequence = _sequence(value)
    items = (_mapping(value) or []) if sequence is None else list(enumerate(sequence))
    keys = [key for key, item in items if type(key) in {str, int} and is_module(item)]
    yield from (Candidate(f"{owner}[{key!r}]", "module") for key in keys)
