"""What functions return can be read where it is printed."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect.records import Findings, TieGroups


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
