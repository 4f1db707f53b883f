"""``%%nn_init``: a cell as the body of ``fn(m)``, run on modules as one undoable change.

The cell is the user's own code, run in the user's own variables as any cell is; nothing of a model or a file is.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from IPython.core.compilerop import CachingCompiler

from nnwidgets import edit
from nnwidgets.errors import InitializerError
from nnwidgets.formatting import inert
from nnwidgets.magics.line.grammar import CELL, Command, LineError, wrong
from nnwidgets.magics.resolve import Resolved, optimizers_in
from nnwidgets.magics.subcommands.captured_globals import borrowed_lines
from nnwidgets.magics.subcommands.edit import changed_page
from nnwidgets.text.document import Document

_INDENT = "    "
_LABEL = "fn(m)"


@dataclass(frozen=True)
class CellFunction:
    """The function a cell is the body of.

    Attributes:
        function: Itself; its names are the user's.
        source: Its ``def``, with what it borrows from the user's variables.
        file_name: Under which a traceback knows it.
    """

    function: Callable[[Any], Any]
    source: str
    file_name: str


def cell_page(
    command: Command, cell: str, resolved: Resolved, namespace: dict[str, Any], compiler: CachingCompiler
) -> Document:
    """Run a cell on each module that ``command`` names, and tell what it did.

    Args:
        command: The line.
        cell: What stands below it.
        resolved: The model.
        namespace: The user's variables, in which the cell runs.
        compiler: The shell's.

    Raises:
        LineError: The cell is no body of a function, or raised; nothing is changed.
        NNWidgetsError: What it was to do can't be done; nothing is changed.
    """
    made = made_from(cell, namespace, compiler)
    try:
        change = edit.apply_function(
            resolved.module, list(command.arguments), made.function, label=_LABEL, source=made.source,
            seed=command.seed, optimizer=list(optimizers_in(namespace, resolved.module).values()),
            preview="--preview" in command.flags, clear_state="--clear-state" in command.flags,
        )  # fmt: skip
    except InitializerError as error:
        raise _told(error, made.file_name, cell) from None
    return changed_page(change, resolved.name)


def made_from(cell: str, namespace: dict[str, Any], compiler: CachingCompiler) -> CellFunction:
    """Make the function.

    Raises:
        LineError: The cell is empty, isn't Python, or isn't the body of a function.
    """
    body = _body(cell)
    text = f"def fn(m):\n{_indented(body)}\n"
    file_name = compiler.cache(text)
    try:
        code = compiler(text, file_name, "exec")
    except (SyntaxError, ValueError) as error:
        raise _not_python(error, shift=1) from None
    inner = next(each for each in code.co_consts if isinstance(each, types.CodeType))
    if inner.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise wrong(CELL, "the cell has a yield or await, and nothing would run it")
    function = types.FunctionType(inner, namespace, "fn")
    borrowed = _indented("\n".join(borrowed_lines(function, namespace)))
    head, _, rest = text.partition("\n")
    return CellFunction(function, "\n".join(filter(None, (head, borrowed, rest))).rstrip(), file_name)


def _body(cell: str) -> str:
    body = textwrap.dedent(cell) if cell[:1].isspace() else cell
    try:
        parsed = ast.parse(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _not_python(error) from None
    if not parsed.body:
        raise wrong(CELL, "the cell is empty, expected the body of fn(m), such as m.weight.zero_()")
    if len(parsed.body) == 1 and isinstance(parsed.body[0], ast.FunctionDef | ast.AsyncFunctionDef):
        raise wrong(CELL, "the cell only defines a function; write its body alone, with m for the module")
    return body.rstrip()


def _indented(body: str) -> str:
    """Indent lines, but none that begins inside a text in quotes, whose value that would change."""
    inside = {
        line
        for node in ast.walk(ast.parse(body))
        if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno is not None
        for line in range(node.lineno + 1, node.end_lineno + 1)
    }
    lines = enumerate(body.split("\n"), start=1)
    return "\n".join(line if at in inside or not line.strip() else f"{_INDENT}{line}" for at, line in lines)


def _not_python(error: BaseException, *, shift: int = 0) -> LineError:
    at = getattr(error, "lineno", None)
    where = f" in line {at - shift} of the cell" if isinstance(at, int) and at > shift else ""
    said = getattr(error, "msg", None) or str(error) or type(error).__name__
    return LineError(f"{CELL}: the cell can't be read as Python{where}: {inert(str(said), 200)}. Nothing was changed.")


def _told(error: InitializerError, file_name: str, cell: str) -> InitializerError:
    """What the user's code raised, with the line of the cell where it did."""
    cause = error.__cause__
    if cause is None:
        return error
    lines = [frame.lineno - 1 for frame in _frames(cause) if frame.filename == file_name and frame.lineno]
    if not lines:
        return error
    at = lines[-1]
    written = cell.split("\n")
    text = inert(written[at - 1].strip(), 120) if at <= len(written) else ""
    where = f"on {error.path or 'the model'} in line {at} of the cell"
    raised = f"{type(cause).__name__}: {inert(str(cause).rstrip('.'), 300)}" if str(cause) else type(cause).__name__
    return InitializerError(f"{CELL} raised {where}, {text!r}: {raised}.", path=error.path, hint="Nothing was changed.")


def _frames(error: BaseException) -> Iterator[traceback.FrameSummary]:
    yield from traceback.extract_tb(error.__traceback__)
