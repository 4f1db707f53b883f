"""What functions return can be read where it is printed."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect.records import Findings, TieGroups
from nnwidgets.text.pages.alike_rows import fold_rows


@pytest.fixture
def net():
    made = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 4))
    made.again = made[0]
    return made


def test_statistics_print_a_few_lines_with_bars_and_their_repr_is_one():
    stats = nnw.stats(torch.linspace(-1, 1, 1000))
    lines = str(stats).split("\n")
    assert len(lines) < 8
    assert "mean" in lines[1]
    assert "█" in str(stats)
    assert repr(stats).startswith("TensorStats(n=1000, mean=")
    assert len(repr(stats)) < 250
    assert "hist_counts" in stats.to_dict()


def test_ties_and_findings_are_tuples_that_print_as_pages(net):
    ties, findings = nnw.ties(net), nnw.check(net)
    assert isinstance(ties, tuple)
    assert isinstance(findings, tuple)
    assert findings == ()
    assert (str(findings), repr(findings)) == ("Nothing found.", "Nothing found.")
    assert str(ties).split("\n")[0].split() == ["tie", "what", "shared", "names"]
    assert str(nnw.ties(nn.ReLU())) == "No tensors are tied."
    nn.init.ones_(net[0].weight)
    found = nnw.check(net)
    assert "[constant-weight]" in str(found)
    assert "[constant-weight]" in str(found[0])
    assert str(found[:1][0]) == str(found[0])


def test_they_are_copied_compared_and_pickled_as_tuples_are(net):
    ties = nnw.ties(net)
    again = pickle.loads(pickle.dumps(ties))  # noqa: S301 - what was just made
    assert (type(again), again) == (TieGroups, ties)
    assert ties == tuple(ties)
    assert hash(ties) == hash(tuple(ties))
    assert type(nnw.check(net)) is Findings
    assert type(ties[:1]) is tuple


def test_each_result_prints_as_the_magics_print_it(net, tmp_path):
    file = tmp_path / "it.pt"
    change = nnw.init(net, "0.weight", "normal_", seed=7)
    save = nnw.save(net, file)
    said = {
        "0.weight": change,
        "Undo copies": nnw.history(net),
        "read back, equal": save,
        "storage_alignment": nnw.peek(file),
        "Nothing was loaded.": nnw.plan(net, file),
        "equal to the file": nnw.load(net, file),
        "every bit the same": nnw.diff(net, file),
        "3 × 4": nnw.trace(net[:3], torch.ones(2, 4)) and nnw.tree(net),
    }
    for words, result in said.items():
        assert words in str(result)
        assert "\n" in str(result)
        assert f"{result}" == str(result)
    assert "raised on 2 × 5 f32" in str(nnw.trace(net, torch.ones(2, 5)))
    assert repr(change) == "Change(normal_: 0.weight, again.weight, seed 7)"


@pytest.mark.parametrize(
    ("saved", "held", "says"),
    [
        (torch.float32, torch.float16, "equal to the file, as converted"),
        (torch.bfloat16, torch.float32, "equal to the file\n"),
        (torch.float32, torch.float32, "equal to the file\n"),
    ],
)
def test_a_load_is_equal_to_the_file_as_far_as_values_could_stay(saved, held, says, tmp_path):
    torch.save({"weight": torch.full((2, 2), 1e6, dtype=saved)}, tmp_path / "it.pt")
    assert says in str(nnw.load(nn.Linear(2, 2, bias=False, dtype=held), tmp_path / "it.pt")) + "\n"


def test_names_of_the_model_are_inert_where_they_are_printed():
    net = nn.Module()
    net.add_module("a\x1b[2Jb", nn.Linear(2, 2))
    net.add_module("c", net._modules["a\x1b[2Jb"])
    for result in (nnw.ties(net), nnw.freeze(net, "c"), nnw.check(net)):
        assert "\x1b" not in str(result)


def test_a_class_name_is_whole_in_the_tree():
    name = "NonDynamicallyQuantizableLinearWithAdaptersAndMore"
    net = nn.Sequential(type(name, (nn.Linear,), {})(2, 2))
    assert name in str(nnw.tree(net))


def test_an_error_shows_names_of_a_file_and_a_model_as_text(tmp_path):
    torch.save({"a\x1b[2J\u202eb.w": torch.ones(2), "\x1b[31mweight": torch.ones(3, 2)}, tmp_path / "it.pt")
    with pytest.raises(nnw.CheckpointMismatchError, match=r"a\\x1b\[2J\\u202eb\.w") as raised:
        nnw.load(nn.Linear(2, 3), tmp_path / "it.pt")
    assert not {"\x1b", "\u202e"} & {*str(raised.value), *raised.value.message, *raised.value.hint}
    with pytest.raises(nnw.PathNotFoundError, match=r"x\\x1by"):
        nnw.init(nn.Linear(2, 3), "x\x1by", "ones")


def test_what_undo_and_redo_return_says_so(net):
    made = nnw.freeze(net, "0")
    taken_back = nnw.undo(net)
    assert str(taken_back).startswith("freeze · undone")
    assert "frozen" not in str(taken_back)
    assert repr(taken_back).endswith("undone)")
    assert str(nnw.redo(net)).startswith("freeze · done again")
    assert (made.outcome, taken_back.outcome) == ("done", "undone")


def test_one_record_of_many_prints_as_its_row_of_the_table(net, tmp_path):
    nnw.save(net, tmp_path / "it.pt")
    trace, plan, index = nnw.trace(net[:3], torch.ones(2, 4)), nnw.plan(net, tmp_path / "it.pt"), None
    index = nnw.peek(tmp_path / "it.pt")
    nn.init.zeros_(net[0].bias)
    tree, diff = nnw.tree(net), nnw.diff(net, tmp_path / "it.pt")
    pairs = [
        (trace.calls[1], trace),
        (plan.entries[0], plan),
        (index.tensors[0], index),
        (diff.changed[0], diff),
        (tree.ties[0], nnw.ties(net)),
    ]
    for one, all_of_them in pairs:
        head, row, *_ = str(one).split("\n")
        printed = {" ".join(line.split()) for line in str(all_of_them).split("\n")}
        assert {" ".join(line.split()) for line in (head, row)} <= printed
    assert "4 → 3" in str(tree.find("0"))
    assert "same module as" in str(tree.find("again"))
    assert "trainable" in str(tree.find("0.weight"))
    assert str(nnw.freeze(net, "0").ties[0]).startswith("0.weight is tied")
    assert repr(tree.find("0")) == "ModuleNode('0', Linear, 15 parameters)"


def test_like_tensors_are_one_row_where_there_would_be_hundreds(tmp_path):
    net = nn.ModuleList(
        [nn.ModuleDict({"fc": nn.Linear(2, 2), "h": nn.ModuleList([nn.Linear(2, 1)] * 1)}) for _ in range(60)]
    )
    frozen = str(nnw.freeze(net, "**")).split("\n")
    assert [line.split() for line in frozen[3:]] == [
        ["{0…59}.fc.weight", "60", "frozen"],
        ["{0…59}.fc.bias", "60", "frozen"],
        ["{0…59}.h.0.weight", "60", "frozen"],
        ["{0…59}.h.0.bias", "60", "frozen"],
    ]
    nnw.save(net, tmp_path / "it.pt")
    assert "40 × 16 B" not in str(nnw.peek(tmp_path / "it.pt"))
    assert "60 × 16 B" in str(nnw.peek(tmp_path / "it.pt"))
    plan = str(nnw.plan(net[:20], tmp_path / "it.pt"))
    assert "✓ match × 20" in plan
    assert "{0…19}.fc.weight 2 × 2" in plan
    assert "+ unexpected × 40" in plan
    assert "{20…59}.fc.weight 2 × 2" in plan
    assert len(plan.split("\n")) < 20
    assert "The others:" in str(nnw.init(net, "**.bias", "zeros"))


def test_a_row_of_like_tensors_stands_for_these_and_no_others():
    paths = [f"layers.{i}.experts.{j}.w" for i in (0, 1, 2, 5) for j in range(4)] + ["layers.7.experts.0.w", "head.w"]
    folded = fold_rows([(path, "x") for path in paths], 0)
    assert [(cells[0], n) for cells, n in folded] == [
        ("layers.{0,1,2,5}.experts.{0…3}.w", 16),
        ("layers.7.experts.0.w", 1),
        ("head.w", 1),
    ]
    odd = [(f"a{{}}.{i}.\0b", f"a{{}}.{i + 1}.b") for i in range(20)]
    assert [cells for cells, _ in fold_rows(odd, 0, 1)] == odd
    moved = [(f"h.{i}.w", f"h.{i + 1}.w") for i in range(20)]
    assert [cells for cells, _ in fold_rows(moved, 0, 1)] == moved


def test_what_became_of_an_optimizer_is_said_by_a_save_and_a_load(net, tmp_path):
    adam = torch.optim.Adam(net.parameters())
    assert "Adam's settings; it has no state yet" in str(nnw.save(net, tmp_path / "it.pt", optimizer=adam))
    net[:3](torch.ones(2, 4)).sum().backward()
    adam.step()
    saved = nnw.save(net, tmp_path / "it.pt", optimizer=adam, overwrite=True)
    loaded = nnw.load(net, tmp_path / "it.pt", optimizer=adam)
    for report in (saved, loaded):
        assert "Adam's state, step 1, of 4 parameters" in str(report)
        assert "6 tensors" in str(report)
        assert report.to_dict()["optimizer"] == {
            "class_name": "Adam",
            "n_parameters": 4,
            "n_tensors": 12,
            "steps": [1, 1],
        }
    assert nnw.load(net, tmp_path / "it.pt").optimizer is None
    assert "the optimizer's state" in str(nnw.save(net, tmp_path / "b.pt", optimizer=adam.state_dict()))


def test_facts_are_whole_and_take_more_lines_where_they_need_them(net, tmp_path):
    torch.save({"a_rather_long_name_of_a_state_dict": net.state_dict(), "epoch": 3}, tmp_path / "it.pt")
    assert "equal to the file" in str(nnw.load(net, tmp_path / "it.pt"))
    assert "of 2 GiB" in str(nnw.history(net))


def test_a_view_says_what_it_is_of(net):
    view = nnw.explore(net, name="net")
    assert repr(view) == "Explorer of net"
    view.close()
    assert repr(view) == "closed Explorer of net"
