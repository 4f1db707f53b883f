"""The same model, Explorer and training in each host, so that the same stories can be played on all of them.

What the kernel's model holds is asked through files, which a thread of the kernel answers: that works in every host,
and while a cell trains.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import BrowserContext, Page

from lab_driver import models
from lab_driver.explorer import Explorer
from lab_driver.forked_kernels import KernelHost
from lab_driver.lab import Lab
from lab_driver.marimo import MarimoNotebook, MarimoServer
from lab_driver.notebook import Notebook
from lab_driver.notebook_seven import NotebookSeven
from lab_driver.panel import Panel
from lab_driver.server import LabServer
from lab_driver.tab import Tab
from lab_driver.vscode import VSCodeNotebook
from lab_driver.waiting import wait_until

ANSWERS = """import pathlib, threading, time
def answer(ask, answered, written):
    while True:
        if ask.exists():
            value = net.get_parameter(ask.read_text()).double().mean().item()
            ask.unlink()
            written.write_text(repr(value))
            written.rename(answered)
        time.sleep(0.01)
files = [pathlib.Path('TOKEN.' + name) for name in ('ask', 'answer', 'written')]
threading.Thread(target=answer, args=files, daemon=True).start()"""
EXPLORE = "import nnwidgets as nnw\nview = nnw.explore(net)\nview"
STEPS = """optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
while not pathlib.Path('TOKEN.stop').exists():
    optimizer.zero_grad()
    net(torch.randn(64, 20)).square().mean().backward()
    optimizer.step()
    view.tick()
    time.sleep(0.02)"""
EXPLORE_CELL, TRAIN_CELL = 3, 4

Theme = Literal["light", "dark"]


@dataclass
class Stage:
    """A host with an Explorer of a small net.

    Attributes:
        name: Of the host.
        page: Its tab.
        folder: Where the kernel works.
        find: Gives the Explorer.
        begin_training: Starts a cell that trains until it is told to stop.
        dress: Changes the theme.
        lose_kernel: Ends the kernel.
        while_busy: Whether the kernel answers while a cell runs; if not, whether the host tells the view of it.
        faults: Uncaught exceptions of the page.
    """

    name: str
    page: Page
    folder: Path
    token: str
    find: Callable[[], Explorer]
    begin_training: Callable[[], None]
    dress: Callable[[Theme], None]
    lose_kernel: Callable[[], None]
    while_busy: Literal["answers", "tells", "is silent"]
    faults: list[str]

    def mean(self, path: str) -> float:
        """Return torch's mean of a parameter, in double precision."""
        ask, answer = (self.folder / f"{self.token}.{name}" for name in ("ask", "answer"))
        unfinished = ask.with_suffix(".asking")
        unfinished.write_text(path)
        unfinished.rename(ask)
        wait_until(answer.exists, "the kernel answers", pause=lambda: self.page.wait_for_timeout(20))
        value = float(answer.read_text())
        answer.unlink()
        return value

    @contextmanager
    def training(self) -> Iterator[None]:
        """Train meanwhile."""
        stop = self.folder / f"{self.token}.stop"
        stop.unlink(missing_ok=True)
        self.begin_training()
        try:
            yield
        finally:
            stop.touch()


def cells(token: str, net: str) -> list[str]:
    """Return the notebook's cells; the second makes the net, the last one trains it."""
    return [models.LOAD, net, *(cell.replace("TOKEN", token) for cell in (ANSWERS, EXPLORE, STEPS))]


@contextmanager
def jupyterlab(server: LabServer, context: BrowserContext, net: str = models.MLP) -> Iterator[Stage]:
    """The widget in JupyterLab."""
    with _in_tab("JupyterLab", Lab(server, context), _in_output, net) as stage:
        yield stage


@contextmanager
def panel(server: LabServer, context: BrowserContext, net: str = models.MLP) -> Iterator[Stage]:
    """The panel in JupyterLab."""
    lab = Lab(server, context)
    side = Panel(lab)
    with _in_tab("JupyterLab’s panel", lab, lambda notebook: side.explorer(notebook, "net"), net) as stage:
        side.open()
        yield stage


@contextmanager
def notebook_seven(
    folder: Path, source: Path, kernels: KernelHost, context: BrowserContext, net: str = models.MLP
) -> Iterator[Stage]:
    """The widget in Notebook 7; the server is one of its own."""
    server = LabServer(folder, source=source, app="notebook", kernels=kernels)
    with _in_tab("Notebook 7", NotebookSeven(server, context), _in_output, net) as stage:
        yield stage
    server.end()


@contextmanager
def vscode(server: LabServer, context: BrowserContext, net: str = models.MLP) -> Iterator[Stage]:
    """The widget in VS Code's own widget manager."""
    token = secrets.token_hex(4)
    notebook = VSCodeNotebook(server, context, cells(token, net))
    notebook.run(*range(TRAIN_CELL))
    yield Stage(
        name="VS Code",
        page=notebook.page,
        folder=server.work,
        token=token,
        find=lambda: notebook.explorer(EXPLORE_CELL),
        begin_training=lambda: notebook.start(TRAIN_CELL),
        dress=notebook.dress,
        lose_kernel=notebook.shut_down,
        while_busy="tells",
        faults=notebook.faults,
    )
    notebook.page.close()


MARIMO_VIEW = "view = nnw.explore(net)\nmo.ui.anywidget(view)"


@contextmanager
def marimo(folder: Path, source: Path, context: BrowserContext, net: str = models.MLP) -> Iterator[Stage]:
    """The widget in marimo; the server is one of its own."""
    token = secrets.token_hex(4)
    train = "\n".join(["if train.value:", *(f"    {line}" for line in STEPS.replace("TOKEN", token).splitlines())])
    imports = (
        "import marimo as mo\nimport pathlib\nimport time\nimport torch\nfrom torch import nn\nimport nnwidgets as nnw"
    )
    answers = ANSWERS.replace("TOKEN", token).replace("import pathlib, threading, time", "import threading")
    button = 'train = mo.ui.run_button(label="Train")\ntrain'
    server = MarimoServer(folder, [imports, net, answers, button, MARIMO_VIEW, train], source=source)
    page = context.new_page()
    page.emulate_media(reduced_motion="reduce")
    notebook = MarimoNotebook(page, server.url)
    yield Stage(
        name="marimo",
        page=page,
        folder=server.work,
        token=token,
        find=notebook.explorer,
        begin_training=lambda: page.get_by_role("button", name="Train", exact=True).click(),
        dress=lambda theme: page.emulate_media(color_scheme=theme),
        lose_kernel=server.end,
        while_busy="is silent",
        faults=notebook.faults,
    )
    page.emulate_media(color_scheme="light")
    page.close()
    server.end()


def by_host(
    server: LabServer,
    kernels: KernelHost,
    context: BrowserContext,
    folder: Path,
    source: Path,
    *,
    net: str = models.MLP,
) -> dict[str, Callable[[], AbstractContextManager[Stage]]]:
    """Return what opens the stage of each host; ``folder`` is for the servers that some of them have of their own."""
    return {
        "jupyterlab": lambda: jupyterlab(server, context, net),
        "panel": lambda: panel(server, context, net),
        "notebook_seven": lambda: notebook_seven(folder / "notebook", source, kernels, context, net),
        "vscode": lambda: vscode(server, context, net),
        "marimo": lambda: marimo(folder / "marimo", source, context, net),
    }


@contextmanager
def _in_tab(name: str, tab: Tab, find: Callable[[Notebook], Explorer], net: str) -> Iterator[Stage]:
    """A notebook in a tab of Jupyter's, its Explorer where ``find`` finds it."""
    token = secrets.token_hex(4)
    notebook = tab.open(cells(token, net))
    notebook.run(*range(TRAIN_CELL))
    yield Stage(
        name=name,
        page=tab.page,
        folder=tab.server.work,
        token=token,
        find=lambda: find(notebook),
        begin_training=lambda: notebook.start(TRAIN_CELL),
        dress=lambda theme: tab.theme(f"JupyterLab {theme.capitalize()}"),
        lose_kernel=notebook.shut_down,
        while_busy="answers",
        faults=tab.faults,
    )
    tab.page.close()


def _in_output(notebook: Notebook) -> Explorer:
    return notebook.explorer(EXPLORE_CELL)
