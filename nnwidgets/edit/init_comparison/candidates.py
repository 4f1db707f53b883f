"""Candidates as they are written, and the plan that each makes of a seed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import GeneratorType
from typing import Any

from nnwidgets.edit.code import Recipe, literal
from nnwidgets.edit.init_comparison.swapped_memory import SwappedMemory, Unguarded
from nnwidgets.edit.operations.init import plan_init
from nnwidgets.edit.operations.initializers import RESET, get_initializer
from nnwidgets.edit.targets import ChangeScope, TensorTarget
from nnwidgets.edit.transaction import Plan, WriteGuard, with_optimizers
from nnwidgets.edit.undo_copy.undo import summarize
from nnwidgets.edit.writable import check_writable, distinct_memory
from nnwidgets.errors import InitializerError, InvalidTargetError, PathNotFoundError
from nnwidgets.formatting import short_repr
from nnwidgets.introspect import paths
from nnwidgets.introspect.records import TensorEntry, TensorStats
from nnwidgets.introspect.safe_access.objects import is_a, is_module, type_name

AS_IT_IS = "as it is"
_CALL = re.compile(r"\s*([\w.]+)\s*\((.*)\)\s*", re.DOTALL)
_BEFORE_PARAMETER = re.compile(r"[,\s]+(?=[^\W\d]\w*\s*=)")
_MATRIX = 2
_PAIR = 2
_SEEDS_APART = 1_000
_SEEDS = 2**64
_NO_WEIGHTS = ("bias", "embed", "pos", "token")
"""What parts of names say that a parameter of two dimensions isn't multiplied with an input."""


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


def default_targets(model: ChangeScope) -> list[str]:
    """The weights that a comparison is about where nothing else is said, in walk order.

    These are parameters of two dimensions or more that an input is multiplied by: not those of norms and embeddings,
    nor what is tied to these, no biases, no tables of positions, no single row or column as the lengths of weight norm
    are. Frozen ones are left out where others aren't.

    Raises:
        InvalidTargetError: There are none.
    """
    parameters = [entry for entry in model.tree.tensors if entry.role == "parameter"]
    of_embeddings = {entry.tie for entry in parameters if "embedding" in _class_of_holder(model, entry)} - {None}
    found = [entry for entry in parameters if entry.tie not in of_embeddings and _is_weight(model, entry)]
    found = [entry for entry in found if entry.requires_grad] or found
    if not found:
        raise InvalidTargetError(
            "The model has no weight that an initializer could fill: no parameter of two dimensions or more, "
            "embeddings and norms aside.",
            hint="Name a target.",
        )
    return [entry.path for entry in found]


def _is_weight(model: ChangeScope, entry: TensorEntry) -> bool:
    shape = entry.shape or ()
    if len(shape) < _MATRIX or shape[0] <= 1 or entry.n_elements <= shape[0] or not entry.dtype.startswith(_FLOATS):
        return False
    holder, name = _class_of_holder(model, entry), entry.path.lower().partition(".parametrizations.")[2]
    name = name or paths.last(entry.path).lower()
    return not any(each in holder for each in ("embedding", "norm")) and not any(each in name for each in _NO_WEIGHTS)


def _class_of_holder(model: ChangeScope, entry: TensorEntry) -> str:
    owner, _, inside = entry.path.partition(".parametrizations.")
    return type_name(type(model.live.modules.get(owner if inside else paths.parent(entry.path)))).lower()


_FLOATS = ("float", "bfloat", "complex")


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


def plan_candidate(
    model: ChangeScope,
    candidate: Candidate,
    target: Any,
    seed: int,
    *,
    optimizer: Any = None,
    clear_state: bool = False,
) -> Plan:
    """What a candidate would do with a seed, checked and not carried out.

    Args:
        model: The model.
        candidate: One that changes something.
        target: What those of its fills are for that have no target of their own.
        seed: Of the first of its fills; each further one has a seed that is 1,000 more, so that they don't draw the
            same numbers.
        optimizer: As for `init`.
        clear_state: As for `init`.

    Raises:
        NNWidgetsError: As `init`; it names the candidate.
    """
    with errors_of(candidate.name):
        plans = [
            plan_init(model, _target_of(each, target), each.how, each.kwargs, seed=(seed + at * _SEEDS_APART) % _SEEDS)
            for at, each in enumerate(candidate.fills)
        ]
        plan = plans[0] if len(plans) == 1 else _together(model, candidate, plans, seed)
        everyone = [(place.path, place.tensor) for place in plan.places]
        everyone += [(tie.path, model.tensor(tie.path)) for tie in plan.ties]
        lines = with_optimizers(model.module, plan, optimizer, everyone, clear=clear_state)
        if lines:
            written = plan.code
            plan.code = lambda: Recipe((*(made := written()).lines, *lines), made.imports)
        return plan


def _target_of(fill: Fill, target: Any) -> Any:
    if fill.target is not None:
        return fill.target
    is_reset = type(fill.how) is str and get_initializer(fill.how).name == RESET
    if is_reset and type(target) is list and all(type(each) is str for each in target):
        return list(dict.fromkeys(map(paths.parent, target)))
    return target


def _together(model: ChangeScope, candidate: Candidate, plans: Sequence[Plan], seed: int) -> Plan:
    """Several plans as one, carried out in their order."""
    by_path = {place.path: place for plan in plans for place in plan.places}
    named: list[TensorTarget] = [by_path[path] for path in model.in_walk_order(by_path)]
    places, warnings = distinct_memory(named)

    def write(guard: WriteGuard) -> None:
        for fill in filter(None, (plan.write for plan in plans)):
            fill(guard)

    def verify(guard: WriteGuard) -> None:
        for check in filter(None, (plan.verify for plan in plans)):
            check(guard)

    def recover() -> None:
        for put_back in filter(None, (plan.recover for plan in plans)):
            put_back()

    def code() -> Recipe:
        made = [plan.code() for plan in plans]
        lines = [line for recipe in made for line in (*recipe.lines, "")][:-1]
        return Recipe(tuple(lines), tuple(dict.fromkeys(line for recipe in made for line in recipe.imports)))

    def preview() -> dict[str, TensorStats]:
        tensors = {place.path: place.tensor for place in places}
        tensors.update((tie.path, model.tensor(tie.path)) for tie in model.ties_of(places))
        with SwappedMemory(list(tensors.values())).laid_under():
            write(Unguarded())
            return {path: summarize(tensor) for path, tensor in tensors.items()}

    return Plan(
        kind="init",
        label=candidate.name,
        places=places,
        plains=check_writable(places),
        ties=model.ties_of(places),
        write=write,
        code=code,
        seed=seed,
        warnings=list(dict.fromkeys([*(each for plan in plans for each in plan.warnings), *warnings])),
        told_after=lambda changed: [each for plan in plans if plan.told_after for each in plan.told_after(changed)],
        reports_changed=True,
        verify=verify,
        recover=recover,
        preview=preview,
    )
