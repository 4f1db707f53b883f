"""What the subcommands that change a model do: each one change of `nnwidgets.edit`, told with how to undo it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from nnwidgets import edit
from nnwidgets.edit.operations.initializers import get_initializer as find_initializer
from nnwidgets.edit.optimizer_state import states_of, warning_of
from nnwidgets.errors import InitializerError, InvalidTargetError
from nnwidgets.formatting import inert
from nnwidgets.introspect import live_tensors
from nnwidgets.introspect.safe_access.objects import is_tensor
from nnwidgets.magics.edit_parser import literal
from nnwidgets.magics.line.grammar import Command, LineError, cut
from nnwidgets.magics.resolve import Resolved, free_name, optimizers_in, resolve, tensor_names
from nnwidgets.text.document import Document, Note
from nnwidgets.text.pages.changes import Outcome, change_page, code_page, history_page

Namespace = Mapping[str, Any]


def init_page(command: Command, resolved: Resolved, namespace: Namespace) -> Document:
    """``%nn init``: fill tensors anew."""
    _require_order(command)
    kwargs = _parameters(command)
    change = edit.init(
        resolved.module, command.target, command.how, seed=command.seed,
        optimizer=list(optimizers_in(namespace, resolved.module).values()),
        preview="--preview" in command.flags, clear_state="--clear-state" in command.flags, **kwargs,
    )  # fmt: skip
    return changed_page(change, resolved.name)


def set_page(command: Command, resolved: Resolved, namespace: Namespace) -> Document:
    """``%nn set``: write values."""
    change = edit.assign(resolved.module, command.target, _value(command.value, namespace))
    remembered = remembered_of(change, resolved.module, namespace)
    return changed_page(replace(change, warnings=(*change.warnings, *remembered)), resolved.name)


def freeze_page(command: Command, resolved: Resolved, _namespace: Namespace) -> Document:
    """``%nn freeze`` and ``%nn unfreeze``."""
    act = edit.freeze if command.name == "freeze" else edit.unfreeze
    return changed_page(act(resolved.module, list(command.arguments)), resolved.name)


def undo_page(command: Command, resolved: Resolved, _namespace: Namespace) -> Document:
    """``%nn undo`` and ``%nn redo``."""
    act = edit.undo if command.name == "undo" else edit.redo
    outcome: Outcome = "undone" if command.name == "undo" else "redone"
    change = act(resolved.module, force="--force" in command.flags)
    return changed_page(change, resolved.name, outcome=outcome)


def log_page(_command: Command, resolved: Resolved, _namespace: Namespace) -> Document:
    """``%nn log``: what was done."""
    history = edit.history(resolved.module)
    name = resolved.name
    steps = [f"%nn undo {name}"] * bool(history.changes) + [f"%nn redo {name}"] * bool(history.undone)
    if history.changes:
        steps.append(f"%nn code {name} [#]")
    return history_page(history, name=name, next_step=" · ".join(steps))


def history_code_page(command: Command, resolved: Resolved, namespace: Namespace) -> Document:
    """``%nn code``: the changes, or one of them, as Python."""
    history = edit.history(resolved.module)
    said = _code(command, resolved, namespace)
    many = list(optimizers_in(namespace, resolved.module))
    name, before = (resolved.name, "") if _is_dotted(resolved.name) else _aliased(resolved.name, namespace)
    optimizer = many[0] if many else "optimizer"
    made = said.to_code(name, optimizer)
    blocks = list(code_page(before + made if made else "", whole=f"nnw.history({resolved.name}).to_code()"))
    if len(many) > 1 and f"{optimizer}_2" in made:
        names = ", ".join(f"{optimizer}_{number} is {each}" for number, each in enumerate(many[1:], start=2))
        blocks.append(Note(f"In it, {names}."))
    if command.number is None and history.undone and made:
        blocks.append(Note("What was undone is left out."))
    return tuple(blocks)


def changed_page(change: edit.Change, name: str, *, outcome: Outcome = "done") -> Document:
    """A change as the magic tells it."""
    if change.is_preview:
        again = f" and with --seed {change.seed}" if change.seed is not None else ""
        step = f"Without --preview{again} the same line writes these very numbers."
    elif outcome == "undone":
        step = f"%nn redo {name} makes it again; %nn log {name} shows all."
    else:
        step = f"%nn undo {name} takes it back; %nn code {name} gives it as Python."
    page = change_page(change, name=name, outcome=outcome, next_step=step)
    return tuple(replace(block, text=in_words_of_the_magic(block.text, name)) if isinstance(block, Note) else block
                 for block in page)  # fmt: skip


def in_words_of_the_magic(text: str, name: str = "net") -> str:
    """Advice on what to call from Python, as what to type on a line.

    Example:
        >>> in_words_of_the_magic("undo(net, force=True) does it all the same.")
        '%nn undo net --force does it all the same.'
    """
    for python, line in _WORDS.items():
        text = text.replace(python, line.format(name=name))
    return text


_WORDS = {
    "clear_state=True": "--clear-state",
    "undo(net, force=True)": "%nn undo {name} --force",
    "redo(net, force=True)": "%nn redo {name} --force",
    "history(net)": "%nn log {name}",
    "assign(net, target, value)": "%nn set {name} path = value",
    "Use freeze and unfreeze for that.": "Use %nn freeze and %nn unfreeze for that.",
    "tree(model)": "%nn tree {name}",
    "strict=False": "--partial",
    "overwrite=True": "--overwrite",
}


def remembered_of(change: edit.Change, module: nn.Module, namespace: Namespace) -> Sequence[str]:
    """What optimizers keep of the values that were written over."""
    live = live_tensors(module)
    written = {id(live[path]): (path, live[path]) for path in change.paths if is_tensor(live.get(path))}
    said = []
    for optimizer in optimizers_in(namespace, module).values():
        held = [
            written[id(tensor)] for *_, tensor in states_of([optimizer], [tensor for _, tensor in written.values()])
        ]
        if held:
            said.append(warning_of(optimizer, held, cleared=False, hint=""))
    return said


def _parameters(command: Command) -> dict[str, Any]:
    """What the initializer is passed: literals, and bare words where it takes text."""
    takes_text = {each.name for each in find_initializer(command.how).parameters if each.type == "str"}
    made: dict[str, Any] = {}
    for name, text in command.keywords:
        try:
            made[name] = literal(text)
        except ValueError:
            if name in takes_text and text.isidentifier():
                made[name] = text
                continue
            raise LineError(
                f"%nn init: {cut(f'{name}={text}')} is no plain value, expected a number, text in quotes, True, False "
                "or None; nothing is computed here."
            ) from None
    reserved = {"seed", "optimizer", "preview", "clear_state"} & made.keys()
    if reserved:
        name = min(reserved)
        option = {"seed": "--seed 7", "preview": "--preview", "clear_state": "--clear-state"}.get(name)
        said = f"is written {option}" if option else "is found among your variables"
        raise LineError(f"%nn init: {name} {said}.")
    return made


def _require_order(command: Command) -> None:
    """Notice an initializer before its target."""
    try:
        find_initializer(command.how)
    except InitializerError:
        try:
            find_initializer(command.target)
        except InitializerError:
            return
        raise LineError(
            f"%nn init: the target comes before the initializer: %nn init {inert(command.model, 80)} "
            f"{inert(command.how, 80)} {inert(command.target, 80)}"
        ) from None


def _value(text: str, namespace: Namespace) -> Any:
    try:
        return literal(text)
    except ValueError:
        return resolve(text, namespace, among=tensor_names(namespace), kind="tensor")


def _code(command: Command, resolved: Resolved, _namespace: Namespace) -> Any:
    history = edit.history(resolved.module)
    if command.number is None:
        return history
    known = (*history.changes, *history.undone)
    if not 0 < command.number <= len(known):
        there = f"there are {len(known)}" if known else "there are none yet"
        raise LineError(f"%nn code: no change has the number {command.number}; {there}, as %nn log shows.")
    return known[command.number - 1]


def _is_dotted(name: str) -> bool:
    try:
        edit.History(()).to_code(name)
    except InvalidTargetError:
        return False
    return True


def _aliased(expression: str, namespace: Namespace) -> tuple[str, str]:
    name = free_name(namespace)
    return name, f"{name} = {expression}\n"


EDIT_PAGES: dict[str, Callable[[Command, Resolved, Namespace], Document]] = {
    "init": init_page,
    "set": set_page,
    "freeze": freeze_page,
    "unfreeze": freeze_page,
    "undo": undo_page,
    "redo": undo_page,
    "log": log_page,
    "code": history_code_page,
}
