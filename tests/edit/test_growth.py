"""Changes of many tensors take steps in proportion to them: counted by what runs, never timed."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from nnwidgets import edit
from tests.support.line_counts import lines_run

N = 200
MANY = 20_000


def wide_list(n):
    return nn.ModuleList(nn.Linear(1, 1) for _ in range(n // 2))


def parameters(n):
    return nn.ParameterList(nn.Parameter(torch.zeros(2)) for _ in range(n))


def blocks(n):
    block = [nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)) for _ in range(n // 4)]
    return nn.Sequential(*(nn.Sequential(*block[at : at + 5]) for at in range(0, len(block), 5)))


def slices(n):
    flat = torch.zeros(2 * n)
    net = nn.Module()
    net.parts = nn.ParameterList(nn.Parameter(flat[2 * at : 2 * at + 2]) for at in range(n))
    net.flat = nn.Parameter(flat)
    return net


def named_twice(n):
    net = nn.Module()
    net.first = wide_list(n)
    net.second = net.first
    net.third = nn.ModuleList(net.first)
    return net


def one_tensor(n):
    net, weight = nn.Module(), nn.Parameter(torch.zeros(2))
    net.same = nn.ModuleList(nn.Module() for _ in range(n))
    for each in net.same:
        each.weight = weight
    return net


def nested(n):
    net = nn.Linear(1, 1)
    for _ in range(min(n, 400) // 2):
        outer = nn.Module()
        outer.own, outer.inner = nn.Parameter(torch.zeros(1)), net
        net = outer
    return net


KINDS = {each.__name__: each for each in (wide_list, parameters, blocks, slices, named_twice, one_tensor)}


def state_of(net):
    return {path: tensor.detach().clone() for path, tensor in net.named_parameters(remove_duplicate=False)}


def steps(make, n, tmp_path):
    """Changes of a model, by name, in an order in which each can be made."""
    net = make(n)
    names = list(state_of(net))
    file = tmp_path / f"{n}.safetensors"
    save_file(state_of(make(n)), file)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    sum(each.sum() for each in net.parameters()).backward()
    optimizer.step()
    return {
        "init": lambda: nnw.init(net, "**", "normal_", seed=1),
        "preview": lambda: nnw.init(net, "**", "normal_", seed=1, preview=True),
        "a list of paths": lambda: nnw.init(net, names, "zeros"),
        "with an optimizer": lambda: nnw.init(net, "**", "ones", optimizer=optimizer, clear_state=True),
        "undo": lambda: nnw.undo(net),
        "redo": lambda: nnw.redo(net),
        "statistics": lambda: nnw.history(net).changes[-1].before,
        "freeze": lambda: nnw.freeze(net, "**"),
        "unfreeze": lambda: nnw.unfreeze(net, "**"),
        "assign": lambda: nnw.assign(net, names[-1], 1.0),
        "a function": lambda: edit.apply(net, "", lambda m: None, label="nothing", seed=1),
        "plan": lambda: nnw.plan(net, file),
        "load": lambda: nnw.load(net, file),
        "history": lambda: str(nnw.history(net)),
        "code": lambda: nnw.history(net).to_code(),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_four_times_the_tensors_take_four_times_the_steps(kind, tmp_path):
    steps(KINDS[kind], 8, tmp_path)["init"]()
    few, many = (steps(KINDS[kind], n, tmp_path) for n in (N, 4 * N))
    for name, call in few.items():
        one, four = lines_run(call), lines_run(many[name])
        assert four < 4.6 * one + 1_000, (name, one, four)


def test_modules_within_modules_take_steps_in_proportion_to_the_components_of_their_paths(tmp_path):
    shallow, deep = 100, 400
    few, many = (steps(nested, n, tmp_path) for n in (shallow, deep))
    n_components = {n: sum(path.count(".") + 1 for path in state_of(nested(n))) for n in (shallow, deep)}
    for name in ("init", "freeze", "undo", "a function", "code"):
        one, four = lines_run(few[name]), lines_run(many[name])
        assert four / n_components[deep] < 1.15 * one / n_components[shallow] + 1, (name, one, four)


def calls_made(call):
    """How often each function of nnwidgets is called by a call, and what that gives."""
    made = Counter()

    def count(frame, event, _argument):
        if event == "call" and "/nnwidgets/" in frame.f_code.co_filename:
            made[frame.f_code.co_qualname] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        return call(), made
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize("make", [parameters, wide_list])
def test_twenty_thousand_tensors_are_read_once_and_each_looked_at_a_few_times(make, tmp_path):
    net, other = make(MANY), make(MANY)
    nnw.init(other, "**", "uniform_", seed=2)
    save_file(state_of(other), tmp_path / "all.safetensors")
    calls = {
        "init": lambda: nnw.init(net, "**", "normal_", seed=1),
        "freeze": lambda: nnw.freeze(net, "**"),
        "undo": lambda: nnw.undo(net),
        "load": lambda: nnw.load(net, tmp_path / "all.safetensors"),
        "diff": lambda: nnw.diff(net, other),
    }
    for name, call in calls.items():
        done, made = calls_made(call)
        assert made["read"] == {"diff": 2}.get(name, 1), name
        often = {function: n for function, n in made.items() if n > 6 * MANY}
        assert not often, (name, often)
        if name == "init":
            assert len(done.paths) == MANY
    assert done.is_equal
    assert all(map(torch.equal, net.parameters(), other.parameters()))
