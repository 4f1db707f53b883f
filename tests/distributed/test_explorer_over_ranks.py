"""The Explorer and `%nn` of a model over ranks: what the page is answered, and what a line shows."""

from __future__ import annotations

import time

import pytest
import torch
import torch.distributed as dist
from torch import nn

import nnwidgets as nnw
from nnwidgets.magics.completion.complete import complete
from tests.support.ipython_shell import shell as running_shell
from tests.support.ranks_here import RanksHere
from tests.support.requests import asked


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10))


@pytest.fixture
def ranks():
    made = RanksHere([mlp(), mlp()])
    yield made
    made.close()


@pytest.fixture
def view(ranks):
    view = nnw.explore(nnw.ranks(ranks)["net_of_rank"])
    yield view
    view.close()


def within(holds, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def test_the_view_shows_the_whole_model_and_its_ranks(view):
    opened = asked(view, "open")
    assert (opened["name"], opened["totals"]["n_params"]) == ("net_of_rank", 874)
    assert [(each["rank"], each["state"], each["local_bytes"]) for each in opened["ranks"]["ranks"]] == [
        (0, "idle", 3496), (1, "idle", 3496)
    ]  # fmt: skip
    alone = nnw.explore(mlp())
    rows = asked(alone, "open")["rows"]["rows"]
    assert [{**row, "name": ""} for row in opened["rows"]["rows"]] == [{**row, "name": ""} for row in rows]
    assert "ranks" not in asked(alone, "open")
    alone.close()


def test_a_tensor_has_the_whole_s_statistics_and_a_line_for_each_rank(view, ranks):
    with torch.no_grad():
        ranks.models[1][0].weight[0, 0] = float("nan")
    facts = asked(view, "inspect", path="0.weight", bins=64)["tensor"]
    assert facts["shape"] == [32, 16]
    found = asked(view, "stats", path="0.weight", exact=False)
    assert found["n"] == found["n_total"] == 512
    assert [(each["rank"], each["n_nan"]) for each in found["by_rank"]] == [(0, 0), (1, 1)]
    assert found["of"] == "rank 0: its replicas differ"
    ranks.models[0](torch.ones(2, 16)).sum().backward()
    assert asked(view, "stats", path="0.weight", of="grad")["by_rank"][0]["rank"] == 0
    assert asked(view, "stats", path="2.weight", of="grad")["n"] == 320
    assert asked(view, "stats", path="0")["code"] == "invalid-target"
    assert asked(view, "stats", path="no.such")["code"] == "path-not-found"


def test_scrolling_and_filtering_ask_no_rank(view, ranks):
    n = len(ranks.asked)
    rows = {"expanded": None, "picked": {}, "unfolded": [], "filter": "Linear.weight", "chips": [], "start": 0}
    assert asked(view, "rows", **rows, count=50)["n_matches"] == 2
    assert asked(view, "inspect", path="0")["module"]["n_params"] == 544
    assert len([each for each in ranks.asked[n:] if each["body"]["ask"] != "check"]) == 0


def test_a_rank_that_is_missing_is_named_and_what_others_hold_is_shown(view, ranks):
    events = []
    view._session.emit = lambda event, body: events.append((event, body))
    ranks.models[1] = None
    found = asked(view, "stats", path="0.weight")
    assert (found["is_exact"], found["missing"], len(found["by_rank"])) == (True, [1], 1)
    assert ("changed", {"structure": True}) in events
    assert asked(view, "open")["ranks"]["ranks"][1]["state"] == "missing"
    ranks.models[0] = None
    assert "Rank 0" in asked(view, "stats", path="0.weight")["message"]
    assert asked(view, "open")["totals"]["n_params"] == 874


def test_what_all_ranks_find_is_in_the_view(view, ranks):
    ranks.models[1][0].weight.data[0, 0] += 1
    (found,) = asked(view, "findings")["findings"]
    assert (found["code"], found["path"]) == ("replicas-differ", "0.weight")
    assert found["message"].startswith("On rank 1: ")
    table = asked(view, "table", fresh=True, filter="", chips=[], sort=None, descending=True, start=0, count=9, text="")
    assert [row["path"] for row in table["rows"]] == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_what_changes_is_shown_once_it_was_read_again(view, ranks):
    for model in ranks.models:
        model.append(nn.Linear(10, 2))
    view._session.mark_stale()
    assert within(lambda: asked(view, "open")["totals"]["n_params"] == 896)
    n = len(ranks.asked)
    view._session.mark_stale()
    asked(view, "open")
    assert within(lambda: [each["body"]["full"] for each in ranks.asked[n:] if each["body"]["ask"] == "tree"] == [""])


def test_a_name_that_is_gone_is_told_and_the_rows_stay(view, ranks):
    ranks.models[:] = [3, 4]
    view._session.mark_stale()
    assert within(lambda: asked(view, "open")["ranks"]["problem"])
    opened = asked(view, "open")
    assert "ranks 0, 1: " in opened["ranks"]["problem"]
    assert opened["totals"]["n_params"] == 874


def weights(ranks):
    return [[each.detach().clone() for each in net.parameters()] for net in ranks.models]


def are_equal(one, other):
    return all(torch.equal(*pair) for each in zip(one, other, strict=True) for pair in zip(*each, strict=True))


def test_a_tensor_is_filled_anew_on_all_ranks_with_the_figures_of_its_preview(view, ranks):
    before, one = weights(ranks), mlp()
    alone = nnw.explore(one)
    assert asked(view, "open")["ranks"]["can_change"] is True
    for body in ({"path": "0.weight"}, {"path": "2", "only": "weights"}, {"path": "0", "filter": "Linear.weight"}):
        assert asked(view, "initializers", **body) == asked(alone, "initializers", **body)
    body = {"path": "0.weight", "how": "normal_", "kwargs": {"std": 0.5}, "seed": 7}
    shown = asked(view, "preview", **body)
    assert are_equal(weights(ranks), before)
    wanted = asked(alone, "preview", **body)
    for key in ("label", "seed", "n_elements", "warnings"):
        assert shown[key] == wanted[key]
    (mine,), (theirs,) = shown["tensors"], wanted["tensors"]
    for side in ("before", "after"):
        assert {**mine[side], "mean": 0, "std": 0} == {**theirs[side], "mean": 0, "std": 0}
        assert (mine[side]["mean"], mine[side]["std"]) == pytest.approx((theirs[side]["mean"], theirs[side]["std"]))
    assert mine["overlay"]["edges"]
    made = asked(view, "init", **body)
    assert made["tensors"] == shown["tensors"]
    assert "normal_(net_of_rank[0].weight, std=0.5" in made["code"]
    asked(alone, "init", **body)
    whole = list(one.parameters())
    assert are_equal(weights(ranks), [whole, whole])
    assert asked(view, "undo")["label"] == "normal_(std=0.5)"
    assert are_equal(weights(ranks), before)
    asked(view, "init", path="0", scope="filter", filter="Linear.weight", how="zeros_")
    assert [float(net[2].weight.detach().abs().sum()) for net in ranks.models] == [0.0, 0.0]
    assert asked(view, "init", path="0.wieght", how="zeros_")["code"] == "path-not-found"
    alone.close()


def test_a_value_flags_and_the_history_are_those_of_all_ranks(view, ranks):
    before = weights(ranks)
    asked(view, "assign", path="0.weight", index=[1, 2], value="42")
    assert [net[0].weight[1, 2].item() for net in ranks.models] == [42.0, 42.0]
    asked(view, "freeze", path="2")
    assert [net[2].bias.requires_grad for net in ranks.models] == [False, False]
    found = asked(view, "history")
    assert [(each["kind"], each["state"]) for each in found["entries"]] == [("assign", "done"), ("freeze", "done")]
    assert (found["undo"], found["redo"]) == ("freeze", None)
    assert "net_of_rank[0].weight[1, 2] = 42" in asked(view, "code")["code"]
    for _ in range(2):
        asked(view, "undo")
    assert asked(view, "history")["redo"] == "0.weight[1, 2] = 42"
    assert asked(view, "redo")["paths"] == ["0.weight"]
    asked(view, "undo")
    assert are_equal(weights(ranks), before)
    net = nnw.ranks(ranks)["net_of_rank"]
    assert [each.label for each in nnw.history(net).undone] == ["0.weight[1, 2] = 42", "freeze"]
    nnw.init(ranks.models[1], "0.bias", "zeros_")
    with pytest.raises(nnw.RanksDisagreeError, match=r"Rank 0 has 0 changes .* rank 1 1 change .* the last one zeros_"):
        nnw.history(net)


def test_two_views_of_one_model_share_its_history_and_hear_of_each_other(view, ranks):
    other, apart = nnw.explore(nnw.ranks(ranks)["net_of_rank"]), nnw.explore(mlp())
    heard = {}
    for each in (view, other, apart):
        asked(each, "open")
        each._session.emit = lambda event, body, each=each: heard.setdefault(each, []).append(event)
    asked(view, "init", path="0.bias", how="zeros_")
    assert (heard[view], heard[other], apart in heard) == (["changed"], ["changed"], False)
    assert asked(other, "history")["undo"] == "zeros_"
    assert asked(other, "undo")["label"] == "zeros_"
    assert asked(view, "history")["redo"] == "zeros_"
    other.close()
    apart.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("nnwidgets.server.notebook.folder.root", lambda: tmp_path)
    return tmp_path


OF_ROWS = {"start": 0, "count": 9, "text": ""}
OF_PLAN = {"path": "b.pt", "accept_all": False, "rename": {}}


def test_checkpoints_are_listed_planned_loaded_and_compared_on_all_ranks(view, ranks, folder):
    before, one = weights(ranks), mlp()
    nnw.init(one, "0.weight", "normal_", seed=1)
    nnw.save(one, folder / "b.pt")
    assert [each["path"] for each in asked(view, "folder", path="")["entries"]] == ["b.pt"]
    assert asked(view, "peek", path="b.pt", expanded=None, **OF_ROWS)["n_tensors"] == 4
    alone = nnw.explore(one)
    planned = {"keep": [], **OF_PLAN, **OF_ROWS}
    assert asked(view, "plan", **planned) == asked(alone, "plan", **planned)
    alone.close()
    loaded = asked(view, "load", **OF_PLAN, strict=True, optimizer=False)
    assert "label" in loaded, loaded
    assert (loaded["label"], loaded["n_loaded"], loaded["verified"]) == ("load b.pt", 4, True)
    whole = list(one.parameters())
    assert are_equal(weights(ranks), [whole, whole])
    compared = {"path": "b.pt", "other": None, "keep": [], **OF_ROWS}
    assert asked(view, "diff", **compared, fresh=True)["is_equal"]
    assert asked(view, "undo")["label"] == "load b.pt"
    assert are_equal(weights(ranks), before)
    assert asked(view, "diff", **compared, fresh=True)["counts"] == {"values": 1, "equal": 3}
    refused = asked(view, "load", **OF_PLAN, strict=True, optimizer=True)
    assert refused["message"] == "load from outside of the ranks takes no optimizer."
    nnw.save(nn.Linear(2, 3), folder / "b.pt", overwrite=True)
    refused = asked(view, "load", **OF_PLAN, strict=True, optimizer=False)
    assert (refused["code"], are_equal(weights(ranks), before)) == ("checkpoint-mismatch", True)


def test_a_save_from_the_view_asks_before_it_replaces_a_folder_too(ranks, folder):
    body = {"path": "parts/", "overwrite": False, "verify": True, "optimizer": False}
    ranks.models.pop()
    view = nnw.explore(nnw.ranks(ranks)["net_of_rank"])
    made = asked(view, "save", **body)
    assert (made["n_tensors"], made["verified"], (folder / "parts").is_dir()) == (4, True, True)
    assert "net_of_rank.state_dict()" in made["code"]
    assert asked(view, "save", **body)["code"] == "file-exists"
    assert asked(view, "save", **{**body, "overwrite": True})["n_tensors"] == 4
    assert nnw.diff(folder / "parts", ranks.models[0]).is_equal
    assert "takes no optimizer" in asked(view, "save", **{**body, "optimizer": True, "overwrite": True})["message"]
    view.close()


def test_nothing_is_changed_while_a_rank_is_missing_and_the_view_says_which(view, ranks):
    before = weights(ranks)
    last, ranks.models[1] = ranks.models[1], None
    for kind, body in {"init": {"path": "0.weight", "how": "zeros_"}, "undo": {}, "freeze": {"path": "0"}}.items():
        refused = asked(view, kind, **body)
        assert refused["code"] == "invalid-target", refused
        assert "every rank, and nothing was changed. Rank 1 (" in refused["message"]
    assert asked(view, "initializers", path="0.weight")["problem"] is None
    ranks.models[1] = last
    assert are_equal(weights(ranks), before)


REFUSED = {
    "mark": {"set": True},
    "forward": {"size": "2,16"},
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_changes_or_runs_is_refused_with_what_to_do(view, kind):
    refused = asked(view, kind, **REFUSED[kind])
    assert refused["code"] == "invalid-target", refused
    assert "on every rank" in refused["hint"]


def test_an_explorer_over_ranks_refuses_what_needs_the_model_here(view, ranks):
    with pytest.raises(nnw.InvalidTargetError, match="ranks of this model train"):
        view.tick()
    with pytest.raises(nnw.InvalidTargetError, match="Marks"):
        view.show_mark(nnw.snapshot(mlp()))
    with pytest.raises(nnw.InvalidTargetError, match="optimizer of a model over ranks"):
        nnw.explore(nnw.ranks(ranks)["net_of_rank"], optimizer=object())
    with pytest.raises(nnw.RankMissingError, match=r"ranks 0, 1: No variable"):
        nnw.explore(nnw.ranks(ranks)["nothing"])


@pytest.fixture
def shell(ranks):
    with running_shell() as made:
        made.variables["r"] = nnw.ranks(ranks)
        yield made


def test_lines_look_at_a_model_over_ranks(shell):
    assert "3.50 kB on each of 2 ranks" in shell.nn("tree r.net_of_rank")
    assert "874" in shell.nn('tree r["net_of_rank"]')
    shell.variables["net"] = mlp()
    for line in ("tree * --depth 0", "tree * --depth 1", "tree * 0 --depth 1", "tree * --depth 2"):
        shown, wanted = shell.nn(line.replace("*", "r.net_of_rank")), shell.nn(line.replace("*", "net"))
        rows = [[part for part in text.splitlines() if "parameters" not in part] for text in (shown, wanted)]
        assert [row.split()[1:] for row in rows[0]] == [row.split()[1:] for row in rows[1]], line
    assert "Nothing found" in shell.nn("check r.net_of_rank")
    assert "2.weight" in shell.nn("stats r.net_of_rank")
    assert "512" in shell.nn("show r.net_of_rank 0.weight")
    assert "No tensors are tied" in shell.nn("tied r.net_of_rank")
    assert "of all its tensors" in shell.refused("stats r.net_of_rank 0.weight")
    shell.variables["X"] = torch.ones(2, 16)
    assert "2 × 10" in shell.nn("trace r.net_of_rank X")
    shown = shell.run("view = %nn r.net_of_rank 0.weight")
    assert shown.error is None, shown.printed
    assert shell.variables["view"].selected == "0.weight"
    assert repr(shell.variables["view"]) == "Explorer of r.net_of_rank"
    shell.variables["view"].close()


def test_lines_change_a_model_over_ranks(shell, ranks):
    before = [net[0].weight.clone() for net in ranks.models]
    assert "before" in shell.nn("init r.net_of_rank 0.weight normal_ std=0.5 --seed 7")
    whole = mlp()
    nnw.init(whole, "0.weight", "normal_", std=0.5, seed=7)
    assert all(torch.equal(net[0].weight, whole[0].weight) for net in ranks.models)
    assert "%nn redo r.net_of_rank" in shell.nn("undo r.net_of_rank")
    assert all(torch.equal(net[0].weight, old) for net, old in zip(ranks.models, before, strict=True))
    assert "0.weight[0,0] = 42" in shell.nn("set r.net_of_rank 0.weight[0,0]=42")
    assert "freeze" in shell.nn("freeze r.net_of_rank 0")
    assert "0.weight[0,0] = 42" in shell.nn("log r.net_of_rank")
    for _ in range(2):
        shell.nn("undo r.net_of_rank")


def test_lines_save_load_compare_and_tell_code_of_a_model_over_ranks(shell, ranks, tmp_path):
    whole = shell.variables["whole"] = mlp()
    file = tmp_path / "net.pt"
    shell.nn("init whole 0 normal_ std=0.5 --seed 7")
    shell.nn(f"save whole {file}")
    assert "Bit-equal: 2.weight, 2.bias." in shell.nn(f"diff r.net_of_rank {file}")
    assert "4 match" in shell.nn(f"load r.net_of_rank {file} --dry-run")
    assert "%nn undo r.net_of_rank takes it back" in shell.nn(f"load r.net_of_rank {file}")
    assert are_equal(weights(ranks), [list(whole.parameters())] * 2)
    assert "every bit the same" in shell.nn(f"diff {file} r.net_of_rank")
    assert "\nnet_of_rank.load_state_dict(state)" in shell.nn("code r.net_of_rank")
    assert "takes no optimizer" in shell.refused(f"load r.net_of_rank {file} --optimizer adam")
    assert "in no process group" in shell.refused(f"save r.net_of_rank {file}")
    said = shell.refused(f"load r.net_of_rank {file} --rename 0.weight=2.weight")
    assert "both 2.weight" in said
    for line, offered in {
        "init r.net_of_rank 0.": ["0.weight", "0.bias"],
        "show r.net_of_rank Lin": ["Linear"],
        "set r.net_of_rank Linear.": ["Linear.weight", "Linear.bias"],
        "freeze r.net_of_rank *.b": ["0.bias", "2.bias"],
        "code r.net_of_rank ": [],
        f"load r.net_of_rank {file} --rename 0.w": ["0.weight="],
        f"load r.net_of_rank {file} --rename a=2.": ["a=2.weight", "a=2.bias"],
    }.items():
        assert [each.text for each in complete(line, shell.variables).candidates] == offered, line
    shell.nn("undo r.net_of_rank")
    ranks.models.pop()
    assert "4 tensors" in shell.nn(f"save r.net_of_rank {file} --overwrite")


def test_in_a_process_group_a_line_finds_the_optimizer_that_it_names(shell, tmp_path):
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        net = mlp()
        adam = torch.optim.Adam(net.parameters(), lr=0.5)
        shell.variables |= {"handle": nnw.ranks()["net"], "adam": adam}
        shell.nn(f"save handle {tmp_path}/net.pt --optimizer adam")
        adam.param_groups[0]["lr"] = 0.1
        shell.nn(f"load handle {tmp_path}/net.pt --optimizer adam")
        assert adam.param_groups[0]["lr"] == 0.5
        assert "'eve'" in shell.refused(f"load handle {tmp_path}/net.pt --optimizer eve")
    finally:
        dist.destroy_process_group()


def test_a_model_over_ranks_at_the_end_of_a_cell_prints_its_tree(shell):
    assert "Sequential" in shell.run('r["net_of_rank"]').printed
    assert "ranks 0, 1: No variable" in shell.run('r["nothing"]').printed
    shell.run("%nn auto on")
    assert "874" in shell.run('net = r["net_of_rank"]\nnet').text
    assert "874" in shell.nn("")


@pytest.mark.parametrize("line", ["optimizer *", "costs * --input 2,16", "snapshot *", "inits * --input 2,16 zeros_"])
def test_lines_that_need_the_model_here_say_what_to_do(shell, line):
    said = shell.refused(line.replace("*", "r.net_of_rank"))
    assert "of a model over ranks isn't there yet" in said
    assert f"below %%px, %nn {line.split()[0]} net_of_rank" in said
