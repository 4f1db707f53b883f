"""One tab of Chromium with a Jupyter front end in it."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import nbformat
from playwright.sync_api import BrowserContext, Page, WebSocket

from lab_driver.notebook import Notebook
from lab_driver.server import LabServer

MESSAGE_TYPE = re.compile(rb'"msg_type":\s*"(\w+)"')
SECONDS_TO_LOAD = 90

_names = itertools.count(1)


class Tab:
    """A tab of its own, with no page yet.

    Attributes:
        page: The tab.
        faults: Uncaught exceptions of the page.
    """

    def __init__(self, server: LabServer, context: BrowserContext) -> None:
        self.server = server
        self.page: Page = context.new_page()
        self._sizes: defaultdict[str, list[int]] = defaultdict(list)
        self.faults: list[str] = []
        self.page.on("websocket", self._watch)
        self.page.on("pageerror", lambda error: self.faults.append(str(error.stack or error)))
        self.page.set_default_timeout(30_000)

    def open(self, cells: Sequence[str], *, kernel: str = "python3") -> Notebook:
        """Write a notebook of these code cells, open it, and wait for its kernel."""
        document = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
        )
        return self.open_document(document)

    def open_document(self, document: Any, *, trusted: bool = False) -> Notebook:
        """Open a notebook given as nbformat has it, trusted as one is that this server has run."""
        return self.open_file(self.write(document, trusted=trusted))

    def write(self, document: Any, *, trusted: bool = False) -> str:
        """Write a notebook into the server's folder; return its name there."""
        name = f"notebook-{next(_names)}.ipynb"
        nbformat.write(document, self.server.work / name)
        if trusted:
            self.server.trust(document)
        return name

    def open_file(self, name: str) -> Notebook:
        """Open a notebook that is in the server's folder already."""
        self._show(name)
        return Notebook(self, name)

    def reload(self, notebook: Notebook) -> Notebook:
        """Load the page anew, which brings its notebooks back as its user would find them."""
        self.page.reload()
        self._wait_loaded()
        return self.open_file(notebook.path)

    def sizes_of(self, *message_types: str) -> list[int]:
        """Return how many bytes each message of these types had that the kernel has sent to the page."""
        return [size for each in message_types for size in self._sizes[each]]

    def bytes_of(self, *message_types: str) -> int:
        """Return how many bytes all messages of these types had."""
        return sum(self.sizes_of(*message_types))

    def forget(self) -> None:
        """Count messages and faults from here on."""
        self._sizes.clear()
        self.faults.clear()

    def theme(self, name: str) -> None:
        """Change to the theme called "JupyterLab Light" or "JupyterLab Dark", and wait until it is on."""
        light = "true" if name.endswith("Light") else "false"
        self.page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", name)
        self.page.wait_for_function("(light) => document.body.dataset.jpThemeLight === light", arg=light)
        self._wait_splash_gone()

    def _show(self, name: str) -> None:
        raise NotImplementedError

    def _load(self, path: str) -> None:
        self.page.goto(f"{self.server.url}/{path}token={self.server.token}")
        self._wait_loaded()

    def _wait_loaded(self) -> None:
        self.page.wait_for_function(
            "() => window.jupyterapp?.restored.then(() => true)", timeout=SECONDS_TO_LOAD * 1000
        )
        self._wait_splash_gone()

    def _wait_splash_gone(self) -> None:
        """JupyterLab shows its splash at start and at each change of theme, and falls over two at a time."""
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")

    def _watch(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._count)

    def _count(self, payload: str | bytes) -> None:
        raw = payload.encode() if isinstance(payload, str) else payload
        found = MESSAGE_TYPE.search(raw)
        self._sizes[found.group(1).decode() if found else ""].append(len(raw))
