"""A view outlives its model and its kernel, and comes back after it was taken off the page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from lab_driver import Lab, models
from lab_driver.explorer import NO_KERNEL
from lab_driver.waiting import wait_until

EXPLORE = "import nnwidgets as nnw\nexplorer = nnw.explore(net)\nexplorer"


def test_a_model_deleted_while_its_view_is_open_is_said_to_be_gone(lab):
    notebook = lab.open([models.LOAD, models.MLP, "%nn net", "import gc\ndel net\ngc.collect()"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("0")
    notebook.run(3)
    explorer.row("0.weight").click()
    expect(explorer.root.get_by_text(re.compile("deleted|is gone|no longer", re.IGNORECASE)).first).to_be_visible()
    expect(explorer.row("0.weight")).to_be_visible()


@pytest.mark.parametrize("how", ["shut_down", "restart"])
def test_without_its_kernel_a_view_says_so_and_stays_readable(lab, how):
    notebook = lab.open([models.LOAD, models.MLP, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("0")
    explorer.select("0.weight")
    before = explorer.statistics()
    getattr(notebook, how)()
    expect(explorer.root).to_contain_text(NO_KERNEL)
    expect(explorer.row("0.weight")).to_be_visible()
    assert explorer.statistics() == before
    if how == "restart":
        notebook.run(0, 1, 2)
        explorer = notebook.explorer(2)
        explorer.expand("0")
        explorer.select("0.weight")
        assert explorer.statistics()["mean"] == pytest.approx(notebook.kernel("net[0].weight.mean().item()"), rel=1e-4)


@pytest.fixture
def windowed(server, discard_used):
    """JupyterLab with the notebook that takes cells out of sight off the page."""
    discard_used()
    with server.settings("@jupyterlab/notebook-extension:tracker", {"windowingMode": "full"}):
        yield
    discard_used()


def test_a_windowed_notebook_takes_the_view_off_and_puts_it_back(windowed, lab: Lab):
    filler = ["print('\\n' * 40)"] * 12
    notebook = lab.open([models.LOAD, models.MLP, "%nn net", *filler])
    notebook.run(0, 1, 2, *range(3, 15))
    for _ in range(3):
        notebook.focus_cell(14)
        notebook.scroll_to(14)
        notebook.wait_attached(2, False)
        notebook.scroll_to(2)
        notebook.wait_attached(2, True)
        explorer = notebook.explorer(2)
        explorer.expand("0")
        explorer.select("0.weight")
        assert explorer.statistics()["mean"] == pytest.approx(notebook.kernel("net[0].weight.mean().item()"), rel=1e-4)
    assert notebook.output(2).locator(".nnw-explorer").count() == 1


def test_two_views_of_one_explorer_show_the_same_model_and_agree_on_the_selection(lab):
    cells = [models.LOAD, models.MLP, EXPLORE, "explorer"]
    notebook = lab.open(cells)
    notebook.run(0, 1, 2, 3)
    first, second = notebook.explorer(2), notebook.explorer(3)
    first.expand("0")
    first.select("0.weight")
    second.wait_inspecting("0.weight")
    second.select("2")
    first.wait_inspecting("2")
    first.filter("bias")
    expect(second.filter_box).to_have_value("bias")


ENDLESS = """net = nn.Module()
net.weight = nn.Parameter(torch.rand((1 << 20) + (1 << 18)).unfold(0, 1 << 20, 1), requires_grad=False)"""
"""A quarter of a million overlapping windows of a small tensor: statistics of it take hours, and no memory."""


def test_an_output_cleared_while_a_request_is_in_flight_leaves_no_request_behind(lab):
    notebook = lab.open([models.LOAD, ENDLESS, EXPLORE])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.select("weight")
    expect(explorer.inspector.get_by_role("progressbar")).to_be_visible()
    assert notebook.kernel("len(explorer._dispatcher.pending)") > 0
    notebook.clear(2)
    expect(notebook.cell(2).locator(".nnw-explorer")).to_have_count(0)
    notebook.wait_for("len(explorer._dispatcher.pending)", 0)
    notebook.run(1, 2)
    notebook.explorer(2).select("weight")


def test_two_tabs_on_one_notebook_both_are_live_and_agree(lab, server, context):
    notebook = lab.open([models.LOAD, models.MLP, EXPLORE])
    notebook.run(0, 1, 2)
    first = notebook.explorer(2)
    first.select("0.weight")
    notebook.save()
    other = Lab(server, context)
    second = other.open_file(notebook.path).explorer(2)
    second.wait_inspecting("0.weight")
    assert second.statistics() == first.statistics()
    second.select("2.bias")
    first.wait_inspecting("2.bias")
    other.page.close()
    first.select("2.weight")
    first.statistics()
    assert other.faults == []


TICKS = models.once_asked(f"{models.FILL}\nexplorer.tick()\nopen('gone', 'w').close()")


def test_a_page_that_was_frozen_meanwhile_shows_what_has_changed(lab, server):
    notebook = lab.open([models.LOAD, models.MLP, EXPLORE, TICKS])
    notebook.run(0, 1, 2, 3)
    explorer = notebook.explorer(2)
    explorer.select("2.bias")
    assert explorer.statistics()["mean"] != 2.5
    page = lab.page.context.new_cdp_session(lab.page)
    page.send("Page.setWebLifecycleState", {"state": "frozen"})
    gone = server.work / "gone"
    (server.work / "go").touch()
    wait_until(gone.exists, "the kernel changed the bias")
    gone.unlink()
    page.send("Page.setWebLifecycleState", {"state": "active"})
    expect(explorer.part("Statistics")).to_contain_text("2.5")
    assert explorer.statistics()["mean"] == 2.5


LISTEN = """(path) => {
  window.sockets = new Set();
  window.statuses = [];
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (data) {
    window.sockets.add(this);
    return send.call(this, data);
  };
  const { kernel } = window.panels[path].sessionContext.session;
  kernel.connectionStatusChanged.connect((_, status) => window.statuses.push(status));
}"""
CUT = "() => { for (const socket of window.sockets) socket.close(); }"


def test_a_connection_that_breaks_and_comes_back_leaves_a_live_view(lab):
    notebook = lab.open([models.LOAD, models.MLP, EXPLORE])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("0", "2")
    lab.page.evaluate(LISTEN, notebook.path)
    for path in ("0.weight", "2.bias"):
        explorer.select("0.bias")
        lab.page.evaluate(CUT)
        explorer.row(path).locator(".nnw-label").click()
        lab.page.wait_for_function("() => window.statuses.at(-1) === 'connected'")
        explorer.select(path)
        mean = notebook.kernel(f"net.get_parameter({path!r}).mean().item()")
        assert explorer.statistics()["mean"] == pytest.approx(mean, rel=1e-4)
        assert "connecting" in lab.page.evaluate("() => window.statuses.splice(0)")


def test_closing_an_explorer_takes_its_view_off_the_page(lab):
    notebook = lab.open([models.LOAD, models.MLP, EXPLORE, "explorer.close()"])
    notebook.run(0, 1, 2)
    notebook.explorer(2)
    notebook.run(3)
    expect(notebook.cell(2).locator(".nnw-explorer")).to_have_count(0)


def test_a_cell_run_again_shows_the_new_model(lab):
    notebook = lab.open([models.LOAD, models.MLP, "%nn net", "net = nn.Linear(3, 7)"])
    notebook.run(0, 1, 2, 3, 2)
    explorer = notebook.explorer(2)
    expect(explorer.row("")).to_contain_text("Linear")
    expect(notebook.output(2).locator(".nnw-explorer")).to_have_count(1)
