"""What a module prints as at the end of a cell where its own ``repr`` raises: our tree, and why."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.formatters import PlainTextFormatter

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_MIME = "text/plain"
_unguarded: Any = inspect.unwrap(PlainTextFormatter.__call__)
"""What IPython would print, without what it makes of an error: a traceback in place of the module."""


class _TreeOnError(PlainTextFormatter):
    """IPython's formatter of plain text; for modules, and lists of them, it looks whether their ``repr`` raises."""

    def __call__(self, obj: Any) -> Any:
        """Print modules, or where a ``repr`` raises their trees; leave anything else to IPython."""
        if "torch" not in sys.modules or not self.enabled:
            return super().__call__(obj)
        from nnwidgets.introspect.safe_access.objects import is_module

        held = _held(obj, is_module)
        if not held:
            return super().__call__(obj)
        try:
            return _unguarded(self, obj)
        except Exception as error:  # noqa: BLE001 - whatever a module's repr raises, it becomes a line below the tree
            if obj is held[0]:
                return _tree_text(obj, error)
        return "\n\n".join(map(self, held))


def _held(obj: Any, is_module: Callable[[Any], bool]) -> list[Any]:
    """A module, or those in a plain list, tuple or dict of modules alone; none for anything else."""
    if type(obj) not in (list, tuple, dict):
        return [obj] if is_module(obj) else []
    values = list(obj.values() if type(obj) is dict else obj)
    return values if all(map(is_module, values)) else []


def _tree_text(module: Any, error: Exception) -> str:
    from nnwidgets.introspect.module_tree.tree import tree
    from nnwidgets.introspect.safe_access.objects import reason
    from nnwidgets.text.document import Note
    from nnwidgets.text.pages.model import tree_page
    from nnwidgets.text.plain import render_text

    said = f"This is nnwidgets' tree: its own repr raised {reason(error)}"
    return render_text((*tree_page(tree(module)), Note(said)))


class ModuleRepr:
    """Puts that in the place of IPython's formatter, and takes it back."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._formatters: Any = None if shell.display_formatter is None else shell.display_formatter.formatters
        self._before: Any = None

    def on(self) -> None:
        """Print the tree where a module's ``repr`` raises."""
        before = None if self._formatters is None else self._formatters.get(_MIME)
        if type(before) is PlainTextFormatter and _unguarded is not PlainTextFormatter.__call__:
            self._formatters[_MIME] = _take_over(before, _TreeOnError(parent=before.parent))
            self._before = before

    def off(self) -> None:
        """Print as IPython does."""
        if self._before is not None and type(self._formatters.get(_MIME)) is _TreeOnError:
            self._formatters[_MIME] = _take_over(self._formatters[_MIME], self._before)
        self._before = None


_PRINTERS = ("singleton_printers", "type_printers", "deferred_printers")


def _take_over(before: Any, after: Any) -> Any:
    """Give a formatter what another one was told."""
    for name in ("enabled", "pprint", "verbose", "float_format", *_PRINTERS):
        setattr(after, name, getattr(before, name))
    return after
