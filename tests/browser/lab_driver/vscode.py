"""A notebook's outputs as VS Code shows them: its own widget manager, in a page that is dressed as its webview is.

The page is `js/vscode`. Everything in it comes from the Jupyter server, what else it asks of the network is refused.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import BrowserContext, Locator, Page, Route

from lab_driver.asking import AsksKernel, plain
from lab_driver.explorer import Explorer
from lab_driver.server import LabServer

SOURCE = Path(__file__).parents[3]
MODULES = SOURCE / "node_modules"
HARNESS = SOURCE / "js" / "vscode"
FILES = {
    "page.html": HARNESS / "page.html",
    "require.js": MODULES / "requirejs" / "require.js",
    "ipywidgets.js": MODULES / "@vscode" / "jupyter-ipywidgets8" / "dist" / "ipywidgets.js",
}
# VS Code lends its webview the widgets' scripts from where the kernel's interpreter has them.
NBEXTENSIONS = Path(sys.prefix) / "share" / "jupyter" / "nbextensions"


def publish(server: LabServer) -> str:
    """Have the server serve the page as it serves an extension's files; return its address."""
    folder = server.extensions / "vscode"
    if not folder.exists():
        shutil.copytree(NBEXTENSIONS, folder / "nbextensions")
        for name, file in FILES.items():
            shutil.copyfile(file, folder / name)
        subprocess.run(
            [
                *(str(MODULES / ".bin" / "esbuild"), str(HARNESS / "page.ts"), f"--outfile={folder / 'page.js'}"),
                *("--bundle", "--format=esm", "--target=es2022", "--log-level=warning"),
            ],
            check=True,
        )
    return f"{server.url}/lab/extensions/vscode/page.html"


class VSCodeNotebook(AsksKernel):
    """A notebook of these code cells, counted from 0, with a kernel of its own.

    Args:
        server: Has the kernel.
        context: A tab of it is taken.
        cells: Source of the cells.

    Attributes:
        page: The tab.
        faults: Uncaught exceptions of the page.
        strays: What the page asked of the network other than the server: all of it is refused.
    """

    def __init__(self, server: LabServer, context: BrowserContext, cells: Sequence[str]) -> None:
        self.cells = list(cells)
        self.faults: list[str] = []
        self.strays: list[str] = []
        self._own = f"{server.url}/"
        address = publish(server)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("pageerror", lambda error: self.faults.append(str(error.stack or error)))
        self.page.route("**/*", self._refuse_strays)
        self.page.goto(f"{address}?token={server.token}")
        self._open()
        self._kernel = self.page.evaluate("() => window.vscode.start('python3')")

    def _open(self) -> None:
        self.page.wait_for_function("() => 'vscode' in window")
        self.page.evaluate("(n) => window.vscode.open(n)", len(self.cells))

    def reload(self) -> None:
        """Load the window anew: a page that knows of no kernel, with the outputs that a file holds."""
        outputs = [self.page.evaluate("(index) => window.vscode.outputs(index)", at) for at in range(len(self.cells))]
        self.page.reload()
        self._open()
        for index, found in enumerate(outputs):
            for data in found:
                self.page.evaluate("([index, data]) => window.vscode.show(index, data)", [index, data])

    def take_kernel(self) -> None:
        """Take up the kernel that outlived the window, as an existing Jupyter server's does."""
        self.page.evaluate("(id) => window.vscode.take(id)", self._kernel)

    def _refuse_strays(self, route: Route) -> None:
        if route.request.url.startswith(self._own):
            route.fallback()
        else:
            self.strays.append(route.request.url)
            route.abort()

    def output(self, index: int) -> Locator:
        """Return the element that holds the cell's outputs."""
        return self.page.locator(f'[data-test-cell="{index}"]')

    def run(self, *indices: int) -> None:
        """Run cells one after another, as the Run button does, and fail on an error in one."""
        for index in indices:
            content = self.page.evaluate(
                "([index, code]) => window.vscode.run(index, code)", [index, self.cells[index]]
            )
            if content["status"] != "ok":
                raise AssertionError(plain(content.get("traceback", [str(content)])))

    def start(self, index: int) -> None:
        """Run a cell without waiting for its end."""
        self.page.evaluate("([index, code]) => { void window.vscode.run(index, code); }", [index, self.cells[index]])

    def executing(self, index: int) -> bool:
        """Tell whether a cell runs at this moment."""
        running: bool = self.page.evaluate("(index) => window.vscode.isRunning(index)", index)
        return running

    def wait_ended(self, index: int) -> None:
        """Wait until a cell has run."""
        self.page.wait_for_function("(index) => !window.vscode.isRunning(index)", arg=index)

    def explorer(self, index: int) -> Explorer:
        """Return the Explorer in the cell's output, once its tree is shown."""
        explorer = Explorer(self, self.output(index).locator(".nnw-explorer"))
        explorer.grid.wait_for()
        return explorer

    def dress(self, theme: Literal["light", "dark", "high-contrast", "high-contrast-light"]) -> None:
        """Change to one of VS Code's default themes."""
        self.page.evaluate("(theme) => window.vscode.dress(theme)", theme)

    def keys(self) -> list[str]:
        """Return the keys that VS Code's editor would have heard of, and forget them."""
        keys: list[str] = self.page.evaluate("() => window.vscode.keys.splice(0)")
        return keys

    def restart(self) -> None:
        """Restart the kernel, as the toolbar does."""
        self.page.evaluate("() => window.vscode.restart()")

    def shut_down(self) -> None:
        """Shut the kernel down."""
        self.page.evaluate("() => window.vscode.shutDown()")

    def _asked(self, code: str, expressions: dict[str, str]) -> dict[str, Any]:
        content: dict[str, Any] = self.page.evaluate(
            "([code, expressions]) => window.vscode.ask(code, expressions)", [code, expressions]
        )
        return content
