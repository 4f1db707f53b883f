"""``%%nn_init``: a cell as the body of ``fn(m)``, run on modules as one undoable change.

The cell is the user's own code, run in the user's own variables as any cell is; nothing of a model or a file is.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import traceback
import types
from functools import partial
from typing import Any

from IPython.core.compilerop import CachingCompiler

from nnwidgets import edit
from nnwidgets.errors import InitializerError
from nnwidgets.formatting import inert
from nnwidgets.magics.line.grammar import Command, LineError, MisuseError
from nnwidgets.magics.subcommands.captured_globals import captured_lines
from nnwidgets.magics.subcommands.edit import page_of_change, parse_targets
from nnwidgets.magics.subcommands.init import INIT_OPTIONS, init_arguments
from nnwidgets.magics.subcommands.subcommand import Answer, Request, Subcommand, complete_target

_INDENT = "    "
_MOST_IN_LABEL = 60


def _parse(command: Command, words: list[str]) -> Command:
    if not words:
        raise MisuseError("no module is named")
    return parse_targets(command, words)


def _run(request: Request) -> Answer:
    command, module = request.command, request.module
    function, source = _compile_cell(request.cell, request.namespace, request.shell.compile)
    try:
        change = edit.apply(
            module,
            list(command.arguments),
            function,
            label=_label(request.cell),
            source=source,
            **init_arguments(request),
        )
    except InitializerError as error:
        raise _error_in_cell(error, function.__code__.co_filename, request.cell) from None
    return Answer(page_of_change(change, command.model), change)


def _label(cell: str) -> str:
    """What the log calls it: the first line that does something, so that several can be told apart."""
    lines = (line.strip() for line in cell.split("\n"))
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return f"fn(m): {inert(first, _MOST_IN_LABEL)}"


def _compile_cell(cell: str, namespace: dict[str, Any], compiler: CachingCompiler) -> tuple[types.FunctionType, str]:
    """The function a cell is the body of, and its ``def`` with what it captures of the user's variables."""
    body = _body(cell)
    text = f"def fn(m):\n{_indent(body)}\n"
    file_name = compiler.cache(text)
    try:
        code = compiler(text, file_name, "exec")
    except (SyntaxError, ValueError) as error:
        raise _not_python(error, shift=1) from None
    inner = next(each for each in code.co_consts if isinstance(each, types.CodeType))
    if inner.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise NN_INIT.misuse("the cell has a yield or await, and nothing would run it")
    function = types.FunctionType(inner, namespace, "fn")
    captured = _indent("\n".join(captured_lines(function, namespace)))
    head, _, rest = text.partition("\n")
    return function, "\n".join(filter(None, (head, captured, rest))).rstrip()


def _body(cell: str) -> str:
    body = textwrap.dedent(cell) if cell[:1].isspace() else cell
    try:
        parsed = ast.parse(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _not_python(error) from None
    if not parsed.body:
        raise NN_INIT.misuse("the cell is empty, expected the body of fn(m), such as m.weight.zero_()")
    if len(parsed.body) == 1 and isinstance(parsed.body[0], ast.FunctionDef | ast.AsyncFunctionDef):
        raise NN_INIT.misuse("the cell only defines a function; write its body alone, with m for the module")
    return body.rstrip()


def _indent(body: str) -> str:
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
    said = inert(str(getattr(error, "msg", None) or str(error) or type(error).__name__), 200)
    return LineError(f"%%nn_init: the cell can't be read as Python{where}: {said}. Nothing was changed.")


def _error_in_cell(error: InitializerError, file_name: str, cell: str) -> InitializerError:
    """What the user's code raised, with the line of the cell where it did."""
    cause = error.__cause__
    if cause is None:
        return error
    lines = [
        frame.lineno - 1
        for frame in traceback.extract_tb(cause.__traceback__)
        if frame.filename == file_name and frame.lineno
    ]
    if not lines:
        return error
    at = lines[-1]
    written = cell.split("\n")
    text = inert(written[at - 1].strip(), 120) if at <= len(written) else ""
    where = f"on {error.path or 'the model'} in line {at} of the cell"
    raised = f"{type(cause).__name__}: {inert(str(cause).rstrip('.'), 300)}" if str(cause) else type(cause).__name__
    said = f"%%nn_init raised {where}, {text!r}: {raised}."
    return InitializerError(said, path=error.path, hint="Nothing was changed.")


NN_INIT = Subcommand(
    "%%nn_init",
    "Run the cell as the body of fn(m) on each module that matches, as one undoable change. Where it raises, the model "
    "is left bit for bit as it was.",
    _run, arguments="net Linear", below=", and below it the body of fn(m)", options=INIT_OPTIONS, parse=_parse,
    complete=partial(complete_target, tensors=False, classes=True, is_repeated=True),
    details=(
        ("target", "modules: a path, a glob, a class (Linear)"),
        ("m", "the module; change its tensors in place: m.weight.uniform_(-1, 1)"),
    ),
    examples="%%nn_init net Linear\nnn.init.uniform_(m.weight, -10, 10)\nm.weight *= m.weight.abs() >= 5",
)  # fmt: skip
