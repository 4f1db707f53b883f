"""A notebook that a page of ours plays as another host would, with a kernel of the Jupyter server's."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from playwright.sync_api import BrowserContext, FrameLocator, Locator, Page, Route

from lab_driver.asking import AsksKernel, plain
from lab_driver.explorer import Explorer
from lab_driver.server import LabServer

SOURCE = Path(__file__).parents[3]
MODULES = SOURCE / "node_modules"


def published(server: LabServer, name: str, scripts: Sequence[str], copy: Callable[[Path, Path], None]) -> Path:
    """Have the server serve a page of `js/` as it serves an extension's files; return their folder.

    Args:
        server: Serves it below `/lab/extensions`.
        name: Of the folder in `js`.
        scripts: What esbuild bundles of it.
        copy: Is given both folders, and copies what else the page needs.
    """
    folder, harness = server.extensions / name, SOURCE / "js" / name
    if not folder.exists():
        folder.mkdir()
        copy(harness, folder)
        subprocess.run(
            [
                *(str(MODULES / ".bin" / "esbuild"), *(str(harness / script) for script in scripts)),
                *(f"--outdir={folder}", "--bundle", "--format=esm", "--target=es2022", "--log-level=warning"),
                # Packages that know require.js would else give themselves to it instead of to the script.
                "--define:define=undefined",
            ],
            check=True,
        )
    return folder


class PlayedNotebook(AsksKernel):
    """A notebook of these code cells, counted from 0, with a kernel of its own.

    Args:
        server: Has the kernel.
        context: A tab of it is taken.
        cells: Source of the cells.
        page: Of `published`: its folder and the file in it.

    Attributes:
        page: The tab.
        faults: Uncaught exceptions of the page and its frames.
        strays: What they asked of the network other than the server: all of it is refused.
    """

    host: ClassVar[str]
    """The page's global that plays."""

    def __init__(self, server: LabServer, context: BrowserContext, cells: Sequence[str], page: Path) -> None:
        self.cells = list(cells)
        self.faults: list[str] = []
        self.strays: list[str] = []
        self._own = f"{server.url}/"
        self.page: Page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("pageerror", lambda error: self.faults.append(str(error.stack or error)))
        self.page.route("**/*", self._answer)
        self.page.goto(f"{server.url}/lab/extensions/{page.parent.name}/{page.name}?token={server.token}")
        self._wait_loaded()

    def _wait_loaded(self) -> None:
        self.page.wait_for_function("(host) => host in window", arg=self.host)

    def _answer(self, route: Route) -> None:
        if route.request.url.startswith(self._own):
            route.fallback()
        else:
            self.strays.append(route.request.url)
            route.abort()

    def _play(self, call: str, *values: object) -> Any:
        return self.page.evaluate(f"(values) => window.{self.host}.{call}(...values)", list(values))

    def output(self, index: int) -> Locator | FrameLocator:
        """Return what holds the cell's outputs."""
        return self.page.locator(f'[data-test-cell="{index}"]')

    def run(self, *indices: int) -> None:
        """Run cells one after another, as the Run button does, and fail on an error in one."""
        for index in indices:
            content = self._play("run", index, self.cells[index])
            if content["status"] != "ok":
                raise AssertionError(plain(content.get("traceback", [str(content)])))

    def start(self, index: int) -> None:
        """Run a cell without waiting for its end."""
        self.page.evaluate(
            f"([index, code]) => {{ void window.{self.host}.run(index, code); }}", [index, self.cells[index]]
        )

    def executing(self, index: int) -> bool:
        """Tell whether a cell runs at this moment."""
        running: bool = self._play("isRunning", index)
        return running

    def wait_ended(self, index: int) -> None:
        """Wait until a cell has run."""
        self.page.wait_for_function(f"(index) => !window.{self.host}.isRunning(index)", arg=index)

    def explorer(self, index: int) -> Explorer:
        """Return the Explorer in the cell's last output, once its tree is shown."""
        explorer = Explorer(self, self.output(index).locator(".nnw-explorer"))
        explorer.grid.wait_for()
        return explorer

    def dress(self, theme: str) -> None:
        """Change to one of the host's themes."""
        self._play("dress", theme)

    def _asked(self, code: str, expressions: dict[str, str]) -> dict[str, Any]:
        content: dict[str, Any] = self._play("ask", code, expressions)
        return content
