"""One tab of Chromium with JupyterLab in it."""

from __future__ import annotations

from playwright.sync_api import BrowserContext

from lab_driver.browser import VIEWPORT
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

CLOSE = """() => {
  for (const panel of Object.values(window.panels ?? {})) {
    panel.context.model.dirty = false;
    panel.dispose();
  }
  window.panels = {};
  document.activeElement?.blur();
  return document.querySelectorAll('.jp-Dialog').length;
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

    def is_cleared(self) -> bool:
        """Close all notebooks and undo what tests do to a page; whether the next test may have it."""
        n_dialogs = self.page.evaluate(CLOSE)
        if self.page.viewport_size != VIEWPORT:
            self.page.set_viewport_size(VIEWPORT)
        if self.page.evaluate("() => document.body.dataset.jpThemeLight !== 'true'"):
            self.theme("JupyterLab Light")
        self.page.mouse.move(0, 0)
        self.forget()
        return n_dialogs == 0

    def _show(self, name: str) -> None:
        self.page.evaluate(OPEN, name)
