"""``%nn set``, ``freeze``, ``unfreeze``, ``undo``, ``redo``, ``log`` and ``code``: changes, and the log of them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from nnwidgets import edit
from nnwidgets.edit.change import Outcome
from nnwidgets.edit.optimizer_state import states_of, warning_of
from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import inert
from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.safe_access.objects import is_tensor
from nnwidgets.magics.line.advice import in_words_of_a_line
from nnwidgets.magics.line.grammar import Candidate, Command, LineError, MisuseError, cut, require_at_most, unquote
from nnwidgets.magics.line.tokenizer import split_assignment
from nnwidgets.magics.resolve import free_name, in_two_words, optimizers_in, resolve, tensor_names
from nnwidgets.magics.subcommands.subcommand import Answer, Option, Request, Subcommand, TypedLine, complete_target
from nnwidgets.text.document import Document, Note
from nnwidgets.text.pages.changes import change_page, code_page, history_page

_MOST_LITERAL = 100_000
_FLOATS = frozenset(sign + word for sign in ("", "-", "+") for word in ("nan", "inf"))

TARGET = (
    "target",
    (
        "a path (0.weight), a glob (block*.0.weight, **.bias), a range or a choice (h.{0…11}, h.[0-2].**, h.{0,3}), a "
        "class (Linear), a tensor of a class (Linear.weight); a module means all parameters at and below it; several "
        "may follow each other, and !h.11 leaves out what it names"
    ),
)
"""What a target may be, for the help."""


def page_of_change(change: edit.Change, name: str, *, outcome: Outcome = "done") -> Document:
    """A change, with the line that takes it back.

    Args:
        change: The change.
        name: How the model is written.
        outcome: Whether it was just made, taken back, or made again.
    """
    if change.is_preview:
        again = f" and with --seed {change.seed}" if change.seed is not None else ""
        step = f"Without --preview{again} the same line writes these very numbers."
    elif outcome == "undone":
        step = f"%nn redo {name} makes it again; %nn log {name} shows all."
    else:
        step = f"%nn undo {name} takes it back; %nn code {name} gives it as Python."
    change = replace(change, warnings=tuple(in_words_of_a_line(warning, name) for warning in change.warnings))
    return change_page(change, name=name, outcome=outcome, next_step=step)


def optimizer_warnings(change: edit.Change, module: nn.Module, namespace: Mapping[str, Any]) -> Sequence[str]:
    """What optimizers among the variables keep of the values that were written over."""
    live = LiveModel(module).tensors
    written = {id(live[path]): (path, live[path]) for path in change.paths if is_tensor(live.get(path))}
    warnings = []
    for optimizer in optimizers_in(namespace, module).values():
        states = states_of([optimizer], [tensor for _, tensor in written.values()])
        if states:
            held = [written[id(tensor)] for *_, tensor in states]
            warnings.append(warning_of(optimizer, held, cleared=False, can_clear=False))
    return warnings


def parse_literal(text: str) -> Any:
    """The value of a Python literal.

    Raises:
        ValueError: It is none; nothing was run.

    Example:
        >>> parse_literal("[1, -2.5]"), parse_literal("inf")
        ([1, -2.5], inf)
    """
    if text in _FLOATS:
        return float(text)
    if len(text) > _MOST_LITERAL:
        raise ValueError(text)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise ValueError(text) from None


def parse_targets(command: Command, words: list[str]) -> Command:
    """Take all words as targets."""
    if not words:
        raise MisuseError("no tensor or module is named; ** means all")
    targets = tuple(map(unquote, words))
    return replace(command, target=targets[0], arguments=targets)


def _parse_set(command: Command, words: list[str]) -> Command:
    if not words:
        raise MisuseError("no tensor is named")
    parts = split_assignment(words[0])
    if parts is None:
        raise MisuseError("there is no = and value")
    target, value = parts
    if not target and command.model.isidentifier():
        raise MisuseError("no tensor is named before the =")
    if not value or value.startswith("="):
        raise MisuseError("no value stands after the =")
    return replace(command, target=unquote(target), value=value)


def _run_set(request: Request) -> Answer:
    command, namespace = request.command, request.namespace
    if not command.target:
        words = in_two_words(command.model, namespace)
        such = f"%nn set {inert(words, 160)} = {cut(command.value)[1:-1]}"
        end = f"; the model and what is in it are two words: {such}" if words else f". Usage: {SET.line}"
        raise LineError(f"%nn set: no tensor is named before the ={end}")
    model = request.model
    try:
        value = parse_literal(command.value)
    except ValueError:
        value = resolve(command.value, namespace, among=tensor_names(namespace), kind="tensor")
    change = edit.assign(model, command.target, value)
    if request.is_here:
        change = replace(change, warnings=(*change.warnings, *optimizer_warnings(change, model, namespace)))
    return Answer(page_of_change(change, command.model), change)


def _complete_set(typed: TypedLine) -> Iterator[Candidate]:
    n = len(typed.words)
    if n > 1 and typed.words[-1].endswith("="):
        yield from (Candidate(each, "value") for each in tensor_names(typed.namespace))
    elif n == 1:
        yield from complete_target(typed, tensors=True)
    elif n == 2 and not typed.last:  # noqa: PLR2004 - a model and a target
        yield Candidate("=", "keyword")


def _run_on_targets(freeze: Callable[..., edit.Change], request: Request) -> Answer:
    change = freeze(request.model, list(request.command.arguments))
    return Answer(page_of_change(change, request.command.model), change)


def _run_turn(undo: Callable[..., edit.Change], outcome: Outcome, request: Request) -> Answer:
    change = undo(request.model, force=_FORCE.name in request.command.flags)
    return Answer(page_of_change(change, request.command.model, outcome=outcome), change)


def _run_log(request: Request) -> Answer:
    history = edit.history(request.model)
    name = request.command.model
    steps = [f"%nn undo {name}"] * bool(history.changes) + [f"%nn redo {name}"] * bool(history.undone)
    if history.changes:
        steps.append(f"%nn code {name} [#]")
    return Answer(history_page(history, name=name, next_step=" · ".join(steps)), history)


def _parse_code(command: Command, words: list[str]) -> Command:
    if not words:
        return command
    word = words[0]
    if not (word.isascii() and word.isdigit() and 0 < len(word) < 10):  # noqa: PLR2004 - enough changes
        raise MisuseError(f"{cut(word)} is not the number of a change, as %nn log has it")
    require_at_most(1, words)
    return replace(command, number=int(word))


def _run_code(request: Request) -> Answer:
    command, namespace = request.command, request.namespace
    history = edit.history(request.model)
    optimizers = list(optimizers_in(namespace, request.module)) if request.is_here else []
    name, before, model = command.model, "", command.model
    if not request.is_here:  # the code is for the ranks
        name = request.model.name
        ranks = model.removesuffix(f".{name}")
        model = model if ranks == model else f'{ranks}["{name}"]'
    elif not _is_dotted(name):
        name = free_name(namespace)
        before = f"{name} = {command.model}\n"
    optimizer = optimizers[0] if optimizers else "optimizer"
    code = _of_number(history, command.number).to_code(name, optimizer)
    code = before + code if code else ""
    blocks = list(code_page(code, whole=f"nnw.history({model}).to_code()"))
    if len(optimizers) > 1 and f"{optimizer}_2" in code:
        names = ", ".join(f"{optimizer}_{number} is {each}" for number, each in enumerate(optimizers[1:], start=2))
        blocks.append(Note(f"In it, {names}."))
    if command.number is None and history.undone and code:
        blocks.append(Note("What was undone is left out."))
    return Answer(tuple(blocks), code)


def _of_number(history: edit.History, number: int | None) -> edit.History | edit.Change:
    """The change of a number, or all."""
    if number is None:
        return history
    known = (*history.changes, *history.undone)
    if not 0 < number <= len(known):
        there = f"there are {len(known)}" if known else "there are none yet"
        raise LineError(f"%nn code: no change has the number {number}; {there}, as %nn log shows.")
    return known[number - 1]


def _is_dotted(name: str) -> bool:
    try:
        edit.History(()).to_code(name)
    except InvalidTargetError:
        return False
    return True


def _complete_code(typed: TypedLine) -> Iterator[Candidate]:
    if len(typed.words) == 1 and typed.module is not None:  # ranks would be waited for, or asked by one of them alone
        known = edit.history(typed.module)
        numbers = range(1, len(known.changes) + len(known.undone) + 1)
        yield from (Candidate(str(number), "value") for number in numbers)


_FORCE = Option("--force", "do it even where other code has written over what the change left")


def _freeze_entry(name: str, about: str, act: Callable[..., edit.Change]) -> Subcommand:
    return Subcommand(
        name, f"{about}.", partial(_run_on_targets, act), arguments="net 0.*",
        parse=parse_targets, complete=partial(complete_target, tensors=True, is_repeated=True),
        details=(TARGET,), examples=f"%nn {name} net 0.*\n%nn {name} net ** !h.11",
    )  # fmt: skip


SET = Subcommand(
    "set",
    "Set a tensor, or the part of it an index chooses, to a number, a nested list, or a variable that holds a "
    "tensor or array of that shape.",
    _run_set, arguments="net 0.weight[0,0] = 42", parse=_parse_set, complete=_complete_set, takes_text=True,
    details=(("index", "integers, slices and ... as Python has them: [0, 0], [:, 1:3], [..., -1]"),),
    examples="%nn set net 0.weight[0,0] = 42\n%nn set net 0.bias = some_tensor",
)  # fmt: skip

EDIT = (
    SET,
    _freeze_entry("freeze", "Stop parameters from asking for gradients", edit.freeze),
    _freeze_entry("unfreeze", "Let parameters ask for gradients again", edit.unfreeze),
    Subcommand(
        "undo", "Take back the last change: values, flags, and optimizer state that was cleared with it.",
        partial(_run_turn, edit.undo, "undone"), options=(_FORCE,),
    ),
    Subcommand(
        "redo", "Make the change again that was undone last, bit for bit.",
        partial(_run_turn, edit.redo, "redone"), options=(_FORCE,),
    ),
    Subcommand("log", "What was done to the model since it was first changed, with times and seeds.", _run_log),
    Subcommand(
        "code", "The changes as Python that uses torch alone and gives equal bits; with a number, one of them.",
        _run_code, arguments="net [number]", parse=_parse_code, complete=_complete_code,
        examples="%nn code net\n%nn code net 2",
    ),
)  # fmt: skip
