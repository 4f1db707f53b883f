"""Loading: in place, wholly or not at all, compared with the file afterwards, undoable."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.edit import set_budget
from tests.support.loaded_models import bits, mlp, run, same


def test_the_tensors_stay_the_objects_they_were(saved):
    path, wanted = saved
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters())
    before = {name: (id(tensor), tensor.data_ptr()) for name, tensor in net.named_parameters()}
    version = net.hidden.weight._version
    report = nnw.load(net, path)
    assert same(bits(net), wanted)
    assert {name: (id(tensor), tensor.data_ptr()) for name, tensor in net.named_parameters()} == before
    assert optimizer.param_groups[0]["params"][0] is net.hidden.weight
    assert net.hidden.weight._version > version, "a graph that saved it before must refuse"
    assert report.n_loaded == 4
    assert report.n_elements == sum(tensor.numel() for tensor in wanted.values())
    assert report.verified
    assert report.plan.is_exact


def test_a_load_is_a_change_that_is_logged_undone_and_redone(saved):
    path, wanted = saved
    net = mlp()
    old = bits(net)
    change = nnw.load(net, str(path)).change
    assert change.kind == "load"
    assert change.label == "load mlp.safetensors"
    assert nnw.history(net).changes == (change,)
    assert change.before["hidden.weight"].norm == pytest.approx(float(old["hidden.weight"].norm()))
    nnw.undo(net)
    assert same(bits(net), old)
    nnw.redo(net)
    assert same(bits(net), wanted)


def test_a_strict_load_that_does_not_fit_says_where_and_changes_nothing(tmp_path):
    save_file({"hidden.weight": torch.zeros(256, 21), "hidden.bias": torch.zeros(256), "head.bias": torch.zeros(10)},
              tmp_path / "x.safetensors")  # fmt: skip
    net = mlp()
    old = bits(net)
    with pytest.raises(nnw.CheckpointMismatchError) as raised:
        nnw.load(net, tmp_path / "x.safetensors")
    said = str(raised.value)
    assert "fits 1 of the model's 4 tensors" in said
    assert "hidden.weight is (256, 21) in the file and (256, 20) in the model" in said
    assert "2 missing (output.weight, output.bias)" in said
    assert "1 unexpected (head.bias)" in said
    assert same(bits(net), old)
    assert not nnw.history(net).changes


def test_what_fits_is_loaded_where_that_is_asked_for(tmp_path):
    save_file({"hidden.weight": torch.zeros(256, 21), "hidden.bias": torch.ones(256), "more": torch.zeros(1)},
              tmp_path / "x.safetensors")  # fmt: skip
    net = mlp()
    old = bits(net)
    report = nnw.load(net, tmp_path / "x.safetensors", strict=False)
    assert (net.hidden.bias == 1).all()
    assert torch.equal(net.hidden.weight, old["hidden.weight"])
    assert (report.n_loaded, report.n_elements) == (1, 256)
    assert {entry.path or entry.source: entry.status for entry in report.entries} == {
        "hidden.weight": "shape_mismatch",
        "hidden.bias": "match",
        "output.weight": "missing",
        "output.bias": "missing",
        "more": "unexpected",
    }


def test_a_load_that_would_load_nothing_is_an_error_however_lenient(tmp_path):
    save_file({"module.a": torch.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(nnw.CheckpointMismatchError, match="fits 0 of the model's 4 tensors"):
        nnw.load(mlp(), tmp_path / "x.safetensors", strict=False)


def test_a_rename_loads_what_is_called_otherwise(tmp_path):
    old = mlp("out")
    save_file(old.state_dict(), tmp_path / "x.safetensors")
    net = mlp("output")
    with pytest.raises(nnw.CheckpointMismatchError, match=r"It would fit with 2 renames, such as out\."):
        nnw.load(net, tmp_path / "x.safetensors")
    report = nnw.load(net, tmp_path / "x.safetensors", rename={"out": "output"})
    assert torch.equal(net.output.weight, old.out.weight)
    assert report.n_loaded == 4
    nnw.undo(net)
    nnw.load(net, tmp_path / "x.safetensors", rename=nnw.plan(net, tmp_path / "x.safetensors").renames)
    assert torch.equal(net.output.bias, old.out.bias)


def test_a_load_beyond_the_undo_budget_is_made_and_says_that_it_cannot_be_undone(saved):
    path, wanted = saved
    net = mlp()
    set_budget(net, 1_000)
    report = nnw.load(net, path)
    assert same(bits(net), wanted)
    assert any("can't be undone" in warning for warning in report.warnings)
    with pytest.raises(nnw.InvalidTargetError, match="can't be undone"):
        nnw.undo(net)


def test_an_optimizer_that_keeps_moments_of_the_old_values_is_told(saved):
    path, _ = saved
    net = mlp()
    adam = torch.optim.Adam(net.parameters())
    net.output(net.hidden(torch.randn(2, 20))).sum().backward()
    adam.step()
    report = nnw.load(net, path)
    assert not report.warnings
    file = path.parent / "noopt.safetensors"
    os.link(path, file)
    with pytest.raises(nnw.CheckpointMismatchError, match="holds no optimizer's state"):
        nnw.load(net, file, optimizer=adam)


def test_what_is_no_model_or_no_file_is_said(saved, tmp_path):
    path, _ = saved
    with pytest.raises(nnw.InvalidTargetError):
        nnw.load([1], path)
    with pytest.raises(nnw.PathNotFoundError, match=r"Did you mean 'mlp\.safetensors'"):
        nnw.load(mlp(), tmp_path / "mpl.safetensors")


def test_counters_that_older_files_lack_are_let_pass_as_torch_does(tmp_path):
    source, net, plain = (
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.BatchNorm1d(4))) for _ in "abc"
    )
    source[1].running_mean.fill_(3.0)
    state = {name: tensor for name, tensor in source.state_dict().items() if "num_batches" not in name}
    save_file(state, tmp_path / "old.safetensors")
    plain.load_state_dict(state)
    net[1].num_batches_tracked.fill_(7)
    plan = nnw.plan(net, tmp_path / "old.safetensors")
    assert plan.is_complete
    assert plan.kept == ("1.num_batches_tracked", "2.0.num_batches_tracked")
    report = nnw.load(net, tmp_path / "old.safetensors")
    assert report.n_loaded == len(state)
    assert any("num_batches_tracked and 1 more" in warning for warning in report.warnings)
    assert net[1].num_batches_tracked == 7
    assert torch.equal(net[1].running_mean, plain[1].running_mean)
    run(report.to_code(), net=plain)
    assert all(torch.equal(plain.state_dict()[name], tensor) for name, tensor in state.items())


def test_a_counter_without_its_statistics_is_missing_all_the_same(tmp_path):
    net = nn.Sequential(nn.BatchNorm1d(4))
    state = {name: tensor for name, tensor in net.state_dict().items() if name in ("0.weight", "0.bias")}
    save_file(state, tmp_path / "old.safetensors")
    with pytest.raises(nnw.CheckpointMismatchError, match="3 missing"):
        nnw.load(net, tmp_path / "old.safetensors")


@pytest.mark.parametrize("name", ["[CLS]", 'a"b', "b]", "a[3m"])
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_names_that_paths_write_in_brackets_are_those_of_the_state_dict(name, ending, tmp_path):
    def made():
        net = nn.Module()
        net.heads = nn.ModuleDict({name: nn.Linear(2, 3), "other": nn.BatchNorm1d(2)})
        return net

    source, net, again = made(), made(), made()
    file = tmp_path / f"net.{ending}"
    nnw.save(source, file)
    plan = nnw.plan(net, file)
    assert (plan.is_exact, dict(plan.renames), dict(plan.rename)) == (True, {}, {})
    report = nnw.load(net, file)
    assert all(torch.equal(each, source.state_dict()[key]) for key, each in net.state_dict().items())
    assert nnw.diff(source, file).is_equal
    assert nnw.diff(net, source).is_equal
    exec(report.to_code(), {"net": again})  # noqa: S102 - what the user would paste
    assert nnw.diff(again, file).is_equal
