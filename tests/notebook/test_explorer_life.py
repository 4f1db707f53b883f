"""A view holds a model no longer than it must: proven on a real kernel's memory and comms."""

from __future__ import annotations

import json

import ipywidgets
import pytest

MEMORY = """
def rss():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096

"""
COMMS = "def comms(): return len(get_ipython().kernel.comm_manager.comms)\n"
BIG = "nn.Sequential(nn.Linear(5120, 2560), nn.Linear(2560, 5120))"
MIB = 2**20


def test_two_hundred_views_opened_and_closed_leave_memory_and_comms_as_they_were(kernel):
    printed = kernel.run(
        MEMORY
        + COMMS
        + f"""
net = {BIG}
nnw.explore(net).close()
before = rss(), comms()
for _ in range(200):
    nnw.explore(net).close()
print(rss() - before[0], comms() - before[1])
del net
"""
    )
    grown, more_comms = map(int, printed.split())
    assert grown < 50 * MIB
    assert more_comms == 0


def test_of_ipywidgets_own_models_those_of_7_are_asked_for_by_a_version_that_every_widget_manager_has(kernel):
    kernel.run("nnw.explore(nn.Linear(2, 2))")
    states = [message["content"]["data"]["state"] for message in kernel.opened()]
    own = [state for state in states if state["_model_module"] == "@jupyter-widgets/base"]
    asked = ">=1.2.0" if ipywidgets.__version__.startswith("7.") else "2.0.0"
    assert {state["_model_name"]: state["_model_module_version"] for state in own} == {
        "WidgetModel": asked,
        "LayoutModel": asked,
    }
    assert {state["_view_module_version"] for state in own if state["_view_name"]} == {asked}


def test_running_one_cell_fifty_times_leaves_one_view(kernel):
    kernel.run(MEMORY + COMMS)
    cell = f"net = {BIG}\nnnw.explore(net)"
    kernel.run(cell, cell="a")
    kernel.run("net = None; gc.collect(); before = rss(), comms()", cell="b")
    for _ in range(50):
        kernel.run(cell, cell="a")
    kernel.run("net = None")
    grown, more_comms = map(int, kernel.run("print(rss() - before[0], comms() - before[1])", cell="b").split())
    assert grown < 50 * MIB
    assert more_comms == 0


def test_the_same_cell_without_an_id_is_known_by_its_source(kernel):
    kernel.run(COMMS + "small = nn.Linear(2, 2)")
    cell = "nnw.explore(small)  # no id"
    kernel.run(cell)
    before = kernel.run("print(comms())")
    for _ in range(5):
        kernel.run(cell)
    assert kernel.run("print(comms())") == before


@pytest.mark.parametrize(
    "named",
    [lambda name: {"cellId": name}, lambda name: {"colab": {"cell_id": name}}, lambda name: {"commandId": name}],
    ids=["JupyterLab", "Colab", "Databricks"],
)
def test_two_cells_with_the_same_code_keep_a_view_each(kernel, named):
    kernel.run("shared, made = nn.Linear(2, 2), []")
    cell = "made.append(nnw.explore(shared))"
    for name in ("one", "other", "one"):
        kernel.run(cell, metadata=named(name))
    assert kernel.run("print(*[view.model is not None for view in made])") == "False True True\n"


def test_a_cell_that_makes_two_views_keeps_both_until_it_runs_again(kernel):
    cell = """
pair = [nnw.explore(nn.Linear(2, 2)), nnw.explore(nn.Linear(3, 3))]
print(*[v.model is not None for v in pair])
"""
    assert kernel.run(cell, cell="two") == "True True\n"
    kernel.run("kept = pair", cell="three")
    kernel.run(cell, cell="two")
    assert kernel.run("print(*[v.model is not None for v in kept + pair])") == "False False True True\n"


def test_deleting_the_variable_frees_a_model_whose_view_is_open(kernel):
    kernel.run("net = nn.Linear(20, 20)\ndead = weakref.ref(net)\nview = nnw.explore(net);", cell="free")
    comm = kernel.explorers()[-1]
    kernel.answer(comm, "rows", rows_body())
    kernel.answer(comm, "stats", {"path": "weight"})
    kernel.answer(comm, "findings", {})
    kernel.run("del net; gc.collect()")
    assert kernel.run("print(dead() is None)") == "True\n"
    kernel.wait(lambda m: kernel.wire(m).get("event") == "closed" and m["content"]["comm_id"] == comm)
    reply = kernel.wire(kernel.reply(kernel.ask(comm, "rows", rows_body())))
    assert reply["error"]["code"] == "model-gone"


def test_a_model_keyed_by_its_own_modules_is_freed_too(kernel):
    kernel.run(
        """
class Keyed(nn.Module):
    def __init__(self):
        super().__init__()
        block = nn.Linear(2, 2)
        block.parent = [self]
        self._modules[block] = block
net = Keyed()
dead = weakref.ref(net)
view = nnw.explore(net)
""",
        cell="keyed",
    )
    kernel.answer(kernel.explorers()[-1], "rows", rows_body())
    kernel.run("del net; gc.collect()")
    assert kernel.run("gc.collect(); print(dead() is None)") == "True\n"


def test_a_model_that_no_variable_holds_lives_until_the_view_is_closed(kernel):
    kernel.run("view = nnw.explore(nn.Linear(2, 2))\ndead = weakref.ref(view.model)\ngc.collect()", cell="hold")
    assert kernel.run("gc.collect(); print(dead() is None)") == "False\n"
    assert kernel.run("view.close(); view.close(); gc.collect(); print(dead() is None)") == "True\n"
    reply = kernel.ask(kernel.explorers()[-1], "models", {})
    kernel.run("pass")
    assert not [m for m in kernel.heard if kernel.wire(m).get("id") == reply]


def test_a_view_that_a_function_opens_is_called_as_its_variable(kernel):
    kernel.run("def opened():\n    little = nn.Linear(2, 2)\n    return nnw.explore(little)")
    assert kernel.run("view = opened(); print(repr(view)); view.close()") == "Explorer of little\n"


def test_a_further_explorer_costs_the_page_at_most_six_kilobytes_beside_its_rows(kernel):
    kernel.run("nnw.explore(nn.Linear(2, 2))", cell="first")
    before = len(kernel.heard)
    kernel.run("nnw.explore(nn.Linear(2, 2))", cell="second")
    sent = [m for m in kernel.heard[before:] if m["msg_type"].startswith("comm_")]
    assert sum(len(json.dumps(message["content"])) for message in sent) <= 6_000
    assert not any("digest" in m["content"]["data"].get("state", {}) for m in sent)


def test_the_bundle_is_sent_again_only_after_every_widget_was_closed(kernel):
    kernel.run("nnw.explore(nn.Linear(2, 2))", cell="first")
    before = n_bundles(kernel)
    kernel.run("import ipywidgets; ipywidgets.Widget.close_all()")
    kernel.run("nnw.explore(nn.Linear(2, 2)); nnw.explore(nn.Linear(2, 2))", cell="first")
    assert n_bundles(kernel) == before + 1


def test_a_page_that_lacks_the_bundle_is_told_of_it_again_on_the_views_own_line(kernel):
    kernel.run("view = nnw.explore(nn.Linear(2, 2), name='small')", cell="told")
    first = [m for m in kernel.opened() if "digest" in m["content"]["data"].get("state", {})][-1]
    before = len(kernel.heard)
    comm = kernel.explorers()[-1]
    kernel.send(comm, {"method": "custom", "content": {"tell": "bundle"}})
    told = {"method": "custom", "content": {"told": "bundle"}}
    kernel.wait(lambda m: m["content"].get("comm_id") == comm and m["content"].get("data") == told)
    (again,) = (m for m in kernel.heard[before:] if m["msg_type"] == "comm_open")
    first["content"]["data"]["state"]["must_wait"] = False  # by now no cell runs
    assert again["content"] == first["content"]
    assert again["metadata"] == first["metadata"]
    assert [bytes(buffer) for buffer in again["buffers"]] == [bytes(buffer) for buffer in first["buffers"]]
    assert (
        kernel.run("print(view, end=', ')\nview.close()\nprint(view)")
        == "Explorer of small, closed Explorer of small\n"
    )


def n_bundles(kernel):
    return sum("digest" in m["content"]["data"].get("state", {}) for m in kernel.opened())


def rows_body(**changes):
    return {
        "expanded": None,
        "picked": {},
        "unfolded": [],
        "filter": "",
        "chips": [],
        "start": 0,
        "count": 50,
        **changes,
    }
