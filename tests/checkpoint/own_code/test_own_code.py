"""Modules with code of their own for state dicts: what torch's ``save`` and ``load_state_dict`` mean, made safe."""

from __future__ import annotations

import io
from collections import deque

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.own_code.parts import own_code_in
from nnwidgets.introspect import LiveModel
from tests.support.model_state import attributes, unchanged
from tests.support.saved_files import same
from tests.support.stacks import needs_torch
from tests.support.stateful_modules import (
    Grown,
    Replaced,
    Seen,
    Turned,
    Words,
    old_weight_norm,
    with_load_post_hook,
    with_load_pre_hook,
)
from tests.support.zoo import ZOO


def run(code, **names):
    exec(code, names)  # noqa: S102 - it is what the user would paste


class Failing(nn.Module):
    """Its loading changes much, then raises."""

    def __init__(self, part, how):
        super().__init__()
        self.part, self.how, self.seen = part, how, {"a": [1, 2]}
        self.register_buffer("table", torch.randn(4))
        if how == "hook after":
            self.register_load_state_dict_post_hook(self.fail)
        elif how == "hook before":
            self._register_load_state_dict_pre_hook(self.fail, with_module=True)  # torch 2.4 has no public one

    def fail(self, *_):
        self.seen["a"].append(3)
        self.seen["b"] = 1
        self.table.mul_(2)
        self.table = torch.zeros(2)
        self.new = torch.zeros(1)
        self.part.weight.data.fill_(7)
        self.part.bias = None
        raise ValueError("no")

    def get_extra_state(self):
        return {"x": 1}

    def set_extra_state(self, _):
        if self.how == "extra state":
            self.fail()

    def _load_from_state_dict(self, *given):
        super()._load_from_state_dict(*given)
        if self.how == "override":
            self.fail()


@pytest.mark.parametrize("how", ["hook before", "hook after", "extra state", "override"])
def test_code_that_raises_half_way_leaves_the_model_as_it_was(how, tmp_path):
    net = nn.Sequential(nn.Linear(2, 2), Failing(nn.Linear(2, 2), how), nn.Linear(2, 2))
    torch.save({name: each if isinstance(each, dict) else each + 1 for name, each in net.state_dict().items()},
               tmp_path / "net.pt")  # fmt: skip
    before = attributes(net)
    with pytest.raises(nnw.errors.CheckpointMismatchError, match=r"1 \(Failing: .* raised ValueError: no") as raised:
        nnw.load(net, tmp_path / "net.pt")
    assert raised.value.path == "1"
    assert unchanged(net, before)
    assert net[1].seen == {"a": [1, 2]}
    assert not hasattr(net[1], "new")


def test_a_plan_names_modules_with_code_of_their_own_and_runs_none_of_it(tmp_path):
    net = nn.Sequential(nn.Linear(2, 2), Turned())
    nnw.save(net, tmp_path / "net.pt")

    def never(*_):
        raise AssertionError("it was run")

    net[1]._save_to_state_dict = net[1]._load_from_state_dict = never
    net[1].register_load_state_dict_post_hook(never)
    plan = nnw.plan(net, tmp_path / "net.pt")
    assert {entry.path: entry.status for entry in plan.entries} == {
        "0.weight": "match", "0.bias": "match", "1.w": "own_code"
    }  # fmt: skip
    assert "1 (Turned: " in plan.warnings[0]
    nnw.peek(tmp_path / "net.pt")
    nnw.tree(net)


def test_extra_state_is_part_of_the_plan_and_its_lack_is_refused(tmp_path):
    net = Words("a")
    nnw.save(net, tmp_path / "net.pt")
    entry = next(each for each in nnw.plan(net, tmp_path / "net.pt").entries if each.path == "_extra_state")
    assert (entry.source, entry.status) == ("_extra_state", "own_code")
    torch.save(net.layer.state_dict(prefix="layer."), tmp_path / "without.pt")
    before = attributes(net)
    with pytest.raises(nnw.errors.CheckpointMismatchError, match=r"1 missing \(_extra_state\)"):
        nnw.load(net, tmp_path / "without.pt")
    assert unchanged(net, before)
    report = nnw.load(net, tmp_path / "without.pt", strict=False)
    assert any("left _extra_state" in text for text in report.warnings)


def test_a_rename_reaches_code_of_its_own_with_the_versions_of_its_modules(tmp_path):
    net = nn.Sequential(with_load_pre_hook(), nn.utils.spectral_norm(nn.Linear(3, 4)))
    torch.save(nn.ModuleDict({"module": net}).state_dict(), tmp_path / "net.pt")
    other, replayed = (nn.Sequential(with_load_pre_hook(), nn.utils.spectral_norm(nn.Linear(3, 4))) for _ in range(2))
    report = nnw.load(other, tmp_path / "net.pt", rename={"module.": ""})
    assert same(dict(other.state_dict()), dict(net.state_dict()))
    run(report.to_code("net"), net=replayed)
    assert same(dict(replayed.state_dict()), dict(net.state_dict()))


def test_renames_that_lead_to_code_of_its_own_are_suggested(tmp_path):
    net, other = (nn.Sequential(with_load_pre_hook(), nn.Linear(3, 2)) for _ in range(2))
    torch.save(nn.ModuleDict({"module": net}).state_dict(), tmp_path / "net.pt")
    plan = nnw.plan(other, tmp_path / "net.pt")
    assert plan.renames["module.0.weight"] == "0.weight"
    assert nnw.load(other, tmp_path / "net.pt", rename=plan.renames).verified
    assert same(dict(other.state_dict()), dict(net.state_dict()))


def test_a_file_of_old_weight_norm_loads_into_the_new(tmp_path):
    old = old_weight_norm()
    torch.save(old.state_dict(), tmp_path / "old.pt")
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)))
    nnw.load(net, tmp_path / "old.pt")
    x = torch.randn(2, 3)
    assert torch.equal(net(x), old(x))


def test_names_left_over_are_refused_and_left_with_strict_false(tmp_path):
    net = nn.Sequential(with_load_pre_hook(), nn.Linear(2, 2))
    state = dict(net.state_dict())
    state["0.more"] = torch.zeros(1)
    del state["0.bias"]
    torch.save(state, tmp_path / "net.pt")
    before = attributes(net)
    with pytest.raises(nnw.errors.CheckpointMismatchError, match=r"1 missing \(0.bias\); 1 unexpected \(0.more\)"):
        nnw.load(net, tmp_path / "net.pt")
    assert unchanged(net, before)
    report = nnw.load(net, tmp_path / "net.pt", strict=False)
    assert report.n_loaded == 3
    run(report.to_code("net"), net=net)
    torch.save({"0.elsewhere": torch.zeros(1)}, tmp_path / "none.pt")
    with pytest.raises(nnw.errors.CheckpointMismatchError):
        nnw.load(nn.Sequential(with_load_pre_hook()), tmp_path / "none.pt", strict=False)


def test_extra_state_of_another_value_is_a_difference(tmp_path):
    net = Words("a")
    nnw.save(net, tmp_path / "net.pt")
    assert nnw.diff(tmp_path / "net.pt", net).is_equal
    net.words.append("b")
    found = nnw.diff(tmp_path / "net.pt", net)
    assert [(each.path, each.kind, each.dtypes) for each in found.changed] == [
        ("_extra_state", "values", ("dict", "dict"))
    ]
    torch.save(net.layer.state_dict(prefix="layer."), tmp_path / "without.pt")
    assert nnw.diff(tmp_path / "without.pt", net).added == ("_extra_state",)


def test_an_interrupt_in_code_of_its_own_leaves_the_model_as_it_was(tmp_path):
    net = nn.Sequential(nn.Linear(2, 2), Words("a"), Grown(2))
    nnw.save(nn.Sequential(nn.Linear(2, 2), Words("b"), Grown(3)), tmp_path / "net.pt")
    before = attributes(net)

    def interrupt(*_):
        raise KeyboardInterrupt

    hook = net[2].register_load_state_dict_post_hook(interrupt)
    before = attributes(net)
    with pytest.raises(KeyboardInterrupt):
        nnw.load(net, tmp_path / "net.pt")
    assert unchanged(net, before)
    hook.remove()


class Odd:
    """A class that a file may name, and nobody may make."""


@needs_torch("serialization.safe_globals")
def test_extra_state_of_a_class_that_is_not_read_is_refused_by_name(tmp_path):
    net = Words("a")
    state = net.state_dict()
    state["_extra_state"] = {"words": [Odd()]}
    torch.save(state, tmp_path / "net.pt")
    before = attributes(net)
    with (
        torch.serialization.safe_globals([Odd]),
        pytest.raises(nnw.errors.CheckpointMismatchError, match="Odd") as raised,
    ):
        nnw.load(net, tmp_path / "net.pt")
    assert raised.value.path == "_extra_state"
    assert unchanged(net, before)


def test_extra_state_that_is_only_described_is_not_compared(tmp_path):
    net = Words("a")
    net.words = [deque([1])]
    torch.save(net.state_dict(), tmp_path / "net.pt")
    found = nnw.diff(tmp_path / "net.pt", net)
    assert not found.is_equal
    assert found.changed[0].dtypes == ("collections.deque (not read)", "dict")
    assert "not compared: collections.deque (not read)" in str(found)


def test_arrays_in_extra_state_reach_it_as_arrays(tmp_path):
    net, other = Words(), Words()
    net.words = [np.arange(3.0), np.float32([1, 2])]
    torch.save(net.state_dict(), tmp_path / "net.pt")
    assert nnw.load(other, tmp_path / "net.pt").verified
    assert [type(each) for each in other.words] == [np.ndarray, np.ndarray]
    assert all(map(np.array_equal, other.words, net.words))
    assert nnw.diff(tmp_path / "net.pt", net).is_equal
    net.words[1][0] = 7
    assert not nnw.diff(tmp_path / "net.pt", net).is_equal


def test_arrays_in_place_of_weights_reach_it_as_tensors(tmp_path):
    net = nn.Sequential(with_load_post_hook())
    wanted = {name: each.clone() + 1 for name, each in net.state_dict().items()}
    torch.save({name: each.numpy() for name, each in wanted.items()}, tmp_path / "net.pt")
    assert nnw.load(net, tmp_path / "net.pt").verified
    assert same(dict(net.state_dict()), wanted)


def test_bytes_that_extra_state_wraps_are_described_and_named(tmp_path):
    net = Words("a")
    net.words = [io.BytesIO(b"abc")]
    torch.save(net.state_dict(), tmp_path / "net.pt")
    assert nnw.peek(tmp_path / "net.pt").names == ("layer.weight", "layer.bias")
    with pytest.raises(nnw.CheckpointMismatchError, match=r"holds a _io\.BytesIO, which isn't read"):
        nnw.load(net, tmp_path / "net.pt")
    with pytest.raises(nnw.SaveError) as raised:
        nnw.save(net, tmp_path / "ours.pt")
    assert raised.value.hint == "Save its getvalue(). Nothing was changed."


def test_codes_of_a_quantized_module_are_not_told_to_be_without_their_scale(tmp_path):
    kind = ZOO["quantized statically"]
    torch.save(kind.make().state_dict(), tmp_path / "net.pt")
    for net in (kind.fresh(), nn.Sequential(nn.Linear(1, 1))):
        assert [text for text in nnw.plan(net, tmp_path / "net.pt").warnings if "codes" in text] == []
    net = nn.Sequential(nn.Identity(), nn.Conv2d(3, 4, 3))
    reasons = {each.path: each.reason for each in nnw.plan(net, tmp_path / "net.pt").entries}
    assert reasons["1.weight"].startswith("1.weight in the file is quantized (qint8)"), "its scale is in itself"


def test_versions_that_are_no_plain_dicts_reach_no_code(tmp_path):
    given = []
    net = nn.Sequential(with_load_pre_hook(), nn.Linear(2, 2))
    net[0]._register_load_state_dict_pre_hook(lambda _, __, metadata, *___: given.append(metadata))
    state = net.state_dict()
    state._metadata["0"] = {"version": [1]}
    torch.save(state, tmp_path / "net.pt")
    nnw.load(net, tmp_path / "net.pt")
    state._metadata["0"] = {"version": 7}
    torch.save(state, tmp_path / "net.pt")
    nnw.load(net, tmp_path / "net.pt")
    assert given == [{}, {"version": 7}]


def test_a_partial_load_of_nothing_is_refused_where_code_of_its_own_has_all_names(tmp_path):
    torch.save({"elsewhere": torch.zeros(1)}, tmp_path / "net.pt")
    with pytest.raises(nnw.errors.CheckpointMismatchError):
        nnw.load(nn.Sequential(with_load_pre_hook()), tmp_path / "net.pt", strict=False)


def test_ten_thousand_modules_with_extra_state_take_time_in_proportion():
    net = nn.Sequential(*(Seen() for _ in range(10_000)))
    assert len(own_code_in(LiveModel(net).scan)) == 10_000
    shared = nn.ModuleList([net, nn.ModuleDict({"again": net})])
    assert len(own_code_in(LiveModel(shared).scan)) == 20_000


def test_a_safetensors_file_says_that_it_holds_no_extra_state(tmp_path):
    with pytest.raises(nnw.errors.SaveError, match="extra state"):
        nnw.save(Words("a"), tmp_path / "net.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_names_left_out_of_a_safetensors_file_reach_code_of_its_own(tmp_path):
    net = nn.Sequential(with_load_pre_hook(), nn.Linear(2, 3))
    net[1].weight = net[0].weight
    tied = nn.ModuleList([net])
    tied[0].register_load_state_dict_post_hook(lambda *_: None)
    nnw.save(tied, tmp_path / "net.safetensors")
    assert nnw.diff(tied, tmp_path / "net.safetensors").is_equal
    before = attributes(tied)
    assert nnw.load(tied, tmp_path / "net.safetensors").verified
    assert unchanged(tied, before)
    save_file({"0.0.weight": net[0].weight.detach(), "0.0.bias": net[0].bias.detach(),
               "0.1.bias": net[1].bias.detach()}, tmp_path / "other.safetensors")  # fmt: skip
    assert nnw.load(tied, tmp_path / "other.safetensors").verified


def test_undo_asks_before_it_takes_back_what_other_code_set_since(tmp_path):
    net = nn.Sequential(Replaced(3))
    nnw.save(net, tmp_path / "net.pt")
    nnw.load(net, tmp_path / "net.pt")
    net[0].table = torch.ones(3)
    with pytest.raises(nnw.errors.ChangedSinceError, match=r"^0 was changed"):
        nnw.undo(net)
    net.eval()
    nnw.undo(net, force=True)
    assert not net[0].training, "what else was set stays"


@pytest.fixture
def one_process():
    """A group of this process alone."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without its distributed part")
@pytest.mark.parametrize("use_orig_params", [False, True])
@pytest.mark.parametrize("is_below", [False, True])
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("one_process")
def test_a_flat_parameter_is_saved_loaded_undone_and_trained_on(use_orig_params, is_below, tmp_path):
    from torch.distributed.fsdp import FullyShardedDataParallel

    def made():
        inner = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
        net = FullyShardedDataParallel(inner, device_id=torch.device("cpu"), use_orig_params=use_orig_params)
        return nn.Sequential(net, nn.Linear(2, 2)) if is_below else net

    def state(net):
        return {name: each.clone() for name, each in net.state_dict().items()}

    def train(net):
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        net(torch.ones(2, 4)).sum().backward()
        optimizer.step()

    net, other = made(), made()
    nnw.save(net, tmp_path / "net.pt")
    before = state(other)
    statuses = {entry.source: entry.status for entry in nnw.plan(other, tmp_path / "net.pt").entries}
    prefix = "0." if is_below else ""
    assert statuses[f"{prefix}0.weight"] == "own_code"
    assert dict(nnw.plan(other, tmp_path / "net.pt").renames) == {}, "its own code renames"
    assert nnw.load(other, tmp_path / "net.pt").verified
    assert same(state(other), state(net))
    assert nnw.diff(tmp_path / "net.pt", other).is_equal
    nnw.undo(other)
    assert same(state(other), before)
    nnw.redo(other)
    assert same(state(other), state(net))
    train(other)
    assert not same(state(other), state(net))
    with pytest.raises(nnw.errors.ChangedSinceError):
        nnw.undo(other)
    before = state(other)
    inner = next(each for each in other.modules() if type(each) is nn.Linear)
    hook = inner.register_load_state_dict_post_hook(lambda *_: 1 / 0)
    with pytest.raises(nnw.errors.CheckpointMismatchError, match="ZeroDivisionError"):
        nnw.load(other, tmp_path / "net.pt")
    hook.remove()
    assert same(state(other), before)
    train(other)
    assert nnw.load(other, tmp_path / "net.pt").verified
    twins = []
    for _ in range(2):
        torch.manual_seed(1)
        twins.append(made())
    nnw.load(twins[0], tmp_path / "net.pt")
    twins[0](torch.ones(2, 4)).sum().backward()
    nnw.undo(twins[0])
    assert same(*map(state, twins)), "that FSDP prepares itself with the first load is not undone"
    train(twins[0])


def test_lazy_parameters_below_a_hook_get_their_shape_and_lose_it_again(tmp_path):
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    nnw.save(net, tmp_path / "net.pt")
    lazy = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 1))
    lazy.register_load_state_dict_post_hook(lambda *_: None)
    assert nnw.load(lazy, tmp_path / "net.pt").verified
    assert torch.equal(lazy[0].weight, net[0].weight)
    nnw.undo(lazy)
    assert type(lazy[0].weight) is nn.UninitializedParameter
    nnw.redo(lazy)
    assert torch.equal(lazy[0].weight, net[0].weight)


def test_memory_is_asked_for_before_code_of_its_own_copies_into_meta_tensors(tmp_path):
    nnw.save(Words("a"), tmp_path / "net.pt")
    with pytest.raises(nnw.InvalidTargetError, match=r"layer\.weight is on the meta device") as raised:
        nnw.load(Words("b").to("meta"), tmp_path / "net.pt")
    assert "to_empty" in raised.value.hint


@pytest.mark.parametrize("shape", [(), (1,)])
def test_one_element_goes_into_a_scalar(shape, tmp_path):
    nets = [nn.Module(), nn.Module(), nn.Module()]
    for net in nets:
        net.scale = nn.Parameter(torch.randn(()))
        net.register_buffer("count", torch.randn(()).double())
    wanted = {"scale": torch.full(shape, 2.5), "count": torch.full(shape, 7.5)}
    torch.save(wanted, tmp_path / "net.pt")
    nets[0].load_state_dict(wanted)
    assert nnw.plan(nets[1], tmp_path / "net.pt").is_complete
    report = nnw.load(nets[1], tmp_path / "net.pt")
    run(report.to_code("net"), net=nets[2])
    for net in nets[1:]:
        assert same(dict(net.state_dict()), dict(nets[0].state_dict()))
    torch.save({"scale": torch.zeros(1, 1), "count": torch.zeros(())}, tmp_path / "wide.pt")
    with pytest.raises(nnw.errors.CheckpointMismatchError, match="another shape"):
        nnw.load(nets[1], tmp_path / "wide.pt")


def test_a_growing_buffer_keeps_its_object_and_shrinks_back(tmp_path):
    net, other = Grown(5), Grown(2)
    nnw.save(net, tmp_path / "net.pt")
    buffer, old = other.lows, other.lows.clone()
    nnw.load(other, tmp_path / "net.pt")
    assert other.lows is buffer
    assert torch.equal(buffer, net.lows)
    nnw.undo(other)
    assert other.lows is buffer
    assert torch.equal(buffer, old)
