"""The panel at the right side, spoken to by roles and names as a screen reader would."""

from __future__ import annotations

import re

from playwright.sync_api import Locator

from lab_driver.explorer import Explorer
from lab_driver.notebook import Notebook
from lab_driver.picture import picture
from lab_driver.tab import Tab

COMMAND = "([command, args]) => window.jupyterapp.commands.execute(command, args)"


class Panel:
    """The panel "Neural network" of a tab.

    Attributes:
        root: Its element.
        models: The list of the kernel's models.
        optimizers: The list of its optimizers.
    """

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.page = tab.page
        self.root = tab.page.get_by_role("region", name="Neural network", exact=True)
        self.models = self.root.get_by_role("list", name="Models")
        self.optimizers = self.root.get_by_role("list", name="Optimizers")

    def open(self) -> None:
        """Open it by its command, as the palette does."""
        self.command("nnwidgets:open-panel")
        self.root.wait_for()

    def command(self, command: str, **arguments: str) -> None:
        """Run a command with its arguments."""
        self.page.evaluate(COMMAND, [command, arguments])

    def model(self, name: str) -> Locator:
        """Return the button of a model in the list."""
        return self.models.get_by_role("button", name=re.compile(rf"^{re.escape(name)}\b"))

    def button(self, name: str) -> Locator:
        """Return a button by its label."""
        return self.root.get_by_role("button", name=name, exact=True)

    def explorer(self, notebook: Notebook, model: str) -> Explorer:
        """Return the Explorer in the panel, once it shows the model of this name."""
        explorer = Explorer(notebook, self.root.get_by_role("region", name=re.compile(rf"Explorer: {model}, ")))
        explorer.grid.wait_for()
        return explorer

    def screenshot(self, name: str) -> None:
        """Save a picture of the whole tab in the folder that ``NNW_SCREENSHOTS`` names, if it does."""
        picture(self.page, name)
