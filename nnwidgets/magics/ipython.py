"""The extension: what a shell is given by ``%load_ext nnwidgets``, a thin layer between IPython and `dispatch`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand

from nnwidgets.magics.completion.tab import complete_in
from nnwidgets.magics.display import ShownOnce, register_records, unregister_records
from nnwidgets.magics.module_repr import ModuleRepr
from nnwidgets.magics.preload import Preloader

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nnwidgets.magics.auto_explore import AutoExplore

_TARGET = "nnwidgets"
_HELP_QUESTION = re.compile(r"\A(\s*)%nn\s+(\w+)\s*\?{1,2}\s*\n?\Z")


@magics_class
class NNMagics(Magics):
    """Holds ``%nn`` and ``%%nn_init``.

    Args:
        shell: The IPython shell.
        auto: What ``%nn auto`` switches.
    """

    def __init__(self, shell: InteractiveShell, auto: AutoExplore) -> None:
        super().__init__(shell)
        self._shell, self._auto = shell, auto

    @no_var_expand
    @needs_local_scope
    @line_magic
    def nn(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Explore a live PyTorch model, and change it undoably.

        ::

            %nn net [path] [--filter text]   explore: the tree, its tensors, statistics, ties, findings
            %nn explore net [path]           the same, as nnw.explore; %nn help lists all lines
            %nn                              explore the only model there is, or list the models
            %nn tree net [path] [--depth 2]  the tree as text
            %nn show net [path]              one tensor, with statistics, or one module
            %nn stats net [path]             statistics of all tensors, a row each
            %nn summary net --input 2,20     torchinfo's table; without --input, no forward is run
            %nn tied net                     tensors that share bytes
            %nn check net                    what looks wrong, each with code that mends it
            %nn trace net X [mask=M]         one forward pass, call by call; --input 2,20 makes an input
            %nn graph net X [--depth 2]      how data flows through it; --mermaid and --dot write it for others
            %nn activations net X --loss y   what each call gives, and the gradients that arrive there
            %nn inits net X xavier_uniform_ kaiming_normal_   what they would do to the signal
            %nn costs net [X]                memory and arithmetic, module by module
            %nn optimizer net [adam]         groups, settings, and what is remembered of each parameter
            %nn auto on|off                  whether a bare `net` at the end of a cell explores

            %nn init net 0.weight xavier_uniform_ gain=2 --seed 7      fill tensors anew
            %nn init net Linear.weight normal_ std=0.01 --preview      the same numbers, nothing written
            %nn set net 0.weight[0,0] = 42   set an element, a slice, a whole tensor
            %nn freeze net 0.*               no gradients for these; %nn unfreeze net 0.* takes it back
            %nn undo net                     take back the last change; %nn redo net makes it again
            %nn log net                      what was changed, when, with which seeds
            %nn code net                     the changes as Python that uses torch alone
            %%nn_init net Linear             the cell below is the body of fn(m), run on each match

            %nn save net mlp.params          save a model, or a tensor, list or dict: whole or not at all, then verified
            %nn load net mlp.params [--dry-run] [--rename out=output]      planned, checked, all or nothing, undoable
            %nn diff net mlp.params          what differs, and by how much
            %nn snapshot net before          a mark in memory: %nn diff before net, %nn stats net --since before
            %nn ls [folder|file]             the checkpoints of a folder, the tensors of a file

        ``net`` is a variable, an attribute or an item of one: ``net``, ``trainer.model``, ``nets[0]``. A subcommand's
        name alone, where a variable of that name holds a model, explores that variable.

        Names of the package's functions will do too: ``stats``, ``ties``, ``history``, ``peek``, ``assign``, ``plan``.

        ``path`` is what ``named_modules`` and ``named_parameters`` say, ``0.weight``, or a glob or class that means one
        thing: ``*.bias``, ``Linear.weight``. Where tensors are changed, it may mean several, ``h.{0…11}`` and
        ``h.[0-2].*`` are ranges, several may follow each other, and ``!h.11`` leaves out what it names.

        ``r = %nn …`` keeps what the function of that name would give, beside showing it; a line that ends with ``;``
        shows nothing.

        ``--input 2,20`` is the shape of one input, batch included; give it once for each input, with a dtype after a
        colon if it is not that of the parameters: ``--input 2,20:int64``. The model is afterwards as it was.

        ``X`` and ``M`` are variables, or plain constants. Only ``init``, ``set``, ``freeze``, ``unfreeze``, ``undo``,
        ``redo``, ``load`` and ``%%nn_init`` change a model: in place, all or nothing. Tab completes everything;
        ``%nn init?`` says more of one subcommand.
        """
        from nnwidgets.magics.dispatch import run

        with _errors_in_one_line():
            return run(line, self._shell, self._auto, local_names=local_ns)

    @no_var_expand
    @cell_magic
    def nn_init(self, line: str, cell: str) -> Any:
        """Run the cell as the body of ``fn(m)`` on each module that matches, as one undoable change.

        ::

            %%nn_init net Linear [--seed 7] [--preview] [--clear-state]
            nn.init.uniform_(m.weight, -10, 10)
            m.weight *= m.weight.abs() >= 5

        ``Linear`` is a class; a path (``0``) or a glob (``block*.0``) will do too. ``m`` is the module, names are those
        of your notebook. It runs under ``no_grad``, and torch's random functions draw from the seed, which is shown.
        Change tensors in place: where the cell raises, or replaces a tensor, the model is left bit for bit as it was.
        ``%nn undo net`` takes it back, ``%nn code net`` gives it as Python.
        """
        from nnwidgets.magics.dispatch import run

        with _errors_in_one_line():
            return run(line, self._shell, self._auto, cell=cell)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Say what can't be done in one line, without a traceback."""
    from nnwidgets.errors import NNWidgetsError
    from nnwidgets.formatting import inert
    from nnwidgets.magics.line.grammar import LineError
    from nnwidgets.sentences import told

    try:
        yield
    except (LineError, NNWidgetsError) as error:
        raise UsageError(inert(" ".join(told(str(error)).split()), 1_000)) from None


def help_lines(lines: list[str]) -> list[str]:
    r"""Rewrite ``%nn init?``, of which IPython would make a question about a variable ``init``.

    Args:
        lines: A cell. Those of another cell magic, and what may stand inside a text in quotes, are left alone.

    Example:
        >>> help_lines(["%nn init?\n", "%nn net?\n"])
        ['%nn init --help\n', '%nn net?\n']
    """
    if not lines or lines[0].lstrip().startswith("%%"):
        return lines
    rewritten = []
    is_quoted = False
    for line in lines:
        is_quoted = is_quoted or '"""' in line or "'''" in line
        rewritten.append(line if is_quoted else _HELP_QUESTION.sub(_help_line, line))
    return rewritten


def _help_line(question: re.Match[str]) -> str:
    from nnwidgets.magics.subcommands.table import SUBCOMMANDS

    return f"{question[1]}%nn {question[2]} --help\n" if question[2] in SUBCOMMANDS else question[0]


_extensions: dict[int, _Extension] = {}


class _Extension:
    """What one shell was given."""

    def __init__(self, shell: InteractiveShell) -> None:
        from nnwidgets.magics.auto_explore import AutoExplore

        self._shell = shell
        self._auto = AutoExplore(shell)
        self._end_completion: Callable[[], None] | None = None
        self._magics = NNMagics(shell, self._auto)
        self._module_repr = ModuleRepr(shell)
        self._preloader = Preloader(shell)
        self._shown_once = ShownOnce()
        self._comms: Any = getattr(getattr(shell, "kernel", None), "comm_manager", None)

    def add(self) -> None:
        """Give it the magics, their completion, how results are shown, and the comm target."""
        self._shell.register_magics(self._magics)
        register_records(self._shell)
        self._module_repr.on()
        self._shell.input_transformers_cleanup.append(help_lines)
        self._shell.ast_transformers.append(self._shown_once)
        self._end_completion = complete_in(self._shell)
        if self._comms is not None:
            self._comms.register_target(_TARGET, self._answer_first_comm)
            self._preloader.start()

    def remove(self) -> None:
        """Take all of it back; Explorers that are open stay open."""
        self._auto.off()
        self._preloader.stop()
        unregister_records(self._shell)
        self._module_repr.off()
        for kind, name in (("line", "nn"), ("cell", "nn_init")):
            registry = self._shell.magics_manager.magics[kind]
            if getattr(registry.get(name), "__self__", None) is self._magics:
                del registry[name]
        added: tuple[tuple[list[Any], Any], ...] = (
            (self._shell.input_transformers_cleanup, help_lines),
            (self._shell.ast_transformers, self._shown_once),
        )
        for transformers, ours in added:
            if ours in transformers:
                transformers.remove(ours)
        self._shell.magics_manager.registry.pop(type(self._magics).__name__, None)
        if self._end_completion is not None:
            self._end_completion()
        if self._comms is not None and self._comms.targets.get(_TARGET) == self._answer_first_comm:
            self._comms.unregister_target(_TARGET, self._answer_first_comm)
        elif self._comms is not None:
            from nnwidgets.server import comm

            comm.unregister(self._shell)

    def _answer_first_comm(self, channel: Any, message: dict[str, Any]) -> None:
        """Answer the first comm: only then is what answers it imported."""
        from nnwidgets.server import comm

        comm.register(self._shell)
        self._comms.targets[_TARGET](channel, message)


def load(shell: InteractiveShell) -> None:
    """Register ``%nn``, ``%%nn_init``, their completion and the comm target; a second time it does nothing.

    Args:
        shell: The IPython shell.

    Example:
        >>> from IPython.core.interactiveshell import InteractiveShell
        >>> shell = InteractiveShell.instance()
        >>> load(shell)
        >>> shell.find_line_magic("nn") is not None
        True
        >>> unload(shell)
        >>> shell.find_line_magic("nn") is not None
        False
    """
    if id(shell) not in _extensions:
        _extensions[id(shell)] = extension = _Extension(shell)
        extension.add()


def unload(shell: InteractiveShell) -> None:
    """Take back what `load` registered; without it, it does nothing."""
    extension = _extensions.pop(id(shell), None)
    if extension is not None:
        extension.remove()
