"""One tab of Chromium with Notebook 7 in it."""

from __future__ import annotations

from lab_driver.tab import Tab

TAKE = """async (path) => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  await panel.revealed;
  panel.content.widgets.forEach((cell, index) => { cell.node.dataset.testCell = String(index); });
  window.panels = { ...window.panels, [path]: panel };
}"""


class NotebookSeven(Tab):
    """Notebook 7 in a tab, which holds one notebook."""

    def _show(self, name: str) -> None:
        self._load(f"notebooks/{name}?")
        self.page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.sessionContext !== undefined")
        self.page.evaluate(TAKE, name)
