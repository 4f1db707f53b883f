"""What an optimizer has of a parameter, in the inspector; parameters that none has, on their rows."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from lab_driver import models

TRAINED = """net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
adam = torch.optim.Adam(net[0].parameters(), weight_decay=0.5)
net(torch.rand(2, 20)).sum().backward()
adam.step()"""


def test_the_inspector_tells_group_settings_steps_and_norms(lab):
    notebook = lab.open([models.LOAD, TRAINED, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("0")
    explorer.select("0.weight")
    section = explorer.inspector.get_by_role("region", name="Optimizer")
    expect(section).to_contain_text("adam · Adam")
    expect(section).to_contain_text(re.compile(r"step\s*1"))
    expect(section).to_contain_text("norm of exp_avg")
    expect(section).to_contain_text(re.compile(r"weight_decay\s*0\.5"))
    explorer.expand("2")
    expect(explorer.row("2.bias")).to_have_accessible_name(re.compile("in no optimizer that trains this model"))
    explorer.select("2.bias")
    expect(explorer.inspector).to_contain_text("no step of theirs moves it")
