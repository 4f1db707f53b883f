"""`snapshot`: what a model was, in memory, as a side of `diff` and as a column of `stats`."""

from __future__ import annotations

import gc
import json
import math
import weakref

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.edit import set_budget
from nnwidgets.errors import InvalidTargetError


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


N_BYTES = 4 * (12 + 3 + 3 + 3 + 3 + 3 + 6 + 2) + 8


def train(net):
    with torch.no_grad():
        net[0].weight[0, 0] += 1.0
        net[2].bias.mul_(2.0)


def test_a_mark_is_compared_as_a_file_of_that_moment_would_be(net, tmp_path):
    mark = nnw.snapshot(net)
    nnw.save(net, tmp_path / "then.pt")
    assert nnw.diff(mark, net).is_equal
    assert nnw.diff(net, mark).is_equal
    train(net)
    for ours, files in (
        (nnw.diff(mark, net), nnw.diff(tmp_path / "then.pt", net)),
        (nnw.diff(net, mark), nnw.diff(net, tmp_path / "then.pt")),
    ):
        assert ours.changed == files.changed
        assert [each.path for each in ours.changed] == ["0.weight", "2.bias"]
        assert ours.equal == files.equal
    assert nnw.diff(mark, tmp_path / "then.pt").is_equal
    later = nnw.snapshot(net)
    assert nnw.diff(mark, later).changed == nnw.diff(mark, net).changed


def test_it_is_a_copy_and_holds_nothing_of_the_model(net):
    mark = nnw.snapshot(net)
    gone = weakref.ref(net[0].weight)
    net[0] = nn.Linear(4, 3)
    gc.collect()
    assert gone() is None
    assert [each.path for each in nnw.diff(mark, net).changed] == ["0.weight", "0.bias"]


def test_digests_alone_tell_what_moved_and_the_norms_but_not_by_how_much(net):
    mark = nnw.snapshot(net, values=False)
    assert mark.size_bytes == 16 * 9
    assert nnw.diff(mark, net).is_equal
    assert nnw.diff(mark, nnw.snapshot(net)).is_equal
    was = net[2].bias.norm().item()
    train(net)
    for found in (nnw.diff(mark, net), nnw.diff(mark, nnw.snapshot(net, values=False))):
        assert [each.path for each in found.changed] == ["0.weight", "2.bias"]
        assert found.changed[1].n_different is found.changed[1].relative_norm is None
        assert found.changed[1].note == f"another digest; norm {was:.6g} → {2 * was:.6g}"
        assert "another digest" in str(found)


@pytest.mark.parametrize("values", [True, False])
def test_bits_that_numbers_hide_are_told(values):
    held = nn.Module()
    held.register_buffer("x", torch.tensor([0.0, math.nan]))
    mark = nnw.snapshot(held, values=values)
    assert nnw.diff(mark, held).is_equal
    held.x[0] = -0.0
    assert not nnw.diff(mark, held).is_equal


@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.t(),
        lambda x: x[:, ::2],
        lambda x: x.to_sparse(),
        lambda x: torch.complex(x, x),
        lambda x: torch.complex(x, x).conj(),
        lambda x: x.bfloat16(),
        lambda x: x > 0,
        lambda x: x[:0],
        lambda x: x[0, 0],
        lambda x: x.repeat(1000, 300),
        lambda x: torch.quantize_per_tensor(x, 0.1, 3, torch.qint8),
    ],
)
def test_every_kind_of_tensor_equals_its_mark_until_it_is_written(make, values):
    held = nn.Module()
    tensor = make(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))
    held.register_buffer("x", tensor)
    mark = nnw.snapshot(held, values=values)
    assert nnw.diff(mark, held).is_equal
    if tensor.numel():
        held.x = ~tensor if tensor.dtype is torch.bool else make(torch.ones(6, 4) * 5)
        assert [each.path for each in nnw.diff(mark, held).changed] == ["x"]


def test_what_it_takes_is_told_and_counted_once_for_tied_tensors(net):
    net.again = nn.Linear(4, 3)
    net.again.weight, net.again.bias = net[0].weight, net[0].bias
    mark = nnw.snapshot(net)
    assert mark.size_bytes == N_BYTES
    assert mark.n_tensors == 11
    assert f"{N_BYTES} B" in repr(mark)
    assert nnw.history(net).marked_bytes == N_BYTES
    del mark
    assert nnw.history(net).marked_bytes == 0


def test_copies_beyond_the_undo_budget_are_refused_and_digests_fit(net):
    set_budget(net, N_BYTES + 10)
    mark = nnw.snapshot(net)
    with pytest.raises(InvalidTargetError, match=r"takes 148 B beside 148 B of other marks.*values=False"):
        nnw.snapshot(net)
    assert nnw.snapshot(net, values=False).n_tensors == mark.n_tensors
    del mark
    assert nnw.snapshot(net).has_values


def test_undo_copies_that_do_not_fit_beside_a_mark_are_dropped(net):
    nnw.init(net, "0.weight", "zeros_")
    set_budget(net, N_BYTES + 20)
    mark = nnw.snapshot(net)
    history = nnw.history(net)
    assert (history.n_dropped, history.kept_bytes, history.marked_bytes) == (1, 0, mark.size_bytes)
    assert "marks: 148 B" in repr(history)


def test_a_model_that_was_wrapped_or_changed_since_says_so_for_each_tensor(net):
    mark = nnw.snapshot(net)
    wrapped = nn.ModuleDict({"module": net})
    net[2] = nn.Linear(3, 5)
    net.extra = nn.Linear(2, 2)
    moved = mark.moved(wrapped)
    assert moved["module.0.weight"] == (0.0, "0.weight in the mark")
    assert moved["module.2.weight"][0] is None
    assert moved["module.extra.weight"] == (None, "not in the mark")
    moved = mark.moved(net)
    assert moved["2.weight"] == (None, "2 × 3 in the mark")
    net.bfloat16()
    assert mark.moved(net)["0.weight"].said == "float32 in the mark"
    assert 0 < mark.moved(net)["0.weight"].by < 0.01


def test_stats_have_what_moved_as_a_column(net):
    mark, norm = nnw.snapshot(net), net[0].weight.norm().item()
    assert {row.moved for row in nnw.stats(net, since=mark) if row.role == "parameter"} == {0.0}
    train(net)
    table = nnw.stats(net, "Linear", since=mark)
    expected = {"0.weight": 1 / norm, "0.bias": 0.0, "2.weight": 0.0, "2.bias": 1.0}
    assert {row.path: row.moved for row in table} == pytest.approx(expected, rel=1e-4)
    assert [row.path for row in table.sort("moved")][2:] == ["0.bias", "2.weight"]
    assert "moved" in str(table).splitlines()[0]
    digests = nnw.snapshot(net, values=False)
    train(net)
    (row,) = nnw.stats(net, "2.bias", since=digests)
    assert row.moved is None
    assert row.note.startswith("another digest")


def test_what_cannot_be_read_is_left_out_and_named():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta"), nn.LazyLinear(3))
    mark = nnw.snapshot(net)
    assert mark.n_tensors == 2
    assert set(mark.unread) == {"1.weight", "1.bias", "2.weight", "2.bias"}
    assert "meta" in mark.unread["1.weight"]
    assert mark.moved(net)["0.weight"] == (0.0, "")
    assert json.loads(json.dumps(mark.to_dict()))["n_tensors"] == 2


def test_no_code_of_the_model_runs():
    class Own(nn.Linear):
        def state_dict(self, *_args, **_kwargs):
            raise AssertionError("it was asked")

        def _save_to_state_dict(self, *_args, **_kwargs):
            raise AssertionError("it was asked")

    net = Own(2, 2)
    mark = nnw.snapshot(net)
    assert nnw.diff(mark, net).is_equal
    assert nnw.diff(net, mark).is_equal
    assert mark.moved(net)["weight"].by == 0.0


def test_what_is_no_model_is_refused():
    with pytest.raises(InvalidTargetError):
        nnw.snapshot({"x": torch.ones(2)})


def test_two_models_are_two_sides(net):
    other = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    found = nnw.diff(net, other)
    assert {each.path for each in found.changed} == {"0.weight", "0.bias", "2.weight", "2.bias"}
