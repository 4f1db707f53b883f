"""What the error of a load says would help, does; and a partial load says of how many, and what stayed."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw


def made(n=10):
    return nn.ModuleDict({"backbone": nn.Linear(4, 8), "fc": nn.Linear(8, n)})


def prefixed(state, prefix):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


FILES = {
    "a head of other classes": lambda: prefixed(made(1000).state_dict(), "module."),
    "a counter of averaged weights": lambda: torch.optim.swa_utils.AveragedModel(made()).state_dict(),
    "a prefix alone": lambda: prefixed(made().state_dict(), "model."),
    "a tensor less": lambda: {name: each for name, each in made().state_dict().items() if name != "fc.bias"},
    "a prefix and a tensor less": lambda: prefixed(
        {name: each for name, each in made().state_dict().items() if name != "fc.bias"}, "net."
    ),
    "a prefix and another word": lambda: {
        f"module.{name}".replace("fc.", "head."): each for name, each in made().state_dict().items()
    },
    "another word and two more tensors": lambda: {
        **{name.replace("fc.", "head."): each for name, each in made().state_dict().items()}, "x": torch.rand(3),
        "y": torch.rand(3),
    },
    "nothing that fits": lambda: {"x": torch.rand(3), "y": torch.rand(3)},
    "another shape everywhere": lambda: {
        name: torch.rand([size + 1 for size in each.shape]) for name, each in made().state_dict().items()
    },
    "half of it under other names": lambda: {
        "a.weight": torch.rand(8, 4), "b.weight": torch.rand(8, 4), "fc.weight": torch.rand(10, 8)
    },
}  # fmt: skip


@pytest.mark.parametrize("file", FILES)
def test_what_a_refused_load_says_would_help_does(file, tmp_path):
    torch.save(FILES[file](), tmp_path / "x.pt")
    net = made()
    before = {name: each.clone() for name, each in net.state_dict().items()}
    with pytest.raises(nnw.CheckpointMismatchError) as caught:
        nnw.load(net, tmp_path / "x.pt")
    hint, renames = caught.value.hint, nnw.plan(net, tmp_path / "x.pt").renames
    assert all(torch.equal(each, before[name]) for name, each in net.state_dict().items())
    if "takes it alone" in hint:
        assert nnw.load(net, tmp_path / "x.pt", entry=re.search(r"entry='(.*?)'", hint)[1]).n_left == 0
    elif "would fit with" in hint:
        assert nnw.load(net, tmp_path / "x.pt", rename=renames).n_left == 0
    elif "would be loaded" in hint:
        n, n_model = map(int, re.search(r"(\d+) of (\d+) would be loaded", hint).groups())
        report = nnw.load(net, tmp_path / "x.pt", rename=renames, strict=False)
        assert (report.n_loaded, report.n_loaded + report.n_left) == (n, n_model)
    elif "strict=False" in hint:
        n, n_model = map(int, re.search(r"loads the (\d+) of (\d+) that fit", hint).groups())
        report = nnw.load(net, tmp_path / "x.pt", strict=False)
        assert (report.n_loaded, report.n_loaded + report.n_left) == (n, n_model)
    else:
        with pytest.raises(nnw.CheckpointMismatchError):
            nnw.load(net, tmp_path / "x.pt", strict=False)


def test_only_what_fits_whole_is_said_to_fit(tmp_path):
    said = {}
    for name, state in FILES.items():
        torch.save(state(), tmp_path / "x.pt")
        with pytest.raises(nnw.CheckpointMismatchError) as caught:
            nnw.load(made(), tmp_path / "x.pt")
        said[name] = caught.value.hint
    assert {name for name, hint in said.items() if "would fit" in hint} == {
        "a prefix alone", "a prefix and another word"
    }  # fmt: skip
    assert {name for name, hint in said.items() if "strict=False" not in hint} == {
        "a counter of averaged weights", "a prefix alone", "a prefix and another word", "nothing that fits",
        "another shape everywhere"
    }  # fmt: skip


def test_advice_after_a_rename_of_ones_own_counts_it(tmp_path):
    state = {f"module.{name}".replace("fc.", "head."): each for name, each in made().state_dict().items()}
    torch.save(state, tmp_path / "x.pt")
    mine = {"module.": ""}
    with pytest.raises(nnw.CheckpointMismatchError, match=r"with 2 renames, such as module\.head\.weight to fc"):
        nnw.load(made(), tmp_path / "x.pt", rename=mine)
    renames = nnw.plan(made(), tmp_path / "x.pt", rename=mine).renames
    assert nnw.load(made(), tmp_path / "x.pt", rename=renames).n_left == 0


def test_a_partial_load_says_of_how_many_and_what_stayed(tmp_path):
    torch.save(made(1000).state_dict(), tmp_path / "head.pth")
    report = nnw.load(made(), tmp_path / "head.pth", strict=False)
    assert (report.n_loaded, report.n_left, report.left) == (2, 2, ("fc.weight", "fc.bias"))
    assert (report.n_elements, report.n_left_elements) == (40, 90)
    assert repr(report).endswith("2 of 4 tensors, 40 of 130 elements, verified; fc.weight, fc.bias as before)")
    assert report.to_dict()["left"] == ["fc.weight", "fc.bias"]


class Positions(nn.Module):
    """Makes its positions itself, as models of today do; files of before have them."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5, 3)
        self.register_buffer("position_ids", torch.arange(4), persistent=False)


def test_a_buffer_that_the_model_makes_itself_is_named_where_a_file_has_it(tmp_path):
    net, other = Positions(), Positions()
    torch.save({**other.state_dict(), "position_ids": torch.arange(4) + 7}, tmp_path / "x.pt")
    with pytest.raises(nnw.CheckpointMismatchError, match="position_ids is a buffer that the model makes itself"):
        nnw.load(net, tmp_path / "x.pt")
    report = nnw.load(net, tmp_path / "x.pt", strict=False)
    assert (report.n_loaded, report.n_left) == (1, 0)
    assert torch.equal(net.words.weight, other.words.weight)
    assert torch.equal(net.position_ids, torch.arange(4))


def test_a_whole_load_names_nothing_left(tmp_path):
    torch.save(made().state_dict(), tmp_path / "x.pth")
    report = nnw.load(made(), tmp_path / "x.pth")
    assert report.left == ()
    assert "before" not in repr(report)


def test_names_of_one_tensor_that_stay_count_their_elements_once(tmp_path):
    net = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False), "c": nn.Linear(2, 2)})
    net["b"].weight = net["a"].weight
    torch.save({"c.weight": torch.zeros(2, 2), "c.bias": torch.zeros(2)}, tmp_path / "x.pt")
    report = nnw.load(net, tmp_path / "x.pt", strict=False)
    assert (report.left, report.n_left_elements) == (("a.weight", "b.weight"), 4)


@pytest.mark.parametrize(
    ("rename", "error"),
    [
        ({"a.weight": "fc.weight", "b.weight": "fc.weight"}, nnw.CheckpointMismatchError),
        ({"a.weight": "fc.wieght"}, nnw.PathNotFoundError),
        ({"c.weight": "fc.weight"}, nnw.PathNotFoundError),
        ({"a.weight": None}, nnw.InvalidTargetError),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_rename_that_cannot_be_leaves_the_model_as_it_was(rename, error, strict, tmp_path):
    save_file({"a.weight": torch.rand(10, 8), "b.weight": torch.rand(10, 8)}, tmp_path / "x.safetensors")
    net = made()
    before = {name: each.clone() for name, each in net.state_dict().items()}
    with pytest.raises(error):
        nnw.load(net, tmp_path / "x.safetensors", rename=rename, strict=strict)
    assert all(torch.equal(each, before[name]) for name, each in net.state_dict().items())


# ---- the same renames in a comparison ----


def test_a_comparison_finds_the_renames_that_a_plan_calls_sure(tmp_path):
    net = made()
    save_file(prefixed(net.state_dict(), "module."), tmp_path / "x.safetensors")
    for sides in ((net, tmp_path / "x.safetensors"), (tmp_path / "x.safetensors", net)):
        found = nnw.diff(*sides)
        assert found.is_equal
        assert found.renames == {f"module.{name}": name for name in net.state_dict()}


def test_a_comparison_takes_renames_as_a_plan_does_and_none_where_none_is_wanted(tmp_path):
    net = made()
    state = {name.replace("fc.", "x.y."): each for name, each in net.state_dict().items()}
    save_file(state, tmp_path / "x.safetensors")
    assert nnw.diff(net, tmp_path / "x.safetensors", rename={"x.y": "fc"}).is_equal
    assert nnw.diff(net, tmp_path / "x.safetensors", rename={}).removed == ("fc.weight", "fc.bias")


def test_a_comparison_of_two_files_calls_the_first_ones_names_as_the_second_does(tmp_path):
    one, other = tmp_path / "a.pt", tmp_path / "b.pt"
    torch.save(prefixed(made().state_dict(), "module."), one)
    torch.save(made().state_dict(), other)
    assert {each.path for each in nnw.diff(one, other).changed} == set(made().state_dict())
    assert nnw.diff(one, other, rename={"module.": ""}).renames["module.fc.bias"] == "fc.bias"


@pytest.mark.parametrize(
    ("rename", "error"),
    [
        ({"module.fc": "backbone"}, nnw.CheckpointMismatchError),
        ({"nothing": "x"}, nnw.PathNotFoundError),
        ({"module.fc.bias": "fc.bais"}, nnw.PathNotFoundError),
    ],
)
def test_a_comparison_refuses_renames_that_cannot_be(rename, error, tmp_path):
    torch.save(prefixed(made().state_dict(), "module.") | {"module.backbone2.bias": torch.zeros(1)}, tmp_path / "x.pt")
    rename = rename if "nothing" in rename or "bais" in str(rename) else {**rename, "module.backbone": "backbone"}
    with pytest.raises(error):
        nnw.diff(made(), tmp_path / "x.pt", rename=rename)


def refused(net, file, **how):
    with pytest.raises(nnw.NNWidgetsError) as caught:
        nnw.load(net, file, **how)
    return caught.value.hint


def test_a_file_that_has_all_of_the_model_several_times_says_under_which_entries(tmp_path):
    file = tmp_path / "x.pt"
    averaged = {name: each + 1 for name, each in made().state_dict().items()}
    torch.save({**prefixed(made().state_dict(), "net."), **prefixed(averaged, "ema.")}, file)
    entries = re.findall(r"entry='(.*?)'", refused(made(), file))
    assert entries == ["net", "ema"]
    net = made()
    nnw.load(net, file, entry=entries[1])
    assert torch.equal(net.state_dict()["fc.weight"], averaged["fc.weight"])


class Tied(nn.Module):
    def __init__(self, *, is_tied=True):
        super().__init__()
        self.words, self.head = nn.Embedding(6, 4), nn.Linear(4, 6, bias=False)
        if is_tied:
            self.head.weight = self.words.weight


def test_names_of_one_tensor_with_two_values_in_the_file_load_as_the_hint_says(tmp_path):
    source, net = Tied(is_tied=False), Tied()
    torch.save(source.state_dict(), tmp_path / "x.pt")
    hint = refused(net, tmp_path / "x.pt")
    rename = eval(re.search(r"with rename=(.*)\.$", hint)[1], {"re": re})  # noqa: S307 - what the user is told to pass
    nnw.load(net, tmp_path / "x.pt", strict=False, rename=rename)
    assert torch.equal(net.words.weight, source.words.weight)
    assert net.head.weight is net.words.weight


def test_a_rename_the_wrong_way_round_is_said_to_be_and_the_other_way_loads(tmp_path):
    torch.save({"a.weight": torch.rand(3, 2), "bias": torch.rand(3)}, tmp_path / "x.pt")
    hint = refused(nn.Linear(2, 3), tmp_path / "x.pt", rename={"weight": "a.weight"})
    assert hint == "Renames go from names in the file to paths in the model: {'a.weight': 'weight'}."
    assert nnw.load(nn.Linear(2, 3), tmp_path / "x.pt", rename={"a.weight": "weight"}).n_loaded == 2


def test_a_rename_of_nothing_in_the_file_leads_to_what_lists_the_file(tmp_path):
    torch.save(made().state_dict(), tmp_path / "x.pt")
    assert refused(made(), tmp_path / "x.pt", rename={"zzzz.": ""}) == "peek(file) lists them."


@pytest.mark.filterwarnings("ignore")
def test_a_quantized_module_and_a_float_file_are_told_apart_both_ways(tmp_path):
    def quantized():
        return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)), {nn.Linear})

    net = nn.Sequential(nn.Linear(4, 3))
    torch.save(net.state_dict(), tmp_path / "float.pt")
    torch.save(quantized().state_dict(), tmp_path / "quantized.pt")
    assert "A file of the float model goes into the float model" in refused(quantized(), tmp_path / "float.pt")
    assert "0.scale and 1 more" not in refused(net, tmp_path / "quantized.pt")
    assert "0.scale in the file is of a quantized module" in refused(net, tmp_path / "quantized.pt")
    assert nnw.load(net, tmp_path / "float.pt").n_loaded == 2
    assert nnw.load(quantized(), tmp_path / "quantized.pt").n_loaded


def test_a_weight_that_the_model_computes_is_to_be_loaded_before_it_does(tmp_path):
    net = nn.Sequential(nn.Linear(4, 3))
    torch.save(net.state_dict(), tmp_path / "x.pt")
    computed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)))
    assert "load before the parametrization is put on" in refused(computed, tmp_path / "x.pt")
