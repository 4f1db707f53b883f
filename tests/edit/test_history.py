"""Undo, redo and the log: any state reached is the one before, bit for bit, and the code replays to it."""

from __future__ import annotations

import copy
import gc
import json
import threading
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import nnwidgets as nnw
from nnwidgets import edit
from nnwidgets.edit.log import log_of
from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.optimizers import optimizers_holding
from tests.support.edited_models import bits, mlp, run, tied

TARGETS = ("a.weight", "t.weight", "a.bias", "low", "high", "even", "odd", "**.bias", "Linear.weight", "plain", "b")


def _shrink(m):
    m.bias.mul_(0.5)
    m.bias.add_(torch.randn_like(m.bias))


STEPS = st.one_of(
    st.tuples(st.just("init"), st.sampled_from(TARGETS), st.sampled_from(["normal_", "uniform_", "ones_"])),
    st.tuples(
        st.just("assign"), st.sampled_from(["a.weight[0, 0]", "t.weight[:, 1]", "low", "odd[-1]", "even[..., 2]"])
    ),
    st.tuples(st.sampled_from(["freeze", "unfreeze"]), st.sampled_from(["a", "low", "**.bias"])),
    st.tuples(st.just("function"), st.sampled_from(["Linear", "a"])),
    st.tuples(st.just("reset"), st.sampled_from(["Linear", "b"])),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
)


def take(net, step, seed):
    match step:
        case ("init", target, how):
            nnw.init(net, target, how, seed=seed)
        case ("assign", target):
            nnw.assign(net, target, seed / 7)
        case ("freeze", target):
            nnw.freeze(net, target)
        case ("unfreeze", target):
            nnw.unfreeze(net, target)
        case ("function", target):
            edit.apply(net, target, _shrink, seed=seed)
        case ("reset", target):
            nnw.init(net, target, "reset", seed=seed)


def replica():
    """`tied` again: the same bits, and the same ties."""
    return tied()


@settings(max_examples=60)
@given(st.lists(STEPS, min_size=1, max_size=9))
def test_any_sequence_of_changes_undo_and_redo_is_exact_and_its_code_replays(steps):
    net = tied()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    held = [[id(each) for each in group["params"]] for group in optimizer.param_groups]
    addresses = {path: tensor.data_ptr() for path, tensor in LiveModel(net).tensors.items()}
    ties = nnw.ties(net)
    states, at = [bits(net)], 0
    for seed, step in enumerate(steps):
        if step == ("undo",):
            if at:
                nnw.undo(net)
                at -= 1
        elif step == ("redo",):
            if at + 1 < len(states):
                nnw.redo(net)
                at += 1
        else:
            take(net, step, seed)
            states[at + 1 :] = [bits(net)]
            at += 1
        assert bits(net) == states[at]
    assert nnw.ties(net) == ties
    assert {path: tensor.data_ptr() for path, tensor in LiveModel(net).tensors.items()} == addresses
    assert [[id(each) for each in group["params"]] for group in optimizer.param_groups] == held
    other = replica()
    run(nnw.history(net).to_code(), net=other)
    assert bits(other) == bits(net)
    while at:
        nnw.undo(net)
        at -= 1
        assert bits(net) == states[at]


def trained():
    net = mlp()
    adam = torch.optim.Adam(net.parameters())
    for _ in range(3):
        net(torch.ones(2, 6)).sum().backward()
        adam.step()
    return net, adam


def test_stale_moments_are_told_with_numbers_and_stay_unless_cleared():
    net, adam = trained()
    change = nnw.init(net, "0.weight", "zeros", optimizer=adam)
    told = " ".join(change.warnings)
    assert "step 3" in told
    assert "exp_avg of norm" in told
    assert "exp_avg_sq of norm" in told
    assert net[0].weight in adam.state


def test_cleared_state_comes_back_with_undo_and_goes_again_with_redo():
    net, adam = trained()
    state = adam.state[net[0].weight]
    average, kept = state["exp_avg"], state["exp_avg"].clone()
    change = nnw.init(net, "0.weight", "normal_", optimizer=adam, clear_state=True, seed=1)
    assert net[0].weight not in adam.state
    assert net[0].bias in adam.state
    nnw.undo(net)
    assert adam.state[net[0].weight] is state
    assert state["exp_avg"] is average
    assert torch.equal(average, kept)
    assert state["step"] == 3
    nnw.redo(net)
    assert net[0].weight not in adam.state
    other, optimizer = trained()
    run(change.to_code(optimizer="optimizer"), net=other, optimizer=optimizer)
    assert bits(other) == bits(net)
    assert other[0].weight not in optimizer.state


def test_live_optimizers_are_found_among_any_objects():
    net, adam = trained()
    stranger = torch.optim.SGD(mlp().parameters(), lr=1)
    assert optimizers_holding(net, [None, adam, stranger, "x", adam]) == [adam]


@pytest.mark.parametrize(
    "foreign",
    [
        lambda w: w.data.add_(1),
        lambda w: w.data.neg_(),
        lambda w: w.detach().numpy().__setitem__((3, 2), 5),
        lambda w: w.data.copy_(w.data[torch.tensor([1, 0, *range(2, w.shape[0])])]),
        lambda w: w.data[-1, -1].mul_(-1),
        lambda w: w.data.view(-1)[100:164].neg_(),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(8, 6), (300, 257), (700, 514)])
def test_an_edit_by_other_code_is_noticed_and_not_undone_over(foreign, dtype, shape):
    net = nn.Module()
    net.weight = nn.Parameter(torch.randn(*shape, dtype=dtype))
    before = net.weight.detach().clone()
    nnw.init(net, "weight", "normal_", seed=2)
    written = net.weight.detach().clone()
    foreign(net.weight)
    if torch.equal(net.weight, written):
        return
    edited = bits(net)
    with pytest.raises(nnw.InvalidTargetError, match=r"weight was changed by other code.*force=True") as raised:
        nnw.undo(net)
    assert raised.value.path == "weight"
    assert bits(net) == edited
    nnw.undo(net, force=True)
    assert torch.equal(net.weight, before)
    nnw.redo(net)
    assert bits(net) == edited


def test_an_edit_that_leaves_the_bytes_is_no_edit():
    net = mlp()
    nnw.init(net, "0.weight", "normal_")
    net[0].weight.data.add_(0)
    nnw.undo(net)


def test_a_replaced_parameter_is_not_undone_into():
    net = mlp()
    nnw.init(net, "0.weight", "normal_")
    net[0].weight = nn.Parameter(torch.ones(8, 6))
    with pytest.raises(nnw.InvalidTargetError, match="another tensor now"):
        nnw.undo(net, force=True)
    assert (net[0].weight == 1).all()


def test_a_flag_changed_by_other_code_is_noticed():
    net = mlp()
    nnw.freeze(net, "0.weight")
    net[0].weight.requires_grad_(True)
    with pytest.raises(nnw.InvalidTargetError, match="changed by other code"):
        nnw.undo(net)


def test_freezing_leaves_gradients_and_says_what_it_left_out():
    net = nn.BatchNorm1d(3)
    net.weight.grad = torch.ones(3)
    change = nnw.freeze(net, ["weight", "running_mean"])
    assert not net.weight.requires_grad
    assert torch.equal(net.weight.grad, torch.ones(3))
    assert "running_mean" in change.warnings[0]
    assert nnw.freeze(tied(), "a.weight").paths == ("a.weight", "b.weight")


def test_gradients_leaves_and_references_stay():
    net, adam = trained()
    weight, gradient = net[0].weight, net[0].weight.grad
    view = weight.data.view(-1)
    nnw.init(net, "0.weight", "normal_")
    assert net[0].weight is weight
    assert weight.grad is gradient
    assert weight.is_leaf
    assert weight.requires_grad
    assert torch.equal(view, weight.data.view(-1))
    assert adam.param_groups[0]["params"][0] is weight


def test_a_graph_that_saved_the_old_value_refuses_after_a_change_and_after_undo():
    for act in (lambda net: nnw.init(net, "2.weight", "normal_"), nnw.undo):
        net = mlp()
        if act is nnw.undo:
            nnw.init(net, "2.weight", "normal_")
        out = net(torch.ones(1, 6)).sum()
        act(net)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.backward()


def test_a_new_change_clears_what_could_be_redone():
    net = mlp()
    nnw.init(net, "0.weight", "normal_")
    nnw.undo(net)
    nnw.assign(net, "0.bias", 0)
    with pytest.raises(nnw.InvalidTargetError, match="nothing to redo"):
        nnw.redo(net)
    assert [change.label for change in nnw.history(net).changes] == ["0.bias = 0"]


def test_the_budget_drops_the_oldest_copies_and_says_so():
    net = nn.Module()
    net.w = nn.Parameter(torch.randn(1000))
    edit.set_budget(net, 9_000)
    old = nnw.stats(net.w)
    for seed in range(3):
        nnw.init(net, "w", "normal_", seed=seed)
    history = nnw.history(net)
    assert (history.n_dropped, history.kept_bytes, len(history.changes)) == (1, 8_000, 3)
    assert history.changes[0].before["w"] == old
    assert "was dropped" in repr(history)
    nnw.undo(net)
    nnw.undo(net)
    with pytest.raises(nnw.InvalidTargetError, match="can't be undone any more"):
        nnw.undo(net)


def test_a_change_larger_than_the_budget_is_refused_with_the_way_out():
    net = mlp()
    before = bits(net)
    edit.set_budget(net, 10)
    with pytest.raises(nnw.InvalidTargetError, match=r"set_budget\(net, 192\)"):
        nnw.init(net, "0.weight", "zeros")
    assert bits(net) == before


def test_statistics_before_and_after_stay_right_through_undo_and_later_changes():
    net = tied()
    woven = nnw.stats(net.even)
    change = nnw.init(net, "even", "normal_", seed=1)
    new = nnw.stats(net.even)
    assert (change.before["even"], change.after["even"]) == (woven, new)
    nnw.undo(net)
    nnw.redo(net)
    nnw.init(net, "even", "zeros")
    assert (change.before["even"], change.after["even"]) == (woven, new)


def test_the_log_reads_and_is_json():
    net = mlp()
    nnw.init(net, "0.weight", "normal_", seed=7, std=0.5)
    nnw.freeze(net, "2")
    nnw.undo(net)
    text = repr(nnw.history(net))
    assert "normal_(std=0.5)" in text
    assert "seed 7" in text
    assert "undone" in text
    json.dumps(nnw.history(net).to_dict(), allow_nan=False)


def test_code_of_the_history_leaves_out_what_was_undone():
    net = mlp()
    nnw.init(net, "0.weight", "normal_", seed=7)
    nnw.assign(net, "0.bias", 1)
    nnw.undo(net)
    other = mlp()
    run(nnw.history(net).to_code("model"), model=other)
    assert bits(other) == bits(net)
    assert "bias" not in nnw.history(net).to_code()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.0, 0.1, 3, [[1.5] * 6] * 8, torch.randn(8, 6)])
def test_an_assigned_value_is_told_as_code_bit_for_bit(value):
    net, other = mlp(), mlp()
    change = nnw.assign(net, "0.weight", value)
    run(change.to_code(), net=other)
    assert bits(other) == bits(net)


@pytest.mark.parametrize(
    ("index", "same"),
    [
        ("[0, 0]", (0, 0)),
        ("[-1]", (-1,)),
        ("[1:3, ::2]", (slice(1, 3), slice(None, None, 2))),
        ("[..., -2]", (..., -2)),
        ("[2][1:]", None),
    ],
)
def test_an_index_means_what_python_means(index, same):
    net, expected = mlp(), mlp()
    nnw.assign(net, f"0.weight{index}", 42)
    with torch.no_grad():
        if same is None:
            expected[0].weight[2][1:] = 42
        else:
            expected[0].weight[same] = 42
    assert bits(net) == bits(expected)
    nnw.undo(net)
    assert bits(net) == bits(mlp())


def test_undo_of_one_element_leaves_the_users_edits_of_others():
    net = mlp()
    nnw.assign(net, "0.weight[:, 0]", 1)
    net[0].weight.data[:, 1] = 5
    nnw.undo(net)
    assert (net[0].weight[:, 1] == 5).all()
    assert torch.equal(net[0].weight[:, 0], mlp()[0].weight[:, 0])


def test_a_deleted_model_frees_its_history():
    net = mlp()
    change = nnw.init(net, "0.weight", "normal_")
    history = nnw.history(net)
    gone, undo = weakref.ref(net), weakref.ref(log_of(net).state.done[0].undo)
    del net
    gc.collect()
    assert gone() is None
    assert undo() is None
    assert change.after
    assert history.changes == (change,)


def test_a_model_whose_class_compares_and_hashes_has_a_history_of_its_own():
    class Odd(nn.Linear):
        def __eq__(self, other):
            raise AssertionError("asked")

        def __hash__(self):
            raise AssertionError("asked")

        __bool__ = __hash__

    one, two = Odd(2, 2), Odd(2, 2)
    nnw.init(one, "weight", "zeros")
    assert len(nnw.history(one).changes) == 1
    assert len(nnw.history(two).changes) == 0


def test_a_copy_of_a_model_has_no_history():
    net = mlp()
    nnw.init(net, "0.weight", "zeros")
    assert nnw.history(copy.deepcopy(net)).changes == ()


def test_changes_from_several_threads_are_all_logged():
    net = mlp()

    def work():
        for _ in range(10):
            nnw.init(net, "0.weight", "normal_")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(nnw.history(net).changes) == 40
    for _ in range(40):
        nnw.undo(net)
    assert bits(net) == bits(mlp())
