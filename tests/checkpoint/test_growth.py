"""Four times the tensors take four times the steps: counted by the lines of the package that run, never timed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.line_counts import lines_run
from tests.support.stateful_modules import Seen

N = 250


def apart(n):
    return {f"layers.{number}.weight": torch.zeros(2) for number in range(n)}


def slices(n):
    flat = torch.zeros(2 * n)
    return {f"layers.{number}": flat[2 * number : 2 * number + 2] for number in range(n)}


def columns(n):
    whole = torch.zeros(3, n)
    return {f"column {number}": whole[:, number] for number in range(n)}


def one_tensor(n):
    tensor = torch.zeros(2)
    return {f"name {number}": tensor.detach() for number in range(n)}


def wide_list(n):
    return nn.ParameterList([nn.Parameter(torch.zeros(2)) for _ in range(n)])


def norms(n):
    return nn.ModuleList([nn.BatchNorm1d(1) for _ in range(n // 5)])


KINDS = {kind.__name__: kind for kind in (apart, slices, columns, one_tensor, wide_list, norms)}
FILES = ["it.pt", "it.safetensors", "shards/"]


def check_growth(calls):
    """Each of the calls for ``N`` tensors and for four times as many."""
    few, many = calls(N), calls(4 * N)
    for name, call in few.items():
        call()
        one, four = lines_run(call), lines_run(many[name])
        assert four < 4.6 * one + 1_000, (name, one, four)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", KINDS)
def test_saving_looking_reading_and_comparing_grow_with_the_tensors_and_no_faster(kind, file, tmp_path):
    def calls(n):
        (tmp_path / str(n)).mkdir()
        thing, path = KINDS[kind](n), f"{tmp_path}/{n}/{file}"
        # As many tensors a shard, and so more shards.
        shard_size = 400 if file.endswith("/") else None
        nnw.save(thing, path, shard_size=shard_size)
        return {
            "save": lambda: nnw.save(thing, path, shard_size=shard_size, overwrite=True),
            "peek": lambda: nnw.peek(path),
            "read": lambda: nnw.read(path),
            "diff with the file": lambda: nnw.diff(thing, path),
            "diff of the file": lambda: nnw.diff(path, path),
        }

    check_growth(calls)


class Tied(nn.Module):
    """One weight under every name, and views of it that are other objects."""

    def __init__(self, n):
        super().__init__()
        weight = nn.Parameter(torch.zeros(2))
        self.those = nn.ParameterList([weight if number % 2 else nn.Parameter(weight.detach()) for number in range(n)])


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name,
        lambda name: f"module.{name}",
        lambda name: "" if "num_batches" in name else name,
        lambda name: f"x{hash(name)}",
        lambda name: "only" if name.startswith("0") or name.endswith(".0") else "",
    ],
)
@pytest.mark.parametrize("model", [wide_list, norms, Tied])
def test_planning_grows_with_the_tensors_and_no_faster(model, change, tmp_path):
    def calls(n):
        net = model(n)
        file = tmp_path / f"{n}.pt"
        torch.save({change(name): tensor for name, tensor in net.state_dict().items() if change(name)}, file)
        return {"plan": lambda: nnw.plan(net, file)}

    check_growth(calls)


def test_a_renaming_of_every_name_grows_with_the_names_and_no_faster(tmp_path):
    def calls(n):
        net, file = wide_list(n), tmp_path / f"{n}.pt"
        torch.save({f"old.{name}": tensor for name, tensor in net.state_dict().items()}, file)
        whole = {f"old.{name}": name for name in net.state_dict()}
        return {
            "by a part": lambda: nnw.plan(net, file, rename={"old.": ""}),
            "each name": lambda: nnw.plan(net, file, rename=whole),
        }

    check_growth(calls)


def test_loading_into_modules_with_code_of_their_own_grows_with_them_and_no_faster(tmp_path):
    def calls(n):
        net, other = (nn.ModuleList([Seen() for _ in range(n // 5)]) for _ in range(2))
        path = f"{tmp_path}/{n}.pt"
        nnw.save(net, path)
        return {
            "plan": lambda: nnw.plan(other, path),
            "load": lambda: nnw.load(other, path),
            "undo": lambda: nnw.undo(other),
            "diff": lambda: nnw.diff(other, path),
        }

    check_growth(lambda n: {**(made := calls(n)), "undo": lambda: (made["load"](), made["undo"]())})


def turned(n):
    """Linear layers of the names of GPT-2, whose file keeps them transposed."""
    return nn.ModuleDict({"h": nn.ModuleList([nn.ModuleDict({"c_fc": nn.Linear(2, 3)}) for _ in range(n // 2)])})


def meta_names(n):
    """Attentions of the names of transformers, whose file has Meta's."""
    parts = ("q_proj", "k_proj", "v_proj", "o_proj")
    return nn.ModuleDict({
        "layers": nn.ModuleList([
            nn.ModuleDict({"self_attn": nn.ModuleDict({part: nn.Linear(2, 2, bias=False) for part in parts})})
            for _ in range(n // 4)
        ])
    })  # fmt: skip


@pytest.mark.parametrize("kind", [turned, meta_names])
def test_layouts_and_conversions_grow_with_the_names_and_no_faster(kind, tmp_path):
    def calls(n):
        net, file = kind(n), tmp_path / f"{n}.pt"
        theirs = {"self_attn": "attention", "q_proj": "wq", "k_proj": "wk", "v_proj": "wv", "o_proj": "wo"}
        state = {}
        for name, tensor in net.state_dict().items():
            for ours, other in theirs.items():
                name = name.replace(ours, other)  # noqa: PLW2901 - one after the other
            state[name] = tensor.T if kind is turned and tensor.dim() > 1 else tensor
        torch.save(state, file)
        renames = nnw.plan(net, file).renames
        return {
            "plan": lambda: nnw.plan(net, file),
            "plan with them": lambda: nnw.plan(net, file, rename=renames),
            "diff": lambda: nnw.diff(net, file),
        }

    check_growth(calls)
