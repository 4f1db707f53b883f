"""`%nn` on a file where a model could stand: its names as a tree, its tensors, its findings, an Explorer of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.widgets import explorer
from tests.support.ipython_shell import shell
from tests.support.opened_files import opened_files


@pytest.fixture(scope="module")
def ip():
    with shell() as started:
        yield started


@pytest.fixture
def net(ip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False), nn.Linear(5, 2))
    made[1].weight = made[0].weight
    nnw.save(made, "my net.pt")
    nnw.save(made, "net.safetensors")
    return made


def test_a_file_is_a_tree_from_its_header(ip, net):
    text = ip.nn("tree net.safetensors")
    assert text.splitlines()[0].split()[:2] == ["net.safetensors", "safetensors"]
    assert "tied A" in text
    assert "meta" not in text
    assert "0.weight" not in ip.nn('tree "my net.pt" 2')
    assert "bias" in ip.nn('tree "my net.pt" 2')


def test_a_tensor_of_a_file_is_shown_with_its_numbers(ip, net):
    text = ip.nn("show net.safetensors 2.weight")
    assert f"{net[2].weight.double().norm().item():.6g}" in text
    assert "A" in ip.nn("tied net.safetensors")


def test_a_file_is_checked(ip, net):
    assert "share 80 B" in ip.nn('check "my net.pt"')
    with torch.no_grad():
        net[2].bias[0] = torch.nan
    nnw.save(net, "odd.pt")
    assert "✗ error 2.bias" in ip.nn("check odd.pt")


def test_a_file_is_explored_as_a_copy_with_values(ip, net):
    ran = ip.run("%nn net.safetensors")
    assert ran.error is None
    assert "safetensors" in ran.html[0]
    with opened_files() as opened:
        view = nnw.explore("my net.pt")
    assert opened["my net.pt"] == 1
    try:
        assert nnw.diff(view.model, net).is_equal
        nnw.init(view.model, "2.bias", "zeros_")
        assert nnw.diff("my net.pt", net).is_equal
    finally:
        view.close()


def test_of_a_large_file_the_names_alone_are_explored(net, monkeypatch):
    monkeypatch.setattr(explorer, "_MOST_READ", 100)
    view = nnw.explore("my net.pt")
    assert {each.device.type for each in view.model.parameters()} == {"meta"}
    view.close()


def test_a_variable_comes_before_a_file_of_its_name(ip, net):
    nnw.save(nn.Linear(1, 1), "mine")
    ip.variables["mine"] = net
    assert "Embedding" in ip.nn("tree mine")
    del ip.variables["mine"]
    assert "torch-zip" in ip.nn("tree mine")


def test_a_file_that_cannot_be_read_is_a_line(ip, net):
    Path("bad.pt").write_bytes(b"nothing of torch's")
    for line in ("bad.pt", "tree bad.pt", "show bad.pt", "check bad.pt"):
        assert "bad.pt is no checkpoint known here" in ip.refused(line)
    assert "No variable" in ip.refused("tree missing.pt")
    assert "No variable" in ip.refused("freeze net.safetensors 0")
