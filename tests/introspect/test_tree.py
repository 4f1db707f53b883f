"""A tree says what is in a model, counts each element once, and stays usable at any size."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect import LiveModel


def nest(depth):
    net = nn.Linear(1, 1)
    for _ in range(depth):
        net = nn.Sequential(net)
    return net


def test_rows_come_in_walk_order_with_torchs_names():
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()), nn.Dropout(0.1))
    tree = nnw.tree(net)
    assert [node.path for node in tree.nodes] == [name for name, _ in net.named_modules()]
    assert [entry.path for entry in tree.tensors if entry.role == "parameter"] == [n for n, _ in net.named_parameters()]
    assert [node.summary for node in tree.nodes] == ["", "2 → 3", "", "3", "", "p = 0.1"]
    assert [node.class_name for node in tree.root.children] == ["Linear", "Sequential", "Dropout"]


def test_a_tensor_entry_says_what_the_tensor_is():
    net = nn.Linear(2, 3)
    net.bias.requires_grad_(requires_grad=False)
    net.register_buffer("scratch", torch.zeros(4, dtype=torch.int64), persistent=False)
    net(torch.ones(1, 2)).sum().backward()
    weight, bias, scratch = nnw.tree(net).tensors
    assert (weight.shape, weight.dtype, weight.device, weight.layout) == ((3, 2), "float32", "cpu", "strided")
    assert (weight.role, weight.requires_grad, weight.has_grad, weight.persistent) == ("parameter", True, True, True)
    assert (weight.n_elements, weight.size_bytes, weight.class_name) == (6, 24, "Parameter")
    assert type(weight.shape) is tuple
    assert (bias.requires_grad, bias.has_grad) == (False, False)
    assert (scratch.role, scratch.persistent, scratch.dtype, scratch.size_bytes) == ("buffer", False, "int64", 32)


def test_totals_count_each_element_once():
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    net[1].weight = net[0].weight
    net[2].weight = nn.Parameter(net[0].weight.data.t()[:2], requires_grad=False)
    tree = nnw.tree(net)
    assert (tree.n_params, tree.n_params_trainable, tree.size_bytes) == (16, 16, 64)
    assert [node.n_params for node in tree.nodes] == [16, 16, 16, 8]
    assert [entry.n_counted for entry in tree.tensors] == [16, 0, 0]
    assert tree.n_params_torch == 24
    assert "0.weight" in tree.why
    assert "2.weight" in tree.why
    net, memory = nn.Module(), torch.zeros(8)
    for name, at in (("a", 4), ("b", 5), ("c", 0), ("d", 1)):
        net.register_parameter(name, nn.Parameter(memory[at : at + 2]))
    assert nnw.tree(net).why.endswith("a and b share memory; c and d share memory")  # in walk order


def test_an_expanded_parameter_has_as_many_elements_as_it_stores():
    net = nn.Module()
    net.scale = nn.Parameter(torch.ones(1).expand(50))
    tree = nnw.tree(net)
    assert (tree.n_params, tree.n_params_torch, tree.size_bytes) == (1, 50, 4)
    assert tree.find("scale").n_elements == 50
    assert "repeats" in tree.why


@pytest.mark.parametrize("seed", range(25))
def test_every_row_counts_what_torch_counts_below_it(seed):
    generator = torch.Generator().manual_seed(seed)

    def roll(n):
        return int(torch.randint(n, (), generator=generator))

    pool = [nn.Linear(1 + roll(4), 2) for _ in range(4)]
    pool[1].bias = pool[0].bias
    for _ in range(12):
        parent = nn.Module()
        for index in range(1 + roll(4)):
            parent.add_module(f"m{index}", pool[roll(len(pool))])
        pool.append(parent)
    for _ in range(2):
        pool[4 + roll(12)].add_module("back", pool[4 + roll(12)])
    tree = nnw.tree(pool[-1])
    modules = LiveModel(pool[-1]).modules
    for node in tree.nodes:
        assert node.n_params == sum(p.numel() for p in modules[node.path].parameters()), node.path


def test_deep_nests_work_in_every_way_a_tree_is_used():
    tree = nnw.tree(nest(5_000))
    assert len(tree.nodes) == 5_001
    assert tree.find(tree.nodes[-1].path + ".weight").shape == (1, 1)
    again = pickle.loads(pickle.dumps(tree))  # noqa: S301 - its own bytes
    assert again == tree
    assert hash(again) == hash(tree)
    assert again.root == tree.root
    assert copy.deepcopy(tree) == tree
    assert repr(tree.root)
    assert str(tree)
    json.dumps(tree.to_dict(), allow_nan=False)
    json.dumps(tree.root.to_dict(), allow_nan=False)
    del again, tree


def test_trees_differ_where_models_do():
    one, other = nnw.tree(nn.Sequential(nn.Linear(2, 2))), nnw.tree(nn.Sequential(nn.Linear(2, 3)))
    assert one != other
    assert one == nnw.tree(nn.Sequential(nn.Linear(2, 2)))
    assert one != 3


def test_records_are_frozen():
    tree = nnw.tree(nn.Linear(1, 1))
    for record, field in ((tree, "n_params"), (tree.root, "path"), (tree.tensors[0], "path")):
        with pytest.raises(AttributeError):
            setattr(record, field, "x")


def test_a_hundred_thousand_modules():
    net = nn.ModuleList(nn.ModuleList(nn.ReLU() for _ in range(999)) for _ in range(100))
    tree = nnw.tree(net)
    assert len(tree.nodes) == 100_001
    assert len(str(tree)) < 1_000_000


def test_find_names_the_closest_paths():
    tree = nnw.tree(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(nnw.PathNotFoundError) as raised:
        tree.find("0.wieght")
    assert raised.value.closest[0] == "0.weight"
    assert raised.value.path == "0.wieght"
    with pytest.raises(nnw.InvalidTargetError):
        tree.find(3)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (nn.Linear, "Call it first: Linear"),
        ({"0.weight": torch.zeros(1)}, "state_dict"),
        ("net", "not its name"),
        (torch.zeros(1), "stats(tensor)"),
        ([nn.ReLU()], "nn.ModuleList"),
        (torch.optim.SGD([torch.zeros(1)]), "optimizer trains"),
        (3, "An int is not"),
        (None, "A NoneType is not"),
    ],
)
def test_what_is_no_module_is_named_with_what_to_pass(value, said):
    for read in (nnw.tree, nnw.ties, LiveModel):
        with pytest.raises(nnw.InvalidTargetError) as raised:
            read(value)
        assert said in str(raised.value)


def test_hostile_names_are_cut_and_inert_in_text():
    name = "Evil\u202e\x1b[2J\n" + "x" * 50_000
    net = type(name, (nn.Module,), {})()
    net.add_module("k\u2066\x00" + "y" * 50_000, nn.ReLU())
    tree = nnw.tree(net)
    text = str(tree) + repr(tree) + repr(tree.nodes[1])
    assert len(text) < 5_000
    assert not set(text) & {"\u202e", "\u2066", "\x1b", "\x00"}
    assert len(tree.root.class_name) <= 210
