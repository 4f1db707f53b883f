"""The magic itself: a thin layer between IPython and `commands`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, needs_local_scope, no_var_expand

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nnwidgets.magics.auto import AutoExplore


@magics_class
class NNMagics(Magics):
    """Holds ``%nn``.

    Args:
        shell: The IPython shell.
        auto: What ``%nn auto`` switches.
    """

    def __init__(self, shell: InteractiveShell, auto: AutoExplore) -> None:
        super().__init__(shell)
        self._variables = lambda: shell.user_ns
        self._auto = auto

    @no_var_expand
    @needs_local_scope
    @line_magic
    def nn(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Explore a live PyTorch model; nothing here changes it.

        ::

            %nn net                          explore: the tree, its tensors, statistics, ties, findings
            %nn                              explore the only model there is, or list the models
            %nn tree net [path] [--depth 2]  the tree as text
            %nn show net [path]              one tensor, with statistics, or one module
            %nn summary net --input 2,20     torchinfo's table; without --input, no forward is run
            %nn tied net                     tensors that share bytes
            %nn check net                    what looks wrong, each with code that mends it
            %nn trace net X [mask=M]         one forward pass, call by call
            %nn auto on|off                  whether a bare `net` at the end of a cell explores

        ``net`` is a variable, an attribute or an item of one: ``net``, ``trainer.model``, ``nets[0]``. A subcommand's
        name alone, where a variable of that name holds a model, explores that variable.

        ``path`` is what ``named_modules`` and ``named_parameters`` say, ``0.weight``, or a glob or class that means one
        thing: ``*.bias``, ``Linear.weight``.

        ``--input 2,20`` is the shape of one input, batch included; give it once for each input, with a dtype after a
        colon if it is not that of the parameters: ``--input 2,20:int64``. The model is afterwards as it was.

        ``X`` and ``M`` are variables, or plain constants. Tab completes everything.
        """
        from nnwidgets.errors import NNWidgetsError
        from nnwidgets.introspect.labels import inert
        from nnwidgets.magics.commands import run
        from nnwidgets.magics.parser import LineError

        namespace = {**self._variables(), **(local_ns or {})}
        try:
            run(line, namespace, self._auto)
        except (LineError, NNWidgetsError) as error:
            raise UsageError(inert(" ".join(str(error).split()), 1_000)) from None
