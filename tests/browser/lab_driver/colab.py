"""A notebook's outputs as Google Colab shows them: each in a sandboxed frame of another origin, with a widget manager
of its own, from a kernel of Colab's versions, which `make test-stacks` installs.

The page is `js/colab`. It comes from the Jupyter server, what else it asks of the network is refused.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import BrowserContext, FrameLocator, Locator, Route

from lab_driver.played_notebook import MODULES, PlayedNotebook, published
from lab_driver.server import LabServer

STACK = Path(f"{sys.prefix}-oldest")
"""The Makefile's environment of the oldest stack."""

FRAMES = "https://outputs.test/"
"""Where the page has its frames from: Jupyter's server forbids to frame its own."""

AS_IN_COLAB = """import sys, types
google, colab, output = (types.ModuleType(name) for name in ('google', 'google.colab', 'google.colab.output'))
output._widgets = types.SimpleNamespace(_installed_url=None)
output.enable_custom_widget_manager = lambda: setattr(output._widgets, '_installed_url', 'manager.js')
sys.modules.update({module.__name__: module for module in (google, colab, output)})"""
"""What anywidget asks Colab's package."""


def _copy(harness: Path, folder: Path) -> None:
    shutil.copytree(STACK / "share" / "jupyter" / "nbextensions", folder / "nbextensions")
    shutil.copyfile(MODULES / "requirejs" / "require.js", folder / "require.js")
    for page in ("host", "frame"):
        shutil.copyfile(harness / f"{page}.html", folder / f"{page}.html")


class ColabNotebook(PlayedNotebook):
    """A notebook in Colab."""

    host = "colab"

    def __init__(self, server: LabServer, context: BrowserContext, cells: Sequence[str]) -> None:
        self._folder = published(server, "colab", ["host.ts", "frame.ts"], _copy)
        spec = server.kernels / "colab" / "kernel.json"
        if not spec.exists():
            spec.parent.mkdir(parents=True)
            argv = [str(STACK / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            spec.write_text(json.dumps({"argv": argv, "display_name": "Colab", "language": "python"}))
        super().__init__(server, context, cells, self._folder / "host.html")
        self._play("start", len(self.cells), "colab")
        self.execute(AS_IN_COLAB)

    def _answer(self, route: Route) -> None:
        url = route.request.url
        if url.startswith(FRAMES):
            route.fulfill(path=self._folder / url.removeprefix(FRAMES))
        else:
            super()._answer(route)

    def output(self, index: int) -> FrameLocator:
        """Return the inside of the cell's last frame."""
        return self.frames(index).last.content_frame

    def frames(self, index: int) -> Locator:
        """Return the frames of a cell's outputs."""
        return self.page.locator(f'[data-test-cell="{index}"] iframe')
