"""Values arrive bit for bit, whatever their layout; whatever comes between, the model is as it was."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets.checkpoint.loading.copy_tensors import PIECE_BYTES
from tests.support.loaded_models import StopError, bits, mlp, same


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
