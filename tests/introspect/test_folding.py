"""Like siblings fold; siblings that differ anywhere below don't."""

from __future__ import annotations

import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect.module_tree.folding import Alikes, fold, short_label


def block(width=2):
    return nn.Sequential(nn.Linear(2, width), nn.ReLU())


def labels(net):
    tree = nnw.tree(net)
    return [run.label for run in Alikes(tree).fold(tree.root.children)]


def test_three_like_siblings_fold_and_two_do_not():
    assert labels(nn.Sequential(block(), block(), block())) == ["0 … 2"]
    assert labels(nn.Sequential(block(), block())) == ["0", "1"]


def test_a_difference_far_below_breaks_the_run():
    net = nn.Sequential(*[block() for _ in range(4)], block(3), *[block() for _ in range(3)])
    assert labels(net) == ["0 … 3", "4", "5 … 7"]
    net[1][0].register_buffer("extra", torch.zeros(1))
    assert labels(net) == ["0", "1", "2", "3", "4", "5 … 7"]


def test_labels_name_the_list_below_the_root():
    net = nn.Module()
    net.add_module("h", nn.ModuleList(block() for _ in range(12)))
    tree = nnw.tree(net)
    (run,) = fold(tree.find("h").children)
    assert (run.label, len(run.nodes), run.is_folded) == ("h.0 … h.11", 12, True)
    assert short_label("transformer.h.3") == "h.3"


def test_aliases_are_not_folded():
    shared = nn.ReLU()
    assert labels(nn.Sequential(shared, shared, shared, shared)) == ["0", "1", "2", "3"]
