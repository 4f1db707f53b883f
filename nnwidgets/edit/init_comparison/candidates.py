"""Candidates as they are written, and the plan that each makes of a seed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import GeneratorType
from typing import Any

from nnwidgets.edit.code import literal
from nnwidgets.edit.operations.initializers import get_initializer
from nnwidgets.edit.targets import ChangeScope
from nnwidgets.errors import InitializerError, InvalidTargetError, PathNotFoundError
from nnwidgets.formatting import short_repr
from nnwidgets.introspect.safe_access.objects import is_a, is_module, type_name

AS_IT_IS = "as it is"
_CALL = re.compile(r"\s*([\w.]+)\s*\((.*)\)\s*", re.DOTALL)
_BEFORE_PARAMETER = re.compile(r"[,\s]+(?=[^\W\d]\w*\s*=)")
_PAIR = 2


@dataclass(frozen=True, slots=True)
class Fill:
    """One initializer with its parameters.

    Attributes:
        target: What it fills; None for what the comparison is about.
        how: As `init` takes it.
        kwargs: The initializer's own parameters.
    """

    target: Any
    how: Any
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is to be compared.

    Attributes:
        name: What it is called.
        fills: What it does, in order; nothing where it is the model as it is.
    """

    name: str
    fills: tuple[Fill, ...]


def read_candidates(inits: Any) -> tuple[Candidate, ...]:
    """Candidates as `compare_inits` takes them.

    Raises:
        InvalidTargetError: These are none.
        InitializerError: One can't be read.

    Example:
        >>> [each.name for each in read_candidates(["xavier_uniform", ("normal_", {"std": 0.01}), None])]
        ['xavier_uniform', 'normal_ std=0.01', 'as it is']
        >>> read_candidates({"small": "normal_(std=0.01)"})[0].fills[0].kwargs
        {'std': 0.01}
    """
    if isinstance(inits, Mapping):
        named = [(str(name), _fills(value, str(name))) for name, value in inits.items()]
    elif isinstance(inits, list | tuple):
        named = [(_text_of(each), _fills(each, _text_of(each))) for each in inits]
    else:
        raise InvalidTargetError(f"inits is {short_repr(inits)}, expected a mapping or a list.", hint=_HINT)
    if not named:
        raise InvalidTargetError("inits is empty: there is nothing to compare.", hint=_HINT)
    taken: dict[str, int] = {}
    made = []
    for name, fills in named:
        taken[name] = taken.get(name, 0) + 1
        made.append(Candidate(name if taken[name] == 1 else f"{name} ({taken[name]})", fills))
    return tuple(made)


_HINT = 'Such as inits=["xavier_uniform_", "normal_ std=0.01"].'


def read_initializer(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the parameters of ``"normal_ std=0.01"`` or ``"normal_(std=0.01)"``.

    Raises:
        InitializerError: A parameter has no plain value.

    Example:
        >>> read_initializer("kaiming_normal_ mode=fan_out, nonlinearity='relu'")
        ('kaiming_normal_', {'mode': 'fan_out', 'nonlinearity': 'relu'})
    """
    called = _CALL.fullmatch(text)
    name, *pairs = _BEFORE_PARAMETER.split(f"{called[1]} {called[2]}" if called else text.strip())
    known = {each.name: each for each in get_initializer(name.rstrip(", ")).parameters}
    values: dict[str, Any] = {}
    for pair in pairs:
        key, _, written = (part.strip(", \t\n") for part in pair.partition("="))
        try:
            values[key] = ast.literal_eval(written)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            if not (key in known and known[key].type == "str" and written.isidentifier()):
                raise InitializerError(
                    f"{key}={written} is no plain value, expected a number, text in quotes, True, False or None; "
                    "nothing is computed here."
                ) from None
            values[key] = written
    return name.rstrip(", "), values


def _fills(value: Any, name: str) -> tuple[Fill, ...]:
    with errors_of(name):
        if value is None or (type(value) is str and value.strip() in ("", AS_IT_IS)):
            return ()
        if isinstance(value, Mapping):
            return tuple(_fill(each, target) for target, each in value.items() if each is not None)
        return (_fill(value, None),)


def _fill(value: Any, target: Any) -> Fill:
    if type(value) is str:
        return Fill(target, *read_initializer(value))
    if type(value) is tuple and len(value) == _PAIR and isinstance(value[1], Mapping):
        return Fill(target, value[0], dict(value[1]))
    if callable(value) and not is_module(value):
        return Fill(target, value, {})
    raise InitializerError(
        f"{short_repr(value)} is no candidate.",
        hint='Candidates are None, "normal_ std=0.01", ("normal_", {"std": 0.01}), a function of a tensor, or a '
        "mapping of targets to these.",
    )


def _text_of(value: Any) -> str:
    if value is None:
        return AS_IT_IS
    if type(value) is str:
        return " ".join(value.split()) or AS_IT_IS
    if type(value) is tuple and len(value) == _PAIR and isinstance(value[1], Mapping):
        return " ".join([_text_of(value[0]), *(f"{name}={literal(each)}" for name, each in value[1].items())])
    if isinstance(value, Mapping):
        return ", ".join(f"{_target_text(target)}: {_text_of(each)}" for target, each in value.items())
    name = getattr(value, "__name__", None)
    return name if type(name) is str else short_repr(value)


def _target_text(target: Any) -> str:
    if is_a(target, type):
        return type_name(target)
    return target if type(target) is str else f"a {type_name(type(target))}"


@contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Have an error about a candidate say whose it is."""
    try:
        yield
    except (InitializerError, InvalidTargetError, PathNotFoundError) as error:
        raise type(error)(f"{name}: {error.message}", path=error.path, hint=error.hint) from error


def as_text(model: ChangeScope, target: Any) -> Any:
    """A target as patterns, so that keeping it keeps nothing of the model."""
    if type(target) in (list, tuple, GeneratorType):
        return [as_text(model, each) for each in target]
    return target if type(target) is str or is_a(target, type) else model.path_of(target)


def with_text_targets(model: ChangeScope, candidate: Candidate) -> Candidate:
    """A candidate whose targets are patterns."""
    with errors_of(candidate.name):
        fills = (
            each if each.target is None else replace(each, target=as_text(model, each.target))
            for each in candidate.fills
        )
        return replace(candidate, fills=tuple(fills))
