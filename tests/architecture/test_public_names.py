"""What the package offers is what it says it offers."""

import ast
import dataclasses
import doctest
import importlib
import inspect
import json
import pickle
import pkgutil
from pathlib import Path

import pytest
import torch

import nnwidgets
from nnwidgets.text.plain import render_text
from nnwidgets.text.printing import page_of

DESIGNED = {
    "explore", "tree", "ties", "stats", "check", "trace", "costs", "optimizer", "language", "handle",
    "init", "apply", "assign", "freeze", "unfreeze", "undo", "redo", "history", "initializer", "Change", "History",
    "save", "read", "peek", "plan", "load", "diff", "assert_equal", "snapshot", "Snapshot",
    "CheckpointIndex", "StoredTensor", "LoadPlan",
    "PlanEntry", "LoadReport", "SaveReport", "StateDiff", "Changed", "Described",
    "Explorer", "ModuleTree", "ModuleNode", "TensorEntry", "TieGroup", "TensorStats", "StatsTable", "StatsRow",
    "Finding", "Trace", "TraceCall", "TraceOperator", "TraceEdge", "FlowGraph", "FlowNode", "FlowEdge",
    "Costs", "ModuleCosts", "OptimizerTable", "OptimizerGroup", "ParameterState", "StateTensor",
    "activations", "Activations", "CallSignal", "OutputSignal", "ParameterSignal",
    "compare_inits", "InitComparison", "InitCandidate", "SignalPoint", "SignalBand", "UpdateRatio",
    "NNWidgetsError", "PathNotFoundError", "InvalidTargetError", "ChangedSinceError", "InitializerError",
    "UnsafeCheckpointError",
    "CorruptCheckpointError", "CheckpointMismatchError", "SaveError",
    "RankMissingError", "RanksDisagreeError", "ranks", "Ranks", "RankedModel", "RankStatus",
    "load_ipython_extension", "unload_ipython_extension",
}  # fmt: skip

SIGNATURES = {
    "explore": ["module", "optimizer", "name", "height"],
    "tree": ["module"],
    "ties": ["module"],
    "stats": ["tensor", "target", "bins", "exact", "since"],
    "trace": ["module", "args", "input_size", "kwargs"],
    "activations": ["module", "args", "loss", "input_size", "kwargs"],
    "costs": ["module", "args", "optimizer", "input_size", "kwargs"],
    "optimizer": ["module", "optimizer"],
    "init": ["module", "target", "how", "seed", "optimizer", "preview", "clear_state", "kwargs"],
    "compare_inits": [
        "module", "args", "inits", "target", "loss", "seeds", "steps", "optimizer", "batches", "input_size", "progress",
        "kwargs",
    ],
    "apply": ["module", "target", "fn", "label", "source", "seed", "optimizer", "preview", "clear_state"],
    "assign": ["module", "target", "value"],
    "freeze": ["module", "target"],
    "unfreeze": ["module", "target"],
    "undo": ["module", "force"],
    "redo": ["module", "force"],
    "history": ["module"],
    "save": ["obj", "path", "optimizer", "overwrite", "shard_size", "verify", "extra", "progress"],
    "read": ["path"],
    "peek": ["path"],
    "plan": ["module", "path", "rename", "entry"],
    "load": ["module", "path", "rename", "entry", "strict", "optimizer", "undo", "progress"],
    "snapshot": ["module", "values"],
    "diff": ["a", "b", "rename", "entry", "rtol", "atol", "progress"],
    "language": ["code"],
    "ranks": ["source", "timeout", "token"],
    "assert_equal": ["a", "b", "rename", "entry", "rtol", "atol"],
}  # fmt: skip

RESULTS = (
    "ModuleTree", "ModuleNode", "TensorEntry", "TieGroup", "TensorStats", "StatsRow", "Finding", "Trace", "TraceCall",
    "FlowGraph", "Costs", "ModuleCosts", "OptimizerTable", "OptimizerGroup", "ParameterState", "StateTensor",
    "Change", "History", "CheckpointIndex", "StoredTensor", "LoadPlan", "PlanEntry", "LoadReport", "SaveReport",
    "StateDiff", "Changed", "Described", "InitComparison", "InitCandidate", "SignalPoint", "SignalBand", "UpdateRatio",
)  # fmt: skip


def modules():
    found = pkgutil.walk_packages(nnwidgets.__path__, "nnwidgets.")
    return sorted(each.name for each in found)


def test_the_public_names_are_the_designs():
    assert set(nnwidgets.__all__) == DESIGNED
    assert len(nnwidgets.__all__) == len(DESIGNED)
    source = ast.parse(Path(nnwidgets.__file__).read_text(encoding="utf-8"))
    (for_checkers,) = (node for node in source.body if isinstance(node, ast.If))
    typed = {each.name for node in for_checkers.body if isinstance(node, ast.ImportFrom) for each in node.names}
    assert set(nnwidgets.__all__) - typed == {"load_ipython_extension", "unload_ipython_extension"}


@pytest.mark.parametrize("name", sorted(DESIGNED))
def test_each_public_name_exists_and_is_documented(name):
    value = getattr(nnwidgets, name)
    assert name in dir(nnwidgets)
    assert inspect.getdoc(value)
    assert len(inspect.getdoc(value).splitlines()[0]) < 121


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_signatures_are_the_designs(name):
    assert list(inspect.signature(getattr(nnwidgets, name)).parameters) == SIGNATURES[name]


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_an_argument_that_goes_by_keyword_says_so_where_it_has_no_name(name):
    function = getattr(nnwidgets, name)
    parameters = inspect.signature(function).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return
    places = [object()] * sum(each.kind is each.POSITIONAL_OR_KEYWORD for each in parameters)
    places[2:3] = ["normal_"] * len(places[2:3])
    with pytest.raises(nnwidgets.NNWidgetsError, match=f"^{name} takes .* and got {len(places) + 1}\\. .") as raised:
        function(*places, 1)
    named = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
    if name not in {"init", "apply"}:
        assert all(f"{each}=…" in raised.value.hint for each in named)
    assert b"cnnwidgets\n" in pickle.dumps(function, 0)


def test_check_takes_a_module_and_perhaps_an_optimizer():
    parameters = inspect.signature(nnwidgets.check).parameters
    assert next(iter(parameters)) == "module"
    assert set(parameters) <= {"module", "optimizer"}


def test_only_public_names_are_offered():
    import nnwidgets.edit
    import nnwidgets.wire

    assert {name for name in dir(nnwidgets) if not name.startswith("__")} == DESIGNED
    assert "nnwidgets.wire" in nnwidgets.wire.__name__
    written = ast.parse(inspect.getsource(nnwidgets)).body
    bound = {
        alias.asname or alias.name
        for node in written
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert all(name.startswith("_") for name in bound)


def test_a_name_that_is_not_there_raises_as_any_module_does():
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        _ = nnwidgets.missing


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_frozen_records_with_a_dict_that_json_takes(name, tmp_path):
    record = _made(tmp_path)[name]
    assert dataclasses.is_dataclass(record)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, dataclasses.fields(record)[0].name, "elsewhere")
    json.dumps(record.to_dict(), allow_nan=False)
    assert " at 0x" not in repr(record)
    assert " at 0x" not in str(record)
    assert name == "Described" or str(record) == render_text(page_of(record))


def _made(folder):
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    net[1].weight = net[0].weight
    net.loose = torch.ones(2)
    tree, trace = nnwidgets.tree(net), nnwidgets.trace(net, torch.ones(1, 2))
    adam = torch.optim.Adam(net.parameters())
    net[0](torch.ones(1, 2)).sum().backward()
    adam.step()
    trained = nnwidgets.optimizer(net, adam)
    signal = nnwidgets.activations(net, torch.ones(1, 2), loss="noise")
    compared = nnwidgets.compare_inits(net, torch.ones(4, 2), inits=["zeros_"], loss=torch.rand(4, 2), steps=2)
    odd = torch.tensor([float("nan"), float("inf")])
    saved = nnwidgets.save(net, folder / "net.pt")
    index, plan = nnwidgets.peek(folder / "net.pt"), nnwidgets.plan(net, folder / "net.pt")
    diff = nnwidgets.diff({"x": odd}, {"x": odd.flip(0)})
    return {
        "ModuleTree": tree,
        "ModuleNode": tree.root,
        "TensorEntry": tree.tensors[0],
        "TieGroup": tree.ties[0],
        "TensorStats": nnwidgets.stats(odd),
        "StatsRow": nnwidgets.stats(net)[0],
        "Finding": nnwidgets.check(net)[0],
        "Trace": trace,
        "TraceCall": trace.calls[0],
        "FlowGraph": trace.graph(),
        "Activations": signal,
        "CallSignal": signal.calls[0],
        "OutputSignal": signal.calls[0].outputs[0],
        "ParameterSignal": signal.parameters[0],
        "InitComparison": compared,
        "InitCandidate": compared.candidates[0],
        "SignalPoint": compared.points[0],
        "SignalBand": compared.candidates[0].forward[0],
        "UpdateRatio": compared.candidates[0].update_ratios[0],
        "OptimizerTable": trained,
        "OptimizerGroup": trained.groups[0],
        "ParameterState": trained.parameters[0],
        "StateTensor": trained.parameters[0].state[0],
        "Costs": nnwidgets.costs(net),
        "ModuleCosts": nnwidgets.costs(net, torch.ones(1, 2)).total,
        "Change": nnwidgets.init(net, "0.weight", "normal_", seed=7),
        "SaveReport": saved,
        "CheckpointIndex": index,
        "StoredTensor": index.tensors[0],
        "LoadPlan": plan,
        "PlanEntry": plan.entries[0],
        "LoadReport": nnwidgets.load(net, folder / "net.pt"),
        "StateDiff": diff,
        "Changed": diff.changed[0],
        "Described": nnwidgets.Described("argparse.Namespace", {"lr": 0.1}),
        "History": nnwidgets.history(net),
    }


@pytest.mark.parametrize("name", ["nnwidgets", *modules()])
def test_examples_in_docstrings_run(name):
    module = importlib.import_module(name)
    names = {"torch": torch, "nn": torch.nn}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
    report = []
    for test in finder.find(module, name, extraglobs=names):
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)
