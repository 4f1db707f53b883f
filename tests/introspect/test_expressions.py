"""Python for a path: whatever the names, running it gives the very thing; wide models cost one look at each module."""

import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect.module_tree import expressions
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter
from nnwidgets.introspect.safe_access.lookup import LiveModel


class Text(str):
    __slots__ = ()


def strange():
    net = nn.Module()
    net.blocks = nn.ModuleList([nn.Linear(2, 2), nn.ReLU()])
    net.named = nn.ModuleDict({"a b": nn.Linear(2, 2), "other": nn.ReLU()})
    net.forward_ = nn.Sequential(nn.Linear(2, 2))
    for key in ("class", "with.dot", 'quo"te', "", "training", 7, Text("sub")):
        net._modules[key] = nn.Linear(2, 2)
    net._parameters["none"] = None
    net._parameters[3] = nn.Parameter(torch.ones(2))
    net._parameters["x y"] = nn.Parameter(torch.ones(2))
    net._buffers["gone"] = None
    net._buffers[4] = torch.zeros(2)
    net._buffers["mean"] = torch.zeros(2)
    net.row = nn.Sequential(nn.ReLU(), nn.ReLU())
    net.row.add_module("block 1", nn.Linear(2, 2))
    net.row.add_module("head", nn.Linear(2, 2))
    net.row._modules[nn.ReLU()] = nn.Linear(2, 2)
    net._parameters["no parameter"] = torch.ones(2)
    net.kept = [torch.ones(1), {"k": torch.ones(1), 5: torch.ones(1)}]
    return net


def test_the_code_of_every_path_gives_what_is_at_it():
    net = strange()
    writer = ExpressionWriter(net, "net")
    for path, value in (LiveModel(net).modules | LiveModel(net).tensors).items():
        code = writer.code(path)
        assert eval(code, {"net": net}) is value, (path, code)  # noqa: S307 - what a user would paste


def test_what_can_be_had_in_public_is_had_so():
    writer = ExpressionWriter(strange(), "net")
    written = {
        "row.0": "net.row[0]",
        "row.block 1.weight": "net.row[2].weight",
        "row.head.weight": "net.row.head.weight",
        "row[4].weight": "net.row[4].weight",
        "class.weight": 'net.get_submodule("class").weight',
        "x y": 'net.get_parameter("x y")',
        "no parameter": 'net._parameters["no parameter"]',
        "training.weight": 'net._modules["training"].weight',
        '["with.dot"].weight': 'net._modules["with.dot"].weight',
        "named.a b.weight": 'net.named["a b"].weight',
    }
    assert {path: writer.code(path) for path in written} == written


def test_a_fix_writes_a_row_as_its_inspector_does():
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 2))
    nn.init.constant_(net[0][0].weight, 1.0)
    (finding,) = nnw.check(net)
    assert ExpressionWriter(net, "net").code(finding.path) == "net[0][0].weight"
    assert "(net[0][0].weight)" in finding.fix


def test_each_module_is_looked_through_once_however_many_paths_lead_below_it(monkeypatch):
    n, looked = 500, []
    items = expressions.plain_items
    monkeypatch.setattr(expressions, "plain_items", lambda held: looked.append(1) or items(held))
    net = nn.ModuleList(nn.Linear(1, 1) for _ in range(n))
    writer = ExpressionWriter(net, "net")
    assert [writer.code(f"{index}.bias") for index in range(n)] == [f"net[{index}].bias" for index in range(n)]
    assert len(looked) <= 3 * (n + 1)
