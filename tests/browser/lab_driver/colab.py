"""A notebook's outputs as Google Colab shows them: each in a sandboxed frame of another origin, with a widget manager
of its own, from a kernel of Colab's versions, which `make test-stacks` installs.

The page is `js/colab`. It comes from the Jupyter server, what else it asks of the network is refused.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, FrameLocator, Locator, Page, Route

from lab_driver.asking import AsksKernel, plain
from lab_driver.explorer import Explorer
from lab_driver.server import LabServer

SOURCE = Path(__file__).parents[3]
MODULES = SOURCE / "node_modules"
HARNESS = SOURCE / "js" / "colab"
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


def publish(server: LabServer) -> Path:
    """Have the server serve the page as it serves an extension's files; return their folder."""
    folder = server.extensions / "colab"
    if not folder.exists():
        shutil.copytree(STACK / "share" / "jupyter" / "nbextensions", folder / "nbextensions")
        shutil.copyfile(MODULES / "requirejs" / "require.js", folder / "require.js")
        for page in ("host", "frame"):
            shutil.copyfile(HARNESS / f"{page}.html", folder / f"{page}.html")
        subprocess.run(
            [
                *(str(MODULES / ".bin" / "esbuild"), str(HARNESS / "host.ts"), str(HARNESS / "frame.ts")),
                *(f"--outdir={folder}", "--bundle", "--format=esm", "--target=es2022", "--log-level=warning"),
                # Packages of that kind would else give themselves to require.js instead of to the script.
                "--define:define=undefined",
            ],
            check=True,
        )
    return folder


class ColabNotebook(AsksKernel):
    """A notebook of these code cells, counted from 0, with a kernel of its own.

    Args:
        server: Has the kernel.
        context: A tab of it is taken.
        cells: Source of the cells.

    Attributes:
        page: The tab.
        faults: Uncaught exceptions of the page and its frames.
        strays: What they asked of the network other than the server: all of it is refused.
    """

    def __init__(self, server: LabServer, context: BrowserContext, cells: Sequence[str]) -> None:
        self.cells = list(cells)
        self.faults: list[str] = []
        self.strays: list[str] = []
        self._own = f"{server.url}/"
        self._folder = publish(server)
        spec = server.kernels / "colab" / "kernel.json"
        if not spec.exists():
            spec.parent.mkdir(parents=True)
            argv = [str(STACK / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            spec.write_text(json.dumps({"argv": argv, "display_name": "Colab", "language": "python"}))
        self.page: Page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("pageerror", lambda error: self.faults.append(str(error.stack or error)))
        self.page.route("**/*", self._answer)
        self.page.goto(f"{server.url}/lab/extensions/colab/host.html?token={server.token}")
        self.page.wait_for_function("() => 'colab' in window")
        self.page.evaluate("(n) => window.colab.start(n, 'colab')", len(self.cells))
        self.execute(AS_IN_COLAB)

    def _answer(self, route: Route) -> None:
        url = route.request.url
        if url.startswith(FRAMES):
            route.fulfill(path=self._folder / url.removeprefix(FRAMES))
        elif url.startswith(self._own):
            route.fallback()
        else:
            self.strays.append(url)
            route.abort()

    def output(self, index: int) -> FrameLocator:
        """Return the inside of the cell's last frame."""
        return self.frames(index).last.content_frame

    def frames(self, index: int) -> Locator:
        """Return the frames of a cell's outputs."""
        return self.page.locator(f'[data-test-cell="{index}"] iframe')

    def run(self, *indices: int) -> None:
        """Run cells one after another, as the Run button does, and fail on an error in one."""
        for index in indices:
            content = self.page.evaluate("([index, code]) => window.colab.run(index, code)", [index, self.cells[index]])
            if content["status"] != "ok":
                raise AssertionError(plain(content.get("traceback", [str(content)])))

    def start(self, index: int) -> None:
        """Run a cell without waiting for its end."""
        self.page.evaluate("([index, code]) => { void window.colab.run(index, code); }", [index, self.cells[index]])

    def wait_ended(self, index: int) -> None:
        """Wait until a cell has run."""
        self.page.wait_for_function("(index) => !window.colab.isRunning(index)", arg=index)

    def explorer(self, index: int) -> Explorer:
        """Return the Explorer in the cell's last output, once its tree is shown."""
        explorer = Explorer(self, self.output(index).locator(".nnw-explorer"))
        explorer.grid.wait_for()
        return explorer

    def dress(self, theme: str) -> None:
        """Change Colab's theme, "light" or "dark"."""
        self.page.evaluate("(theme) => window.colab.dress(theme)", theme)

    def _asked(self, code: str, expressions: dict[str, str]) -> dict[str, Any]:
        content: dict[str, Any] = self.page.evaluate(
            "([code, expressions]) => window.colab.ask(code, expressions)", [code, expressions]
        )
        return content
