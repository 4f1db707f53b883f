"""`check` as a whole: plain models have no findings, many are few, and nothing is run or changed."""

import ast
import json
import threading

import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets.introspect.checks import data_findings, structural_findings
from nnwidgets.introspect.safe_access.scan import read
from tests.support.checked_models import MLP, MyLinear, MySequential, apply_fix, codes, mlp, only


class CenteredLayer(nn.Module):
    def forward(self, x):
        return x - x.mean()


def test_plain_models_have_no_findings():
    shared = nn.Linear(8, 8)
    nested = nn.Sequential()
    for i in range(4):
        nested.add_module(f"block {i}", nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU()))
    for net in (
        mlp(),
        MLP(),
        nn.Sequential(nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(8, 1)),
        nn.Sequential(nested, nn.Linear(4, 1)),
        CenteredLayer(),
        nn.Sequential(nn.Linear(8, 128), CenteredLayer()),
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)),
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, batch_first=True), 2),
        nn.LSTM(4, 4),
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)),
        nn.Embedding(5, 3, padding_idx=0),
    ):
        assert nnw.check(net) == ()


def test_like_findings_of_repeated_blocks_are_one_with_a_fix_for_all():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.offset = torch.zeros(2)

    net = nn.Sequential(*[Block() for _ in range(12)])
    finding = only(net, "unregistered-tensor")
    assert finding.path == "0.offset"
    assert finding.message.endswith("The same at 11 more places: 1.offset … 11.offset.")
    apply_fix(finding, net)
    assert nnw.check(net) == ()


def test_many_findings_of_a_kind_are_capped_with_one_that_counts_the_rest():
    net = nn.Module()
    for i in range(50):
        part = nn.Module()
        part.offset = torch.zeros(2)
        net.add_module(f"part{i}{'abc'[i % 3]}", part)
    found = nnw.check(net)
    assert len(found) == 20
    assert found[-1].message.startswith("And 31 more findings of this kind")


def test_the_worst_comes_first_and_everything_is_json_safe():
    net = nn.Sequential(nn.Linear(2, 2), MyLinear(2, 2), MySequential(nn.Linear(2, 2)))
    net[0].requires_grad_(False)
    found = nnw.check(net)
    assert [finding.severity for finding in found] == ["error", "warning", "warning", "note"]
    assert json.loads(json.dumps([finding.to_dict() for finding in found], allow_nan=False))[0]["code"]
    for finding in found:
        if finding.fix is not None:
            ast.parse(finding.fix)


def test_no_code_of_the_user_runs():
    class Loud(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 3))
            object.__setattr__(self, "armed", True)

        def __getattribute__(self, name):
            if object.__getattribute__(self, "__dict__").get("armed"):
                raise AssertionError(name)
            return super().__getattribute__(name)

        def __repr__(self):
            raise AssertionError

        @property
        def __class__(self):
            raise AssertionError

        def forward(self, x):
            raise AssertionError

    class Shouting(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            raise AssertionError(func)

    loud = Loud()
    object.__getattribute__(loud, "__dict__")["plain"] = torch.rand(3).as_subclass(Shouting)
    assert [(found.code, found.path) for found in nnw.check(loud)] == [
        ("unregistered-tensor", "plain"),
        ("constant-weight", "weight"),
    ]


def test_checking_changes_nothing():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.LazyLinear(2))
    state = torch.get_rng_state()
    versions = [p._version for p in net[:2].parameters()]
    nnw.check(net, optimizer=torch.optim.SGD(net[0].parameters(), lr=0.1))
    assert torch.equal(state, torch.get_rng_state())
    assert versions == [p._version for p in net[:2].parameters()]
    assert all(p.grad is None for p in net[:2].parameters())
    assert type(net[2].weight) is nn.UninitializedParameter


def test_under_inference_mode_no_grad_and_a_default_device_the_answer_is_the_same():
    net = mlp()
    nn.init.constant_(net[0].weight, 1)
    expected = nnw.check(net)
    with torch.inference_mode():
        assert nnw.check(net) == expected
    with torch.device("meta"), torch.no_grad():
        assert nnw.check(net) == expected


def test_a_model_that_changes_under_the_check_does_not_break_it():
    net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(100)])
    stop = threading.Event()

    def change():
        n = 0
        while not stop.is_set():
            n += 1
            net.add_module("extra", nn.Linear(2, 2))
            net.extra.register_buffer(f"b{n}", torch.ones(1))
            del net._modules["extra"]

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(10):
            assert all(finding.severity != "error" for finding in nnw.check(net))
    finally:
        stop.set()
        thread.join()


def test_broken_modules_are_checked_as_far_as_they_can_be_read():
    class Forgot(nn.Module):
        def __init__(self):
            self.x = 3

    net = nn.Sequential(*[nn.Linear(2, 2) for _ in range(6)])
    net[0].__dict__["_modules"] = [nn.ReLU()]
    del net[1].__dict__["_buffers"]
    net[2].__dict__["_parameters"] = None
    net._modules["3"] = 7
    net._modules["4"] = Forgot()
    net._parameters["extra"] = "text"
    net[5].plain = torch.zeros(2)
    assert ("unregistered-tensor", "warning", "5.plain") in codes(net)


def test_a_hundred_thousand_modules_on_meta_are_checked_from_one_reading():
    with torch.device("meta"):
        layer = nn.Linear(4, 4)
    net = nn.Module()
    for i in range(100):
        part = nn.Module()
        for j in range(1000):
            leaf = nn.Module()
            leaf.weight = nn.Parameter(layer.weight.detach())
            part.add_module(str(j), leaf)
        net.add_module(str(i), part)
    reading = read(net)
    assert len(reading.modules) == 100_101
    found = (*structural_findings(reading), *data_findings(reading))
    assert [(finding.code, finding.path) for finding in found] == [("uninitialized", "")]
