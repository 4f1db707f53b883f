"""What the page asks to be changed: told to every view, aimed as said, refused whole, drawn on common bins."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nnwidgets.errors import ChangedSinceError, InitializerError, InvalidTargetError
from nnwidgets.introspect import stats
from nnwidgets.server.handlers.edit import changes, init
from nnwidgets.server.handlers.edit.initializers import answer_initializers
from nnwidgets.server.handlers.edit.overlay import overlay
from nnwidgets.server.handlers.edit.target import resolve_target
from nnwidgets.server.session.session import Session
from nnwidgets.wire import dispatch


class Job(dispatch.Job):
    """A request that nobody cancels, or somebody did; what waits for its reply is done at once."""

    def __init__(self, *, cancelled=False):
        super().__init__("1", lambda *_: None)
        if cancelled:
            self.cancel()

    def after_reply(self, call):
        call()


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))


def holding(tensor):
    made = nn.Module()
    made.register_buffer("weight", tensor)
    return made


def session(model, **kwargs):
    heard = []
    made = Session(model, name="net", emit=lambda event, body: heard.append((event, body)), **kwargs)
    return made, heard


def test_a_change_in_one_view_is_told_to_every_other_of_the_same_model_and_to_no_other():
    model, other = net(), net()
    (first, told_first), (second, told_second), (third, told_third) = session(model), session(model), session(other)
    init.answer_init(first, {"path": "0.weight", "how": "normal_", "seed": 1}, Job())
    assert told_first == told_second == [("changed", {"structure": False})]
    changes.answer_freeze(second, {"path": "0"}, Job())
    assert told_first[-1] == ("changed", {"structure": True})
    assert told_third == []
    assert third.model_or_none is other


def test_a_view_that_is_forgotten_is_told_nothing_and_kept_by_nothing():
    model = net()
    (first, _), (second, told) = session(model), session(model)
    gone = weakref.ref(second)
    del second
    gc.collect()
    assert gone() is None
    changes.answer_freeze(first, {"path": "0"}, Job())
    assert told == []


def test_a_preview_gives_the_very_numbers_of_the_change():
    model = net()
    view, heard = session(model)
    body = {"path": "2.weight", "how": "kaiming_normal_", "kwargs": {"mode": "fan_out"}, "seed": 5}
    before = model[2].weight.clone()
    shown = init.answer_preview(view, body, Job())
    assert torch.equal(model[2].weight, before)
    assert heard == []
    made = init.answer_init(view, body, Job())
    assert made["tensors"][0]["after"] == shown["tensors"][0]["after"]
    assert made["tensors"][0]["overlay"] == shown["tensors"][0]["overlay"]
    assert made["tensors"][0]["after"]["std"] == pytest.approx(model[2].weight.std().item())


def test_every_tied_name_of_a_change_shows_numbers_of_its_own():
    model = net()
    model.same = model[0]
    model.turned = nn.Parameter(model[0].weight.detach().T)
    view, _ = session(model)
    body = {"path": "0.weight", "how": "normal_", "seed": 5}
    old = {path: stats(model.get_parameter(path)) for path in ("0.weight", "same.weight", "turned")}
    shown = init.answer_preview(view, body, Job())["tensors"]
    made = init.answer_init(view, body, Job())["tensors"]
    assert {each["path"] for each in made} == set(old)
    for each, previewed in zip(made, shown, strict=True):
        new = stats(model.get_parameter(each["path"]))
        assert each["before"]["std"] == pytest.approx(old[each["path"]].std)
        assert each["after"]["std"] == pytest.approx(new.std)
        assert each["overlay"] is not None
        assert previewed == each


def test_a_change_cancelled_before_it_began_is_not_made():
    model = net()
    view, heard = session(model)
    before = model[0].weight.clone()
    with pytest.raises(Exception, match="cancelled"):
        init.answer_init(view, {"path": "0.weight", "how": "normal_"}, Job(cancelled=True))
    assert torch.equal(model[0].weight, before)
    assert heard == []


def test_optimizers_passed_to_the_view_are_told_of_and_cleared():
    model = net()
    adam = torch.optim.Adam(model.parameters())
    model(torch.rand(3, 6)).sum().backward()
    adam.step()
    view, _ = session(model, optimizers=[adam])
    body = {"path": "0", "how": "normal_", "seed": 1}
    (stale,) = init.answer_preview(view, body, Job())["stale"]
    assert stale["optimizer"] == "Adam"
    assert stale["n_tensors"] == 2
    assert "exp_avg of norm" in stale["message"]
    assert "clear_state" not in stale["message"]
    reply = init.answer_init(view, {**body, "clear_state": True}, Job())
    assert reply["warnings"] == []
    assert model[0].weight not in adam.state
    assert "optimizer.state.pop(net[0].weight, None)" in reply["code"]
    changes.answer_undo(view, {}, Job())
    assert model[0].weight in adam.state


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"path": "0"}, ["0.weight", "0.bias"]),
        ({"path": "", "only": "vectors"}, ["0.bias", "2.bias"]),
        ({"path": "", "scope": "filter", "filter": "Linear.weight"}, ["0.weight", "2.weight"]),
        ({"path": "", "scope": "filter", "chips": ["frozen"]}, ["2.bias"]),
    ],
)
def test_a_target_means_what_it_says(body, paths):
    model = net()
    model[2].bias.requires_grad_(False)
    view, _ = session(model)
    assert [place.path for place in resolve_target(view, body).places] == paths


def test_a_constant_is_offered_for_a_weight_too_and_its_preview_and_change_warn():
    view, _ = session(net(), hold=True)
    refused = {
        path: {
            each["name"]: each["refused"] for each in answer_initializers(view, {"path": path}, Job())["initializers"]
        }
        for path in ("0.weight", "0.bias", "0")
    }
    assert refused["0.weight"]["zeros_"] is refused["0.bias"]["zeros_"] is None
    assert "fewer than 2 dimensions" in refused["0.bias"]["xavier_uniform_"]
    assert refused["0"]["reset"] is None
    assert "whole modules" in refused["0.weight"]["reset"]
    with pytest.raises(InitializerError, match=r"reset can't fill this\. It resets whole modules"):
        init.answer_init(view, {"path": "0.weight", "how": "reset"}, Job())
    asked = {"path": "0.weight", "how": "constant_", "kwargs": {"val": 0.5}}
    for answer in (init.answer_preview, init.answer_init):
        (warning,) = answer(view, asked, Job())["warnings"]
        assert "0.weight has the same weights" in warning
    assert set(view.module[0].weight.flatten().tolist()) == {0.5}


def test_a_reset_says_what_it_leaves():
    model = nn.Sequential(nn.Linear(2, 2), holding(torch.zeros(3)))
    model[1].own = nn.Parameter(torch.ones(3))
    view, _ = session(model)
    (warning,) = init.answer_preview(view, {"path": "", "how": "reset", "seed": 1}, Job())["warnings"]
    assert warning.startswith("1.own is as it was: no reset_parameters")


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: nn.Linear(2, 2, device="meta"), "meta"),
        (lambda: holding(torch.zeros(2, dtype=torch.int8)), "int8"),
    ],
)
def test_what_can_not_be_filled_is_told_before_anything_is_chosen(made, why):
    view, _ = session(made(), hold=True)
    assert why in answer_initializers(view, {"path": "weight"}, Job())["problem"]


def test_undo_over_other_codes_values_has_an_error_of_its_own():
    model = net()
    view, _ = session(model)
    changes.answer_assign(view, {"path": "0.bias", "index": [0], "value": "2"}, Job())
    with torch.no_grad():
        model[0].bias[0] = 3
    with pytest.raises(ChangedSinceError):
        changes.answer_undo(view, {}, Job())
    changes.answer_undo(view, {"force": True}, Job())
    assert changes.answer_history(view, {}, Job())["redo"] == "0.bias[0] = 2"


@pytest.mark.parametrize("text", ["", "x", "1,2", "[1]", "__import__('os')"])
def test_text_that_is_no_number_is_refused(text):
    with pytest.raises(InvalidTargetError, match="is no number"):
        changes.read_value(text)


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60),
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60),
)
def test_both_are_counted_on_the_same_bins(old, new):
    before, after = (stats(torch.tensor(values), bins=1024) for values in (old, new))
    made = overlay(before, after)
    assert made is not None
    edges = np.asarray(made["edges"])
    assert len(edges) == len(made["before"]) + 1 == len(made["after"]) + 1
    assert np.all(np.diff(edges) > 0)
    for shares, found in ((made["before"], before), (made["after"], after)):
        assert sum(shares) <= 1 + 1e-9
        assert sum(shares) >= 1 - 2 * 0.0025 - 1e-9
        assert min(shares) >= -1e-12
        assert found.n == len(old) or found.n == len(new)


def test_without_finite_values_there_is_nothing_to_draw():
    nothing = stats(torch.tensor([float("nan")]))
    assert overlay(nothing, nothing) is None
