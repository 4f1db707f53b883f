"""A marimo server with one notebook, of its own: own folders, own port, nothing from the machine."""

from __future__ import annotations

import mimetypes
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import marimo
from playwright.sync_api import BrowserContext, Page, Route

from lab_driver.explorer import Explorer
from lab_driver.processes import end
from lab_driver.server import environment, free_port

SECONDS_TO_START = 60
ASSETS = Path(marimo.__file__).parent / "_static"
PUBLISHED = "/@marimo-team/frontend"
CONFIG = """[display]
theme = "system"
[runtime]
auto_instantiate = true
[save]
autosave = "off"
"""


class MarimoServer:
    """A running marimo.

    Args:
        folder: An empty folder for everything it writes; the notebook goes to its ``work`` folder.
        cells: Source of the notebook's cells.
        source: A folder put on ``PYTHONPATH``.
        mode: Whether the notebook can be edited.
    """

    def __init__(
        self, folder: Path, cells: Sequence[str], *, source: Path, mode: Literal["edit", "run"] = "edit"
    ) -> None:
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.file = self.work / "notebook.py"
        self.file.write_text(as_marimo(cells))
        config = folder / "config" / "marimo" / "marimo.toml"
        config.parent.mkdir(parents=True)
        config.write_text(CONFIG)
        self.environment = environment(folder, folder / "settings", source)
        self.environment |= {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
        self.environment |= {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("STATE", "CACHE", "DATA")}
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "marimo", "-q", "-y", mode, str(self.file)),
                    *("--headless", "--no-token", "--host", "127.0.0.1", "--port", str(port)),
                ],
                cwd=self.work,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        give_up = time.monotonic() + SECONDS_TO_START
        while not self._answers():
            if time.monotonic() > give_up or self._process.poll() is not None:
                self.end()
                raise RuntimeError(f"marimo did not start:\n{self.log.read_text()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5):  # noqa: S310  (our own server)
                return True
        except (urllib.error.URLError, OSError):
            return False

    def export(self, context: BrowserContext) -> Page:
        """Export the notebook as a page, which a tab then finds at ``http://export.test/``.

        What the page would fetch from the network comes from the installed marimo.
        """
        made = self.work / "export.html"
        command = [sys.executable, "-m", "marimo", "-q", "-y", "export", "html", str(self.file), "-o", str(made)]
        subprocess.run(command, cwd=self.work, env=self.environment, check=True, capture_output=True)

        def serve(route: Route) -> None:
            _, is_marimos, name = route.request.url.partition(PUBLISHED)
            file = ASSETS / name.partition("/dist/")[2] if is_marimos else made
            if file.is_file():
                kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
                route.fulfill(path=file, headers={"access-control-allow-origin": "*", "content-type": kind})
            else:
                route.abort()

        page = context.new_page()
        page.route("**/*", serve)
        return page

    def end(self) -> None:
        """End the server; it ends its kernels."""
        end(self._process)


class MarimoNotebook:
    """The notebook in a tab."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: self.faults.append(str(error.stack or error)))
        page.goto(url)

    def explorer(self) -> Explorer:
        """Return its Explorer, once its tree is shown."""
        explorer = Explorer(self, self.page.locator(".nnw-explorer"))
        explorer.grid.wait_for()
        return explorer


def as_marimo(cells: Sequence[str]) -> str:
    """Return the notebook file of these cells; marimo finds out by itself what they define and use."""
    parts = ["import marimo", "app = marimo.App(width='full')"]
    for cell in cells:
        body = "".join(f"    {line}\n" if line else "\n" for line in cell.splitlines())
        parts.append(f"@app.cell\ndef _():\n{body}    return\n")
    return "\n\n".join([*parts, 'if __name__ == "__main__":\n    app.run()\n'])
