"""Loading: in place, wholly or not at all, compared with the file afterwards, undoable."""

from __future__ import annotations

import os
import weakref

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.loading.copy_tensors import PIECE_BYTES
from nnwidgets.edit import set_budget


def mlp(out="output"):
    net = nn.Module()
    net.hidden = nn.Linear(20, 256)
    setattr(net, out, nn.Linear(256, 10))
    return net


def bits(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name].view(-1).view(torch.uint8), other[name].view(-1).view(torch.uint8)) for name in one
    )


def run(code, **names):
    exec(code, names)  # noqa: S102 - it is what the user would paste


@pytest.fixture
def saved(tmp_path):
    """A file with the parameters of another mlp, and these."""
    net = mlp()
    path = tmp_path / "mlp.safetensors"
    save_file(net.state_dict(), path)
    return path, bits(net)


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


@pytest.mark.parametrize("rename", [None, {"out": "output"}])
def test_the_code_of_a_load_gives_the_same_bits(tmp_path, rename):
    other = mlp("out" if rename else "output")
    save_file(other.state_dict(), tmp_path / "x.safetensors")
    net, copy = mlp(), mlp()
    report = nnw.load(net, tmp_path / "x.safetensors", rename=rename)
    assert "nnwidgets" not in report.to_code()
    run(report.to_code(), net=copy)
    assert same(bits(net), bits(copy))
    again = mlp()
    run(nnw.history(net).to_code(), net=again)
    assert same(bits(net), bits(again))


def test_the_code_of_a_partial_load_leaves_the_rest_alone(tmp_path):
    save_file({"hidden.bias": torch.ones(256), "more": torch.zeros(1)}, tmp_path / "x.safetensors")
    net, copy = mlp(), mlp()
    copy.load_state_dict(net.state_dict())
    run(nnw.load(net, tmp_path / "x.safetensors", strict=False).to_code(), net=copy)
    assert same(bits(net), bits(copy))
    assert (copy.hidden.bias == 1).all()


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(11, 4)
        self.head = nn.Linear(4, 11, bias=False)
        self.head.weight = self.wte.weight


def test_one_name_in_the_file_loads_a_tied_weight_under_all(tmp_path):
    net = Tied()
    wanted = torch.randn(11, 4)
    save_file({"head.weight": wanted}, tmp_path / "x.safetensors")
    report = nnw.load(net, tmp_path / "x.safetensors")
    assert net.head.weight is net.wte.weight
    assert torch.equal(net.wte.weight, wanted)
    assert {entry.path: entry.status for entry in report.entries} == {"wte.weight": "tied", "head.weight": "match"}
    assert report.n_elements == 44
    assert set(report.change.paths) == {"wte.weight", "head.weight"}


def test_a_file_whose_names_disagree_on_a_tied_weight_is_refused(tmp_path):
    net = Tied()
    old = bits(net)
    save_file({"head.weight": torch.zeros(11, 4), "wte.weight": torch.ones(11, 4)}, tmp_path / "x.safetensors")
    with pytest.raises(nnw.CheckpointMismatchError, match="share memory in the model and have different values"):
        nnw.load(net, tmp_path / "x.safetensors")
    assert same(bits(net), old)
    assert not nnw.history(net).changes


def test_a_file_whose_names_agree_on_a_tied_weight_is_loaded(tmp_path):
    net = Tied()
    wanted = torch.randn(11, 4)
    save_file({"head.weight": wanted, "wte.weight": wanted.clone()}, tmp_path / "x.safetensors")
    assert nnw.load(net, tmp_path / "x.safetensors").n_loaded == 2
    assert torch.equal(net.wte.weight, wanted)


def test_a_tensor_is_not_written_over_in_part_by_one_that_overlaps_it(tmp_path):
    net, base = nn.Module(), torch.zeros(6)
    net.register_buffer("low", base[:4])
    net.register_buffer("high", base[2:])
    save_file({"low": torch.ones(4)}, tmp_path / "x.safetensors")
    with pytest.raises(nnw.CheckpointMismatchError, match="would write over a part of high"):
        nnw.load(net, tmp_path / "x.safetensors", strict=False)
    assert not base.any()
    save_file({"low": torch.ones(4), "high": torch.ones(4)}, tmp_path / "x.safetensors")
    assert nnw.load(net, tmp_path / "x.safetensors").n_elements == 8
    assert base.all()


def test_views_and_strides_of_the_model_are_kept(tmp_path):
    net = nn.Module()
    base = torch.randn(6, 5)
    net.turned = nn.Parameter(base.t()[1:])
    net.register_buffer("scalar", torch.tensor(1.5))
    net.register_buffer("nothing", torch.empty(0, 3))
    net.register_buffer("complex", torch.randn(3, 2, dtype=torch.complex64))
    net.register_buffer("bits", torch.tensor([True, False, True]))
    rest = base[:, 0].clone()
    wanted = {
        "turned": torch.randn(4, 6), "scalar": torch.tensor(2.5), "nothing": torch.empty(0, 3),
        "complex": torch.randn(3, 2, dtype=torch.complex64), "bits": torch.tensor([False, False, True]),
    }  # fmt: skip
    nnw.save(wanted, tmp_path / "x.safetensors")
    strides = net.turned.stride()
    assert nnw.load(net, tmp_path / "x.safetensors").n_loaded == 5
    for name, value in wanted.items():
        assert torch.equal(getattr(net, name), value), name
    assert net.turned.stride() == strides
    assert torch.equal(base.t()[1:], wanted["turned"])
    assert torch.equal(base[:, 0], rest), "what lies beside it in memory is left alone"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("float64", "float32"),
        ("float32", "bfloat16"),
        ("float16", "float32"),
        ("int32", "int64"),
        ("float32", "float8_e4m3fn"),
    ],
)
def test_another_dtype_is_converted_as_torch_converts_it(tmp_path, theirs, ours):
    values = (torch.randn(300, 7) * 50).to(getattr(torch, theirs))
    save_file({"x": values}, tmp_path / "x.safetensors")
    net = nn.Module()
    net.register_buffer("x", torch.zeros(300, 7).to(getattr(torch, ours)))
    report = nnw.load(net, tmp_path / "x.safetensors")
    assert [entry.status for entry in report.entries] == ["dtype_cast"]
    assert torch.equal(net.x.view(torch.uint8), values.to(net.x.dtype).view(torch.uint8))


def test_nan_and_minus_zero_arrive_bit_for_bit(tmp_path):
    values = torch.tensor([float("nan"), -0.0, float("inf"), 1.0])
    values.view(torch.int32)[0] += 12345
    save_file({"x": values}, tmp_path / "x.safetensors")
    net = nn.Module()
    net.register_buffer("x", torch.zeros(4))
    assert nnw.load(net, tmp_path / "x.safetensors").verified
    assert torch.equal(net.x.view(torch.int32), values.view(torch.int32))


def test_a_tensor_of_many_pieces_is_loaded_whole(tmp_path):
    n = PIECE_BYTES // 4 * 3 + 17
    values = {"flat": torch.randn(n), "rows": torch.randn(n // 100, 100)}
    save_file(values, tmp_path / "x.safetensors")
    net = nn.Module()
    net.register_buffer("flat", torch.zeros(n))
    net.register_buffer("rows", torch.zeros(100, n // 100).t())
    nnw.load(net, tmp_path / "x.safetensors")
    assert torch.equal(net.flat, values["flat"])
    assert torch.equal(net.rows, values["rows"])


class StopError(Exception):
    pass


def linears():
    """Three layers of half a piece each."""
    return nn.Sequential(*(nn.Linear(1, PIECE_BYTES // 8) for _ in range(3)))


def interlaced():
    """Views that begin in the middle of each other's pieces, one with gaps, one of another dtype than the file's."""
    n = PIECE_BYTES // 4
    flat = torch.randn(3 * n)
    net = nn.Module()
    net.register_buffer("whole", flat[: 2 * n])
    net.register_buffer("shifted", flat[n // 3 : n // 3 + 2 * n])
    net.register_buffer("gaps", torch.randn(2 * n)[::2])
    net.register_buffer("narrow", torch.randn(n).half())
    return net


@pytest.mark.parametrize("make", [linears, interlaced])
def test_a_load_cancelled_at_any_moment_leaves_the_model_as_it_was(tmp_path, make):
    net, other = make(), make()
    values = {name: value.float().contiguous().clone() for name, value in other.state_dict().items()}
    save_file(values, tmp_path / "x.safetensors")
    old = bits(net)
    counted = []
    nnw.load(net, tmp_path / "x.safetensors", progress=lambda done, total: counted.append((done, total)))
    assert same(bits(net), bits(other))
    nnw.undo(net)
    assert same(bits(net), old)
    assert counted[-1][0] == counted[-1][1] == max(counted)[0]
    for moment in range(len(counted)):
        seen = iter(range(moment))

        def stop(_done, _total, seen=seen):
            if next(seen, None) is None:
                raise StopError

        with pytest.raises(StopError):
            nnw.load(net, tmp_path / "x.safetensors", progress=stop)
        assert same(bits(net), old), f"stopped at {moment}"
    assert len(nnw.history(net).changes) == 0


def test_a_value_that_other_code_writes_while_it_is_loaded_refuses_the_load(tmp_path):
    net, other = linears(), linears()
    save_file(other.state_dict(), tmp_path / "x.safetensors")
    old = bits(net)
    meddled = []

    def meddle(done, total):
        if done >= total // 2 and not meddled:
            meddled.append(done)
            net[1].weight.data[-1] += 1

    with pytest.raises(nnw.CorruptCheckpointError, match=r"1\.weight isn't what .* something else wrote it"):
        nnw.load(net, tmp_path / "x.safetensors", progress=meddle)
    assert same(bits(net), old)


def test_a_file_cut_short_or_rewritten_on_the_way_leaves_the_model_as_it_was(tmp_path):
    net = nn.Sequential(*(nn.Linear(1, PIECE_BYTES // 8) for _ in range(3)))
    path = tmp_path / "x.safetensors"
    old = bits(net)
    for harm in ("cut", "rewritten"):
        save_file({name: torch.randn_like(value) for name, value in net.state_dict().items()}, path)

        def spoil(done, _total, harm=harm):
            if done and harm == "cut":
                os.truncate(path, 5_000)
            elif done:
                with path.open("r+b") as file:
                    file.seek(path.stat().st_size - 8)
                    file.write(b"\0" * 8)
                os.utime(path, ns=(1, 1))

        with pytest.raises(nnw.CorruptCheckpointError):
            nnw.load(net, path, progress=spoil)
        assert same(bits(net), old)


def test_a_model_on_the_meta_device_is_given_memory_once_the_file_is_known_good(tmp_path):
    source = Tied()
    save_file({"head.weight": source.head.weight.detach()}, tmp_path / "x.safetensors")
    with torch.device("meta"):
        net = Tied()
    weight = net.wte.weight
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(nnw.PathNotFoundError, match=r"Did you mean 'wte\.weight'"):
        nnw.load(net, tmp_path / "x.safetensors", rename={"head.weight": "wte.wieght"})
    assert net.wte.weight.is_meta
    report = nnw.load(net, tmp_path / "x.safetensors")
    assert report.n_loaded == 2
    assert net.wte.weight is weight is net.head.weight
    assert optimizer.param_groups[0]["params"][0] is net.wte.weight
    assert torch.equal(net.wte.weight, source.head.weight)
    assert net.wte.weight.requires_grad
    nnw.undo(net)
    assert net.wte.weight is weight
    assert weight.is_meta
    nnw.redo(net)
    assert torch.equal(net.head.weight, source.head.weight)


def test_a_failed_load_leaves_a_meta_model_on_the_meta_device(tmp_path):
    source = mlp()
    save_file(source.state_dict(), tmp_path / "x.safetensors")
    with torch.device("meta"):
        net = mlp()

    def stop(done, total):
        if done > total // 2:
            raise StopError

    with pytest.raises(StopError):
        nnw.load(net, tmp_path / "x.safetensors", progress=stop)
    assert all(tensor.is_meta for tensor in net.state_dict().values())


def test_an_exchange_that_fails_half_way_leaves_all_of_a_meta_model_on_the_meta_device(tmp_path):
    save_file(mlp().state_dict(), tmp_path / "x.safetensors")
    with torch.device("meta"):
        net = mlp()
    held = []

    def hold(done, total):
        if done == total:  # everything is written and compared; what follows puts it in place
            held.append(weakref.ref(net.output.bias))

    with pytest.raises(RuntimeError, match="weakref"):
        nnw.load(net, tmp_path / "x.safetensors", progress=hold)
    assert held
    assert all(tensor.is_meta for tensor in net.state_dict().values())
    assert not nnw.history(net).changes


def test_a_lazy_layer_gets_its_shape_from_the_file(tmp_path):
    source = nn.Sequential(nn.Linear(7, 3))
    save_file(source.state_dict(), tmp_path / "x.safetensors")
    net = nn.Sequential(nn.LazyLinear(3))
    nnw.load(net, tmp_path / "x.safetensors")
    x = torch.randn(2, 7)
    assert torch.equal(net(x), source(x))
    with pytest.raises(nnw.InvalidTargetError, match="can't be undone: a lazy tensor got its shape"):
        nnw.undo(net)


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


def trained(steps=3):
    torch.manual_seed(steps)
    net = mlp()
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(steps):
        adam.zero_grad()
        net.output(net.hidden(torch.randn(4, 20))).square().mean().backward()
        adam.step()
    return net, adam


def moments(net, adam):
    return {
        f"{name}.{key}": value.clone()
        for name, parameter in net.named_parameters()
        for key, value in adam.state.get(parameter, {}).items()
    }


def test_an_optimizers_state_comes_with_the_parameters_and_goes_with_undo(tmp_path):
    net, adam = trained(3)
    torch.save({"model": net.state_dict(), "optimizer": adam.state_dict(), "epoch": 3}, tmp_path / "x.pt")
    other, other_adam = trained(1)
    other_adam.param_groups[0]["lr"] = 0.5
    before, held = moments(other, other_adam), other_adam.state[other.hidden.weight]
    report = nnw.load(other, tmp_path / "x.pt", optimizer=other_adam)
    assert same(bits(other), bits(net))
    assert same(moments(other, other_adam), moments(net, adam))
    assert other_adam.param_groups[0]["lr"] == 0.01
    copy, copy_adam = trained(2)
    run(report.to_code(), net=copy, optimizer=copy_adam)
    assert same(bits(copy), bits(net))
    assert same(moments(copy, copy_adam), moments(net, adam))
    nnw.undo(other)
    assert other_adam.state[other.hidden.weight] is held
    assert same(moments(other, other_adam), before)
    assert other_adam.param_groups[0]["lr"] == 0.5
    nnw.redo(other)
    assert same(moments(other, other_adam), moments(net, adam))


def test_the_next_step_is_the_one_that_would_have_come(tmp_path):
    net, adam = trained(3)
    torch.save({"model": net.state_dict(), "optimizer": adam.state_dict()}, tmp_path / "x.pt")
    other, other_adam = trained(1)
    nnw.load(other, tmp_path / "x.pt", optimizer=other_adam)
    for one, optimizer in ((net, adam), (other, other_adam)):
        torch.manual_seed(5)
        optimizer.zero_grad()
        one.output(one.hidden(torch.randn(4, 20))).square().mean().backward()
        optimizer.step()
    assert same(bits(net), bits(other))


@pytest.mark.parametrize("which", ["kind", "count", "groups", "shapes"])
def test_an_optimizer_that_does_not_fit_is_refused_and_nothing_changes(tmp_path, which):
    net, adam = trained()
    torch.save({"model": net.state_dict(), "optimizer": adam.state_dict()}, tmp_path / "x.pt")
    other = mlp()
    parameters = list(other.parameters())
    optimizer = {
        "kind": lambda: torch.optim.SGD(parameters, lr=0.1),
        "count": lambda: torch.optim.Adam(parameters[:2]),
        "groups": lambda: torch.optim.Adam([{"params": parameters[:2]}, {"params": parameters[2:]}]),
        "shapes": lambda: torch.optim.Adam(parameters[::-1]),
    }[which]()
    old = bits(other)
    with pytest.raises(nnw.CheckpointMismatchError, match=r"optimizer|Adam's"):
        nnw.load(other, tmp_path / "x.pt", optimizer=optimizer)
    assert same(bits(other), old)
    assert not optimizer.state


def test_a_flipped_bit_in_a_torch_file_is_found_before_anything_changes(tmp_path):
    net = mlp()
    torch.save(net.state_dict(), tmp_path / "x.pt")
    data = bytearray((tmp_path / "x.pt").read_bytes())
    at = data.find(net.output.bias.detach().numpy().tobytes())
    data[at + 5] ^= 4
    (tmp_path / "x.pt").write_bytes(data)
    assert torch.load(tmp_path / "x.pt"), "torch takes it"
    other = mlp()
    old = bits(other)
    with pytest.raises(nnw.CorruptCheckpointError, match=r"output\.bias"):
        nnw.load(other, tmp_path / "x.pt")
    assert same(bits(other), old)


def test_ties_that_a_torch_file_has_are_loaded_and_the_code_is_equal(tmp_path):
    net, other, copy = Tied(), Tied(), Tied()
    torch.save(net.state_dict(), tmp_path / "x.pt")
    report = nnw.load(other, tmp_path / "x.pt")
    assert torch.equal(other.wte.weight, net.wte.weight)
    run(report.to_code(), net=copy)
    assert torch.equal(copy.head.weight, net.wte.weight)


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
