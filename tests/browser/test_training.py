"""The course of a training on the rows, while the cell runs."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from lab_driver import models
from lab_driver.axe import violations

EXPLORE = "import nnwidgets as nnw\nexplorer = nnw.explore(net)\nexplorer"
TRAIN = """import os, time
optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
x, y = torch.randn(64, 20), torch.randint(0, 10, (64,))
while not os.path.exists('stop'):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(x), y)
    if os.path.exists('break'):
        loss = loss * float('nan')
    loss.backward()
    optimizer.step()
    explorer.tick(activations=True)
    time.sleep(0.02)"""

SIGNAL = re.compile(r"(^|, )output −?[\d.e−]+ ± [\d.e−]+, gradient that arrives ± [\d.e−]+$")
TOLD = re.compile(r"^norm [\d.]+, gradient’s norm [\d.e-]+, last step over norm [\d.e-]+$")


def test_norms_and_steps_are_drawn_while_a_cell_trains_and_nan_lights_up(lab):
    work = lab.server.work
    notebook = lab.open([models.LOAD, models.MLP, EXPLORE, TRAIN])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("0")
    notebook.start(3)
    weight = explorer.row("0.weight").locator(".nnw-pulse")
    expect(weight.locator("path")).to_have_count(3)
    expect(weight).to_have_attribute(
        "aria-label", re.compile(r"^norm [\d.]+, gradient’s norm [\d.e-]+, last step over")
    )
    expect(explorer.grid.get_by_role("columnheader", name="Training")).to_be_visible()
    for path, lines in {"": 6, "0": 6, "1": 3}.items():
        module = explorer.row(path).locator(".nnw-pulse")
        expect(module).to_have_attribute("aria-label", SIGNAL)
        expect(module.locator("path")).to_have_count(lines)
    explorer.select("0.weight")
    assert notebook.executing(3)
    assert violations(explorer) == []
    explorer.screenshot("training")
    (work / "break").touch()
    expect(explorer.row("").locator(".nnw-pulse")).to_have_attribute("aria-label", re.compile("NaN first seen at step"))
    alarm = explorer.root.get_by_role("alert")
    expect(alarm).to_contain_text(re.compile(r"gradient of 0\.weight and of 3 more.*step \d+; step \d+ was clean"))
    alarm.get_by_role("button", name="Show it").click()
    explorer.wait_inspecting("0.weight")
    (work / "stop").touch()
    notebook.wait_ended(3)
    (work / "stop").unlink()
    (work / "break").unlink()
