"""A run of `activations` in the views of its model: points, rows, histograms, a run from the page, its inputs."""

from __future__ import annotations

import gc
import json
import math
import re
import sys
import threading
import weakref

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect.last_inputs import last_inputs
from nnwidgets.server.handlers.registry import handlers, is_long
from nnwidgets.server.rows.signal_marks import MOST_POINTS, SignalMarks
from nnwidgets.server.session.session import Session
from nnwidgets.widgets.static_output import static_bundle
from nnwidgets.wire.dispatch import Dispatcher
from tests.support.requests import asked

ROWS = {"expanded": None, "picked": {}, "unfolded": [], "filter": "", "chips": [], "start": 0, "count": 60}


def tanh_net(depth=6, std=0.3):
    torch.manual_seed(0)
    net = nn.Sequential()
    for at in range(depth):
        net.append(nn.Sequential(nn.Linear(16, 16), nn.Tanh()) if at % 2 else nn.Sequential(nn.Linear(16, 16)))
        nn.init.normal_(net[at][0].weight, std=std)
    return net


@pytest.fixture
def run():
    net, x = tanh_net(), torch.randn(8, 16)
    found = nnw.activations(net, x, loss="noise")
    view = nnw.explore(net, name="net")
    view.show_activations(found)
    yield view, net, found
    view.close()


def test_a_run_is_points_of_the_calls_that_called_nothing_and_a_module_has_its_own(run):
    view, _, found = run
    whole = asked(view, "signal", path="")
    leaves = [call for call in found.calls if call.class_name != "Sequential"]
    assert [(point["path"], point["class_name"]) for point in whole["points"]] == [
        (call.path, call.class_name) for call in leaves
    ]
    for point, call in zip(whole["points"], leaves, strict=True):
        out = call.outputs[0]
        assert found.calls[point["at"]] is call
        assert point["std"] == pytest.approx(out.values.std, rel=1e-4)
        assert point["gradient"] == pytest.approx(out.gradient.std, rel=1e-4)
        assert (point["n_silent"], point["n_units"], point["n_bad"]) == (out.n_silent_units, out.n_units, 0)
    assert (whole["n_calls"], whole["n_all"], whole["has_gradients"]) == (len(leaves), len(found.calls), True)
    part = asked(view, "signal", path="3")
    assert [point["path"] for point in part["points"]] == ["3.0", "3.1"]
    assert part["run"] == whole["run"] > 0


def test_a_view_without_a_run_has_none_and_a_path_that_is_none_is_refused(run):
    view = nnw.explore(nn.Linear(2, 2), name="net")
    assert asked(view, "signal", path="") == {
        "run": 0, "points": [], "n_calls": 0, "n_all": 0, "has_gradients": False, "loss": None, "failed_at": None,
        "failed_in": None, "error": None, "findings": [], "n_findings": 0,
    }  # fmt: skip
    assert "run" not in asked(view, "open")
    view.close()
    assert asked(run[0], "signal", path="nowhere")["code"] == "path-not-found"


def test_rows_have_bars_of_their_output_and_gradient_and_a_fold_of_the_member_it_shows():
    torch.manual_seed(0)
    net = nn.Sequential(*[nn.Linear(8, 8) for _ in range(4)], nn.ReLU())
    with torch.no_grad():
        net[2].weight.mul_(100)
    view = nnw.explore(net, name="net")
    view.show_activations(nnw.activations(net, torch.randn(4, 8), loss="noise"))
    rows = {row["id"]: row for row in asked(view, "rows", **{**ROWS, "expanded": ["m:"], "picked": {"f:0": 2}})["rows"]}
    fold = rows["f:0"]["signal"]
    assert rows["f:0"]["fold"]["picked_path"] == "2"
    assert fold["std"] == max(row["signal"]["std"] for row in rows.values())
    assert fold["level"] > 0.9
    assert all(0 < row["signal"]["level"] <= 1 and 0 < row["signal"]["gradient_level"] <= 1 for row in rows.values())
    assert asked(view, "open")["run"] > 0
    view.close()


def test_nan_is_counted_on_its_point_and_its_row():
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with torch.no_grad():
        net[0].weight[0, 0] = math.nan
    view = nnw.explore(net, name="net")
    view.show_activations(nnw.activations(net, torch.ones(3, 4)))
    reply = asked(view, "signal", path="")
    assert [point["n_bad"] for point in reply["points"]] == [3, 3]
    assert reply["findings"][0]["code"] == "first-nan"
    assert asked(view, "signal", path="1")["findings"] == []
    rows = asked(view, "rows", **ROWS)["rows"]
    assert [row["signal"]["n_bad"] for row in rows if "signal" in row] == [3, 3, 3]
    view.close()


def test_a_layer_whose_weight_is_made_of_others_is_a_point_and_what_makes_it_is_none():
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.Tanh())
    session = Session(net)
    session.show_activations(nnw.activations(net, torch.randn(8, 4)))
    points, _ = session.signal.points("")
    assert [point["path"] for point in points] == ["0", "1"]


def test_of_many_calls_a_point_stands_for_several_in_a_row_and_the_reply_stays_small():
    net = nn.Sequential(*[nn.Identity() for _ in range(1_000)])
    session = Session(net, name="net", hold=True)
    session.show_activations(nnw.activations(net, torch.randn(2, 4)))
    points, n_calls = session.signal.points("")
    assert n_calls == 1_000
    assert len(points) == MOST_POINTS
    assert sum(point["n_calls"] for point in points) == 1_000
    assert all(point["range"][0] <= point["std"] <= point["range"][1] for point in points)
    assert len(json.dumps(points)) < 80_000


def test_units_are_dead_where_no_gradient_passes_at_zero_and_it_is_no_chance():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 10))
    nn.init.zeros_(net[2].weight)
    nn.init.zeros_(net[2].bias)
    view = nnw.explore(net, name="net")
    for n in (1, 64):
        view.show_activations(nnw.activations(net, torch.randn(n, 20), loss="noise"))
        assert [point["silent"] for point in asked(view, "signal", path="")["points"]] == [0, 0, 0]
    with torch.no_grad():
        net[0].weight[:16] = 0
        net[0].bias[:16] = -1
    view.show_activations(nnw.activations(net, torch.randn(64, 20), loss="noise"))
    points = asked(view, "signal", path="")["points"]
    assert [(point["silent"], point["n_silent"], point["n_units"]) for point in points] == [
        (0, 0, 64), (0.25, 16, 64), (0, 0, 10)
    ]  # fmt: skip
    view.close()


def test_of_several_calls_the_dead_units_are_those_of_the_worst():
    torch.manual_seed(0)
    net = nn.Sequential(*[nn.Identity() for _ in range(3 * MOST_POINTS)], nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    with torch.no_grad():
        net[-3].bias[:2] = -100
        net[-1].weight.mul_(2)
    session = Session(net, name="net", hold=True)
    session.show_activations(nnw.activations(net, torch.randn(64, 8)))
    points, _ = session.signal.points("")
    last = points[-1]
    assert (last["silent"], last["n_silent"], last["n_units"]) == (0.25, 2, 8)
    assert all(point["silent"] * point["n_units"] == point["n_silent"] for point in points)


def test_a_point_has_the_histograms_of_its_output_and_gradient_until_another_run(run):
    view, net, found = run
    reply = asked(view, "signal", path="")
    at = reply["points"][2]["at"]
    point = asked(view, "signal_point", run=reply["run"], at=at)
    out = found.calls[at].outputs[0]
    assert point["values"]["hist_counts"] == list(out.values.hist_counts)
    assert sum(point["gradient"]["hist_counts"]) == 8 * 16
    assert asked(view, "signal_point", run=reply["run"], at=10_000)["code"] == "invalid-target"
    view.show_activations(nnw.activations(net, torch.randn(2, 16)))
    refused = asked(view, "signal_point", run=reply["run"], at=at)
    assert (refused["code"], refused["message"]) == ("invalid-target", "There is another run since.")


def test_only_a_run_can_be_shown(run):
    with pytest.raises(nnw.InvalidTargetError, match="not an Activations"):
        run[0].show_activations(nnw.trace(run[1], torch.ones(2, 16)))


def test_a_run_from_the_page_takes_variables_a_size_or_what_the_last_run_took(run, monkeypatch):
    view, net, _ = run
    other = nnw.explore(net, name="net")
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "batch_of_test", torch.randn(5, 16), raising=False)
    monkeypatch.setattr(main, "goal_of_test", torch.randn(5, 16), raising=False)
    got = asked(view, "activations", inputs=["batch_of_test"], loss="target", target="goal_of_test")
    assert got["points"][0]["shape"] == "5 × 16"
    assert got["loss"] == pytest.approx(nn.functional.mse_loss(net(main.batch_of_test), main.goal_of_test).item())
    assert asked(other, "signal", path="") == {**got, "run": asked(other, "signal", path="")["run"]}
    assert asked(view, "last_inputs") == {"inputs": "5 × 16 float32"}
    assert asked(view, "activations", loss="none")["points"][0]["shape"] == "5 × 16"
    assert asked(view, "activations", size="3,16", loss="noise")["points"][0]["shape"] == "3 × 16"
    assert asked(view, "last_inputs") == {"inputs": "of size 3,16"}
    assert asked(view, "activations", inputs=["nothing"], loss="none")["code"] == "invalid-target"
    failed = asked(view, "activations", size="3,5", loss="none")
    assert (failed["failed_in"], failed["failed_at"]) == ("forward", "0.0")
    other.close()


def test_the_inputs_of_the_last_run_are_not_kept_alive(run):
    view, net, _ = run
    batch, mask = torch.randn(4, 16), torch.ones(2)
    gone = [weakref.ref(batch), weakref.ref(mask)]
    nnw.activations(net, batch)
    assert last_inputs(net).args[0] is batch
    nnw.trace(net, [batch, {"mask": mask}], 3)
    assert last_inputs(net).args == ([batch, {"mask": mask}], 3)
    assert asked(view, "last_inputs") == {"inputs": "4 × 16 float32, 2 float32"}
    del batch, mask
    gc.collect()
    assert [each() for each in gone] == [None, None]
    assert asked(view, "last_inputs") == {"inputs": None}
    assert asked(view, "activations", loss="none")["message"].startswith("No inputs of an earlier run")


def test_a_view_opened_later_shows_the_last_run_wherever_it_was_made_until_the_model_goes():
    net, x = tanh_net(), torch.randn(8, 16)

    def opened():
        view = nnw.explore(net, name="net")
        signal, traced = asked(view, "signal", path=""), asked(view, "trace")
        row = asked(view, "rows", **ROWS)["rows"][1]
        view.close()
        assert (signal["run"] > 0, "calls" in traced) == ("signal" in row, row["trace"] is not None)
        return signal["n_all"], signal["has_gradients"], traced.get("n_calls")

    assert opened() == (0, False, None)
    nnw.trace(net, x)
    assert opened() == (0, False, 16)
    nnw.activations(net, x, loss="noise")
    assert opened() == (16, True, 16)
    view = nnw.explore(net, name="net")
    asked(view, "activations", size="3,16", loss="none")
    asked(view, "clear_trace")
    view.close()
    assert opened() == (16, False, None)
    view = nnw.explore(net, name="net")
    view.show_activations(nnw.activations(tanh_net(3), x))
    view.show_trace(nnw.trace(tanh_net(3), x))
    view.close()
    assert opened() == (8, False, 8)
    others = [nn.Sequential(nn.Linear(1, 1), *[nn.Identity()] * 2_000) for _ in range(3)]
    for each in others[:2]:
        nnw.trace(each, torch.ones(1, 1))
    assert opened() == (8, False, 8)
    nnw.trace(others[2], torch.ones(1, 1))
    assert opened() == (8, False, None), "the oldest makes room"
    nnw.activations(others[2], torch.ones(1, 1))
    gone = [weakref.ref(other) for other in others]
    del each, others
    gc.collect()
    assert [other() for other in gone] == [None] * 3


def test_a_run_is_cancelled_between_two_calls_and_the_model_is_as_before():
    stop = threading.Event()

    class Waits(nn.Module):
        def forward(self, x):
            stop.wait(20)
            return x

    net = nn.Sequential(nn.Linear(4, 4), Waits(), nn.Linear(4, 4))
    session, sent = Session(net, name="net", hold=True), []
    ended = threading.Event()

    def send(message, _buffers):
        sent.append(message)
        if message.get("id") == "1" and "ok" in message:
            ended.set()
        if message.get("id") == "2":
            stop.set()

    far = Dispatcher(handlers(lambda _body: session), send, background=is_long)
    far.receive({"v": 1, "id": "1", "kind": "activations", "body": {"size": "2,4", "loss": "noise"}})
    far.receive({"v": 1, "id": "2", "kind": "cancel", "body": {"id": "1"}})
    assert ended.wait(20)
    assert next(message for message in sent if message["id"] == "1" and "ok" in message)["error"]["code"] == "cancelled"
    assert (session.signal.found, net[0].weight.grad) == (None, None)


def test_a_run_of_no_calls_has_no_points():
    marks = SignalMarks(nnw.activations(nn.Linear(2, 2), torch.ones(3, 5)))
    assert (marks.points(""), marks.row("")) == (([], 0), None)


CANDIDATES = [{"how": ""}, {"how": "normal_", "kwargs": {"std": 0.01}}, {"how": "xavier_normal_"}]


def test_candidates_are_compared_on_the_last_inputs_and_the_model_is_as_it_was(run):
    view, net, _ = run
    x = torch.randn(8, 16)
    nnw.trace(net, x)
    before = [parameter.clone() for parameter in net.parameters()]
    body = {"path": "", "only": "weights", "candidates": CANDIDATES, "seed": 7}
    got = asked(view, "compare_inits", **body)
    assert all(torch.equal(one, other) for one, other in zip(before, net.parameters(), strict=True))
    weights = [name for name, value in net.named_parameters() if value.dim() > 1]
    inits = {"as it is": None, "a": ("normal_", {"std": 0.01}), "b": "xavier_normal_"}
    expected = nnw.compare_inits(net, x, inits=inits, target=weights, seeds=[7, 8, 9])
    names = ["as it is", "normal_ std=0.01", "xavier_normal_"]
    assert [each["name"] for each in got["candidates"]] == names
    assert [point["path"] for point in got["points"]] == [point.path for point in expected.points]
    for found, of in zip(got["candidates"], expected.candidates, strict=True):
        for bands, ours in ((found["forward"], of.forward), (found["backward"], of.backward)):
            assert bands == [pytest.approx([band.mean, band.low, band.high], rel=1e-4) for band in ours]
    assert got["candidates"][1]["kwargs"] == {"std": 0.01}
    assert (got["seed"], got["n_seeds"], got["n_calls"]) == (7, 3, len(got["points"]))
    assert got["verdict"]


def test_what_is_read_during_a_comparison_is_the_models_own():
    class Looks(nn.Module):
        def forward(self, x):
            if looking:
                reader = threading.Thread(target=asked, args=(view, "preview"), kwargs=preview)
                reader.start()
                reader.join()
            return x

    preview = {"path": "0.weight", "how": "zeros_"}

    torch.manual_seed(0)
    net, looking = nn.Sequential(nn.Linear(4, 4), Looks()), [True]
    view = nnw.explore(net, name="net")
    wide = [{"how": "normal_", "kwargs": {"std": 100}}]
    assert "code" not in asked(view, "compare_inits", path="0.weight", candidates=wide, size="8,4")
    looking.clear()
    std = net[0].weight.std().item()
    change = asked(view, "init", path="0.weight", how="zeros_")
    assert change["tensors"][0]["before"]["std"] == pytest.approx(std, rel=1e-3)
    # Once more on inputs of the same size, which were made and are gone.
    assert "code" not in asked(view, "compare_inits", path="0.weight", candidates=wide)
    view.close()


def test_of_many_calls_a_comparison_has_the_last_and_no_nan_between_two_points_is_lost():
    class NanOnce(nn.Module):
        def forward(self, x):
            return torch.where(torch.arange(4) == 0, math.nan, x)

    class Mends(nn.Module):
        def forward(self, x):
            return 3 * x.nan_to_num()

    net = nn.Sequential(nn.Linear(4, 4), *[nn.Identity() for _ in range(260)], nn.Linear(4, 2))
    net[199], net[200], net[203] = NanOnce(), Mends(), Mends()
    view = nnw.explore(net, name="net")
    got = asked(view, "compare_inits", path="", only="weights", candidates=CANDIDATES[1:2], size="8,4")
    view.close()
    points, (found,) = got["points"], got["candidates"]
    assert (got["n_calls"], len(points)) == (262, 131)
    assert (points[0]["path"], points[-1]["path"]) == ("0", "261")
    assert found["bad"] == [99]
    mean, low, high = found["forward"][101]
    assert (mean, high > 2 * low) == (pytest.approx(found["forward"][100][0]), True)


def test_the_candidate_applied_has_the_numbers_it_was_compared_with(run):
    view, net, _ = run
    x = torch.randn(8, 16)
    nnw.activations(net, x)
    chosen = {"how": "normal_", "kwargs": {"std": 0.2}}
    compared = nnw.compare_inits(
        net, x, inits={"a": ("normal_", {"std": 0.2})}, target=[f"{at}.0.weight" for at in range(6)], seeds=[11]
    )
    assert asked(view, "init", path="", only="weights", seed=11, **chosen)["n_tensors"] == 6
    applied = nnw.activations(net, x, loss="noise")
    leaves = [call for call in applied.calls if call.class_name != "Sequential"]
    bands = compared.candidates[0].forward
    assert [call.outputs[0].values.std for call in leaves] == [band.low for band in bands]
    asked(view, "undo")


@pytest.mark.parametrize(
    ("candidates", "said"),
    [
        ([{"how": "xavier_normall_"}], "xavier_normall_"),
        ([{"how": "reset"}], "reset can't fill this"),
        ([{"how": "normal_", "kwargs": {"std": "wide"}}], "std"),
        ([], "inits is empty"),
    ],
)
def test_a_candidate_that_is_none_is_refused_and_nothing_runs(run, candidates, said):
    view, net, _ = run
    x = torch.randn(8, 16)
    nnw.trace(net, x)
    error = asked(view, "compare_inits", path="", only="weights", candidates=candidates)
    assert error["code"] in ("initializer", "invalid-target")
    assert said in error["message"]


def test_a_comparison_without_inputs_says_what_to_choose():
    view = nnw.explore(nn.Linear(2, 2), name="net")
    error = asked(view, "compare_inits", path="weight", candidates=CANDIDATES)
    view.close()
    assert error["hint"] == "Choose a tensor, or write a size, such as 2,20."


def test_a_run_that_a_view_shows_is_in_its_static_html_as_curves_without_a_script(run):
    view, _, _ = run
    bundle = static_bundle(view._session)
    html = bundle["text/html"]
    assert "std through depth" in html
    *_, said, output, gradient = bundle["text/plain"].splitlines()
    assert said.startswith("std through depth, ")
    for line, name in ((output, "output"), (gradient, "gradient")):
        assert re.fullmatch(rf"  {name} +[▁-█]+", line)
    assert "<script" not in html
    assert len(html) < 11_000
    bare = nnw.explore(tanh_net(), name="other")
    assert "std through depth" not in static_bundle(bare._session)["text/html"]
    bare.close()
