"""``%nn auto``: whether a model at the end of a cell explores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.formatters import IPythonDisplayFormatter

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class _ExploringFormatter(IPythonDisplayFormatter):
    """IPython's formatter of first resort, which explores modules.

    IPython asks it before any other and asks no other once it says True, so a module's ``repr`` never runs. Modules
    are told by their real type: registering with ``for_type`` would ask for the ``__class__`` of whatever is shown.
    """

    def __init__(self, shell: InteractiveShell, **traits: Any) -> None:
        super().__init__(**traits)
        self._shell = shell

    def __call__(self, obj: Any) -> Any:
        """Explore a module; leave anything else to IPython."""
        from nnwidgets.introspect.handles import is_model

        if not self.enabled or not is_model(obj):
            return super().__call__(obj)
        from IPython.display import display

        from nnwidgets.magics.explore import make_explorer

        display(make_explorer(obj, None, self._shell.user_ns))
        return True


class AutoExplore:
    """The switch; off at first."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._before: Any = None

    def on(self) -> None:
        """Explore a module at the end of a cell, instead of printing it."""
        formatter = self._shell.display_formatter
        if self._before is not None or formatter is None:
            return
        before = formatter.ipython_display_formatter
        exploring = _ExploringFormatter(self._shell, parent=formatter)
        exploring.enabled = before.enabled
        for name in ("singleton_printers", "type_printers", "deferred_printers"):
            setattr(exploring, name, getattr(before, name))
        formatter.ipython_display_formatter = exploring
        self._before = before

    def off(self) -> None:
        """Print modules again, as before `on`."""
        formatter = self._shell.display_formatter
        if self._before is None or formatter is None:
            return
        exploring, before = formatter.ipython_display_formatter, self._before
        self._before = None
        if isinstance(exploring, _ExploringFormatter):
            for name in ("singleton_printers", "type_printers", "deferred_printers"):
                setattr(before, name, getattr(exploring, name))
            formatter.ipython_display_formatter = before
