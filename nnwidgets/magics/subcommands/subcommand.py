"""What a subcommand of ``%nn`` is: one record that says how it is written, read, completed, run and explained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from nnwidgets.checkpoint.without_model import file_module
from nnwidgets.errors import NNWidgetsError
from nnwidgets.formatting import inert
from nnwidgets.introspect.handles import ModelHandle
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.safe_access.objects import is_a, is_module
from nnwidgets.magics.line.grammar import Candidate, Command, LineError, require_at_most
from nnwidgets.magics.line.path_completion import target_completions
from nnwidgets.magics.resolve import file_of, resolve_model
from nnwidgets.text.document import Block, Code, Document, Note, Title

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nnwidgets.magics.auto_explore import AutoExplore


@dataclass(frozen=True)
class Request:
    """What a subcommand is run with.

    Attributes:
        command: The line, read.
        namespace: The user's variables.
        shell: The shell.
        auto: What ``%nn auto`` switches.
        cell: What stands below ``%%nn_init``.
    """

    command: Command
    namespace: dict[str, Any]
    shell: InteractiveShell
    auto: AutoExplore
    cell: str = ""

    @cached_property
    def model(self) -> Any:
        """The live model, or one over ranks: what a public function that looks takes.

        Raises:
            LineError: What the line names is none.
        """
        return resolve_model(self.command.model, self.namespace)

    @property
    def is_here(self) -> bool:
        """Whether the model is in this process, and not over ranks."""
        return not is_a(self.model, ModelHandle)

    @cached_property
    def module(self) -> nn.Module:
        """The live model.

        Raises:
            LineError: What the line names is none, or is over ranks.
        """
        return cast("nn.Module", require_here(self.model, self.command.name))

    @cached_property
    def file(self) -> Path | None:
        """The file that stands where a model could, for subcommands that look at either."""
        return file_of(self.command.model, self.namespace)

    @cached_property
    def seen(self) -> Any:
        """The live model, one over ranks, or a file's names and values as one.

        Raises:
            LineError: What the line names is neither.
        """
        return self.model if self.file is None else file_module(self.file, most_read=math.inf)


def require_here(value: Any, name: str) -> Any:
    """What a line works on, unless other processes have it.

    Args:
        value: What was named.
        name: Of the subcommand.

    Raises:
        LineError: It is a model over ranks.
    """
    if not is_a(value, ModelHandle):
        return value
    line = name if name.startswith("%") else f"%nn {name}"
    raise LineError(
        f"{line} of a model over ranks isn't there yet; explore, tree, show, stats, tied, check, trace, init, set, "
        f"freeze, unfreeze, undo, redo, log, code, save, load and diff are. On the ranks it works as ever: below %%px, "
        f"{line} {inert(value.name, 80)} …"
    )


@dataclass(frozen=True)
class Answer:
    """What a line gives.

    Attributes:
        page: What is shown; None where the record is.
        record: What the magic returns, for ``r = %nn …``: the result that the page says.
    """

    page: Document | None
    record: Any = None


@dataclass(frozen=True)
class TypedLine:
    """A line that is being typed.

    Attributes:
        words: Those before the last, from the model on, without options.
        last: What is typed of the last; of an option, what is typed of its value.
        namespace: The user's variables.
    """

    words: list[str]
    last: str
    namespace: dict[str, Any]

    @cached_property
    def model(self) -> Any:
        """The live model, or one over ranks, if one is named."""
        try:
            return resolve_model(self.words[0], self.namespace) if self.words else None
        except LineError:
            return None

    @property
    def module(self) -> nn.Module | None:
        """The live model, if one is named that is in this process."""
        return self.model if is_module(self.model) else None

    @cached_property
    def structure(self) -> nn.Module | ModuleTree | None:
        """The live model; of one over ranks its tree, if they tell it at once."""
        if not is_a(self.model, ModelHandle):
            return self.module
        with suppress(NNWidgetsError):
            return cast("ModelHandle", self.model).tree_within(_LONGEST_WAIT)
        return None


_LONGEST_WAIT = 1.0
"""Seconds that Tab waits for ranks."""


def parse_nothing(command: Command, words: list[str]) -> Command:
    """Take no words beside the model."""
    require_at_most(0, words)
    return command


def complete_nothing(_typed: TypedLine) -> Iterator[Candidate]:
    """Offer nothing."""
    yield from ()


def complete_target(
    typed: TypedLine, *, tensors: bool, classes: bool = False, is_repeated: bool = False
) -> Iterator[Candidate]:
    """Offer paths, globs and classes below the model, in quotes where they need them; see `target_completions`."""
    if (len(typed.words) > 1 and not is_repeated) or typed.structure is None:
        return
    target = typed.last.removeprefix('"')
    for path in target_completions(typed.structure, target, tensors=tensors, classes=classes):
        needs_quotes = target != typed.last or any(map(str.isspace, path))
        yield Candidate(f'"{path}"' if needs_quotes else path, "path")


@dataclass(frozen=True)
class Option:
    """An option of a subcommand.

    Attributes:
        name: ``"--seed"``.
        about: What it does; where it is empty, ``%nn init?`` has no line for it.
        value: A value that will do, for the usage; without one the option is a flag and takes none.
        field: The field of `Command` that its value goes to.
        read: Gives that value, or raises `LineError`.
        complete: Ways to go on with a value.
        is_repeated: Whether it may be given several times; the field then holds a tuple.
    """

    name: str
    about: str = ""
    value: str = ""
    field: str = ""
    read: Callable[[str], Any] = str
    complete: Callable[[TypedLine], Iterator[Candidate]] = complete_nothing
    is_repeated: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.value}".rstrip()


@dataclass(frozen=True)
class Subcommand:
    """A subcommand, whole.

    Attributes:
        name: ``"tree"``; with its percent signs where it is a magic of its own.
        about: What it does, for ``%nn tree?``.
        run: Does it, and says what was done: a page, or an `Answer` where there is a result too.
        arguments: What stands after it, for the usage.
        below: What the usage says of a cell below.
        summary: What stands after it, in the usage of all.
        options: Its options, in the order of the usage.
        details: What else ``%nn tree?`` explains.
        examples: Lines to show there.
        appendix: What stands at its end.
        parse: Adds to a command what the words after the model mean, options taken out; raises `MisuseError`.
        complete: Ways to go on after the model.
        takes_model: Whether its first word is a model.
        takes_text: Whether what follows the model is one text, spaces and dashes included.
    """

    name: str
    about: str
    run: Callable[[Request], Answer | Document]
    arguments: str = "net"
    below: str = ""
    summary: str = "net …"
    options: tuple[Option, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    examples: str = ""
    appendix: Callable[[], tuple[Block, ...]] = tuple
    parse: Callable[[Command, list[str]], Command] = parse_nothing
    complete: Callable[[TypedLine], Iterator[Candidate]] = complete_nothing
    takes_model: bool = True
    takes_text: bool = False

    @property
    def magic(self) -> str:
        """It as it is typed: ``%nn tree``."""
        return self.name if self.name.startswith("%") else f"%nn {self.name}"

    @property
    def line(self) -> str:
        """The shape of its line."""
        return " ".join((self.magic, self.arguments, *(f"[{option}]" for option in self.options))).rstrip() + self.below

    @property
    def valued_options(self) -> dict[str, Option]:
        """The options that take a value, by name."""
        return {each.name: each for each in self.options if each.value}

    @property
    def option_names(self) -> tuple[str, ...]:
        """All options, flags last."""
        return (*self.valued_options, *(each.name for each in self.options if not each.value))

    def misuse(self, what: str) -> LineError:
        """The error of a line that begins well: what is wrong with it, and how it should be."""
        return LineError(f"{self.magic}: {what}. Usage: {self.line}")


def help_page(subcommand: Subcommand) -> Document:
    """What ``%nn init?`` says."""
    facts = (*subcommand.details, *((str(each), each.about) for each in subcommand.options if each.about))
    blocks: list[Block] = [Title(subcommand.magic, ""), Note(subcommand.about), Code(subcommand.line)]
    blocks += [Note(f"{word}: {about}.") for word, about in facts]
    if subcommand.examples:
        blocks += [Note("For example"), Code(subcommand.examples)]
    return (*blocks, *subcommand.appendix())
