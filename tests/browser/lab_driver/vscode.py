"""A notebook's outputs as VS Code shows them: its own widget manager, in a page that is dressed as its webview is.

The page is `js/vscode`. Everything in it comes from the Jupyter server, what else it asks of the network is refused.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import BrowserContext

from lab_driver.played_notebook import MODULES, PlayedNotebook, published
from lab_driver.server import LabServer

FILES = {
    "require.js": MODULES / "requirejs" / "require.js",
    "ipywidgets.js": MODULES / "@vscode" / "jupyter-ipywidgets8" / "dist" / "ipywidgets.js",
}
# VS Code lends its webview the widgets' scripts from where the kernel's interpreter has them.
NBEXTENSIONS = Path(sys.prefix) / "share" / "jupyter" / "nbextensions"


def _copy(harness: Path, folder: Path) -> None:
    shutil.copytree(NBEXTENSIONS, folder / "nbextensions")
    for name, file in {"page.html": harness / "page.html", **FILES}.items():
        shutil.copyfile(file, folder / name)


class VSCodeNotebook(PlayedNotebook):
    """A notebook in VS Code."""

    host = "vscode"

    def __init__(self, server: LabServer, context: BrowserContext, cells: Sequence[str]) -> None:
        folder = published(server, "vscode", ["page.ts"], _copy)
        super().__init__(server, context, cells, folder / "page.html")
        self._play("open", len(self.cells))
        self._kernel = self._play("start", "python3")

    def reload(self) -> None:
        """Load the window anew: a page that knows of no kernel, with the outputs that a file holds."""
        outputs = [self._play("outputs", at) for at in range(len(self.cells))]
        self.page.reload()
        self._wait_loaded()
        self._play("open", len(self.cells))
        for index, found in enumerate(outputs):
            for data in found:
                self._play("show", index, data)

    def take_kernel(self) -> None:
        """Take up the kernel that outlived the window, as an existing Jupyter server's does."""
        self._play("take", self._kernel)

    def keys(self) -> list[str]:
        """Return the keys that VS Code's editor would have heard of, and forget them."""
        keys: list[str] = self._play("keys.splice", 0)
        return keys

    def restart(self) -> None:
        """Restart the kernel, as the toolbar does."""
        self._play("restart")

    def shut_down(self) -> None:
        """Shut the kernel down."""
        self._play("shutDown")
