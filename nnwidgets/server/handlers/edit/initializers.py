"""Answers to `initializers`: which can fill a target, and what is known that helps to choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnwidgets.edit import FanHint, Initializer, fan_hint, initializers
from nnwidgets.edit.operations.initializers import RESET, Parameter, dry_run
from nnwidgets.edit.rng import fork_generators
from nnwidgets.edit.targets import TensorTarget
from nnwidgets.edit.writable import check_writable
from nnwidgets.errors import NNWidgetsError
from nnwidgets.formatting import inert
from nnwidgets.server.handlers.edit.target import ResolvedTarget, resolve_target, scopes
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.changes import FanBody, InitializerBody, InitializersReply, ParameterBody

_MOST_TRIED = 64
_MOST_DOC = 400
_SAMPLES = {"float": 0.5, "int": 1, "bool": False, "str": "", "any": 0.5}


@handles("initializers", long=True)
def answer_initializers(session: Session, body: Mapping[str, Any], _job: Job) -> InitializersReply:
    """Give those on offer, the one to begin with, and why one can't fill this target.

    Raises:
        PathNotFoundError: Nothing is at the path.
        InvalidTargetError: It means no tensor.
    """
    whole = resolve_target(session, {**body, "only": "all"})
    target = resolve_target(session, body) if body.get("only", "all") != "all" else whole
    problem = _problem(target)
    with fork_generators(0):
        made = [_body(each, target) for each in initializers().values()]
    weight = next(iter(target.weights), None)
    hint = fan_hint(session.module, weight.path) if weight is not None and problem is None else None
    return {
        "initializers": made,
        "suggested": _suggestion(target, made, hint),
        "scopes": scopes(session, body, target.scope),
        "n_weights": len(whole.weights),
        "n_vectors": len(whole.places) - len(whole.weights),
        "fan": _fan(hint) if hint is not None else None,
        "problem": problem,
    }


def refusal(initializer: Initializer, target: ResolvedTarget) -> str | None:
    """Return why ``initializer`` can't fill a target, or None."""
    if initializer.name == RESET and not target.is_modules:
        return "It resets whole modules: select one, with all its parameters."
    return None


def _problem(target: ResolvedTarget) -> str | None:
    try:
        writable = check_writable(target.places, parts=True)
    except NNWidgetsError as error:
        return f"{error.message} {error.hint}".strip()
    for place, data in zip(target.places, writable, strict=True):
        if not (data.dtype.is_floating_point or data.dtype.is_complex):
            return f"{place.path} is {place.entry.dtype}; initializers fill floating point tensors."
    return None


def _body(initializer: Initializer, target: ResolvedTarget) -> InitializerBody:
    return {
        "name": initializer.name,
        "kind": initializer.kind,
        "doc": inert(initializer.doc, _MOST_DOC),
        "signature": initializer.signature,
        "parameters": [_parameter(each) for each in initializer.parameters if each.name != "**"],
        "draws": initializer.kind != "torch" or initializer.takes_generator,
        "is_constant": initializer.is_constant,
        "refused": refusal(initializer, target) or _objection(initializer, target.places),
    }


def _parameter(each: Parameter) -> ParameterBody:
    default = each.to_dict()["default"]
    return {
        "name": each.name,
        "type": each.type,
        "required": each.required,
        "default": default,
        "choices": list(each.choices),
    }


def _objection(initializer: Initializer, places: list[TensorTarget]) -> str | None:
    """What torch says against it, heard from tensors of the same shapes without data."""
    kwargs = {each.name: _sample(each) for each in initializer.parameters if each.required}
    tried = {(place.entry.shape, place.entry.dtype): place for place in places if place.entry.problem is None}
    for place in list(tried.values())[:_MOST_TRIED]:
        try:
            check_writable([place], parts=True)
            dry_run(initializer, place.tensor, kwargs, place.path)
        except NNWidgetsError as error:
            return inert(error.message, _MOST_DOC)
    return None


def _sample(parameter: Parameter) -> Any:
    return parameter.choices[0] if parameter.choices else _SAMPLES[parameter.type]


def _suggestion(target: ResolvedTarget, made: list[InitializerBody], hint: FanHint | None) -> str:
    """What most people would start from: the modules' own way, else by what the tensor is and what follows it."""
    first = target.places[0]
    if target.is_modules:
        wanted = RESET
    elif not target.weights:
        wanted = "zeros_" if first.path.endswith("bias") else "ones_"
    else:
        wanted = "kaiming_normal_" if hint is not None and "relu" in (hint.activation or "") else "xavier_uniform_"
    free = [each for each in made if each["refused"] is None]
    possible = [each["name"] for each in free if not (each["is_constant"] and target.weights)]
    return wanted if wanted in possible or not possible else "normal_" if "normal_" in possible else possible[0]


def _fan(hint: FanHint) -> FanBody:
    return {
        "fan_in": hint.fan_in,
        "fan_out": hint.fan_out,
        "activation": hint.activation,
        "activation_path": hint.activation_path,
        "gain": hint.gain,
        "stds": dict(hint.stds),
        "note": hint.note,
    }
