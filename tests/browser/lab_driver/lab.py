"""One tab of Chromium with JupyterLab in it."""

from __future__ import annotations

from playwright.sync_api import BrowserContext

from lab_driver.server import LabServer
from lab_driver.tab import Tab

OPEN = """async (path) => {
  const app = window.jupyterapp;
  const panel = await app.commands.execute('docmanager:open', { path, factory: 'Notebook' });
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  await panel.revealed;
  panel.content.widgets.forEach((cell, index) => { cell.node.dataset.testCell = String(index); });
  window.panels = { ...window.panels, [path]: panel };
}"""


class Lab(Tab):
    """JupyterLab in a tab."""

    def __init__(self, server: LabServer, context: BrowserContext) -> None:
        super().__init__(server, context)
        self.load()

    def load(self) -> None:
        """Load the page, as if nobody had been there."""
        self._load("lab?reset&")
        self.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")

    def _show(self, name: str) -> None:
        self.page.evaluate(OPEN, name)
