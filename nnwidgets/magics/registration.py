"""Making IPython know ``%nn`` and ``%%nn_init``, and forget them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nnwidgets.magics.display import forget_records, show_records
from nnwidgets.magics.ipython import NNMagics, help_lines
from nnwidgets.magics.preload import Ahead

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_TARGET = "nnwidgets"
_loaded: dict[int, _Loaded] = {}


class _Loaded:
    """What one shell was given.

    Args:
        shell: The shell.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        from nnwidgets.magics.auto_explore import AutoExplore
        from nnwidgets.magics.tab import tab_matcher

        self._shell = shell
        self._auto = AutoExplore(shell)
        self._matcher: Any = tab_matcher(shell)
        self._magics = NNMagics(shell, self._auto)
        self._ahead = Ahead(shell)

    def add(self) -> None:
        """Give it the magics, their completion, how results are shown, and the comm target."""
        self._shell.register_magics(self._magics)
        show_records(self._shell)
        self._shell.input_transformers_cleanup.append(help_lines)
        completer = self._shell.Completer
        if hasattr(completer, "custom_matchers"):
            completer.custom_matchers = [*completer.custom_matchers, self._matcher]
        manager = _comm_manager(self._shell)
        if manager is not None:
            manager.register_target(_TARGET, self._opened)
            self._ahead.begin()

    def remove(self) -> None:
        """Take all of it back; Explorers that are open stay open."""
        self._auto.off()
        self._ahead.end()
        forget_records(self._shell)
        for kind, name in (("line", "nn"), ("cell", "nn_init")):
            registry = self._shell.magics_manager.magics[kind]
            if getattr(registry.get(name), "__self__", None) is self._magics:
                del registry[name]
        transformers = self._shell.input_transformers_cleanup
        if help_lines in transformers:
            transformers.remove(help_lines)
        self._shell.magics_manager.registry.pop(type(self._magics).__name__, None)
        completer = self._shell.Completer
        if hasattr(completer, "custom_matchers"):
            completer.custom_matchers = [kept for kept in completer.custom_matchers if kept is not self._matcher]
        manager = _comm_manager(self._shell)
        if manager is not None and manager.targets.get(_TARGET) == self._opened:
            manager.unregister_target(_TARGET, self._opened)
        elif manager is not None:
            from nnwidgets.server import comm

            comm.unregister(self._shell)

    def _opened(self, channel: Any, message: dict[str, Any]) -> None:
        """Answer the first comm: only then is what answers it imported."""
        from nnwidgets.server import comm

        comm.register(self._shell)
        _comm_manager(self._shell).targets[_TARGET](channel, message)


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
    """
    if id(shell) not in _loaded:
        loaded = _Loaded(shell)
        loaded.add()
        _loaded[id(shell)] = loaded


def unload(shell: InteractiveShell) -> None:
    """Take back what `load` registered; without it, it does nothing.

    Args:
        shell: The IPython shell.

    Example:
        >>> from IPython.core.interactiveshell import InteractiveShell
        >>> shell = InteractiveShell.instance()
        >>> load(shell)
        >>> unload(shell)
        >>> shell.find_line_magic("nn") is None
        True
    """
    loaded = _loaded.pop(id(shell), None)
    if loaded is not None:
        loaded.remove()


def _comm_manager(shell: InteractiveShell) -> Any:
    return getattr(getattr(shell, "kernel", None), "comm_manager", None)
