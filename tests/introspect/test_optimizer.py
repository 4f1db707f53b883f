"""A model beside its optimizers: groups, who is in none or in two, what is remembered; nothing of theirs runs."""

import math

import pytest
import torch
from torch import nn

import nnwidgets as nnw


def mlp():
    return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))


def stepped(net, optimizer):
    net(torch.rand(2, 20)).sum().backward()
    optimizer.step()
    return optimizer


def by_path(table):
    return {each.path: each for each in table.parameters}


def test_groups_have_their_settings_and_what_is_in_none_or_in_several_is_named():
    net = mlp()
    net[2].bias.requires_grad_(requires_grad=False)
    elsewhere = nn.Linear(3, 3)
    adam = torch.optim.AdamW([
        {"params": [net[0].weight], "weight_decay": 0.1, "name": "decayed"},
        {"params": [net[2].weight, *elsewhere.parameters()], "lr": torch.tensor(0.5)},
    ])  # fmt: skip
    sgd = torch.optim.SGD([net[2].weight], lr=0.01, momentum=0.9)
    table = nnw.optimizer(net, [adam, sgd])
    first, second, third = table.groups
    assert (first.class_name, first.options["weight_decay"], first.options["name"]) == ("AdamW", 0.1, "decayed")
    assert (first.n_tensors, first.n_elements, first.n_others) == (1, 5120, 0)
    assert (second.options["lr"], second.n_tensors, second.n_others, table.n_others) == (0.5, 1, 2, 2)
    assert (third.optimizer, third.options["momentum"]) == (1, 0.9)
    assert (table.missing, table.repeated) == (("0.bias",), ("2.weight",))
    assert by_path(table)["2.weight"].groups == (1, 2)
    printed = str(table)
    assert "1 parameter that asks for gradients, in no group here: 0.bias" in printed
    assert "none, frozen" in printed
    assert "2 tensors in these groups aren't parameters of this model" in printed


def test_steps_and_norms_of_what_is_remembered_are_told():
    net = mlp()
    adam = stepped(net, stepped(net, torch.optim.Adam(net.parameters())))
    parameter = by_path(nnw.optimizer(net, adam))["0.weight"]
    state = adam.state[net[0].weight]
    assert parameter.step == 2
    assert [each.name for each in parameter.state] == ["exp_avg", "exp_avg_sq"]
    assert parameter.state[0].norm == pytest.approx(state["exp_avg"].norm().item())
    assert parameter.size_bytes == 2 * 5120 * 4


def test_a_tied_parameter_is_told_once_under_its_first_name():
    net = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 20))
    net[1].weight = net[0].weight
    table = nnw.optimizer(net, torch.optim.SGD(net.parameters(), lr=0.1))
    assert [each.path for each in table.parameters] == ["0.weight", "0.bias", "1.bias"]


@pytest.mark.parametrize("flag", ["foreach", "maximize", "amsgrad", "fused"])
def test_variants_of_adam_are_read_alike(flag):
    net = mlp()
    try:
        adam = stepped(net, torch.optim.Adam(net.parameters(), **{flag: True}))
    except RuntimeError as error:
        pytest.skip(str(error))
    parameter = by_path(nnw.optimizer(net, adam))["2.bias"]
    assert parameter.step == 1
    assert all(each.norm > 0 for each in parameter.state)


def test_lists_of_tensors_and_plain_numbers_are_told():
    net = mlp()
    lbfgs = torch.optim.LBFGS(net.parameters())

    def closure():
        lbfgs.zero_grad()
        loss = net(torch.ones(2, 20)).square().sum()
        loss.backward()
        return loss

    lbfgs.step(closure)
    state = {each.name: each for each in by_path(nnw.optimizer(net, lbfgs))["0.weight"].state}
    held = lbfgs.state[net[0].weight]
    assert state["n_iter"].value == held["n_iter"]
    assert (state["old_dirs"].n_tensors, state["old_dirs"].norm) == (len(held["old_dirs"]), None)
    assert state["old_dirs"].size_bytes == sum(each.nbytes for each in held["old_dirs"])


def test_codes_have_bytes_and_no_norm():
    net = mlp()
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    sgd.state[net[0].weight] = {"state1": torch.full((5120,), 200, dtype=torch.uint8), "absmax1": torch.ones(20)}
    codes, scales = by_path(nnw.optimizer(net, sgd))["0.weight"].state
    assert (codes.norm, codes.size_bytes, scales.norm) == (None, 5120, pytest.approx(math.sqrt(20)))
    assert "uint8, 5.12 kB" in str(nnw.optimizer(net, sgd))


def test_an_optimizer_within_another_is_found_and_none_of_its_code_runs():
    class Wrapped(torch.optim.Optimizer):
        def __init__(self, optimizer):
            self.optimizer = optimizer

        @property
        def param_groups(self):
            pytest.fail("code of the optimizer ran")

        @property
        def state(self):
            pytest.fail("code of the optimizer ran")

        def __getattr__(self, name):
            pytest.fail(f"code of the optimizer ran for {name}")

        def __repr__(self):
            pytest.fail("code of the optimizer ran")

    net = mlp()
    table = nnw.optimizer(net, Wrapped(stepped(net, torch.optim.Adam(net.parameters()))))
    assert (table.groups[0].class_name, table.groups[0].n_tensors) == ("Wrapped", 4)
    assert {each.step for each in table.parameters} == {1}


def test_states_kept_beside_the_groups_of_all_parameters_are_found():
    class Sharded(torch.optim.Optimizer):
        """As ZeroRedundancyOptimizer keeps them: its own state is empty, that of its share is in the one within."""

        def __init__(self, parameters):
            super().__init__(list(parameters), {"lr": 0.1})
            self.optim = torch.optim.Adam(self.param_groups[0]["params"][:2])

        def step(self):
            self.optim.step()

    net = mlp()
    table = nnw.optimizer(net, stepped(net, Sharded(net.parameters())))
    assert [each.step for each in table.parameters] == [1, 1, None, None]


def test_settings_of_strange_kinds_are_left_out_and_hostile_ones_inert():
    net = mlp()
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    sgd.param_groups[0].update({"\x1b[2J": 1, "fn": print, "note": "a\u202eb", "deep": [[1]], 3: 4})
    options = nnw.optimizer(net, sgd).groups[0].options
    assert "\\x1b[2J" in options
    assert options["note"] == "a\\u202eb"
    assert not {"fn", "deep", 3, "params"} & options.keys()
    assert "\x1b" not in str(nnw.optimizer(net, sgd))


def test_many_like_parameters_are_one_row_with_the_range_of_their_norms():
    net = nn.Sequential(*[nn.Linear(20, 20) for _ in range(20)])
    adam = stepped(net, torch.optim.Adam(net.parameters()))
    lines = str(nnw.optimizer(net, adam)).splitlines()
    assert len(lines) == 5
    assert "{0…19}.weight" in lines[3]
    assert "…" in lines[3].split("20 × 20")[1]


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(nnw.InvalidTargetError, match=r"expected a torch\.optim\.Optimizer"):
        nnw.optimizer(mlp(), "adam")
