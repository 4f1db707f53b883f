"""Each output in a frame of its own, as Google Colab has it, with a kernel of Colab's versions."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

import nnwidgets
from lab_driver import ColabNotebook, Lab, LabServer, models
from lab_driver.axe import violations
from lab_driver.colab import STACK
from lab_driver.picture import picture

EXPLORE = "import nnwidgets as nnw\nview = nnw.explore(net)\nview"
WORK = """import os, time
print('works')
while not os.path.exists('stop'):
    time.sleep(0.01)"""
CELLS = [models.LOAD, models.MLP, "%nn net", "%nn net", EXPLORE, "view", WORK]
SOURCE = Path(nnwidgets.__file__).parents[1]
MAGIC, SAME, VIEW, AGAIN, WORKING = range(2, 7)
BUSY = "The kernel is busy: it answers when the running cell has ended."


pytestmark = pytest.mark.skipif(not STACK.exists(), reason=f"There is no {STACK}: make test-stacks makes it")


@pytest.fixture(scope="module")
def notebook(chromium, server):
    """One notebook in one tab for all tests here: they follow one another."""
    notebook = ColabNotebook(server, chromium, CELLS)
    notebook.run(0, 1, MAGIC, SAME, VIEW, AGAIN)
    yield notebook
    notebook.page.close()
    server.end_kernels()


@pytest.fixture(autouse=True)
def _no_faults(notebook, request):
    """Nothing thrown, and nothing asked of the network."""
    yield
    if getattr(request.node, "failed", False):
        picture(notebook.page, f"failed-{request.node.name}")
    assert notebook.faults == []
    assert notebook.strays == []


def test_each_frame_has_the_tree_and_numbers_that_are_torchs(notebook):
    assert notebook.kernel("[__import__(name).__version__ for name in ('ipywidgets', 'anywidget')]") == [
        "7.7.1",
        "0.9.21",
    ]
    for cell in (MAGIC, SAME, VIEW, AGAIN):
        explorer = notebook.explorer(cell)
        explorer.select("0.weight")
        mean = notebook.kernel("net[0].weight.double().mean().item()")
        assert explorer.statistics()["mean"] == pytest.approx(mean, rel=1e-9)
    explorer.filter("bias")
    expect(explorer.row("0.weight")).to_have_count(0)
    explorer.filter("")


def test_a_frame_is_as_high_as_its_view(notebook):
    frame, view = notebook.frames(MAGIC).last, notebook.explorer(MAGIC).root
    assert frame.bounding_box()["height"] == pytest.approx(view.bounding_box()["height"], abs=30)


def test_what_is_selected_from_python_is_selected_in_each_frame_of_the_view(notebook):
    notebook.execute("view.selected = '2.weight'")
    for cell in (VIEW, AGAIN):
        notebook.explorer(cell).wait_inspecting("2.weight")
    notebook.explorer(AGAIN).select("2.bias")
    notebook.wait_for("view.selected", "2.bias")


def test_a_tensor_is_initialized_anew_and_undone_and_other_frames_show_it(notebook):
    explorer = notebook.explorer(MAGIC)
    notebook.execute("before = net[2].bias.detach().clone()")
    explorer.select("2.bias")
    panel = explorer.tab("Re-initialize")
    panel.get_by_label("Initializer").select_option("constant_")
    panel.get_by_label("val", exact=True).fill("0.25")
    panel.get_by_role("button", name="Apply").click()
    expect(panel.get_by_text("applied", exact=True)).to_be_visible()
    assert notebook.kernel("net[2].bias.tolist()") == [0.25] * 10
    expect(notebook.explorer(AGAIN).part("Statistics").locator("dl > div").first).to_contain_text("0.25")
    explorer.root.get_by_role("button", name="Undo").first.click()
    notebook.wait_for("torch.equal(net[2].bias, before)", True)
    explorer.tab("Overview")


def test_a_checkpoint_is_saved_and_loaded_from_a_frame(notebook):
    explorer = notebook.explorer(VIEW)
    root = explorer.root
    root.get_by_role("button", name="Checkpoints").click()
    root.get_by_role("button", name="Save net as").click()
    root.get_by_role("textbox", name="File name").fill("colab.safetensors")
    root.get_by_role("button", name="Save", exact=True).click()
    expect(root.get_by_role("status").filter(has_text="Saved 4 tensors")).to_contain_text("verified")
    notebook.execute("nn.init.ones_(net[0].bias)")
    root.get_by_role("option", name="colab.safetensors").click()
    root.get_by_role("button", name="Load all 4").click()
    notebook.wait_for("torch.equal(net[0].bias, torch.ones(256))", False)
    root.get_by_role("button", name="Model").click()
    expect(explorer.grid).to_be_visible()


def test_it_wears_the_themes_colours(notebook):
    explorer = notebook.explorer(MAGIC)
    explorer.select("0.weight")
    explorer.statistics()
    for theme, background in {"dark": "rgb(30, 30, 30)", "light": "rgb(255, 255, 255)"}.items():
        notebook.dress(theme)
        expect(explorer.root).to_have_attribute("data-tone", theme)
        expect(explorer.root).to_have_css("background-color", background)
        picture(notebook.page, f"colab-{theme}")
        found = violations(explorer)
        assert found == [], chr(10).join(found)


def test_during_a_cell_each_frame_says_that_the_kernel_is_busy_once_it_is_asked_and_answers_after_it(notebook, server):
    stop = server.work / "stop"
    explorers = [notebook.explorer(cell) for cell in (MAGIC, AGAIN)]
    notebook.start(WORKING)
    try:
        expect(notebook.output(WORKING).locator("pre")).to_contain_text("works", timeout=60_000)
        for explorer in explorers:
            expect(explorer.root).not_to_contain_text(BUSY)
            explorer.row("0.bias").locator(".nnw-label").click()
            expect(explorer.root.get_by_text(BUSY)).to_be_visible()
        picture(notebook.page, "colab-busy")
    finally:
        stop.touch()
        notebook.wait_ended(WORKING)
        stop.unlink()
    for explorer in explorers:
        explorer.wait_inspecting("0.bias")
        expect(explorer.root).not_to_contain_text(BUSY)


def test_a_cell_run_again_closes_its_earlier_view_in_every_frame_and_no_other_cells(notebook):
    notebook.execute("net = nn.Linear(3, 7)")
    notebook.run(VIEW)
    expect(notebook.explorer(VIEW).row("")).to_contain_text("Linear")
    expect(notebook.output(AGAIN).locator(".nnw-explorer")).to_have_count(0)
    for cell in (MAGIC, SAME):
        expect(notebook.explorer(cell).row("0.weight")).to_be_visible()


def test_jupyterlab_with_the_widget_manager_of_ipywidgets_8_shows_the_view_of_a_kernel_with_7(
    chromium, tmp_path_factory
):
    server = LabServer(tmp_path_factory.mktemp("lab"), source=SOURCE, python=str(STACK / "bin" / "python"))
    lab = Lab(server, chromium)
    in_lab = lab.open([models.LOAD, models.MLP, "%nn net"])
    in_lab.run(0, 1, 2)
    explorer = in_lab.explorer(2)
    explorer.select("0.weight")
    mean = in_lab.kernel("net[0].weight.double().mean().item()")
    assert explorer.statistics()["mean"] == pytest.approx(mean, rel=1e-9)
    explorer.screenshot("lab-with-ipywidgets-7")
    assert lab.faults == []
    lab.page.close()
    server.end()
