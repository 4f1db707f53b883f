"""An error stands where it happened, says what to do, and leaves the rest of the view at work."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from lab_driver import models


def test_data_that_cannot_be_read_is_told_in_the_inspector_and_the_tree_goes_on(lab):
    odd = "net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4, device='meta'), nn.LazyLinear(10))"
    notebook = lab.open([models.LOAD, odd, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("0", "1", "2")
    explorer.select("1.weight")
    expect(explorer.inspector).to_contain_text(re.compile("no data.*meta", re.IGNORECASE | re.DOTALL))
    explorer.select("2.weight")
    expect(explorer.inspector).to_contain_text(re.compile("lazy|not yet|uninitialized", re.IGNORECASE))
    explorer.select("0.weight")
    assert explorer.statistics()["zeros"] == 0


def test_memory_freed_under_an_open_view_is_an_error_in_place_that_trying_again_mends(lab):
    notebook = lab.open([models.LOAD, models.MLP, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.expand("0", "2")
    notebook.execute(
        "storage = net[0].weight.untyped_storage()\nkept = net[0].weight.detach().clone()\nstorage.resize_(0)"
    )
    explorer.select("0.weight")
    expect(explorer.inspector).to_contain_text(re.compile("can’t be read|no data|freed", re.IGNORECASE))
    explorer.select("2.weight")
    explorer.statistics()
    notebook.execute("storage.resize_(20 * 256 * 4)\nnet[0].weight.data.copy_(kept)")
    explorer.select("0.weight")
    assert explorer.statistics()["zeros"] == 0


def test_a_filter_that_cannot_be_read_is_told_beside_the_box_and_the_tree_stays(lab):
    notebook = lab.open([models.LOAD, models.MLP, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    rows = explorer.rows().count()
    explorer.filter('["0')
    expect(explorer.root.get_by_role("alert").or_(explorer.root.get_by_role("status")).first).to_be_visible()
    expect(explorer.rows()).to_have_count(rows)


def test_a_filter_that_matches_nothing_says_so(lab):
    notebook = lab.open([models.LOAD, models.MLP, "%nn net"])
    notebook.run(0, 1, 2)
    explorer = notebook.explorer(2)
    explorer.filter("no_such_layer")
    expect(explorer.root).to_contain_text(re.compile("no match|nothing", re.IGNORECASE))


def test_a_name_that_is_no_model_is_one_line_and_no_traceback(lab):
    wrong = ("%nn ne", "%nn number", "%nn net --nonsense", "%nn tree net 0.wieght")
    notebook = lab.open([models.LOAD, models.MLP, "number = 3", *wrong])
    notebook.run(0, 1, 2, 3, 4, 5, 6)
    expect(notebook.output(3)).to_contain_text("net")
    expect(notebook.output(4)).to_contain_text("int")
    expect(notebook.output(6)).to_contain_text("0.weight")
    for cell in (3, 4, 5, 6):
        expect(notebook.output(cell)).not_to_contain_text("Traceback")


def test_an_empty_model_says_what_to_do(lab):
    notebook = lab.open([models.LOAD, "net = nn.Module()", "%nn net"])
    notebook.run(0, 1, 2)
    expect(notebook.explorer(2).root).to_contain_text("No submodules and no tensors yet")
