"""``%nn init``: fill tensors anew, by the name of an initializer; ``%nn inits``: compare some before."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Any

from nnwidgets import edit
from nnwidgets.edit import Initializer, initializers
from nnwidgets.edit.code import literal
from nnwidgets.edit.init_comparison.candidates import AS_IT_IS
from nnwidgets.edit.operations.initializers import get_initializer
from nnwidgets.errors import InitializerError, closest_names
from nnwidgets.formatting import inert
from nnwidgets.introspect.safe_access.objects import is_a, is_tensor
from nnwidgets.introspect.signal.losses import NOISE
from nnwidgets.magics.line.grammar import (
    KEYWORD,
    Candidate,
    Command,
    LineError,
    MisuseError,
    cut,
    keyword_pairs,
    unquote,
)
from nnwidgets.magics.resolve import optimizers_in
from nnwidgets.magics.subcommands.edit import TARGET, page_of_change, parse_literal
from nnwidgets.magics.subcommands.inspect import (
    SIZE_OF_INPUT,
    complete_inputs,
    complete_loss,
    loss_of,
    needed_arguments,
    parse_inputs,
)
from nnwidgets.magics.subcommands.subcommand import Answer, Option, Request, Subcommand, TypedLine, complete_target
from nnwidgets.magics.subcommands.summary import input_option
from nnwidgets.text.document import Block, Table
from nnwidgets.text.pages.signal import comparison_page

_COMMA = re.compile(r",\s*(?=[^\W\d]\w*=)|,\Z")
"""What some write between parameters, or behind one."""
_FILLS = re.compile(r"Fill the (?:(.*) )?(?:input )?Tensor (?:with|as) (?:values (?:using|drawn from) )?(.*)")


def _read_seed(text: str) -> int:
    digits = text[1:] if text[:1] in {"-", "+"} else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):  # noqa: PLR2004 - digits of 64 bits
        raise LineError(f"--seed {cut(text)} is not a whole number of at most 64 bits, such as 7.")
    return int(text)


_PREVIEW = Option("--preview", "write nothing, and show the very numbers that the same seed gives")
_CLEAR = Option(
    "--clear-state", "clear what optimizers among your variables remember of the tensors; undo brings it back"
)
INIT_OPTIONS = (Option("--seed", "what random numbers come from", "7", "seed", _read_seed), _PREVIEW, _CLEAR)
"""The options of whatever fills tensors: ``%nn init`` and ``%%nn_init``."""


def init_arguments(request: Request) -> dict[str, Any]:
    """What those options mean for `nnwidgets.edit`."""
    command = request.command
    return {
        "seed": command.seed,
        # Of a model over ranks they are there too.
        "optimizer": list(optimizers_in(request.namespace, request.model).values()) if request.is_here else None,
        "preview": _PREVIEW.name in command.flags,
        "clear_state": _CLEAR.name in command.flags,
    }


def _parse(command: Command, words: list[str]) -> Command:
    if not words:
        raise MisuseError("no tensor or module is named")
    at = _place_of_initializer(words)
    if not at:
        raise MisuseError("no initializer is named")
    otherwise = "is one word too many; parameters are written as gain=2"
    pairs = [pair for word in words[at + 1 :] for pair in _COMMA.split(word) if pair]
    keywords = keyword_pairs(pairs, value="a value", otherwise=otherwise)
    targets = tuple(map(unquote, words[:at]))
    return replace(command, target=targets[0], arguments=targets, how=unquote(words[at]), keywords=keywords)


def _place_of_initializer(words: list[str]) -> int:
    """Which word is the initializer: behind the targets, before the parameters; 0 where there is none."""
    named = list(takewhile(lambda word: not KEYWORD.fullmatch(word), words))
    known = (at for at in range(len(named) - 1, 0, -1) if _is_initializer(unquote(named[at])))
    return next(known, max(len(named) - 1, 0))


def _run(request: Request) -> Answer:
    command, model = request.command, request.model
    how = _resolve_how(command.how, request.namespace)
    if type(how) is str:
        _require_order(command)
    change = edit.init(
        model, list(command.arguments), how, **init_arguments(request), **_parameters(command, get_initializer(how))
    )
    return Answer(page_of_change(change, command.model), change)


def _resolve_how(name: str, namespace: Mapping[str, Any]) -> Any:
    """The name of an initializer, or a function of the user's that is no initializer yet."""
    is_theirs = not _is_initializer(name) and is_a(namespace.get(name), types.FunctionType)
    return namespace[name] if is_theirs else name


def _require_order(command: Command) -> None:
    """Notice an initializer before its target."""
    if not _is_initializer(command.how) and _is_initializer(command.target):
        line = " ".join(inert(word, 80) for word in (command.model, command.how, command.target))
        raise LineError(f"%nn init: the target comes before the initializer: %nn init {line}")


def _is_initializer(name: str) -> bool:
    try:
        get_initializer(name)
    except InitializerError:
        return False
    return True


def _parameters(command: Command, initializer: Initializer) -> dict[str, Any]:
    """What the initializer is passed: literals, and bare words where it takes text."""
    takes_text = {each.name for each in initializer.parameters if each.type == "str"}
    values: dict[str, Any] = {}
    for name, text in command.keywords:
        try:
            values[name] = parse_literal(text)
        except ValueError:
            if name in takes_text and text.isidentifier():
                values[name] = text
                continue
            raise LineError(
                f"%nn init: {cut(f'{name}={text}')} is no plain value, expected a number, text in quotes, True, False "
                "or None; nothing is computed here."
            ) from None
    reserved = {"seed", "optimizer", "preview", "clear_state"} & values.keys()
    if reserved:
        name = min(reserved)
        option = next((str(each) for each in INIT_OPTIONS if each.name == f"--{name.replace('_', '-')}"), "")
        raise LineError(f"%nn init: {name} is {f'written {option}' if option else 'found among your variables'}.")
    return values


def _complete(typed: TypedLine) -> Iterator[Candidate]:
    _, *words = typed.words
    at = next((at for at in range(len(words) - 1, 0, -1) if _is_initializer(unquote(words[at]))), 0)
    if at:
        yield from _complete_parameter(unquote(words[at]), words[at + 1 :], typed.last)
        return
    if words:
        offered = initializers()
        yield from (Candidate(name, "function") for name in offered)
        short = (name.removesuffix("_") for name, each in offered.items() if each.kind == "torch")
        yield from (Candidate(name, "function") for name in short)
        yield from (Candidate(name, "function") for name in _functions_in(typed.namespace))
    if typed.last or not words:
        yield from complete_target(typed, tensors=True, is_repeated=True)


def _functions_in(namespace: Mapping[str, Any]) -> Iterator[str]:
    """The functions that were written in the notebook."""
    here = namespace.get("__name__")
    for name, value in list(namespace.items()):
        if is_a(value, types.FunctionType) and value.__module__ == here and not name.startswith("_"):
            yield name


def _complete_parameter(how: str, before: list[str], last: str) -> Iterator[Candidate]:
    try:
        parameters = {each.name: each for each in get_initializer(how).parameters}
    except InitializerError:
        return
    name, equals, _ = last.partition("=")
    if not equals:
        given = {word.partition("=")[0] for word in before}
        yield from (Candidate(f"{each}=", "keyword") for each in parameters if each != "**" and each not in given)
    elif name in parameters:
        parameter = parameters[name]
        yield from (Candidate(f"{name}={choice}", "value") for choice in parameter.choices)
        if not parameter.choices and parameter.default is not None:
            yield Candidate(f"{name}={literal(parameter.default)}", "value")


def _initializer_table() -> tuple[Block, ...]:
    rows = []
    for each in initializers().values():
        parameters = each.signature.removeprefix(f"{each.name}(").removesuffix(")")
        rows.append((each.name, parameters, _first_sentence(each)))
    return (Table(("initializer", "parameters", "fills with"), tuple(rows)),)


def _first_sentence(initializer: Initializer) -> str:
    sentence = initializer.doc.split(". ")[0].rstrip(".")
    found = _FILLS.fullmatch(sentence)
    if found is None:
        return sentence or "what you wrote"
    return f"{found[2]} ({found[1].removesuffix(' input')})" if found[1] and found[1] != "input" else found[2]


INIT = Subcommand(
    "init",
    "Fill tensors anew, in place and undoable. A seed is drawn and shown where none is given; torch's global random "
    "state stays as it was.",
    _run, arguments="net 0.weight xavier_uniform_ [gain=2]", options=INIT_OPTIONS, parse=_parse, complete=_complete,
    details=(
        TARGET,
        ("gain=2", "a parameter, as a plain value"),
        ("a function of yours", "in place of an initializer: of one module, as net.apply takes it, or of one tensor"),
    ),
    examples="%nn init net 0.weight xavier_uniform_ gain=2 --seed 7\n%nn init net Linear.weight normal_ std=0.01\n"
    "%nn init net 0 reset",
    appendix=_initializer_table,
)  # fmt: skip


def _parse_inits(command: Command, words: list[str]) -> Command:
    first = next((at for at, word in enumerate(words) if _is_candidate(word)), len(words))
    command = parse_inputs(command, words[:first])
    inits: list[str] = []
    for word in words[first:]:
        if KEYWORD.fullmatch(word) and inits:
            inits[-1] += f" {word}"
        else:
            inits.append(unquote(word))
    return replace(command, inits=tuple(inits))


def _is_candidate(word: str) -> bool:
    text = unquote(word)
    name = re.split(r"[\s(,]", text, maxsplit=1)[0]
    return text == AS_IT_IS or (not KEYWORD.fullmatch(word) and _is_initializer(name))


def _run_inits(request: Request) -> Answer:
    command, namespace = request.command, request.namespace
    inputs, inits = list[str](), dict[str, Any]()
    for word in command.arguments:
        if is_a(namespace.get(word), types.FunctionType):
            inits[word] = namespace[word]
        else:
            _refuse_misspelled(word, namespace)
            inputs.append(word)
    named = list(command.inits)
    if not (inputs or command.keywords or command.inputs) and named and is_tensor(namespace.get(named[0])):
        inputs.append(named.pop(0))  # such as ones = torch.ones(4, 20)
    inits.update((each, _resolve_how(each, namespace)) for each in named)
    if not inits:
        raise INITS.misuse("no initializer is named")
    if command.steps and command.loss in ("", NOISE):
        raise INITS.misuse("--steps needs --loss, a target or a function of the output")
    request = replace(request, command=replace(command, arguments=tuple(inputs)))
    arguments, keywords = needed_arguments(request)
    found = edit.compare_inits(
        request.module,
        *arguments,
        inits=inits,
        target=list(command.targets) or None,
        loss=loss_of(request),
        input_size=command.inputs or None,
        seeds=command.n_seeds,
        steps=command.steps,
        **keywords,
    )
    return Answer(comparison_page(found, name=command.model), found)


def _refuse_misspelled(word: str, namespace: Mapping[str, Any]) -> None:
    """Notice an initializer that isn't known where an input stands."""
    if word.isidentifier() and word not in namespace and closest_names(word, initializers()):
        get_initializer(word)


def _complete_inits(typed: TypedLine) -> Iterator[Candidate]:
    _, *words = typed.words
    at = next((at for at in range(len(words) - 1, -1, -1) if _is_candidate(words[at])), None)
    if at is not None and all(map(KEYWORD.fullmatch, words[at + 1 :])):
        yield from _complete_parameter(unquote(words[at]).split()[0], words[at + 1 :], typed.last)
    if at is None:
        yield from complete_inputs(typed)
    yield from (Candidate(name, "function") for name in initializers())
    yield Candidate(f'"{AS_IT_IS}"', "keyword")
    yield from (Candidate(name, "function") for name in _functions_in(typed.namespace))


def _read_count(option: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
            raise LineError(f"{option} {cut(text)} is not a whole number, such as 3.")
        return int(text)

    return read


_MOST_DIGITS = 9

INITS = Subcommand(
    "inits",
    "What initializers do to the signal: each fills stand-ins of the weights, with several seeds, and a forward and a "
    "backward are run. The model stays as it is.",
    _run_inits, arguments="net X xavier_uniform_ kaiming_normal_", parse=_parse_inits, complete=_complete_inits,
    options=(
        Option("--target", "what they fill, in place of all weights but embeddings' and norms'", "Linear.weight",
               "targets", unquote, partial(complete_target, tensors=True, is_repeated=True), is_repeated=True),
        Option("--loss", "a target or a function of the output, in place of a standard-normal gradient", "y", "loss",
               complete=complete_loss),
        Option("--seeds", "with how many seeds each is run", "3", "n_seeds", _read_count("--seeds")),
        Option("--steps", "train each for so many steps of plain SGD too, which takes --loss", "20", "steps",
               _read_count("--steps")),
        input_option(SIZE_OF_INPUT),
    ),
    details=(
        ("X", "what the forward takes, as of %nn activations"),
        ("normal_ std=0.01", "an initializer with its parameters, in quotes or not"),
        (f'"{AS_IT_IS}"', "the values now"),
        ("a function of yours", "as of %nn init"),
    ),
    examples='%nn inits net X xavier_uniform_ kaiming_normal_ "normal_ std=0.01"\n'
    '%nn inits net X "as it is" orthogonal_ --loss y --target Linear.weight\n'
    "r = %nn inits net --input 32,20 xavier_normal_ kaiming_normal_ --loss noise",
)  # fmt: skip
