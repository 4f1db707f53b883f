"""One view of a model over four engines: looked at, filtered, and an engine killed while it is open."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from lab_driver import models
from lab_driver.axe import violations

ENGINES = """import logging, os, signal, tempfile
import ipyparallel, nnwidgets as nnw
cluster = ipyparallel.Cluster(n=4, log_level=logging.ERROR)
client = cluster.start_and_connect_sync(activate=False)
pids = client[:].apply_sync(os.getpid)
client[:].scatter("rank", range(4), flatten=True, block=True)
client[:].push({"store": tempfile.mktemp()}, block=True)"""
MODEL = '''client[:].execute("""
import torch, torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=4)
torch.manual_seed(0)
mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
net = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 64))
parallelize_module(net, mesh["tp"], {"0": ColwiseParallel(), "2": RowwiseParallel()})
fully_shard(net, mesh=mesh["dp"])
""", block=True)'''
VIEW = "r = nnw.ranks(client)\n%nn r.net"
STOP = "cluster.stop_cluster_sync()"


def by_rank(explorer):
    return explorer.part("By rank").get_by_role("row")


def barred_in_dark(explorer, lab, name):
    """What a screen reader is barred from in dark, with pictures of that and of a narrow page."""
    lab.theme("JupyterLab Dark")
    explorer.screenshot(f"{name}-dark")
    barred = violations(explorer)
    lab.theme("JupyterLab Light")
    size = lab.page.viewport_size
    lab.page.set_viewport_size({"width": 480, "height": 1200})
    explorer.screenshot(f"{name}-narrow")
    lab.page.set_viewport_size(size)
    return barred


def filled_anew_and_back(explorer, notebook, lab):
    """By mouse: previewed, applied on all engines, seen, undone; each view of it by its picture."""
    bar = explorer.root.get_by_role("region", name="History")
    explorer.select("2.weight")
    explorer.tab("Overview")
    old = explorer.statistics()
    notebook.execute("client[:].execute('before = net[2].weight.to_local().clone()', block=True)")
    panel = explorer.tab("Re-initialize")
    panel.get_by_label("Initializer").select_option("normal_")
    panel.get_by_label("std", exact=True).fill("0.5")
    panel.get_by_label("Seed", exact=True).fill("7")
    expect(panel.locator(".nnw-code")).to_contain_text("normal_(whole, std=0.5")
    expect(panel.locator(".nnw-figure-table")).to_contain_text("0.5")
    explorer.screenshot("ranks-preview-light")
    barred = barred_in_dark(explorer, lab, "ranks-preview")
    panel.get_by_role("button", name="Apply").click()
    expect(panel.get_by_text("applied", exact=True)).to_be_visible()
    expect(bar).to_contain_text("normal_(std=0.5) → 2.weight · seed 7")
    explorer.screenshot("ranks-applied-light")
    explorer.tab("Overview")
    new = explorer.statistics()
    assert new["std"] == pytest.approx(0.5, rel=0.1)
    bar.get_by_role("button", name="Undo normal_").click()
    expect(bar).to_contain_text("No changes in force")
    assert explorer.statistics() == old
    assert is_as_before(notebook)
    return barred


def is_as_before(notebook):
    same = "client[:].apply_sync(lambda: bool((net[2].weight.to_local() == before).all()))"
    return notebook.kernel(f"repr({same})") == repr([True] * 4)


def saved_and_loaded_back(explorer, notebook, lab):
    """By mouse: saved by all engines into a folder, zeroed by code, planned, loaded and undone."""
    root = explorer.root
    notebook.execute('import shutil\nshutil.rmtree("parts", ignore_errors=True)')
    root.get_by_role("button", name="Checkpoints").click()
    root.get_by_role("button", name="Save r.net as…").click()
    root.get_by_role("textbox", name="File name").fill("parts/")
    expect(root.get_by_text("as a folder of parts")).to_be_visible()
    root.get_by_role("button", name="Save", exact=True).click()
    expect(root.get_by_text(re.compile("Saved 4 tensors, .*, as parts/"))).to_be_visible()
    notebook.execute('nnw.init(r["net"], "2.weight", "zeros_")')
    root.get_by_role("option", name="parts").click()
    root.get_by_role("option", name="This folder, as one checkpoint").click()
    expect(root.get_by_role("region", name="Checkpoint parts")).to_be_visible()
    root.get_by_role("button", name="Load all 4").click()
    expect(root.get_by_text("verified").first).to_be_visible()
    explorer.screenshot("ranks-loaded-light")
    assert is_as_before(notebook)
    barred = barred_in_dark(explorer, lab, "ranks-loaded")
    root.get_by_role("button", name="Undo", exact=True).click()
    expect(root.get_by_role("region", name="History")).to_contain_text("zeros_ → 2.weight")
    assert not is_as_before(notebook)
    root.get_by_role("button", name="Model", exact=True).click()
    return barred


@pytest.fixture
def notebook(lab):
    notebook = lab.open([models.LOAD, ENGINES, MODEL, VIEW, STOP])
    try:
        notebook.run(0, 1, 2, 3)
        yield notebook
    finally:
        notebook.run(4)


def test_a_model_over_engines_is_looked_at_and_an_engine_dies(notebook, lab):
    explorer = notebook.explorer(3)
    root = explorer.root
    header = root.get_by_role("group", name="Ranks", exact=True)
    expect(header).to_contain_text("4 ranks")
    expect(header).to_contain_text("dp 2 × tp 2")
    expect(header).to_contain_text("4 answered")
    expect(header.get_by_role("img", name=re.compile("rank 2 · answered · .*holds"))).to_be_visible()
    expect(root.get_by_role("button", name="Trace")).to_be_disabled()
    expect(root.get_by_role("button", name="Trace")).to_have_attribute("title", re.compile("on each rank"))
    expect(explorer.row("0.weight")).to_contain_text("S0 · S0")

    explorer.select("2.weight")
    explorer.statistics()
    expect(by_rank(explorer)).to_have_count(5)
    expect(root.locator(".nnw-shard")).to_have_count(4)
    expect(root.locator(".nnw-absent")).to_have_count(0)
    explorer.screenshot("ranks-light")
    explorer.inspector.locator(".nnw-pane").evaluate("(pane) => pane.scrollTo(0, 400)")
    explorer.screenshot("ranks-light-below")
    barred = violations(explorer)
    explorer.filter("@shard(1)")
    expect(explorer.row("2.weight")).to_be_visible()
    expect(explorer.row("0.weight")).to_have_count(0)
    explorer.filter("")

    barred += filled_anew_and_back(explorer, notebook, lab)
    barred += saved_and_loaded_back(explorer, notebook, lab)

    notebook.execute("os.kill(pids[3], signal.SIGKILL)")
    explorer.select("0.weight")
    expect(by_rank(explorer).last).to_contain_text("no answer", timeout=30_000)
    expect(header).to_contain_text("3 answered")
    expect(header).to_contain_text("rank 3 is gone: its engine has ended")
    expect(root.locator(".nnw-absent")).to_have_count(1)
    expect(by_rank(explorer)).to_have_count(5)
    explorer.screenshot("ranks-dead-light")
    explorer.inspector.locator(".nnw-pane").evaluate("(pane) => pane.scrollTo(0, 400)")
    explorer.screenshot("ranks-dead-light-below")
    lab.theme("JupyterLab Dark")
    explorer.screenshot("ranks-dead-dark-below")
    explorer.inspector.locator(".nnw-pane").evaluate("(pane) => pane.scrollTo(0, 0)")
    explorer.screenshot("ranks-dead-dark")
    barred += violations(explorer)
    lab.page.set_viewport_size({"width": 480, "height": 1200})
    explorer.part("By rank").scroll_into_view_if_needed()
    explorer.screenshot("ranks-dead-narrow")
    lines = explorer.root.locator(".nnw-rank-lines")
    assert lines.evaluate("(lines) => lines.scrollWidth <= lines.clientWidth")
    panel = explorer.tab("Re-initialize")
    expect(panel.get_by_role("status")).to_have_text(re.compile("A change needs every rank; rank 3 is gone"))
    expect(panel.get_by_role("button", name="Apply")).to_be_disabled()
    explorer.screenshot("ranks-dead-reinitialize")
    root.get_by_role("button", name="Checkpoints").click()
    expect(root.get_by_role("status").filter(has_text="loading need every rank; rank 3 is gone")).to_be_visible()
    expect(root.get_by_role("button", name="Save r.net as…")).to_be_disabled()
    explorer.screenshot("ranks-dead-checkpoints")
    assert barred == []
