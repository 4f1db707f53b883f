"""An open notebook with its kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playwright.sync_api import Locator

from lab_driver.asking import AsksKernel, plain
from lab_driver.explorer import Explorer

if TYPE_CHECKING:
    from lab_driver.tab import Tab

RUN = """async ([path, index]) => {
  const panel = window.panels[path];
  panel.content.activeCellIndex = index;
  panel.content.deselectAll();
  await window.jupyterapp.commands.execute('notebook:run-cell');
}"""

START = """([path, index]) => {
  const panel = window.panels[path];
  panel.content.activeCellIndex = index;
  panel.content.deselectAll();
  void window.jupyterapp.commands.execute('notebook:run-cell');
}"""

OUTPUTS = "([path, index]) => window.panels[path].content.widgets[index].outputArea.model.toJSON()"

EXECUTE = """async ([path, code, expressions]) => {
  const kernel = window.panels[path].sessionContext.session.kernel;
  const reply = await kernel.requestExecute(
    { code, user_expressions: expressions, store_history: false, stop_on_error: false }).done;
  return reply.content;
}"""

RUNNING = """([path, index]) =>
  window.panels[path].content.widgets[index].model.executionState === 'running'"""


class Notebook(AsksKernel):
    """One notebook; cells are counted from 0."""

    def __init__(self, lab: Tab, path: str) -> None:
        self.lab = lab
        self.page = lab.page
        self.path = path

    def cell(self, index: int) -> Locator:
        """Return the cell's element."""
        return self.page.locator(f'[data-test-cell="{index}"]')

    def output(self, index: int) -> Locator:
        """Return the element that holds the cell's outputs."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Return the cell's outputs as the notebook file would hold them."""
        found: list[dict[str, Any]] = self.page.evaluate(OUTPUTS, [self.path, index])
        return found

    def run(self, *indices: int) -> None:
        """Run cells one after another, as the Run button does, and fail on an error in one."""
        for index in indices:
            self.page.evaluate(RUN, [self.path, index])
            for output in self.outputs(index):
                if output["output_type"] == "error":
                    raise AssertionError(plain(output["traceback"]))

    def start(self, index: int) -> None:
        """Run a cell without waiting for its end."""
        self.page.evaluate(START, [self.path, index])

    def explorer(self, index: int, *, nth: int = 0) -> Explorer:
        """Return the Explorer in the cell's output, once its tree is shown."""
        explorer = Explorer(self, self.output(index).locator(".nnw-explorer").nth(nth))
        explorer.grid.wait_for()
        return explorer

    def _asked(self, code: str, expressions: dict[str, str]) -> dict[str, Any]:
        content: dict[str, Any] = self.page.evaluate(EXECUTE, [self.path, code, expressions])
        return content

    def executing(self, index: int) -> bool:
        """Tell whether a cell runs at this moment."""
        running: bool = self.page.evaluate(RUNNING, [self.path, index])
        return running

    def wait_ended(self, index: int) -> None:
        """Wait until a cell has run. The kernel's own status won't do: it is idle between a subshell's messages."""
        self.page.wait_for_function(f"(which) => !({RUNNING})(which)", arg=[self.path, index])

    def save(self) -> None:
        """Save the notebook, as Ctrl+S does."""
        self.page.evaluate("(path) => window.panels[path].context.save()", self.path)

    def clear(self, index: int) -> None:
        """Clear a cell's outputs, as the menu does."""
        self.page.evaluate(
            "([path, index]) => window.panels[path].content.widgets[index].model.clearExecution()", [self.path, index]
        )

    def shut_down(self) -> None:
        """Shut the kernel down, as the menu does."""
        self.page.evaluate("(path) => window.panels[path].sessionContext.shutdown()", self.path)

    def restart(self) -> None:
        """Restart the kernel, as the menu does."""
        self.page.evaluate(
            """async (path) => {
              const { session } = window.panels[path].sessionContext;
              await session.kernel.restart();
              await session.kernel.info;
            }""",
            self.path,
        )

    def cells(self) -> list[str]:
        """Return the source of every cell, as the notebook now has them."""
        found: list[str] = self.page.evaluate(
            "(path) => window.panels[path].content.widgets.map((cell) => cell.model.sharedModel.getSource())",
            self.path,
        )
        return found

    def kinds(self) -> list[str]:
        """Return the type of every cell: "code", "markdown", "raw"."""
        found: list[str] = self.page.evaluate(
            "(path) => window.panels[path].content.widgets.map((cell) => cell.model.type)", self.path
        )
        return found

    def active_cell(self) -> int:
        """Return the index of the notebook's active cell."""
        index: int = self.page.evaluate("(path) => window.panels[path].content.activeCellIndex", self.path)
        return index

    def focus_cell(self, index: int) -> None:
        """Put the focus on a cell in command mode, as Escape does."""
        self.page.evaluate(
            """([path, index]) => {
              const panel = window.panels[path];
              panel.content.activeCellIndex = index;
              panel.content.mode = 'command';
              panel.content.activate();
            }""",
            [self.path, index],
        )

    def scroll_to(self, index: int) -> None:
        """Bring a cell into sight."""
        self.page.evaluate(
            "([path, index]) => window.panels[path].content.scrollToItem(index, 'center')", [self.path, index]
        )

    def wait_attached(self, index: int, attached: bool) -> None:
        """Wait until a windowed notebook has put a cell on the page, or taken it off."""
        self.page.wait_for_function(
            "([path, index, attached]) => window.panels[path].content.widgets[index].isAttached === attached",
            arg=[self.path, index, attached],
        )

    def mode(self) -> str:
        """Return "command" or "edit"."""
        mode: str = self.page.evaluate("(path) => window.panels[path].content.mode", self.path)
        return mode
