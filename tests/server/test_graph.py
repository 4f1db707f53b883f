"""The graph of a forward as a page gets it: box by box, and never more than it can show."""

import json

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.widgets.static_output import static_bundle
from tests.introspect.data_flow.test_edges import Block, By, line
from tests.support.requests import asked


def view_of(net, *inputs):
    view = nnw.explore(net, name="net")
    with torch.no_grad():
        view.show_trace(nnw.trace(net, *inputs))
    return view


def names(reply):
    return [(node["kind"], node["name"], node.get("n_repeats", 1)) for node in reply["nodes"]]


def node_of(reply, name):
    return next(node for node in reply["nodes"] if node["name"] == name)


@pytest.fixture
def view():
    shown = view_of(nn.Sequential(line(), *(Block() for _ in range(12)), line()), torch.randn(2, 4))
    yield shown
    shown.close()


def test_a_box_opens_and_closes_on_request_and_keeps_its_key(view):
    first = asked(view, "graph", opened=[])
    assert names(first) == [
        ("input", "input 0", 1),
        ("module", "0", 1),
        ("module", "1 … 12", 12),
        ("module", "13", 1),
        ("output", "output", 1),
    ]
    block = node_of(first, "1 … 12")
    assert block["can_open"]
    assert "is_open" not in block
    opened = asked(view, "graph", opened=[block["key"]])
    box = node_of(opened, "1 … 12")
    assert (box["key"], box["is_open"], opened["opened"]) == (block["key"], True, [block["key"]])
    inside = [node["name"] for node in opened["nodes"] if node.get("parent") == opened["nodes"].index(box)]
    assert inside == ["norm", "inner", "drop", "add"]
    assert asked(view, "graph", opened=[]) == first
    assert asked(view, "graph", opened=["x", "9999", "3-99999", "-1"])["nodes"] == first["nodes"]
    assert asked(view, "graph", opened=[], mermaid=True)["mermaid"].startswith("flowchart TB")


def test_a_node_tells_of_all_that_it_stands_for(view):
    block = node_of(asked(view, "graph", opened=[]), "1 … 12")
    calls = [call for call in view._session.trace.calls if call.depth == 1 and call.path not in {"0", "13"}]
    assert block["seconds"] == pytest.approx(sum(call.seconds for call in calls))
    assert block["flops"] == sum(call.flops for call in calls)
    assert block["n_params"] == 12 * nnw.tree(Block()).n_params
    assert (block["path"], block["class_name"], block["n_calls"]) == ("1", "Block", 3)


def test_after_a_run_of_activations_a_node_tells_the_std_on_the_scale_of_the_rows(view):
    assert "signal" not in node_of(asked(view, "graph", opened=[]), "0")
    view.show_activations(nnw.activations(view._session.module, torch.randn(2, 4)))
    marks = view._session.signal
    reply = asked(view, "graph", opened=[])
    row = marks.row("0")
    assert node_of(reply, "0")["signal"] == {"std": row["std"], "level": row["level"], "n_bad": 0}
    levels = sorted(marks.row(str(at))["level"] for at in range(1, 13))
    assert node_of(reply, "1 … 12")["signal"]["level"] == levels[6]
    assert "signal" not in node_of(reply, "output")


def test_a_parameter_that_repeats_share_counts_once():
    blocks = [Block() for _ in range(4)]
    for block in blocks[1:]:
        block.inner.weight = blocks[0].inner.weight
    view = view_of(nn.Sequential(line(), *blocks, line()), torch.randn(2, 4))
    block = node_of(asked(view, "graph", opened=[]), "1 … 4")
    assert block["n_params"] == sum(p.numel() for p in nn.ModuleList(blocks).parameters())
    view.close()


def test_what_a_module_is_in_is_opened_to_show_it(view):
    found = asked(view, "graph", opened=[], show="7.inner")
    assert found["nodes"][found["shown"]]["name"] == "inner"
    assert asked(view, "graph", opened=[], show="nowhere")["shown"] is None


def test_without_a_trace_there_is_no_graph_on_the_page_or_in_an_export(view):
    html = static_bundle(view._session)["text/html"]
    assert html.count("<svg") == 1
    assert "inner" in html.partition("<svg")[2].partition("</svg>")[0]
    assert len(html) < 11_000
    asked(view, "clear_trace")
    assert "<svg" not in static_bundle(view._session)["text/html"]
    assert asked(view, "graph")["code"] == "not-traced"


def unlike(n):
    """A net of so many layers, no two alike."""
    lengths = (at % 23 + 1 for at in range(n))
    return nn.Sequential(*(nn.Sequential(nn.ReLU(), *map(nn.Dropout, [0.0] * length)) for length in lengths))


def test_a_range_goes_to_the_last_of_those_that_are_one():
    view = view_of(nn.Sequential(*unlike(150), *(nn.Tanh() for _ in range(50))), torch.ones(1))
    last = asked(view, "graph", opened=[])["nodes"][-2]
    assert (last["kind"], last["name"]) == ("range", "100 … 199")
    calls = [int(call.path.partition(".")[0]) for call in view._session.trace.calls if call.path]
    assert last["n_calls"] == sum(at >= 100 for at in calls)
    view.close()


def dense(n):
    """A net each of whose layers takes what all before it gave."""

    def forward(self, x):
        values = [x]
        for layer in self.layers:
            values.append(layer(*values))
        return values[-1]

    return By(forward, layers=nn.ModuleList(By(lambda _, *xs: sum(xs)) for _ in range(n)))


def fed(n):
    """A net that takes so many tensors, and gives as many."""
    return By(lambda self, *xs: [self.last(x) for x in xs[:n]], last=nn.ReLU())


@pytest.mark.parametrize(
    ("net", "n_inputs", "last"),
    [(unlike(150), 1, "149.0"), (dense(110), 1, "layers.109"), (fed(500), 500, "last")],
    ids=["many unlike", "dense", "many inputs"],
)
def test_of_any_model_there_are_few_nodes_and_bytes_and_the_last_call_can_be_seen(net, n_inputs, last):
    view = view_of(net, *(torch.ones(1) for _ in range(n_inputs)))
    opened = []
    for _ in range(4):
        reply = asked(view, "graph", opened=opened)
        assert len(reply["nodes"]) <= 400
        assert len(json.dumps(reply)) <= 64_000
        assert reply["n_closed"] == len(set(opened) - set(reply["opened"]))
        # As the page asks, to copy what it shows.
        again = asked(view, "graph", opened=reply["opened"], widest=reply["widest"], mermaid=True)
        assert again.pop("mermaid").count("[") == len(reply["nodes"])
        assert again == {**reply, "n_closed": 0}
        closed = [node["key"] for node in reply["nodes"] if node.get("can_open") and not node.get("is_open")]
        opened = [*reply["opened"], *closed]
    shown = asked(view, "graph", opened=opened, show=last)
    assert len(json.dumps(shown)) <= 64_000
    assert shown["nodes"][shown["shown"]]["path"] == last
    view.close()


def test_boxes_are_found_by_name_class_and_shape_and_each_match_is_opened_to(view):
    def found(text, **body):
        return asked(view, "graph", opened=[], find=text, **body)

    assert found("norm")["found"] == {"n": 1, "n_all": 12}
    assert [(node["name"], node["n_found"]) for node in found("norm")["nodes"] if "n_found" in node] == [("1 … 12", 1)]
    for text in ("Block 2 × 4", "2x4 block", "(2, 4) blo", "BLOCK 4"):
        assert found(text)["found"] == {"n": 1, "n_all": 12}, text
    assert found("2x3")["found"] == found("block 12x4")["found"] == found(" ")["found"] == {"n": 0, "n_all": 0}
    names = []
    for nth in range(3):
        reply = found("r", nth=nth)
        names.append(reply["nodes"][reply["shown"]].get("path", reply["nodes"][reply["shown"]]["name"]))
        assert reply["found"]["nth"] == nth % reply["found"]["n"]
        assert reply["nodes"][reply["shown"]]["n_found"] == 1
    assert names == ["0", "1.norm", "1.inner"]
    assert found("nothing of that name", nth=1)["shown"] is None
