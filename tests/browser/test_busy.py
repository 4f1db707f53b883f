"""Clicks are answered while a cell trains, and long work shows how far it is and can be stopped."""

from __future__ import annotations

from playwright.sync_api import expect

from lab_driver import models

TRAIN = """import os
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
steps = 0
while not os.path.exists('stop'):
    optimizer.zero_grad()
    net(torch.randn(64, 20)).square().mean().backward()
    optimizer.step()
    steps += 1
    if steps == 1:
        print('trains')
ended = True"""

HUGE = """import numpy
values = numpy.zeros(2**31, numpy.float32)
net = nn.Sequential(nn.Linear(4, 4))
net.huge = nn.Parameter(torch.from_numpy(values))"""
"""Eight gigabytes that take none: pages of zeros not yet written."""


def test_a_click_during_a_training_cell_is_answered_before_the_cell_ends(lab):
    stop = lab.server.work / "stop"
    notebook = lab.open([models.LOAD, models.MLP, "frozen = net[0].requires_grad_(False)", "%nn net", TRAIN])
    notebook.run(0, 1, 2, 3)
    explorer = notebook.explorer(3)
    notebook.start(4)
    expect(notebook.output(4)).to_contain_text("trains", timeout=60_000)
    try:
        explorer.expand("0", "2")
        explorer.select("0.weight")
        figures = explorer.statistics()
        explorer.filter("Linear.bias")
        expect(explorer.row("0.weight")).to_have_count(0)
        explorer.select("2.bias")
        explorer.statistics()
        assert notebook.executing(4), "the cell ended before the clicks were answered"
    finally:
        stop.touch()
    notebook.wait_ended(4)
    stop.unlink()
    assert notebook.kernel("ended")
    assert notebook.kernel("steps") > 0
    assert figures["mean"] == notebook.kernel("float(__import__('nnwidgets').stats(net[0].weight).mean)")


def test_long_work_shows_progress_and_cancel_leaves_the_sample(lab):
    notebook = lab.open([models.LOAD, HUGE, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.select("huge")
    section = explorer.part("Statistics")
    expect(section).to_contain_text("≈")
    bar = section.get_by_role("progressbar")
    expect(bar).to_be_visible()
    section.get_by_role("button", name="Cancel").click()
    expect(section).to_contain_text("Cancelled")
    expect(bar).to_have_count(0)
    expect(section).to_contain_text("≈ from")

    explorer.expand("0")
    explorer.select("0.weight")
    assert explorer.statistics()["zeros"] == notebook.kernel("(net[0].weight == 0).sum().item()")


def test_looking_at_something_else_stops_the_long_work(lab):
    notebook = lab.open([models.LOAD, HUGE, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("0")
    explorer.select("huge")
    expect(explorer.part("Statistics").get_by_role("progressbar")).to_be_visible()
    explorer.select("0.weight")
    explorer.statistics()
    expect(explorer.part("Statistics").get_by_role("progressbar")).to_have_count(0)
