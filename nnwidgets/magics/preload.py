"""What the first Explorer needs, imported before it is asked for."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_EVENT = "post_run_cell"


class Preloader:
    """Imports the Explorer at the end of the first cell after which torch is there.

    Otherwise the first ``%nn net`` takes a third of a second longer, and a kernel without torch needs none of it.

    Args:
        shell: The shell of a kernel.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def start(self) -> None:
        """Look after each cell from now on."""
        self._shell.events.register(_EVENT, self._import)

    def stop(self) -> None:
        """Look no more; may be called again."""
        if self._import in self._shell.events.callbacks[_EVENT]:
            self._shell.events.unregister(_EVENT, self._import)

    def _import(self, *_: object) -> None:
        if "torch" in sys.modules:
            self.stop()
            importlib.import_module("nnwidgets.widgets.explorer")
