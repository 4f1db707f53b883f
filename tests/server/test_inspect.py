"""What an inspector hears of a row in one reply."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect import ModuleTree
from nnwidgets.introspect.safe_access import lookup
from nnwidgets.server.handlers import stats
from nnwidgets.server.session.session import Session


@pytest.fixture
def ask(monkeypatch):
    import __main__

    def ask(net, kind, **body):
        monkeypatch.setattr(__main__, "asked_about", net, raising=False)
        reply = nnw.handle({"v": 1, "id": "1", "kind": kind, "body": {"model": "asked_about", **body}})
        assert reply["ok"], reply["error"]
        return reply["body"]

    return ask


def test_sampled_statistics_come_with_the_facts_where_they_are_asked_for(ask):
    net = nn.Linear(500, 300)
    found = ask(net, "inspect", path="weight", bins=64)
    assert found["stats"] == ask(net, "stats", path="weight", bins=64, exact=False)
    assert found["stats"]["n_total"] == 150_000
    assert "stats" not in ask(net, "inspect", path="weight")
    assert "stats" not in ask(net, "inspect", path="", bins=64)


class Codes(nn.Parameter):
    """Eight-bit codes; their scales are beside."""


@pytest.mark.parametrize("exact", [True, False])
def test_statistics_of_codes_say_whose_they_are(ask, exact):
    net = nn.Linear(4, 4)
    net.weight = Codes(torch.ones(4, 4, dtype=torch.int8), requires_grad=False)
    net.weight.SCB = torch.ones(4)
    assert ask(net, "stats", path="weight", exact=exact)["of"] == "int8 codes, scales beside"
    assert "of" not in ask(net, "stats", path="bias", exact=exact)


def test_windows_of_the_values_come_with_the_facts_as_they_come_by_themselves(ask):
    net = nn.Linear(500, 300)
    asked = [{"max_rows": 10, "max_columns": 7}, {"row": 3, "rows": 2, "columns": 4}, {"of": "grad"}]
    picture, numbers, gradient = ask(net, "inspect", path="weight", windows=asked)["windows"]
    assert (picture["row_step"], picture["column_step"], picture["scale"]) == (30, 72, numbers["scale"])
    assert numbers["texts"] == ask(net, "values", path="weight", **asked[1])["texts"]
    assert gradient is None
    assert "windows" not in ask(net, "inspect", path="weight")
    assert "windows" not in ask(net, "inspect", path="", windows=asked)


def test_the_values_of_a_large_tensor_do_not_hold_up_its_facts(ask):
    net = nn.Linear(3000, 2000)
    assert "windows" not in ask(net, "inspect", path="weight", windows=[{"max_rows": 10}])


@pytest.mark.parametrize("values", [torch.empty(0), torch.empty(3, device="meta")])
def test_where_there_are_no_values_the_facts_come_alone(ask, values):
    net = nn.Module()
    net.values = nn.Parameter(values)
    found = ask(net, "inspect", path="values", bins=64, windows=[{}])
    assert found["tensor"]["n_elements"] == values.numel()
    assert not {"stats", "windows"} & found.keys()


@pytest.fixture
def looked_up(monkeypatch):
    """Paths resolved in the tree, and live modules looked into, in the order it happens."""
    paths, modules = [], []
    resolve, parts = ModuleTree.resolve, lookup.parts
    monkeypatch.setattr(ModuleTree, "resolve", lambda tree, path: paths.append(path) or resolve(tree, path))
    monkeypatch.setattr(lookup, "parts", lambda module: modules.append(module) or parts(module))
    return paths, modules


@pytest.mark.parametrize("kind", ["inspect", "stats", "values"])
def test_a_request_finds_its_tensor_once_however_much_it_asks_of_it(ask, looked_up, kind):
    net = nn.Sequential(nn.Sequential(nn.Linear(5, 3)), nn.Linear(3, 2))
    net(torch.ones(1, 5)).sum().backward()
    windows = [{}, {"rows": 1, "columns": 1}, {"of": "grad"}, {"row": 2}]
    more = {"inspect": {"bins": 64, "windows": windows}}.get(kind, {})
    found = ask(net, kind, path="0.0.weight", **more)
    assert kind != "inspect" or (found["stats"] and all(found["windows"]))
    paths, modules = looked_up
    assert paths == ["0.0.weight"]
    assert modules == [net, net[0], net[0][0]]


def test_a_module_that_holds_many_tied_tensors_is_looked_into_once(ask, looked_up):
    net = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(40))
    for k in range(20):
        net[20 + k].weight = net[k].weight
    (member,) = {len(group["members"]) for group in ask(net, "ties")["ties"]}
    assert member == 2
    _, modules = looked_up
    assert len(modules) == len({id(module) for module in modules}) == 41


def test_what_a_class_says_of_itself_is_free_of_the_marks_of_sphinx(ask):
    class Marked(nn.Module):
        """As :class:`~torch.nn.Linear` with ``bias``, see `Linear <https://example.org>`_: :math:`\\mathcal{U}(a)`."""

    docs = [ask(net, "inspect", path="")["module"]["doc"] for net in (nn.Linear(2, 2), nn.LSTM(2, 2), Marked())]
    assert docs[0].endswith("to the incoming data: y = xA^T + b.")
    assert "multi-layer long short-term memory (LSTM) RNN" in docs[1]
    assert "__init__" not in docs[1]
    assert docs[2] == "As Linear with bias, see Linear: U(a)."


def test_across_depth_has_all_members_each_bar_with_the_greatest_and_least_of_its_own(ask):
    net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(320)])
    with torch.no_grad():
        for block in net:
            block.weight.copy_(torch.tensor([-1.0, 1.0]).repeat(8).view(4, 4))
        net[319].weight.mul_(5)
        net[10].weight.fill_(float("nan"))
    found = ask(net, "depth", path="301.weight")
    assert (found["per_bar"], found["n_members"], found["n_read"]) == (3, 320, 320)
    assert (found["labels"][0], found["labels"][-1], found["paths"][-1]) == ("0 … 2", "318 … 319", "318.weight")
    assert found["labels"][found["index"]] == "300 … 302"
    assert found["std"][-1] == pytest.approx(5 * found["least"][-1])
    assert [at for at, std in enumerate(found["std"]) if std == "NaN"] == [3]


def test_across_depth_of_very_many_members_reads_some_and_says_how_many(ask):
    net = nn.Sequential(*[nn.LayerNorm(1) for _ in range(5_000)])
    found = ask(net, "depth", path="1.weight")
    assert found["n_members"] == 5_000
    assert 1_000 < found["n_read"] <= 4_096
    assert len(found["std"]) <= 128


def test_a_parameter_tells_its_group_and_what_the_optimizer_remembers_of_it(ask, monkeypatch):
    import __main__

    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    adam = torch.optim.Adam([{"params": net[0].bias}, {"params": net[0].weight, "weight_decay": 0.5}])
    net(torch.ones(1, 4)).sum().backward()
    adam.step()
    monkeypatch.setattr(__main__, "adam", adam, raising=False)
    [place] = ask(net, "inspect", path="0.weight")["optimizers"]
    assert (place["name"], place["class_name"], place["group"], place["n_groups"], place["step"]) == (
        "adam", "Adam", 1, 2, 1,
    )  # fmt: skip
    assert {"name": "weight_decay", "value": "0.5"} in place["settings"]
    assert [(kept["name"], kept["is_norm"], kept["shape"]) for kept in place["state"]] == [
        ("exp_avg", True, "3 × 4"), ("exp_avg_sq", True, "3 × 4"),
    ]  # fmt: skip
    ask(net, "findings")
    assert ask(net, "inspect", path="1.weight")["optimizers"] == []
    rows = ask(
        net, "rows", expanded=["m:", "m:0", "m:1"], picked={}, unfolded=[], filter="", chips=[], start=0, count=9
    )
    marked = [row["path"] for row in rows["rows"] if row.get("untrained")]
    assert marked == ["1.weight", "1.bias"]


def test_a_model_without_an_optimizer_says_nothing_of_one(ask):
    net = nn.Linear(4, 3)
    ask(net, "findings")
    assert "optimizers" not in ask(net, "inspect", path="weight")
    assert "optimizers" not in ask(net, "inspect", path="")


def test_a_forward_runs_on_a_variable_or_a_size_and_is_shown_until_it_is_cleared(ask, monkeypatch):
    import __main__

    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    monkeypatch.setattr(__main__, "batch", torch.ones(2, 4), raising=False)
    assert {"name": "batch", "shape": "2 × 4", "dtype": "float32"} in ask(net, "tensors")["tensors"]
    for body in ({"inputs": ["batch"]}, {"size": "2,4"}):
        found = ask(net, "forward", **body)
        assert (found["error"], found["n_calls"], found["flops"]) == (None, 3, 2 * 2 * 4 * 3)
        assert found["saved_bytes"] > 0
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    row = {"expanded": None, "picked": {}, "unfolded": [], "filter": "", "chips": [], "start": 0, "count": 9}
    assert [each["trace"]["flops"] for each in ask(net, "rows", **row)["rows"][:2]] == [48, 48]
    assert ask(net, "forward", size="2,5")["failed_at"] == "0"
    assert ask(net, "clear_trace") == {"cleared": True}
    assert ask(net, "clear_trace") == {"cleared": False}
    assert {each["trace"] and each["trace"]["shape"] for each in ask(net, "rows", **row)["rows"]} == {None}


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "invalid-target"), ({"inputs": ["no_such_tensor"]}, "invalid-target"), ({"size": "2,x"}, "invalid-target")],
)
def test_a_forward_without_an_input_that_is_one_is_refused(monkeypatch, body, code):
    import __main__

    monkeypatch.setattr(__main__, "asked_about", nn.Linear(2, 2), raising=False)
    reply = nnw.handle({"v": 1, "id": "1", "kind": "forward", "body": {"model": "asked_about", **body}})
    assert reply["error"]["code"] == code


def test_another_name_of_a_module_has_the_numbers_of_the_module(ask):
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    net.append(net[1])
    first, other = (ask(net, "inspect", path=path) for path in ("1", "2"))
    assert other["alias_of"] == "1"
    assert other["module"] == first["module"]
    assert (other["module"]["n_tensors"], other["module"]["n_modules"]) == (2, 3)


def test_what_a_class_says_of_itself_comes_without_markup(ask):
    doc = ask(nn.Linear(2, 2), "inspect", path="")["module"]["doc"]
    assert "y = xA^T + b" in doc
    assert ":math:" not in doc
    assert "`" not in doc


def test_how_many_parameters_of_a_module_are_frozen_is_told(ask):
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
    net[0].requires_grad_(False)
    facts = ask(net, "inspect", path="")["module"]
    assert (facts["n_parameters"], facts["n_frozen"], facts["n_tensors"]) == (6, 2, 9)


def test_a_value_far_off_comes_with_a_histogram_of_all_the_others(ask):
    torch.manual_seed(0)
    net = nn.Linear(16, 16)
    nn.init.normal_(net.weight, 0, 0.01)
    assert "bulk" not in ask(net, "stats", path="weight")
    with torch.no_grad():
        net.weight[0, 0] = 42
    found = ask(net, "stats", path="weight")
    assert sum(found["hist_counts"]) == 256
    bulk = found["bulk"]
    assert max(map(abs, bulk["hist_edges"])) < 0.06
    assert sum(bulk["hist_counts"]) == 255
    assert bulk["outside"] == pytest.approx(1 / 256)
    assert sum(map(bool, bulk["hist_counts"])) > 20


@pytest.mark.parametrize("fill", [torch.zeros, torch.eye, lambda n: torch.full((n, n), 3.0)])
def test_a_few_values_that_are_no_exception_are_not_set_apart(ask, fill):
    net = nn.Module()
    net.register_buffer("mask", fill(40))
    assert "bulk" not in ask(net, "stats", path="mask")


def test_exact_statistics_are_measured_again_only_when_something_may_have_changed(monkeypatch):
    measured = []
    exact = stats.exact_stats
    monkeypatch.setattr(stats, "exact_stats", lambda tensor, **kwargs: measured.append(1) or exact(tensor, **kwargs))
    net = nn.Linear(400, 300)
    view = Session(net, name="net", hold=True)
    view.report_possible_change()
    ask = partial(stats.answer_stats, view, {"path": "weight"}, Silent())
    first = ask()
    assert ask() == first
    assert len(measured) == 1
    with torch.no_grad():
        net.weight[0, 0] = 42
    assert ask()["max"] == 42
    net.weight.data[299, 399] = 43  # unknown to the version counter, and to the sample perhaps
    view.report_possible_change()
    assert ask()["max"] == 43
    net.weight = nn.Parameter(torch.zeros(400, 300))
    assert ask()["max"] == 0
    assert len(measured) == 4


class Silent:
    """A request that nobody cancels or watches."""

    cancelled = False

    def progress(self, done, total):
        pass
