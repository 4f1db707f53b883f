"""What the subcommands that work on files do: `nnwidgets.checkpoint`, told in a line's words."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from nnwidgets import checkpoint
from nnwidgets.checkpoint.loading.suggest_renames import in_short
from nnwidgets.errors import InvalidTargetError, NNWidgetsError
from nnwidgets.formatting import and_more, inert
from nnwidgets.introspect.safe_access.objects import is_a, is_module, is_tensor, type_name
from nnwidgets.magics.file_parser import PATTERN
from nnwidgets.magics.line.grammar import Command, LineError, cut, usage
from nnwidgets.magics.resolve import model_names, optimizers_in, resolve
from nnwidgets.magics.subcommands.edit import remembered_of
from nnwidgets.text.document import Document, Note
from nnwidgets.text.pages import checkpoints as pages

Namespace = Mapping[str, Any]
Bind = Callable[[str, Any], None]
"""Gives one of the user's variables a value."""

Advice = Callable[[str], AbstractContextManager[None]]


def file_page(command: Command, namespace: Namespace, bind: Bind, advice: Advice) -> Document:
    """Do what a line of ``save``, ``load``, ``diff`` or ``ls`` asks for.

    Args:
        command: The line, read.
        namespace: The user's variables.
        bind: Gives one of them a value.
        advice: Turns an error's advice into a line's words, given the model's name.
    """
    with advice(command.model or "net"):
        if command.name == "ls":
            return _listed(command)
        if command.name == "diff":
            return _compared(command, namespace)
        if command.name == "save":
            return _saved(command, namespace)
        return _loaded(command, namespace, bind)


def _listed(command: Command) -> Document:
    place = Path(command.files[0] if command.files else ".").expanduser()
    try:
        return pages.index_page(checkpoint.peek(place))
    except NNWidgetsError:
        if not place.is_dir():
            raise
        return pages.folder_page(checkpoint.folder(place))


def _compared(command: Command, namespace: Namespace) -> Document:
    one, other = (_side(word, namespace) for word in command.files)
    return pages.diff_page(checkpoint.diff(one, other))


def _side(word: str, namespace: Namespace) -> Any:
    """A model where the word begins with a variable, unless there is a file of that very name."""
    if Path(word).expanduser().exists():
        return word
    first = re.split(r"[.\[]", word, maxsplit=1)[0]
    if first in namespace and not any(mark in word for mark in "/\\"):
        return resolve(word, namespace, among=model_names(namespace), kind="model")
    return word


def _saved(command: Command, namespace: Namespace) -> Document:
    value = resolve(command.model, namespace, among=model_names(namespace), kind="model")
    report = checkpoint.save(
        value, command.files[0], optimizer=_optimizer(command, value, namespace),
        overwrite="--overwrite" in command.flags, shard_size=command.shard_bytes,
        verify="--no-verify" not in command.flags,
    )  # fmt: skip
    return pages.save_page(report)


def _loaded(command: Command, namespace: Namespace, bind: Bind) -> Document:
    value = _target(command, namespace)
    file = command.files[0]
    if not is_module(value):
        if command.flags or command.renames or command.optimizer:
            raise LineError(f"%nn load: {cut(command.model)} holds no model, so options have no meaning.")
        bind(command.model, checkpoint.read(file))
        return (Note(f"{inert(command.model, 80)} is now what {inert(file, 80)} holds."),)
    rename = _renames(command)
    if "--dry-run" in command.flags:
        plan = checkpoint.plan(value, file, rename=rename)
        return pages.plan_page(plan, next_step=_next_step(command, plan))
    report = checkpoint.load(
        value, file, rename=rename, strict="--partial" not in command.flags,
        optimizer=_optimizer(command, value, namespace),
    )  # fmt: skip
    if report.change is not None and not command.optimizer:
        remembered = remembered_of(report.change, value, namespace)
        report = replace(report, warnings=(*report.warnings, *remembered))
    return pages.load_page(report, next_step=f"%nn undo {command.model} takes it back.")


def _target(command: Command, namespace: Namespace) -> Any:
    """What is to be loaded into: a model, or a variable that will be given what the file holds."""
    name = command.model
    if name.isidentifier() and not keyword.iskeyword(name) and name not in namespace:
        return None
    value = resolve(name, namespace, among=model_names(namespace), kind="model")
    if is_module(value):
        return value
    kinds = (list, tuple, dict)
    if name.isidentifier() and (value is None or is_tensor(value) or any(is_a(value, kind) for kind in kinds)):
        return value
    raise LineError(
        f"{inert(name, 80)} is of type {type_name(type(value))}, expected a model, or a variable that holds a tensor, "
        f"a list, a dict or nothing. {usage('load')}"
    )


def _renames(command: Command) -> dict[Any, str] | None:
    made: dict[Any, str] = {}
    for old, new in command.renames:
        if old.startswith(PATTERN):
            try:
                made[re.compile(old.removeprefix(PATTERN))] = new
            except re.error as error:
                raise LineError(f"--rename {cut(old)}: no regular expression ({error}).") from None
        else:
            made[old] = new
    return made or None


def _optimizer(command: Command, value: Any, namespace: Namespace) -> Any:
    if not command.optimizer:
        return None
    known = optimizers_in(namespace, value) if is_module(value) else {}
    found = resolve(command.optimizer, namespace, among=known, kind="optimizer")
    if not is_a(found, Optimizer):
        raise InvalidTargetError(
            f"{command.optimizer} is of type {type_name(type(found))}, expected a torch.optim.Optimizer."
        )
    return found


def _next_step(command: Command, plan: checkpoint.LoadPlan) -> str:
    line = f"%nn load {command.model} {command.files[0]}"
    if plan.is_complete:
        return f"Without --dry-run the same line loads it{'' if not command.renames else ', renames and all'}."
    if plan.renames:
        names = [entry.source for entry in plan.entries if entry.source is not None]
        short = in_short(plan.renames, names)
        words = [f"--rename {_word(key)}={new}" for key, new in short.items()]
        more = and_more(len(words) - _MOST_WORDS)
        return f"{line} {' '.join(inert(word, 120) for word in words[:_MOST_WORDS])}{more}"
    return f"{line} --partial loads what fits."


def _word(key: Any) -> str:
    return f"{PATTERN}{key.pattern}" if isinstance(key, re.Pattern) else str(key)


_MOST_WORDS = 4
