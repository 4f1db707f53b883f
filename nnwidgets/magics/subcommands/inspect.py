"""``%nn tree``, ``show``, ``stats``, ``tied``, ``check``, ``trace``, ``activations``, ``costs`` and the like."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Any

from nnwidgets.checkpoint.without_model import examine, file_module
from nnwidgets.errors import InvalidTargetError, PathNotFoundError
from nnwidgets.formatting import exact_count, inert, plural, some
from nnwidgets.introspect.checks.check import all_findings, check
from nnwidgets.introspect.costs import costs
from nnwidgets.introspect.data_flow.flow_graph import FlowGraph
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.optimizers import training_of
from nnwidgets.introspect.optimizers.optimizer import optimizer
from nnwidgets.introspect.patterns import match
from nnwidgets.introspect.records import Findings, TensorEntry
from nnwidgets.introspect.safe_access import lookup
from nnwidgets.introspect.safe_access.objects import class_attribute, is_module
from nnwidgets.introspect.safe_access.tensors import unreadable_reason
from nnwidgets.introspect.sharing.ties import ties
from nnwidgets.introspect.signal.activations import activations
from nnwidgets.introspect.signal.losses import NOISE
from nnwidgets.introspect.statistics.stats import stats
from nnwidgets.introspect.stats_table import COLUMNS
from nnwidgets.introspect.tracing.trace import trace
from nnwidgets.introspect.tracing.trace_record import Trace
from nnwidgets.magics.line.advice import in_words_of_a_line
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
from nnwidgets.magics.resolve import mark_candidates, optimizers_in, resolve, resolve_mark, tensor_names
from nnwidgets.magics.subcommands.subcommand import Answer, Option, Request, Subcommand, TypedLine, complete_target
from nnwidgets.magics.subcommands.summary import SUMMARY, depth_option, input_option
from nnwidgets.text.document import Code, Document, Note
from nnwidgets.text.pages import model
from nnwidgets.text.pages.costs import costs_page
from nnwidgets.text.pages.files import file_tree_page, report_page
from nnwidgets.text.pages.optimizer import optimizer_page
from nnwidgets.text.pages.signal import activations_page
from nnwidgets.text.pages.tensor_table import stats_table_page

_MOST_MEANT = 3


def _parse_target(command: Command, words: list[str]) -> Command:
    require_at_most(1, words)
    return replace(command, target=unquote(words[0])) if words else command


def _parse_targets(command: Command, words: list[str]) -> Command:
    targets = tuple(map(unquote, words))
    return replace(command, target=targets[0] if len(targets) == 1 else "", arguments=targets)


def _find_one(found: ModuleTree, target: str, name: str) -> ModuleNode | TensorEntry:
    """Return the module or tensor that a path, glob or class means; the model itself for ``""``.

    Raises:
        LineError: If nothing is there, or a glob or class means several.
    """
    if not target:
        return found.root
    try:
        return found.find(target)
    except (InvalidTargetError, PathNotFoundError) as error:
        missing = inert(in_words_of_a_line(error, name), 500)
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
    # Of a file the header says all that a tree shows.
    found = tree(request.model if request.file is None else file_module(request.file))
    at = _find_one(found, command.target, command.model)
    if request.file is not None:
        page = file_tree_page(found, request.file.name, path=at.path, depth=command.depth)
    else:
        page = model.tree_page(found, path=at.path, name=command.model, depth=command.depth)
    return Answer(page, at if command.target else found)


def _run_show(request: Request) -> Answer:
    found, target = tree(request.seen), request.command.target
    if not is_module(request.seen):
        return _show_over_ranks(request, found)
    of = _gradient_in(found, target, request.command.model)
    if of is not None:
        gradient = lookup.get(request.seen, f"{of.path}.grad")
        unread = unreadable_reason(gradient)
        described = unread if unread is not None else stats(gradient)
        return Answer(model.gradient_page(of, described), None if unread is not None else described)
    at = _find_one(found, target, request.command.model)
    if not isinstance(at, TensorEntry):
        return Answer(model.module_page(found, at.path, name=request.command.model), at)
    if at.problem is not None:
        return Answer(model.tensor_page(at), at)
    tensor = lookup.get(request.seen, at.path)
    unread = unreadable_reason(tensor)
    if unread is not None:
        return Answer(model.tensor_page(at, unread=unread), at)
    gradient = lookup.get(request.seen, f"{at.path}.grad") if at.has_grad else None
    told = None if gradient is None or unreadable_reason(gradient) is not None else stats(gradient)
    figures = stats(tensor)
    return Answer(model.tensor_page(at, figures, gradient=told), figures)


def _show_over_ranks(request: Request, found: ModuleTree) -> Answer:
    target, name = request.command.target, request.command.model
    of = _gradient_in(found, target, name)
    at = _find_one(found, target, name) if of is None else of
    if not isinstance(at, TensorEntry):
        return Answer(model.module_page(found, at.path, name=name), at)
    whole = stats(request.seen[at.path if of is None else target])
    return Answer(model.tensor_page(at, whole) if of is None else model.gradient_page(at, whole), whole)


def _gradient_in(found: ModuleTree, target: str, name: str) -> TensorEntry | None:
    """The tensor whose gradient ``0.weight.grad`` means; None where it means none.

    Raises:
        LineError: The tensor has none.
    """
    of, dot, last = target.rpartition(".")
    if last != "grad" or not dot or found.resolve(target) is not None:
        return None
    at = _find_one(found, of, name)
    if isinstance(at, TensorEntry) and not at.has_grad:
        raise LineError(f"{inert(at.path, 200)} has no gradient: .grad is None before backward().")
    return at if isinstance(at, TensorEntry) else None


def _complete_mark(typed: TypedLine) -> Iterator[Candidate]:
    yield from mark_candidates(typed.last, typed.namespace)


def _run_tied(request: Request) -> Answer:
    groups = ties(request.seen)
    return Answer(model.ties_page(groups), groups)


def _run_stats(request: Request) -> Answer:
    command = request.command
    if "grad" in command.target and _gradient_in(tree(request.seen), command.target, command.model) is not None:
        return _run_show(request)
    since = resolve_mark(command.since, request.namespace) if command.since else None
    if is_module(request.seen):
        found = stats(request.seen, list(command.arguments) or None, since=since)
    elif command.arguments or since is not None:
        raise LineError(f"%nn stats of a model over ranks is of all its tensors; %nn show {command.model} … of one.")
    else:
        found = stats(request.seen)
    found = found if command.sort is None else found.sort(command.sort)
    return Answer(stats_table_page(found), found)


def _complete_column(typed: TypedLine) -> Iterator[Candidate]:
    yield from (Candidate(name, "value") for name in COLUMNS if name.startswith(typed.last))


def _run_check(request: Request) -> Answer:
    if request.file is not None:
        report = examine(request.file)
        return Answer(report_page(report), report)
    if is_module(request.model):
        optimizers, elsewhere = training_of(request.module, request.namespace)
        name = request.command.model
        found = Findings(all_findings(request.module, name=name, optimizers=optimizers, elsewhere=elsewhere))
    else:
        found = Findings(check(request.model))
    return Answer(model.findings_page(found), found)


def parse_inputs(command: Command, words: list[str]) -> Command:
    """Take words as what a forward takes, by position and by name."""
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


def needed_arguments(request: Request) -> tuple[list[Any], dict[str, Any]]:
    """The same, of a line without which no forward is run."""
    command = request.command
    if is_module(request.model) and not (command.arguments or command.keywords or command.inputs):
        _require_no_input(request)
    return _forward_arguments(request)


def _traced(request: Request) -> Trace:
    arguments, keywords = needed_arguments(request)
    return trace(request.model, *arguments, input_size=request.command.inputs or None, **keywords)


def _run_trace(request: Request) -> Answer:
    found = _traced(request)
    page = model.trace_page(found, name=request.command.model)
    return Answer((*page, *_shown(request, lambda view: view.show_trace(found))), found)


def _run_graph(request: Request) -> Answer:
    found = _traced(request)
    graph = found.graph(request.command.depth)
    written = [_WRITTEN[flag](graph) for flag in request.command.flags]
    page = tuple(Code(each, is_whole=True) for each in written) or model.flow_page(graph)
    failed = () if found.error is None else (Note(f"raised: {found.error}", "error", found.failed_at or ""),)
    return Answer((*page, *failed, *_shown(request, lambda view: view.show_trace(found))), graph)


_WRITTEN: dict[str, Callable[[FlowGraph], str]] = {"--mermaid": FlowGraph.to_mermaid, "--dot": FlowGraph.to_dot}


def _shown(request: Request, show: Callable[[Any], None]) -> Document:
    """Show something in the open views of the model, and say so where there are any."""
    # Imported late: without a view open nothing is needed of the views.
    from nnwidgets.server.session.open_views import views_of

    views = views_of(request.model)
    for view in views:
        show(view)
    where = f"Shown in the open {plural('Explorer', len(views))} of {request.command.model} too."
    return (Note(where),) if views else ()


def _run_activations(request: Request) -> Answer:
    command = request.command
    arguments, keywords = needed_arguments(request)
    size = command.inputs or None
    found = activations(request.model, *arguments, loss=loss_of(request), input_size=size, **keywords)
    page = activations_page(found, name=command.model)
    return Answer((*page, *_shown(request, lambda view: view.show_activations(found))), found)


def loss_of(request: Request) -> Any:
    """What ``--loss`` names."""
    loss, namespace = request.command.loss, request.namespace
    if not loss or loss == NOISE:
        return loss or None
    return resolve(loss, namespace, among=(*tensor_names(namespace), NOISE), kind="value")


def complete_loss(typed: TypedLine) -> Iterator[Candidate]:
    """Offer what ``--loss`` may name."""
    yield from (Candidate(each, "value") for each in (*tensor_names(typed.namespace), NOISE))


def _run_costs(request: Request) -> Answer:
    command, namespace = request.command, request.namespace
    arguments, keywords = _forward_arguments(request)
    optimizers = list(optimizers_in(namespace, request.module).values())
    size = command.inputs or None
    found = costs(request.module, *arguments, optimizer=optimizers, input_size=size, **keywords)
    return Answer(costs_page(found, name=command.model, depth=command.depth), found)


def _require_no_input(request: Request) -> None:
    """Refuse a forward that takes an input and is given none."""
    taken = _taken_by_forward(request.module)
    if not taken:
        return
    line, name = request.command.name, request.command.model
    here = tensor_names(request.namespace)
    those = f"{some(here, _MOST_MEANT)}" if here else "none"
    raise LineError(
        f"%nn {line}: the forward of {inert(name, 80)} takes {' and '.join(taken)}, and no input is named. Tensors "
        f"here: {those}. %nn {line} {inert(name, 80)} {here[0] if here else 'X'} passes one; --input 2,20 makes one of "
        "that size."
    )


def _taken_by_forward(module: Any) -> tuple[str, ...]:
    """The names without a default that a model's forward takes; none where it isn't plain Python."""
    forward = class_attribute(type(module), "forward")
    if type(forward) is not types.FunctionType:
        return ()
    code, defaults = forward.__code__, len(forward.__defaults__ or ())
    return code.co_varnames[1 : code.co_argcount - defaults]


def _parse_optimizer(command: Command, words: list[str]) -> Command:
    require_at_most(1, words)
    return replace(command, optimizer=words[0]) if words else command


def _run_optimizer(request: Request) -> Answer:
    known = optimizers_in(request.namespace, request.module)
    if request.command.optimizer:
        name = request.command.optimizer
        known = {name: resolve(name, request.namespace, among=known, kind="optimizer")}
    if not known:
        raise LineError(f"No variable holds an optimizer of {request.command.model}.")
    found = optimizer(request.module, list(known.values()))
    return Answer(optimizer_page(found, names=list(known)), found)


def _complete_optimizer(typed: TypedLine) -> Iterator[Candidate]:
    if typed.module is not None and not typed.words[1:]:
        yield from (Candidate(name, "value") for name in optimizers_in(typed.namespace, typed.module))


def complete_inputs(typed: TypedLine) -> Iterator[Candidate]:
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

SIZE_OF_INPUT = "in place of X, the size of an input to make, batch included; 2,20:int64 with its dtype"

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
    Subcommand(
        "stats", "Statistics of all tensors, or of those that a path, a glob or a class names: a row each.", _run_stats,
        arguments="net [path]", parse=_parse_targets,
        complete=partial(complete_target, tensors=True, is_repeated=True),
        options=(
            Option("--sort", "the greatest first, by that column", "std", "sort", complete=_complete_column),
            Option("--since", "how far each has moved since a mark, which %nn snapshot makes", "mark", "since",
                   complete=_complete_mark),
        ),
        examples="%nn stats net\n%nn stats net Linear.weight --sort std\n%nn stats net ** !h.{0…9}\n"
        "%nn stats net 0.weight.grad",
    ),
    SUMMARY,
    Subcommand("tied", "Tensors that share bytes.", _run_tied),
    Subcommand("check", "What looks wrong, each with code that mends it.", _run_check),
    Subcommand(
        "trace", "One forward pass, call by call. X and M are variables, or plain constants.", _run_trace,
        arguments="net X [mask=M]", parse=parse_inputs, complete=complete_inputs,
        options=(input_option(SIZE_OF_INPUT),),
    ),
    Subcommand(
        "graph", "How data flows through one forward: what takes from what, box in box, repeats once.", _run_graph,
        arguments="net X [mask=M]", parse=parse_inputs, complete=complete_inputs,
        options=(
            input_option(SIZE_OF_INPUT),
            depth_option("2"),
            Option("--mermaid", "as a flowchart for Markdown"),
            Option("--dot", "in Graphviz' language"),
        ),
        examples="%nn graph net X --depth 2\n%nn graph net --input 2,20 --mermaid",
    ),
    Subcommand(
        "activations", "One forward and, with --loss, one backward: what each call gives, and the gradients there.",
        _run_activations, arguments="net X [mask=M]", parse=parse_inputs, complete=complete_inputs,
        options=(
            Option("--loss", "a target, a function of the output, or noise for a standard-normal gradient", "y", "loss",
                   complete=complete_loss),
            input_option(SIZE_OF_INPUT),
        ),
        examples="%nn activations net X --loss y\n%nn activations net --input 32,20 --loss noise",
    ),
    Subcommand(
        "costs", "Memory of parameters, gradients, optimizers and activations, and arithmetic, module by module.",
        _run_costs, arguments="net [X]", parse=parse_inputs, complete=complete_inputs,
        options=(input_option(SIZE_OF_INPUT), depth_option("2")),
    ),
    Subcommand(
        "optimizer", "Groups, settings, and what is remembered of each parameter; without adam, of all that train it.",
        _run_optimizer, arguments="net [adam]", parse=_parse_optimizer, complete=_complete_optimizer,
    ),
)  # fmt: skip

AUTO = Subcommand(
    "auto", "Whether a bare `net` at the end of a cell explores.", _run_auto,
    arguments="on|off", summary="on|off", parse=_parse_auto, complete=_complete_auto, takes_model=False,
)  # fmt: skip
