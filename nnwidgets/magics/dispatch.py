"""What each subcommand of ``%nn`` does: a line and the user's variables in, something shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.compilerop import CachingCompiler
from IPython.display import display
from torch import nn

from nnwidgets.errors import NNWidgetsError
from nnwidgets.introspect.checks.check import all_findings
from nnwidgets.introspect.module_tree.text import count_text
from nnwidgets.introspect.module_tree.tree import tree
from nnwidgets.introspect.records import TensorEntry
from nnwidgets.introspect.safe_access import lookup
from nnwidgets.introspect.safe_access.tensors import unreadable_reason
from nnwidgets.introspect.sharing.ties import ties
from nnwidgets.introspect.statistics.stats import stats
from nnwidgets.introspect.tracing.trace import trace
from nnwidgets.magics.display import Shown
from nnwidgets.magics.line.grammar import ANY_USAGE, FILES, Command, LineError
from nnwidgets.magics.parse import parse, parse_cell
from nnwidgets.magics.resolve import Resolved, model_names, resolve, resolve_model, tensor_names
from nnwidgets.magics.subcommands.cell import cell_page
from nnwidgets.magics.subcommands.edit import EDIT_PAGES, in_words_of_the_magic
from nnwidgets.magics.subcommands.files import Bind, file_page
from nnwidgets.magics.subcommands.help import help_page
from nnwidgets.magics.subcommands.inspect import find_one
from nnwidgets.magics.subcommands.summary import summary_page
from nnwidgets.text.document import Block, Document, Note, Table
from nnwidgets.text.pages import model

if TYPE_CHECKING:
    from nnwidgets.magics.auto_explore import AutoExplore

_MOST_MODELS = 100


def run(line: str, namespace: Mapping[str, Any], auto: AutoExplore, bind: Bind) -> None:
    """Do what ``line`` asks for and show the outcome.

    Args:
        line: What stands after ``%nn``.
        namespace: The user's variables.
        auto: What ``%nn auto`` switches.
        bind: Gives one of the user's variables a value.

    Raises:
        LineError: If it can't be read, or what it names isn't there or can't be worked on; nothing was done then.
    """
    command = parse(line, model_names(namespace))
    if command.name == "help":
        display(Shown(help_page(command.target)))
    elif command.name == "auto":
        _switch(auto, is_on=command.is_on)
    elif command.name == "explore":
        _explore(command, namespace)
    elif command.name in FILES:
        display(Shown(file_page(command, namespace, bind, _advice_for_a_line)))
    else:
        resolved = resolve_model(command.model, namespace)
        page = {**_PAGES, **EDIT_PAGES}[command.name]
        with _advice_for_a_line(resolved.name):
            shown = Shown(page(command, resolved, namespace))
        display(shown)


def run_cell(line: str, cell: str, namespace: dict[str, Any], compiler: CachingCompiler) -> None:
    """Do what ``%%nn_init`` asks for and show the outcome.

    Args:
        line: What stands after it.
        cell: What stands below it.
        namespace: The user's variables.
        compiler: The shell's.

    Raises:
        LineError: If the line or the cell can't be read, what it names can't be worked on, or the cell raises; nothing
            was changed then.
    """
    command = parse_cell(line)
    if command.name == "help":
        display(Shown(help_page(command.target)))
        return
    resolved = resolve_model(command.model, namespace)
    with _advice_for_a_line(resolved.name):
        shown = Shown(cell_page(command, cell, resolved, namespace, compiler))
    display(shown)


@contextmanager
def _advice_for_a_line(name: str) -> Iterator[None]:
    try:
        yield
    except NNWidgetsError as error:
        raise LineError(in_words_of_the_magic(str(error), name)) from None


def show_explorer(module: nn.Module, name: str | None, namespace: Mapping[str, Any]) -> None:
    """Show an Explorer of ``module``.

    Args:
        module: The model.
        name: How it was written; None to look for the variable that holds it.
        namespace: The user's variables.
    """
    from nnwidgets.widgets import explore

    if name is None:
        name = next((known for known in model_names(namespace) if namespace[known] is module), None)
    display(explore(module, name=name))


def _switch(auto: AutoExplore, *, is_on: bool) -> None:
    if is_on:
        auto.on()
    else:
        auto.off()
    said = "A model at the end of a cell now explores; %nn auto off undoes it." if is_on else "Models print again."
    display(Shown((Note(said),)))


def _explore(command: Command, namespace: Mapping[str, Any]) -> None:
    if command.model:
        resolved = resolve_model(command.model, namespace)
        show_explorer(resolved.module, resolved.name, namespace)
        return
    names = model_names(namespace)
    distinct = {id(namespace[name]): name for name in reversed(names)}
    if len(distinct) == 1:
        (name,) = distinct.values()
        show_explorer(namespace[name], name, namespace)
    elif names:
        display(Shown(_models_page(names, namespace)))
    else:
        raise LineError(f"No variable holds a model yet. {ANY_USAGE}")


def _models_page(names: list[str], namespace: Mapping[str, Any]) -> Document:
    rows = []
    for name in names[:_MOST_MODELS]:
        found = tree(namespace[name])
        rows.append((name, found.root.class_name, count_text(found.n_params)))
    n_more = max(0, len(names) - _MOST_MODELS)
    table = Table(("model", "class", "parameters"), tuple(rows), right=(2,), n_more=n_more)
    return (table, Note(ANY_USAGE))


def _tree_page(command: Command, resolved: Resolved, _namespace: Mapping[str, Any]) -> Document:
    found = tree(resolved.module)
    at = find_one(found, command.target)
    return model.tree_page(found, path=at.path, name=resolved.name, depth=command.depth)


def _show_page(command: Command, resolved: Resolved, _namespace: Mapping[str, Any]) -> Document:
    found = tree(resolved.module)
    at = find_one(found, command.target)
    if not isinstance(at, TensorEntry):
        return model.module_page(found, at.path, name=resolved.name)
    if at.problem is not None:
        return model.tensor_page(at)
    tensor = lookup.get(resolved.module, at.path)
    unread = unreadable_reason(tensor)
    if unread is not None:
        return model.tensor_page(at, unread=unread)
    return model.tensor_page(at, stats(tensor))


def _tied_page(_command: Command, resolved: Resolved, _namespace: Mapping[str, Any]) -> Document:
    return model.ties_page(ties(resolved.module))


def _check_page(_command: Command, resolved: Resolved, _namespace: Mapping[str, Any]) -> Document:
    return model.findings_page(all_findings(resolved.module, name=resolved.name))


def _trace_page(command: Command, resolved: Resolved, namespace: Mapping[str, Any]) -> Document:
    def value(expression: str) -> Any:
        return resolve(expression, namespace, among=tensor_names(namespace), kind="tensor")

    arguments = [value(expression) for expression in command.arguments]
    keywords = {name: value(expression) for name, expression in command.keywords}
    found = trace(resolved.module, *arguments, **keywords)
    blocks: list[Block] = list(model.trace_page(found, name=resolved.name))
    shown_in = _show_on_views(resolved.module, found)
    if shown_in:
        views = "Explorers" if shown_in > 1 else "Explorer"
        blocks.append(Note(f"Shown in the open {views} of {resolved.name} too."))
    return tuple(blocks)


def _show_on_views(module: nn.Module, found: Any) -> int:
    from nnwidgets.server.session.open_views import views_of

    views = views_of(module)
    for view in views:
        view.show_trace(found)
    return len(views)


def _summary_page(command: Command, resolved: Resolved, _namespace: Mapping[str, Any]) -> Document:
    return summary_page(resolved.module, command.inputs, depth=command.depth)


_PAGES: dict[str, Callable[[Command, Resolved, Mapping[str, Any]], Document]] = {
    "tree": _tree_page,
    "show": _show_page,
    "summary": _summary_page,
    "tied": _tied_page,
    "check": _check_page,
    "trace": _trace_page,
}
