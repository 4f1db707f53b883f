"""Which state dict of a file is meant: told by names and shapes, named by ``entry``, or refused."""

from __future__ import annotations

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.records import StateDictEntry


def generator():
    return nn.Sequential(nn.Linear(2, 3))


def discriminator():
    return nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 1))


def state():
    """A discriminator's, of new numbers."""
    return {name: tensor.detach().clone() for name, tensor in discriminator().state_dict().items()}


def below(name, held):
    return {f"{name}.{key}": tensor for key, tensor in held.items()}


def is_loaded(net, held):
    return all(torch.equal(tensor, held[name]) for name, tensor in net.state_dict().items())


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(3, 5), nn.Linear(5, 1)


def halves(held):
    """A discriminator's state dict, in two."""
    return ({name: each for name, each in held.items() if name[0] == digit} for digit in "01")


# What is in a file beside and around a state dict, and where that is then said to be.
PLACES = {
    "generator beside discriminator": (lambda d: {"generator": generator().state_dict(), "net": d, "iter": 3}, "net"),
    "an average beside the weights": (lambda d: {"model_ema": state(), "model": d}, "model"),
    "the average first, in capitals": (lambda d: {"netD_EMA": state(), "netD": d}, "netD"),
    "an average in the state dict": (lambda d: {**d, "ema": state()}, ""),
    "gradients beside the weights": (lambda d: {"grads": state(), "params": d}, "params"),
    "moments beside the weights": (lambda d: {"exp_avg": state(), "exp_avg_sq": state(), "master": d}, "master"),
    "a generator's state beside it": (lambda d: {"rng_state": torch.get_rng_state(), "model": d}, "model"),
    "one level down, beside arguments": (lambda d: {"model": {"args": {"n": 1}, "state_dict": d}}, "model.state_dict"),
    "four levels down": (lambda d: {"a": {"b": {"c": {"d": d}}}}, "a.b.c.d"),
    "in a list": (lambda d: {"models": [generator().state_dict(), d]}, "models[1]"),
    "under a number": (lambda d: {0: generator().state_dict(), 1: d}, "[1]"),
    "by its precision": (lambda d: {"fp16": {name: each.half() for name, each in d.items()}, "fp32": d}, "fp32"),
    "by all that it has and no more": (lambda d: {"more": {**d, "x": torch.ones(2)}, "just": d}, "just"),
    "one of which part is missing": (lambda d: {"part": dict(list(d.items())[:3]), "all": d}, "all"),
    "the same tensors twice": (lambda d: {"best": d, "state_dict": dict(d)}, "best"),
    "a much larger one beside it": (lambda d: {"vgg": nn.Linear(100, 100).state_dict(), "net": d}, "net"),
    "beside an optimizer's": (
        lambda d: {"optimizer": torch.optim.SGD(generator().parameters()).state_dict(), "net": d}, "net",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PLACES)
def test_the_one_that_fits_is_taken_whatever_it_is_called(case, tmp_path):
    make, place = PLACES[case]
    held, net, again = state(), discriminator(), discriminator()
    torch.save(make(held), tmp_path / "x.pt")
    plan = nnw.plan(net, tmp_path / "x.pt")
    assert plan.entry.name == place
    assert plan.entry.why
    assert plan.is_exact
    report = nnw.load(net, tmp_path / "x.pt")
    assert is_loaded(net, held)
    exec(report.to_code(), {"net": again})  # noqa: S102 - what the user would paste
    assert is_loaded(again, held)
    assert nnw.diff(tmp_path / "x.pt", net).is_equal


# State dicts that are a `Pair` together, from those of its halves.
TOGETHER = {
    "each under its name": lambda e, d: {"encoder": e, "decoder": d, "epoch": 1},
    "each under its name, an average beside": lambda e, d: {
        "encoder": e, "decoder": d, "ema_encoder": {name: each + 1 for name, each in e.items()},
    },
    "one level down": lambda e, d: {"model": {"encoder": e, "decoder": d}, "rank": 0},
    "with their whole names": lambda e, d: {"first": below("encoder", e), "second": below("decoder", d)},
    "one whole, one under its name": lambda e, d: {"backbone": below("encoder", e), "decoder": d},
    "parameters and buffers": lambda e, d: {
        "params": {**below("encoder", e), "decoder.weight": d["weight"]}, "buffers": {"decoder.bias": d["bias"]},
    },
    "all nested": lambda e, d: {"net": {"encoder": e, "decoder": {"weight": d["weight"], "bias": d["bias"]}}},
}  # fmt: skip


@pytest.mark.parametrize("case", TOGETHER)
def test_several_that_are_the_model_together(case, tmp_path):
    source, net, again = Pair(), Pair(), Pair()
    torch.save(TOGETHER[case](source.encoder.state_dict(), source.decoder.state_dict()), tmp_path / "x.pt")
    report = nnw.load(net, tmp_path / "x.pt")
    assert is_loaded(net, source.state_dict())
    assert report.plan.is_exact
    exec(report.to_code(), {"net": again})  # noqa: S102 - what the user would paste
    assert is_loaded(again, source.state_dict())


def test_a_nested_state_dict_fits_at_the_level_whose_names_are_the_models(tmp_path):
    deep = {"model": {"language_model": {"output": nn.Linear(2, 3).state_dict()}}}
    torch.save(deep, tmp_path / "x.pt")
    names = {}
    for inside in ("", "output", "language_model.output", "model.language_model.output"):
        net = nn.Linear(2, 3)
        for part in reversed([each for each in inside.split(".") if each]):
            net = nn.ModuleDict({part: net})
        names[inside] = nnw.plan(net, tmp_path / "x.pt").entry.name
        assert nnw.load(net, tmp_path / "x.pt").n_loaded == 2
    assert list(names.values()) == ["model.language_model.output", "model.language_model", "model", ""]


def test_a_distributed_checkpoint_of_an_application(tmp_path):
    source, net = discriminator(), discriminator()
    everything = {"app": {"model": source.state_dict(), "optim": {}}, "step": 7}
    dcp.save(everything, checkpoint_id=tmp_path / "dcp")
    report = nnw.load(net, tmp_path / "dcp")
    assert report.plan.entry.name == "app.model"
    assert is_loaded(net, source.state_dict())
    again = discriminator()
    exec(report.to_code(), {"net": again})  # noqa: S102 - what the user would paste
    assert is_loaded(again, source.state_dict())


@pytest.mark.parametrize("names", [("online", "target"), ("student", "teacher"), ("ema_0.9", "ema_0.99")])
def test_two_that_fit_equally_are_both_named_and_nothing_is_loaded(names, tmp_path):
    net = discriminator()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    torch.save(dict.fromkeys(names) | {name: state() for name in names}, tmp_path / "x.pt")
    for call in (nnw.plan, nnw.load, nnw.diff):
        with pytest.raises(nnw.CheckpointMismatchError, match="4 by name") as caught:
            call(net, tmp_path / "x.pt")
        assert all(repr(name) in str(caught.value) for name in names)
        assert f"entry={names[0]!r}" in caught.value.hint
    assert is_loaded(net, before)
    # Each of them can be asked for, and listed.
    assert [each.name for each in nnw.peek(tmp_path / "x.pt").entries] == list(names)
    assert nnw.load(net, tmp_path / "x.pt", entry=names[1]).plan.entry.name == names[1]


def test_shapes_alone_tell_when_names_are_others(tmp_path):
    renamed = {name.replace("0.", "first.").replace("1.", "last."): each for name, each in state().items()}
    torch.save({"big": nn.Linear(50, 50).state_dict(), "d": renamed}, tmp_path / "x.pt")
    plan = nnw.plan(discriminator(), tmp_path / "x.pt")
    assert plan.entry.name == "d"
    assert "by shape, none by name" in plan.entry.why
    assert set(plan.renames.values()) == set(state())


def test_a_prefix_of_either_side_is_no_hindrance(tmp_path):
    torch.save({"other": nn.Linear(50, 50).state_dict(), "net": below("module", state())}, tmp_path / "x.pt")
    plan = nnw.plan(discriminator(), tmp_path / "x.pt")
    assert plan.entry.name == "net"
    assert "'module.'" in plan.entry.why
    assert nnw.load(discriminator(), tmp_path / "x.pt", rename=plan.renames).n_loaded == 4
    torch.save({"other": nn.Linear(50, 50).state_dict(), "net": state()}, tmp_path / "x.pt")
    wrapped = nn.ModuleDict({"module": discriminator()})
    assert nnw.plan(wrapped, tmp_path / "x.pt").entry.name == "net"


def test_where_none_fits_the_plan_says_so(tmp_path):
    torch.save({"a": nn.Linear(7, 7).state_dict(), "b": nn.Linear(9, 9).state_dict()}, tmp_path / "x.pt")
    plan = nnw.plan(discriminator(), tmp_path / "x.pt")
    assert "no state dict in the file fits" in plan.entry.why
    assert plan.counts == {"missing": 4, "unexpected": 2}
    with pytest.raises(nnw.CheckpointMismatchError):
        nnw.load(discriminator(), tmp_path / "x.pt")


def test_with_less_than_half_of_the_model_the_one_that_has_most_is_shown(tmp_path):
    first = {"0.weight": torch.zeros(5, 3)}
    torch.save({"junk": nn.Linear(50, 50).state_dict(), "part": first}, tmp_path / "x.pt")
    assert nnw.plan(discriminator(), tmp_path / "x.pt").entry.name == "part"
    torch.save({"a": first, "b": {"0.weight": torch.ones(5, 3)}}, tmp_path / "x.pt")
    plan = nnw.plan(discriminator(), tmp_path / "x.pt")
    assert "half of the model" in plan.entry.why
    assert plan.counts["missing"] == 3


def test_entry_chooses(tmp_path):
    raw, average = state(), state()
    torch.save({"model": raw, "ema": {"model": average}}, tmp_path / "x.pt")
    net = discriminator()
    for entry, held in (("ema.model", average), ("model", raw), ("ema", average)):
        if entry == "ema":
            with pytest.raises(nnw.CheckpointMismatchError):
                nnw.load(net, tmp_path / "x.pt", entry=entry)  # its names begin with model.
            continue
        report = nnw.load(net, tmp_path / "x.pt", entry=entry)
        assert is_loaded(net, held)
        assert str(report.plan.entry) == f"{entry!r}: asked for"
        assert nnw.diff(tmp_path / "x.pt", net, entry=entry).is_equal
        again = discriminator()
        exec(report.to_code(), {"net": again})  # noqa: S102 - what the user would paste
        assert is_loaded(again, held)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_entry_may_be_what_names_begin_with(suffix, tmp_path):
    held = state()
    flat = {**below("generator", generator().state_dict()), **below("discriminator", held)}
    nnw.save(flat, tmp_path / f"x.{suffix}")
    net, again = discriminator(), discriminator()
    with pytest.raises(nnw.CheckpointMismatchError) as caught:
        nnw.load(net, tmp_path / f"x.{suffix}")
    assert "entry='discriminator'" in caught.value.hint
    report = nnw.load(net, tmp_path / f"x.{suffix}", entry="discriminator")
    assert is_loaded(net, held)
    exec(report.to_code(), {"net": again})  # noqa: S102 - what the user would paste
    assert is_loaded(again, held)


def test_an_entry_that_is_not_there_is_told_with_the_closest(tmp_path):
    torch.save(
        {"model": state(), "model_ema": state(), "optimizer": {"state": {}, "param_groups": []}}, tmp_path / "x.pt"
    )
    net = discriminator()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for call in (nnw.plan, nnw.load, nnw.diff):
        with pytest.raises(
            nnw.PathNotFoundError, match=r"holds no state dict at 'modle_ema'; it has 'model'"
        ) as caught:
            call(net, tmp_path / "x.pt", entry="modle_ema")
        assert "model_ema" in caught.value.closest
        with pytest.raises(nnw.PathNotFoundError):
            call(net, tmp_path / "x.pt", entry="optimizer")
        with pytest.raises(nnw.InvalidTargetError, match="entry is 3"):
            call(net, tmp_path / "x.pt", entry=3)
    with pytest.raises(nnw.InvalidTargetError, match="neither side"):
        nnw.diff(net, net, entry="model")
    assert is_loaded(net, before)


def test_peek_lists_them_with_what_they_hold(tmp_path):
    adam = torch.optim.Adam(discriminator().parameters())
    torch.save(
        {"g": generator().state_dict(), "nested": {"d": state(), "note": "x"}, "optimizer": adam.state_dict(), "n": 1},
        tmp_path / "x.pt",
    )
    index = nnw.peek(tmp_path / "x.pt")
    assert index.entries == (StateDictEntry("g", 2, 9), StateDictEntry("nested.d", 4, 26))
    assert index.to_dict()["entries"][0] == {"name": "g", "n_tensors": 2, "n_elements": 9, "why": ""}
    assert index.state_dict == "nested.d"
    assert not index.departures
    torch.save(state(), tmp_path / "x.pt")
    assert [each.name for each in nnw.peek(tmp_path / "x.pt").entries] == [""]


def test_a_comparison_of_two_files_takes_the_same_from_both(tmp_path):
    one, other = {"g": generator().state_dict(), "d": state()}, {"x": state(), "d": state()}
    torch.save(one, tmp_path / "a.pt")
    torch.save(other, tmp_path / "b.pt")
    torch.save(one["d"], tmp_path / "plain.pt")
    assert nnw.diff(tmp_path / "a.pt", tmp_path / "plain.pt").is_equal
    assert nnw.diff(tmp_path / "plain.pt", tmp_path / "a.pt").is_equal
    found = nnw.diff(tmp_path / "a.pt", tmp_path / "b.pt")
    assert (found.a, found.b) == ("a.pt['d']", "b.pt['d']")
    assert len(nnw.diff(tmp_path / "a.pt", tmp_path / "plain.pt", entry="g").removed) == 0
    assert not nnw.diff(tmp_path / "a.pt", tmp_path / "plain.pt", entry="g").is_equal


def test_what_else_is_in_the_state_dict_is_no_optimizer_and_no_other_state_dict(tmp_path):
    torch.save(
        {**state(), "epoch": 3, "optimizers": [{"state": {}, "param_groups": []}], "ema": state()}, tmp_path / "x.pt"
    )
    warnings = " ".join(nnw.plan(discriminator(), tmp_path / "x.pt").warnings)
    assert "epoch in the file is no tensor" in warnings
    assert "optimizers" not in warnings
    assert "'ema'" in warnings


@pytest.mark.parametrize("n", [10, 10_000])
def test_many_small_ones_are_one_model(n, tmp_path):
    net = nn.Module()
    for index in range(n // 2):
        net.add_module(f"d{index}", nn.Linear(1, 1))
    nested = {"params": {f"d{index}": {"weight": torch.ones(1, 1), "bias": torch.ones(1)} for index in range(n // 2)}}
    torch.save(nested, tmp_path / "x.pt")
    plan = nnw.plan(net, tmp_path / "x.pt")
    assert plan.entry.name == "params"
    assert plan.is_exact


def test_names_are_inert_where_they_are_shown(tmp_path):
    name = "<script>\x1b[31m\n" + "x" * 500
    torch.save({name: state(), "b": state()}, tmp_path / "x.pt")
    with pytest.raises(nnw.CheckpointMismatchError) as caught:
        nnw.load(discriminator(), tmp_path / "x.pt")
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 900
    assert nnw.load(discriminator(), tmp_path / "x.pt", entry=name).n_loaded == 4
