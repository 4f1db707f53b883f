"""Tied and overlapping tensors are loaded as one, or the load is refused."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from tests.support.loaded_models import Tied, bits, same


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
