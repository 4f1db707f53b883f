"""Every kind of module and tensor there is, read without harm: each shows, or shows why it can't."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect import get
from tests.support.dtensors import Shard, distribute_tensor


def problems(tree):
    return {node.path: node.problem for node in tree.nodes if node.problem} | {
        entry.path: entry.problem for entry in tree.tensors if entry.problem
    }


def test_keys_that_are_modules_are_written_by_position():
    class MySequential(nn.Module):
        def __init__(self, *blocks):
            super().__init__()
            for block in blocks:
                self._modules[block] = block

    net = nn.Sequential()
    net.add_module("block", MySequential(nn.Linear(2, 3), nn.ReLU()))
    tree = nnw.tree(net)
    assert [node.path for node in tree.nodes] == ["", "block", "block[0]", "block[1]"]
    assert tree.find("block[0].weight").shape == (3, 2)
    assert tree.nodes[2].key is get(net, "block[0]")
    assert tree.n_params_torch is None
    assert "not a string" in tree.why


def test_odd_string_keys_are_quoted():
    net = nn.Module()
    net._modules["a.b"] = nn.Linear(1, 1)
    net._modules[""] = nn.Linear(1, 1)
    net._modules['q"]'] = nn.ReLU()
    tree = nnw.tree(net)
    assert [node.path for node in tree.nodes] == ["", '["a.b"]', '[""]', '["q\\"]"]']
    for node in tree.nodes:
        assert tree.find(node.path) is node
        assert get(net, node.path) is not None
    assert get(net, '["a.b"].weight') is net._modules["a.b"].weight


def test_lazy_modules_stay_lazy():
    net = nn.Sequential(nn.LazyLinear(10), nn.LazyBatchNorm1d())
    tree = nnw.tree(net)
    weight = tree.find("0.weight")
    assert (weight.shape, weight.n_elements, weight.class_name) == (None, 0, "UninitializedParameter")
    assert tree.nodes[1].summary == "? → 10"
    assert net[0].has_uninitialized_params()
    assert tree.n_params_torch is None
    assert "no shape yet" in tree.why


def test_meta_tensors_have_shapes_and_no_ties():
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        net.append(nn.Linear(4, 4))
    net[2].weight = net[0].weight
    net[1].weight = nn.Parameter(net[0].weight.data)
    tree = nnw.tree(net)
    assert tree.n_params == 16 + 4 + 16 + 4 + 4
    assert [(group.kind, group.members) for group in tree.ties] == [("object", ("0.weight", "2.weight"))]
    assert not problems(tree)


def test_quantized_sparse_complex_float8_and_mkldnn_tensors():
    net = nn.Module()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.q = torch.quantize_per_tensor(torch.zeros(3, 2), 0.1, 0, torch.qint8)
        net.csr = torch.eye(3).to_sparse_csr()
        net.nested = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
        net.jagged = torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(3, 3)], layout=torch.jagged)
    net.coo = nn.Parameter(torch.eye(3).to_sparse())
    net.c = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    net.f8 = torch.zeros(4).to(torch.float8_e4m3fn)
    net.opaque = torch.zeros(3).to_mkldnn()
    tree = nnw.tree(net)
    by_path = {entry.path: entry for entry in tree.tensors}
    assert set(by_path) == {"q", "csr", "nested", "jagged", "coo", "c", "f8", "opaque"}
    assert (by_path["q"].dtype, by_path["q"].shape, by_path["q"].size_bytes) == ("qint8", (3, 2), 6)
    assert (by_path["coo"].layout, by_path["coo"].shape, by_path["coo"].size_bytes) == ("sparse_coo", (3, 3), 60)
    assert (by_path["csr"].layout, by_path["csr"].shape) == ("sparse_csr", (3, 3))
    assert (by_path["c"].dtype, by_path["c"].size_bytes) == ("complex64", 16)
    assert (by_path["f8"].dtype, by_path["f8"].size_bytes) == ("float8_e4m3fn", 4)
    assert by_path["opaque"].shape == (3,)
    assert by_path["nested"].shape is None
    assert by_path["nested"].problem
    assert by_path["jagged"].shape is None
    assert "shapes of their own" in by_path["jagged"].problem
    assert not tree.ties


def test_packed_quantized_modules_show_their_packed_weights():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = torch.ao.quantization.quantize_dynamic(
            nn.Sequential(nn.Linear(2, 3), nn.LSTM(2, 3)), {nn.Linear, nn.LSTM}
        )
    tree = nnw.tree(net)
    assert "packed" in tree.find("0._packed_params._packed_params").problem
    assert tree.nodes[1].summary == "2 → 3"


@pytest.mark.parametrize("how", ["script", "trace"])
def test_scripted_and_traced_modules(how):
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Linear(3, 1))).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.script(net) if how == "script" else torch.jit.trace(net, torch.zeros(1, 2))
    tree = nnw.tree(made)
    assert [node.path for node in tree.nodes] == ["", "0", "1", "2", "2.0"]
    assert {entry.path for entry in tree.tensors} == set(dict(net.state_dict()))
    assert tree.n_params == sum(p.numel() for p in net.parameters())
    assert tree.root.training is False
    assert get(made, "2.0.weight").shape == (1, 3)
    assert not problems(tree)


def test_compiled_modules_are_read_without_compiling():
    net = nn.Sequential(nn.Linear(2, 3))
    tree = nnw.tree(torch.compile(net))
    assert [node.path for node in tree.nodes] == ["", "_orig_mod", "_orig_mod.0"]
    assert tree.n_params == 9
    assert not problems(tree)


def test_parametrizations_show_their_originals():
    net = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
    tree = nnw.tree(net)
    assert tree.find("parametrizations.weight.original0").shape == (3, 1)
    assert tree.n_params == sum(p.numel() for p in net.parameters())


def test_views_of_one_flat_parameter_are_not_tied():
    flat = torch.zeros(30)
    net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 4, bias=False))
    net[0].weight = nn.Parameter(flat[:6].view(3, 2))
    net[1].weight = nn.Parameter(flat[6:18].view(4, 3))
    assert nnw.ties(net) == ()


def test_freed_storage_is_said_and_never_read():
    net = nn.Linear(100, 100)
    net.weight.untyped_storage().resize_(0)
    net.part = torch.zeros(64)[8:]
    net.part.untyped_storage().resize_(0)
    tree = nnw.tree(net)
    assert "freed" in tree.find("weight").problem
    assert "freed" in tree.find("part").problem
    assert tree.find("bias").problem is None
    assert tree.ties == ()


def test_empty_slots_and_none_children_are_left_out():
    net = nn.Linear(2, 2, bias=False)
    net.register_buffer("nothing", None)
    net.register_module("later", None)
    tree = nnw.tree(net)
    assert [entry.path for entry in tree.tensors] == ["weight"]
    assert len(tree.nodes) == 1


def test_a_module_without_super_init_is_one_row_with_its_reason():
    class Forgot(nn.Module):
        def __init__(self):
            self.x = 3

    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    net._modules["1"] = Forgot()
    tree = nnw.tree(net)
    assert "super().__init__" in tree.find("1").problem
    assert tree.n_params == 2
    assert "super().__init__" in nnw.tree(Forgot()).root.problem


def test_broken_registries_are_said_and_the_rest_shows():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU())
    net[0].__dict__["_modules"] = [nn.ReLU()]
    del net[1].__dict__["_buffers"]
    net[2].__dict__["_parameters"] = None
    net._modules["3"] = 7
    tree = nnw.tree(net)
    assert "list" in tree.find("0").problem
    assert tree.find("0.weight").shape == (2, 2)
    assert "_buffers" in tree.find("1").problem
    assert tree.find("1.weight").shape == (2, 2)
    assert "NoneType" in tree.find("2").problem
    assert tree.find("3").problem == "not a module: int"
    assert tree.n_params == 12


def test_what_has_all_that_a_module_has_but_its_class_is_no_module():
    class Likeness:
        pass

    like = Likeness()
    like.__dict__.update(nn.Linear(2, 2).__dict__)
    net = nn.Sequential(nn.ReLU())
    net._modules["1"] = like
    assert nnw.tree(net).find("1").problem == "not a module: Likeness"
    assert not nnw.tree(net).tensors


def test_a_slot_that_holds_no_tensor_is_said():
    net = nn.Linear(2, 2)
    net._parameters["extra"] = "text"
    assert nnw.tree(net).find("extra").problem == "not a tensor: str"


def test_unregistered_tensors_at_attributes_lists_and_dicts():
    net = nn.Linear(2, 2)
    net.plain = torch.zeros(3)
    net.__dict__["hidden"] = nn.Parameter(torch.zeros(2))
    net.listed = [torch.zeros(1), "text", torch.zeros(2)]
    net.named = {"k": torch.zeros(4), 7: torch.zeros(5), "a.b": torch.zeros(6)}
    tree = nnw.tree(net)
    found = {entry.path: entry.role for entry in tree.tensors if entry.role == "unregistered"}
    assert set(found) == {
        "plain", "hidden", "listed[0]", "listed[2]", 'named["k"]', "named[1]", 'named["a.b"]',
    }  # fmt: skip
    for path in found:
        assert isinstance(get(net, path), torch.Tensor)
    assert tree.n_params == 6
    assert tree.size_bytes == 4 * (6 + 3 + 2 + 1 + 2 + 4 + 5 + 6)


def test_a_list_of_registered_parameters_is_no_further_name():
    lstm = nn.LSTM(2, 3)
    tree = nnw.tree(lstm)
    assert {entry.role for entry in tree.tensors} == {"parameter"}
    assert tree.ties == ()


def test_cycles_and_aliases():
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    net[1].add_module("up", net)
    net.add_module("again", net[0])
    tree = nnw.tree(net)
    kinds = {node.path: (node.kind, node.alias_of) for node in tree.nodes if node.kind != "module"}
    assert kinds == {"1.up": ("cycle", ""), "again": ("alias", "0")}
    assert tree.find("again.weight").path == "again.weight"
    assert tree.find("1.up.1.up.0.weight").shape == (2, 2)
    assert tree.n_params == 6
    assert tree.find("again").n_params == 6
    assert {group.members for group in tree.ties} == {("0.weight", "again.weight"), ("0.bias", "again.bias")}


def test_dtensors_are_read_like_tensors():
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        net = nn.Linear(4, 6, bias=False)
        net.weight = nn.Parameter(distribute_tensor(net.weight.data, mesh, [Shard(0)]))
        local = net.weight.data.to_local()
        net.local = local
        tree = nnw.tree(net)
        entry = tree.find("weight")
        assert (entry.shape, entry.dtype, entry.problem) == ((6, 4), "float32", None)
        assert "DTensor" in entry.class_name or "Parameter" in entry.class_name
        assert [group.members for group in tree.ties] == [("weight", "local")]
    finally:
        dist.destroy_process_group()
