"""``%nn tree``, ``show``, ``tied``, ``check``, ``trace`` and ``costs``, which look at a model; ``%nn auto``."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Any

from nnwidgets.errors import InvalidTargetError, PathNotFoundError
from nnwidgets.formatting import exact_count, inert, plural
from nnwidgets.introspect.checks.check import all_findings
from nnwidgets.introspect.costs import costs
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.patterns import match
from nnwidgets.introspect.records import Findings, TensorEntry
from nnwidgets.introspect.safe_access import lookup
from nnwidgets.introspect.safe_access.objects import class_attribute
from nnwidgets.introspect.safe_access.tensors import unreadable_reason
from nnwidgets.introspect.sharing.ties import ties
from nnwidgets.introspect.statistics.stats import stats
from nnwidgets.introspect.tracing.trace import trace
from nnwidgets.magics.line.grammar import (
    KEYWORD,
    Candidate,
    Command,
    LineError,
    MisuseError,
    cut,
    keyword_pairs,
    require_at_most,
    unquote,
)
from nnwidgets.magics.resolve import optimizers_in, resolve, tensor_names
from nnwidgets.magics.subcommands.subcommand import Answer, Request, Subcommand, TypedLine, complete_target
from nnwidgets.magics.subcommands.summary import SUMMARY, depth_option, input_option
from nnwidgets.text.document import Document, Note
from nnwidgets.text.pages import model
from nnwidgets.text.pages.costs import costs_page

_MOST_MEANT = 3


def _parse_target(command: Command, words: list[str]) -> Command:
    require_at_most(1, words)
    return replace(command, target=unquote(words[0])) if words else command


def _find_one(found: ModuleTree, target: str) -> ModuleNode | TensorEntry:
    """Return the module or tensor that a path, glob or class means; the model itself for ``""``.

    Raises:
        LineError: If nothing is there, or a glob or class means several.
    """
    if not target:
        return found.root
    try:
        return found.find(target)
    except (InvalidTargetError, PathNotFoundError) as error:
        missing = inert(str(error), 500)
    try:
        paths = match(found, target, words=False).paths
    except InvalidTargetError as error:
        raise LineError(inert(str(error), 500)) from None
    if len(paths) == 1:
        return found.find(paths[0])
    if not paths:
        raise LineError(missing) from None
    shown = ", ".join(inert(path, 80) for path in paths[:_MOST_MEANT])
    more = f" and {exact_count(len(paths) - _MOST_MEANT)} more" if len(paths) > _MOST_MEANT else ""
    raise LineError(f"{cut(target)} is ambiguous, it means {shown}{more}; name one of them.")


def _run_tree(request: Request) -> Answer:
    command = request.command
    found = tree(request.module)
    at = _find_one(found, command.target)
    page = model.tree_page(found, path=at.path, name=command.model, depth=command.depth)
    return Answer(page, at if command.target else found)


def _run_show(request: Request) -> Answer:
    found = tree(request.module)
    at = _find_one(found, request.command.target)
    if not isinstance(at, TensorEntry):
        return Answer(model.module_page(found, at.path, name=request.command.model), at)
    if at.problem is not None:
        return Answer(model.tensor_page(at), at)
    tensor = lookup.get(request.module, at.path)
    unread = unreadable_reason(tensor)
    if unread is not None:
        return Answer(model.tensor_page(at, unread=unread), at)
    figures = stats(tensor)
    return Answer(model.tensor_page(at, figures), figures)


def _run_tied(request: Request) -> Answer:
    groups = ties(request.module)
    return Answer(model.ties_page(groups), groups)


def _run_check(request: Request) -> Answer:
    found = Findings(all_findings(request.module, name=request.command.model))
    return Answer(model.findings_page(found), found)


def _parse_trace(command: Command, words: list[str]) -> Command:
    arguments = tuple(takewhile(lambda word: not KEYWORD.fullmatch(word), words))
    by_name = words[len(arguments) :]
    first = by_name[0].partition("=")[0] if by_name else ""
    keywords = keyword_pairs(by_name, value="a variable", otherwise=f"by position comes after {first}=")
    return replace(command, arguments=arguments, keywords=keywords)


def _forward_arguments(request: Request) -> tuple[list[Any], dict[str, Any]]:
    """What a line passes to a forward, by position and by name."""
    command, namespace = request.command, request.namespace

    def value(expression: str) -> Any:
        return resolve(expression, namespace, among=tensor_names(namespace), kind="tensor")

    return [value(each) for each in command.arguments], {name: value(each) for name, each in command.keywords}


def _run_trace(request: Request) -> Answer:
    # Imported late: tracing without a view open needs nothing of the views.
    from nnwidgets.server.session.open_views import views_of

    command = request.command
    arguments, keywords = _forward_arguments(request)
    found = trace(request.module, *arguments, input_size=command.inputs or None, **keywords)
    page = model.trace_page(found, name=command.model)
    views = views_of(request.module)
    for view in views:
        view.show_trace(found)
    if views:
        page = (*page, Note(f"Shown in the open {plural('Explorer', len(views))} of {command.model} too."))
    return Answer(page, found)


def _run_costs(request: Request) -> Answer:
    command, namespace = request.command, request.namespace
    arguments, keywords = _forward_arguments(request)
    optimizers = list(optimizers_in(namespace, request.module).values())
    size = command.inputs or None
    found = costs(request.module, *arguments, optimizer=optimizers, input_size=size, **keywords)
    return Answer(costs_page(found, name=command.model, depth=command.depth), found)


def _complete_trace(typed: TypedLine) -> Iterator[Candidate]:
    """Tensors, and by name what the model's forward takes."""
    name, equals, _ = typed.last.partition("=")
    tensors = tensor_names(typed.namespace)
    if equals:
        yield from (Candidate(f"{name}={each}", "value") for each in tensors)
        return
    yield from (Candidate(each, "value") for each in tensors)
    forward = None if typed.module is None else class_attribute(type(typed.module), "forward")
    if type(forward) is types.FunctionType:
        code = forward.__code__
        names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        yield from (Candidate(f"{each}=", "keyword") for each in names)


def _parse_auto(command: Command, words: list[str]) -> Command:
    if len(words) != 1 or words[0] not in _SWITCH:
        raise MisuseError(f"expected on or off, got {cut(' '.join(words))}" if words else "on or off is missing")
    return replace(command, is_on=words[0] == "on")


def _run_auto(request: Request) -> Document:
    if request.command.is_on:
        request.auto.on()
        return (Note("A model at the end of a cell now explores; %nn auto off undoes it."),)
    request.auto.off()
    return (Note("Models print again."),)


def _complete_auto(typed: TypedLine) -> Iterator[Candidate]:
    if not typed.words:
        yield from (Candidate(word, "keyword") for word in _SWITCH)


_SWITCH = ("on", "off")

_SIZE = "in place of X, the size of an input to make, batch included; 2,20:int64 with its dtype"

INSPECT = (
    Subcommand(
        "tree", "Every module and tensor as text, or what is below a path; --depth says how many levels.", _run_tree,
        arguments="net [path]", options=(depth_option("2"),), parse=_parse_target,
        complete=partial(complete_target, tensors=False),
    ),
    Subcommand(
        "show", "One tensor, with statistics, or one module.", _run_show,
        arguments="net [path]", parse=_parse_target, complete=partial(complete_target, tensors=True),
    ),
    SUMMARY,
    Subcommand("tied", "Tensors that share bytes.", _run_tied),
    Subcommand("check", "What looks wrong, each with code that mends it.", _run_check),
    Subcommand(
        "trace", "One forward pass, call by call. X and M are variables, or plain constants.", _run_trace,
        arguments="net X [mask=M]", parse=_parse_trace, complete=_complete_trace,
        options=(input_option(_SIZE),),
    ),
    Subcommand(
        "costs", "Memory of parameters, gradients, optimizers and activations, and arithmetic, module by module.",
        _run_costs, arguments="net [X]", parse=_parse_trace, complete=_complete_trace,
        options=(input_option(_SIZE), depth_option("2")),
    ),
)  # fmt: skip

AUTO = Subcommand(
    "auto", "Whether a bare `net` at the end of a cell explores.", _run_auto,
    arguments="on|off", summary="on|off", parse=_parse_auto, complete=_complete_auto, takes_model=False,
)  # fmt: skip
