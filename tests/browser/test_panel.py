"""The panel of JupyterLab and Notebook 7: what it shows of the active notebook, and what it leaves alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

import nnwidgets
from lab_driver import Lab, LabServer, NotebookSeven, Panel
from lab_driver.axe import violations

SOURCE = Path(nnwidgets.__file__).parents[1]
MODEL = """import torch
from torch import nn
net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
trainer = torch.optim.Adam(net.parameters())"""
OTHER = """from torch import nn
encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
head = nn.Linear(8, 2)"""
ECHO = """from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

class Echo(Kernel):
    implementation, implementation_version, banner = "echo", "1", "echo"
    language_info = {"name": "echo", "mimetype": "text/plain", "file_extension": ".txt"}

    def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False, **_):
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}

IPKernelApp.launch_instance(kernel_class=Echo)
"""


@pytest.fixture(autouse=True)
def _new_tab(discard_used: Callable[[], None]) -> None:
    """The panel of a page stays open once it was opened."""
    discard_used()


@pytest.fixture
def notebook_seven(context: BrowserContext, tmp_path: Path) -> Iterator[NotebookSeven]:
    server = LabServer(tmp_path, source=SOURCE, app="notebook")
    tab = NotebookSeven(server, context)
    yield tab
    server.end()
    # Notebook 7.6 itself throws while it loads its settings.
    assert [fault for fault in tab.faults if "labextensions" in fault] == []


@pytest.fixture
def echo(server: LabServer) -> str:
    """A real kernel of another language."""
    folder = server.work.parent / "data" / "kernels" / "echo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "echo.py").write_text(ECHO)
    argv = [sys.executable, str(folder / "echo.py"), "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Echo", "language": "echo"}))
    return "echo"


def test_nothing_runs_before_the_panel_is_opened_and_then_it_shows_what_a_cell_makes(lab: Lab):
    notebook = lab.open([MODEL])
    lab.page.wait_for_timeout(1_000)
    assert lab.sizes_of("execute_reply") == []
    assert notebook.kernel("'nnwidgets' in __import__('sys').modules") is False

    panel = Panel(lab)
    panel.open()
    expect(panel.root).to_contain_text("nnwidgets was loaded into this kernel.")
    expect(panel.root).to_contain_text("No variable of this kernel holds a model yet.")
    names = notebook.kernel("[name for name in globals() if not name.startswith('_')]")
    assert set(names) <= {"In", "Out", "get_ipython", "exit", "quit", "open"}

    notebook.run(0)
    expect(panel.model("net")).to_have_attribute("aria-pressed", "true")
    expect(panel.optimizers).to_have_text("trainerAdam")
    explorer = panel.explorer(notebook, "net")
    explorer.select("0.weight")
    figures = explorer.statistics()
    assert figures["mean"] == pytest.approx(notebook.kernel("net[0].weight.double().mean().item()"), rel=1e-9)
    assert notebook.outputs(0) == []
    panel.screenshot("panel-light")
    lab.theme("JupyterLab Dark")
    expect(explorer.root).to_have_attribute("data-tone", "dark")
    panel.screenshot("panel-dark")


def test_what_is_on_view_follows_its_variable_and_a_restart_leaves_what_was_seen(lab: Lab):
    notebook = lab.open([MODEL, "net[0].bias.data.fill_(7.0);", "net = nn.Linear(2, 3)", "del net"])
    notebook.run(0)
    panel = Panel(lab)
    panel.open()
    explorer = panel.explorer(notebook, "net")
    explorer.select("0.bias")
    notebook.run(1)
    least = explorer.part("Statistics").locator("dl > div").filter(has=lab.page.get_by_text("min", exact=True))
    expect(least).to_have_text("min7")
    notebook.run(2)
    expect(explorer.row("0.bias")).to_have_count(0)
    expect(explorer.row("weight")).to_contain_text("3 × 2")
    notebook.run(3)
    expect(panel.root).to_contain_text("No variable of this kernel holds a model yet.")
    expect(explorer.root).to_contain_text("The model was deleted.")

    notebook.run(0)
    explorer.select("2.weight")
    notebook.restart()
    expect(panel.root).to_contain_text("nnwidgets is not loaded in this kernel.")
    expect(explorer.root).to_contain_text("No kernel.")
    expect(explorer.row("2.weight")).to_be_visible()
    assert notebook.kernel("'nnwidgets' in __import__('sys').modules") is False
    panel.screenshot("panel-restarted")
    panel.button("Load nnwidgets").click()
    expect(panel.root).to_contain_text("No variable of this kernel holds a model yet.")
    notebook.run(0)
    expect(explorer.root).not_to_contain_text("No kernel.")
    explorer.select("2.weight")


def test_the_panel_follows_the_active_notebook_and_asks_before_it_loads_anything_there(lab: Lab):
    first = lab.open([MODEL])
    first.run(0)
    panel = Panel(lab)
    panel.open()
    panel.explorer(first, "net")

    second = lab.open([OTHER])
    second.run(0)
    expect(panel.root).to_contain_text(second.path)
    expect(panel.root).to_contain_text("nnwidgets is not loaded in this kernel.")
    expect(panel.models).to_have_count(0)
    assert second.kernel("'nnwidgets' in __import__('sys').modules") is False
    panel.button("Load nnwidgets").click()
    panel.explorer(second, "encoder")
    panel.model("head").click()
    panel.explorer(second, "head")
    expect(panel.model("head")).to_have_attribute("aria-pressed", "true")

    lab.page.evaluate("(path) => window.jupyterapp.shell.activateById(window.panels[path].id)", first.path)
    panel.explorer(first, "net")
    lab.page.evaluate("(path) => window.jupyterapp.shell.activateById(window.panels[path].id)", second.path)
    panel.explorer(second, "head")
    for path in (first.path, second.path):
        lab.page.evaluate("(path) => window.panels[path].dispose()", path)
    expect(panel.root).to_contain_text("No notebook.")


def test_kernels_that_it_can_not_look_into_are_named(echo: str, lab: Lab):
    notebook = lab.open(["import sys; sys.modules['torch'] = None"])
    notebook.run(0)
    panel = Panel(lab)
    panel.open()
    expect(panel.root.get_by_role("alert")).to_contain_text("This kernel's Python has no PyTorch.")
    panel.screenshot("panel-no-torch")
    lab.open([], kernel=echo)
    expect(panel.root).to_contain_text("This notebook's kernel runs echo.")


@pytest.fixture
def dark_panel(server: LabServer) -> Iterator[None]:
    with server.settings("nnwidgets:plugin", {"colours": "dark", "height": 700}):
        yield


@pytest.mark.usefixtures("dark_panel")
def test_the_command_shows_the_variable_at_the_cursor_and_settings_are_honoured(lab: Lab):
    notebook = lab.open([OTHER, "head.weight"])
    notebook.run(0)
    lab.page.evaluate("(path) => { window.panels[path].content.activeCellIndex = 1; }", notebook.path)
    panel = Panel(lab)
    panel.command("nnwidgets:show-variable")
    explorer = panel.explorer(notebook, "head")
    expect(explorer.root).to_have_attribute("data-tone", "dark")  # of the panel, in a light JupyterLab
    panel.command("nnwidgets:show-variable", name="encoder")
    explorer = panel.explorer(notebook, "encoder")
    assert violations(explorer) == []


def test_notebook_7_has_the_panel(notebook_seven: NotebookSeven):
    notebook = notebook_seven.open([MODEL])
    assert notebook_seven.sizes_of("execute_reply") == []
    notebook.run(0)
    panel = Panel(notebook_seven)
    panel.open()
    explorer = panel.explorer(notebook, "net")
    explorer.select("0.weight")
    assert explorer.statistics()["mean"] == pytest.approx(
        notebook.kernel("net[0].weight.double().mean().item()"), rel=1e-9
    )
    box = panel.root.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= notebook_seven.page.viewport_size["width"]
    panel.screenshot("panel-notebook-7")


def test_a_view_leads_to_the_panel_which_lists_what_is_right_within_variables_too(lab):
    notebook = lab.open(
        [f"{MODEL}\nmodels, _hidden = [net[0], nn.Tanh()], nn.ReLU()", "%load_ext nnwidgets", "%nn net"]
    )
    notebook.run(0, 1, 2)
    notebook.explorer(2).root.get_by_role("button", name="Open in the panel").click()
    panel = Panel(lab)
    explorer = panel.explorer(notebook, "net")
    expect(explorer.root.get_by_role("button", name="Open in the panel")).to_have_count(0)
    expect(panel.models.get_by_role("button")).to_have_count(3)
    panel.models.get_by_role("button", name="models[1]").click()
    expect(panel.explorer(notebook, r"models\[1\]").row("")).to_contain_text("Tanh")
    history = panel.root.get_by_role("region", name="History").bounding_box()
    whole = panel.root.bounding_box()
    assert history["y"] + history["height"] >= whole["y"] + whole["height"] - 3, "the view fills the panel"
