"""The code of a load gives the same bits with torch alone."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

import nnwidgets as nnw
from tests.support.loaded_models import Tied, bits, mlp, run, same


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


def test_ties_that_a_torch_file_has_are_loaded_and_the_code_is_equal(tmp_path):
    net, other, copy = Tied(), Tied(), Tied()
    torch.save(net.state_dict(), tmp_path / "x.pt")
    report = nnw.load(other, tmp_path / "x.pt")
    assert torch.equal(other.wte.weight, net.wte.weight)
    run(report.to_code(), net=copy)
    assert torch.equal(copy.head.weight, net.wte.weight)
