"""The rows of the tree grid: what stands below what, for what is open, picked, unfolded, filtered."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import nnwidgets as nnw
from nnwidgets.wire.schema import KINDS
from nnwidgets.wire.validation import validate

STATE = {"expanded": None, "picked": {}, "unfolded": [], "filter": "", "chips": []}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.mlp = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))


class GPT(nn.Module):
    """An embedding, six blocks, a head tied to the embedding, a shared block, a buffer and a stray tensor."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(10, 4)
        self.drop = nn.Dropout(0.1)
        self.h = nn.ModuleList(Block() for _ in range(6))
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.wte.weight
        self.again = self.drop
        self.register_buffer("mask", torch.ones(3), persistent=False)
        self.scale = torch.ones(2)


@pytest.fixture
def ask(monkeypatch):
    """Ask about a model as an extension does; every reply is held to the schema."""
    import __main__

    def ask(net, kind="rows", **body):
        monkeypatch.setattr(__main__, "asked_about", net, raising=False)
        whole = {"rows": {**STATE, "start": 0, "count": 500}, "locate": STATE}.get(kind, {})
        reply = nnw.handle({"v": 1, "id": "1", "kind": kind, "body": {"model": "asked_about", **whole, **body}})
        json.dumps(reply, allow_nan=False)
        assert reply["ok"], reply["error"]
        validate(reply["body"], KINDS[kind][1], "reply")
        return reply["body"]

    return ask


def outline(reply):
    """The rows as indented names."""
    return ["  " * (row["level"] - 1) + row["name"] for row in reply["rows"]]


def at(reply, path, kind=None):
    """The one row of a path."""
    (row,) = [row for row in reply["rows"] if row["path"] == path and (kind is None or row["kind"] == kind)]
    return row


def test_like_blocks_in_a_list_are_one_row_that_names_the_list(ask):
    reply = ask(GPT(), expanded=["m:"])
    assert outline(reply) == ["asked_about", *(f"  {name}" for name in NAMES)]
    fold = at(reply, "h.0")
    assert (fold["kind"], fold["class_name"], fold["id"]) == ("fold", "6 × Block", "f:h.0")
    assert fold["fold"]["count"] == 6
    assert [cell["label"] for cell in fold["fold"]["members"]] == [f"h.{k}" for k in range(6)]


NAMES = ["mask", "scale", "wte", "drop", "h.0 … h.5", "head", "again"]


def test_an_open_fold_shows_the_picked_member_and_all_of_them_when_unfolded(ask):
    opened = ask(GPT(), expanded=["m:", "f:h.0"], picked={"f:h.0": 4})
    member = at(opened, "h.4")
    assert (member["name"], member["level"], member["position"], member["set_size"]) == ("h.4", 3, 5, 6)
    assert not any(row["path"] == "h.3" for row in opened["rows"])
    unfolded = ask(GPT(), expanded=["m:", "f:h.0"], unfolded=["f:h.0"])
    assert [row["name"] for row in unfolded["rows"] if row["level"] == 3] == [f"h.{k}" for k in range(6)]


def test_picking_another_member_keeps_open_what_was_open_in_the_last(ask):
    first = ask(GPT(), expanded=["m:", "f:h.0", "m:h.0", "m:h.0.mlp", "m:h.0.mlp.2"])
    second = ask(GPT(), expanded=first["expanded"], picked={"f:h.0": 3})
    assert [line.replace("h.3", "h.0") for line in outline(second)] == outline(first)
    assert "m:h.3.mlp.2" in second["expanded"]
    closed = [row for row in second["expanded"] if row != "m:h.3.mlp"]
    third = ask(GPT(), expanded=closed, picked={"f:h.0": 3})
    assert not any(row["path"].startswith("h.3.mlp.") for row in third["rows"])


def test_the_default_opening_fits_a_screen_and_says_what_it_opened(ask):
    default = ask(GPT())
    assert 8 <= default["total"] <= 26
    assert ask(GPT(), expanded=default["expanded"])["rows"] == default["rows"]


@pytest.mark.parametrize("window", [(0, 1), (3, 4), (5, 500), (10_000, 10)])
def test_a_window_is_a_slice_of_all_rows(ask, window):
    net = GPT()
    start, count = window
    every = ask(net)["rows"]
    assert ask(net, start=start, count=count)["rows"] == every[start : start + count]


def test_a_filter_reaches_rows_never_shown_and_shows_their_ancestors(ask):
    reply = ask(GPT(), filter="h.4.mlp.0.weight", expanded=[])
    assert outline(reply) == ["asked_about", "  h", "    4", "      mlp", "        0", "          weight"]
    assert [row["matched"] for row in reply["rows"]] == [False] * 5 + [True]
    assert reply["n_matches"] == 1


@pytest.mark.parametrize(
    ("words", "n"),
    [
        ("Linear", 13),
        ("Linear.bias", 12),
        ("h.*.norm.weight", 6),
        ("**.bias", 18),
        ("norm", 6),
        ("NORM", 6),
        ("mlp.2 bias", 6),
        ("Block", 6),
        ("h.2 Linear", 2),
        ("mlp weight", 12),
        ("asked_about.h[0].mlp[2].weight", 1),
        ("gpt.h[-1].norm", 1),
        ('net.get_submodule("h.3")', 1),
        ("gpt2.h[0].mlp.3", 0),
        ("2", 7),
        ("shape:8", 18),
        ("10", 2),
        ("shape:4x8 !h.0", 5),
        ("shape:*,8", 6),
        ("!norm !mlp", 4),
        ("mlp !bias", 12),
        ("!**.bias h.1", 3),
        ("dtype:f32", 40),
        ("dtype:float", 40),
        ("dtype:bf16", 0),
        ("tied", 2),
        ("is:buffer", 1),
        ("is:unregistered", 1),
        ("params>39", 2),
        (">=0.04k", 2),
        ("params<1e1 norm", 12),
        ("frozen", 0),
        ("nothing-like-it", 0),
        ("*.nothing", 0),
    ],
)
def test_a_filter_finds_paths_globs_classes_and_parts_of_names(ask, words, n):
    assert ask(GPT(), filter=words)["n_matches"] == n


def test_a_filter_finds_choices_ranges_and_the_tensors_that_have_a_gradient(ask):
    net = GPT()
    net.h[1].norm.weight.grad = torch.ones(4)
    for words, n in (("h.{0,2}.norm", 2), ("h.[1-3].norm.bias", 3), ("h.0-1.mlp", 2), ("h.1.norm.weight.grad", 1)):
        assert ask(net, filter=words)["n_matches"] == n
    assert ask(net, filter="**.grad")["n_matches"] == 1
    assert ask(net, filter="h.2.norm.weight.grad")["n_matches"] == 0


def test_a_state_in_the_filter_is_that_of_tensors_unless_something_is_called_so(ask):
    net = nn.ModuleDict({"head": nn.Linear(2, 2), "body": nn.Linear(2, 2)})
    net["head"].requires_grad_(False)
    assert [row["path"] for row in ask(net, filter="frozen")["rows"] if row["kind"] == "tensor"] == [
        "head.weight",
        "head.bias",
    ]
    net["frozen"] = nn.Linear(2, 2)
    assert [row["path"] for row in ask(net, filter="frozen")["rows"]] == ["", "frozen"]
    assert ask(net, filter="is:frozen")["n_matches"] == 2


@pytest.mark.parametrize("word", ["shape:big", "size:3", "is:heavy", "dtype:", "params>1e", "params>1.2.3"])
def test_a_condition_that_is_not_known_says_which_are(ask, word):
    reply = ask(GPT(), filter=f"mlp {word}", expanded=["m:"])
    assert repr(word) in reply["problem"]
    assert "shape:768" in reply["problem"]
    assert reply["total"] == 8


def test_a_filter_too_long_to_read_says_so_and_shows_all(ask):
    reply = ask(GPT(), filter="x" * 5_000, expanded=["m:"])
    assert "5,000" in reply["problem"]
    assert reply["total"] == 8


def test_a_match_can_be_opened_within_the_filtered_view(ask):
    closed = ask(GPT(), filter="Block", expanded=[])
    assert closed["total"] == 8
    opened = ask(GPT(), filter="Block", expanded=["m:h.1", "m:h.1.norm"])
    assert [row["path"] for row in opened["rows"] if row["path"].startswith("h.1.")] == [
        "h.1.norm",
        "h.1.norm.weight",
        "h.1.norm.bias",
        "h.1.mlp",
    ]


def test_every_row_is_numbered_among_its_siblings_filtered_or_not(ask):
    for reply in (ask(GPT()), ask(GPT(), filter="bias"), ask(GPT(), expanded=["m:", "m:wte"])):
        for row in reply["rows"]:
            assert 1 <= row["position"] <= row["set_size"]
        siblings = {}
        for row in reply["rows"]:
            siblings[row["level"]] = siblings.get(row["level"], 0) if row["position"] > 1 else 0
            siblings[row["level"]] += 1
            if row["kind"] != "fold" and row["level"] < 3:
                assert row["position"] == siblings[row["level"]]


def test_chips_keep_tensors_in_that_state(ask):
    net = GPT()
    net.h[2].requires_grad_(False)
    tensors = {row["path"] for row in ask(net, chips=["frozen"])["rows"] if row["matched"]}
    assert tensors == {f"h.2.{name}" for name, _ in net.h[2].named_parameters()}
    assert {row["path"] for row in ask(net, chips=["tied"])["rows"] if row["matched"]} == {"wte.weight", "head.weight"}
    both = ask(net, chips=["frozen", "trainable"])
    assert both["n_matches"] == len(list(net.named_parameters(remove_duplicate=False)))
    assert ask(net, chips=["frozen", "tied"])["n_matches"] == 0
    counts = ask(net, "open")["chips"]
    assert (counts["frozen"], counts["trainable"], counts["tied"]) == (6, both["n_matches"] - 6, 2)


def test_counts_and_shares_count_each_storage_element_once(ask):
    reply = ask(GPT(), expanded=["m:", "m:head", "m:wte", "f:h.0"])
    head, wte = at(reply, "head.weight"), at(reply, "wte.weight")
    assert (wte["counted"], head["counted"]) == (True, False)
    assert head["note"] == "Already counted at wte.weight."
    assert at(reply, "head")["counted"] is False
    net = GPT()
    assert at(reply, "")["n_params"] == sum(p.numel() for p in net.parameters())
    assert at(reply, "h.0", "fold")["n_params"] == sum(p.numel() for p in net.h.parameters())
    assert at(reply, "h.0", "fold")["share"] == pytest.approx(
        sum(p.numel() for p in net.h.parameters()) / sum(p.numel() for p in net.parameters())
    )


def test_marks_tell_ties_frozen_parts_roles_and_aliases(ask):
    net = GPT()
    net.h[1].mlp.requires_grad_(False)
    reply = ask(net, expanded=["m:", "m:wte", "f:h.0", "m:h.1"], picked={"f:h.0": 1})
    assert at(reply, "wte.weight")["tie"] == "A"
    assert at(reply, "wte")["tie_inside"] == at(reply, "")["tie_inside"] == "A"
    assert at(reply, "h.0", "fold")["frozen"] == "some"
    assert at(reply, "h.1.mlp")["frozen"] == "all"
    assert at(reply, "h.1.norm")["frozen"] is None
    assert at(reply, "mask")["role"] == "buffer"
    assert "state_dict() leaves it out" in at(reply, "mask")["note"]
    assert at(reply, "scale")["role"] == "unregistered"
    alias = at(reply, "again")
    assert (alias["kind"], alias["alias_of"], alias["n_params"], alias["expandable"]) == ("alias", "drop", None, False)


def test_a_part_that_cannot_be_read_is_one_row_with_its_reason(ask):
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].__dict__["_modules"] = ["not", "a", "dict"]
    net[0].__dict__["_parameters"] = 3
    net[0].__dict__["_buffers"] = None
    reply = ask(net, expanded=["m:", "m:1"])
    assert at(reply, "0")["kind"] == "problem"
    assert "_modules" in at(reply, "0")["problem"]
    assert at(reply, "1.weight")["n_params"] == 4


def test_findings_stand_on_their_rows_and_are_counted_above_them(ask):
    net = GPT()
    with torch.no_grad():
        net.h[3].mlp[0].weight[0, 0] = float("nan")
    found = ask(net, "findings")["findings"]
    assert any(finding["path"].startswith("h.3") and finding["severity"] == "error" for finding in found)
    reply = ask(net, expanded=["m:", "f:h.0", "m:h.3", "m:h.3.mlp", "m:h.3.mlp.0"], picked={"f:h.0": 3})
    assert at(reply, "h.3.mlp.0.weight")["findings"] == "error"
    assert at(reply, "h.3")["findings_inside"] == at(reply, "h.3.mlp")["findings_inside"] == 1
    assert [cell["findings"] for cell in at(reply, "h.0", "fold")["fold"]["members"]] == [0, 0, 0, 1, 0, 0]
    assert "h.3.mlp.0.weight" in {mark["path"] for mark in reply["ruler"] if mark["severity"] == "error"}
    by_kind = {kind: sum(each["severity"] in kind for each in found) for kind in ("error warning", "note")}
    assert ask(net, chips=["findings"])["n_matches"] == by_kind["error warning"]
    assert ask(net, chips=["notes"])["n_matches"] == by_kind["note"]
    assert ask(net, chips=["findings", "notes"])["n_matches"] == len(found)


def test_what_was_frozen_through_nnwidgets_is_no_note_of_the_view(ask):
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
    nnw.freeze(net, "0")
    nnw.freeze(net, "1.bias")
    assert ask(net, "findings")["findings"] == []
    net[2].requires_grad_(False)
    assert [each["path"] for each in ask(net, "findings")["findings"]] == ["2"]
    nnw.undo(net)
    net[1].bias.requires_grad_(False)
    assert {each["path"] for each in ask(net, "findings")["findings"]} == {"1.bias", "2"}
    assert [each.path for each in nnw.check(net)], "asked for, all is told"


def test_notes_are_counted_apart_from_findings(ask):
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].requires_grad_(False)
    ask(net, "findings")
    assert (ask(net, "open")["chips"]["findings"], ask(net, "open")["chips"]["notes"]) == (0, 1)
    assert at(ask(net, expanded=[]), "")["worst_inside"] == "note"


def test_locate_opens_and_picks_what_hides_a_path(ask):
    net = GPT()
    for path in [*(name for name, _ in net.named_parameters(remove_duplicate=False)), "mask", "scale", "h.5", "again"]:
        found = ask(net, "locate", path=path, expanded=[])
        shown = ask(net, expanded=found["expanded"], picked=found["picked"])
        row = shown["rows"][found["index"]]
        assert (row["path"], row["id"]) == (path, found["id"])


def test_locate_finds_a_list_at_its_fold_and_a_name_through_an_alias_at_the_alias(ask):
    net = GPT()
    net.tail = net.h[2]
    assert ask(net, "locate", path="h", expanded=[])["id"] == "f:h.0"
    found = ask(net, "locate", path="tail.norm.weight", expanded=[])
    assert found["id"] == "m:tail"
    assert ask(net, "inspect", path="tail.norm.weight")["tensor"]["shape"] == [4]


def test_stepping_to_the_next_member_shows_the_same_tensor_there(ask):
    net = GPT()
    siblings = ask(net, "inspect", path="h.2.mlp.0.weight")["siblings"]
    assert siblings == {
        "label": "h.2",
        "index": 2,
        "count": 6,
        "previous": "h.1.mlp.0.weight",
        "next": "h.3.mlp.0.weight",
    }
    here = ask(net, "locate", path="h.2.mlp.0.weight", expanded=[])
    there = ask(net, "locate", path=siblings["next"], expanded=here["expanded"], picked=here["picked"])
    assert there["index"] == here["index"]
    assert not any(row.startswith("m:h.2") for row in there["expanded"])


def test_the_cells_of_a_fold_of_many_hold_all_its_members_with_what_is_in_any_of_them(ask):
    net = nn.Sequential(*[nn.Linear(2, 2) for _ in range(320)])
    with torch.no_grad():
        net[319].weight[0, 0] = float("nan")
    net[100].requires_grad_(False)
    for block in net[5:10]:
        block.requires_grad_(False)
    ask(net, "findings")
    row = at(ask(net, expanded=["m:"], picked={"f:0": 301}), "0")
    fold = row["fold"]
    assert (fold["count"], fold["picked"], fold["picked_path"], fold["per_cell"]) == (320, 301, "301", 5)
    assert [cell["label"] for cell in fold["members"]] == [f"{at} … {at + 4}" for at in range(0, 320, 5)]
    assert [cell["path"] for cell in fold["members"]] == [str(at) for at in range(0, 320, 5)]
    frozen = {cell["path"]: cell["frozen"] for cell in fold["members"] if cell["frozen"] is not None}
    assert frozen == {"5": "all", "100": "some"}
    worst = {cell["path"]: (cell["findings"], cell["worst"]) for cell in fold["members"] if cell["findings"]}
    # Like findings are told once, of the first.
    assert worst == {"5": (1, "note"), "315": (1, "error")}
    assert (row["findings_inside"], row["worst_inside"]) == (2, "error")


def test_five_thousand_levels_open_locate_and_filter(ask):
    net = nn.Module()
    here = net
    for _ in range(5_000):
        here.a = nn.Module()
        here = here.a
    here.leaf = nn.Linear(1, 1)
    deepest = ".".join(["a"] * 5_000) + ".leaf.weight"
    found = ask(net, "locate", path=deepest, expanded=[])
    assert found["index"] == 5_002
    assert ask(net, filter="Linear", start=5_001)["rows"][0]["level"] == 5_002


def test_a_hundred_thousand_modules_come_a_window_at_a_time(ask):
    with torch.device("meta"):
        net = nn.Sequential(*[nn.Sequential(*[nn.Linear(1, i % 7 + 1) for i in range(99)]) for _ in range(1_000)])
    first = ask(net, "open")
    assert len(json.dumps(first)) <= 64_000
    assert first["totals"]["n_modules"] == 100_001
    reply = ask(net, filter="**.weight", start=90_000, count=200)
    assert (reply["n_matches"], len(reply["rows"])) == (99_000, 200)
    assert len(json.dumps(reply)) <= 200_000


@st.composite
def trees(draw, depth=3):
    """Modules of a few classes, with lists of like ones, and shared children."""
    if depth == 0 or draw(st.booleans()):
        return nn.Linear(2, draw(st.integers(1, 2)))
    kind = draw(st.sampled_from(["list", "sequential", "repeated"]))
    if kind == "repeated":
        n = draw(st.integers(1, 5))
        return nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(n))
    children = draw(st.lists(trees(depth - 1), max_size=4))
    if children and draw(st.booleans()):
        children.append(children[0])
    return nn.ModuleList(children) if kind == "list" else nn.Sequential(*children)


@settings(max_examples=60)
@given(trees(), st.data())
def test_whatever_is_open_each_row_stands_below_its_parent_and_can_be_located(net, data):
    import __main__

    __main__.drawn = net
    try:

        def asked(kind, **body):
            reply = nnw.handle({"v": 1, "id": "1", "kind": kind, "body": {"model": "drawn", **STATE, **body}})
            assert reply["ok"], reply["error"]
            return reply["body"]

        found = nnw.tree(net)
        ids = [f"{kind}:{node.path}" for node in found.nodes for kind in "mf"]
        expanded = data.draw(st.lists(st.sampled_from(ids), unique=True))
        unfolded = data.draw(st.lists(st.sampled_from(ids), unique=True))
        reply = asked("rows", expanded=expanded, unfolded=unfolded, start=0, count=500)
        above = []
        for row in reply["rows"]:
            del above[row["level"] - 1 :]
            assert len(above) == row["level"] - 1
            assert all(higher["expanded"] for higher in above)
            above.append(row)
        assert len({row["id"] for row in reply["rows"]}) == reply["total"]
        again = asked("rows", expanded=reply["expanded"], unfolded=unfolded, start=0, count=500)
        assert again["rows"] == reply["rows"]
        paths = [node.path for node in found.nodes] + [entry.path for entry in found.tensors]
        path = data.draw(st.sampled_from(paths))
        located = asked("locate", path=path, expanded=expanded, unfolded=unfolded)
        shown = asked(
            "rows", expanded=located["expanded"], picked=located["picked"], unfolded=unfolded, start=0, count=500
        )
        assert shown["rows"][located["index"]]["id"] == located["id"]
    finally:
        del __main__.drawn
