"""Names in a file that are others in the model: applied as asked, and suggested where names and shapes tell."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from tests.support.nested_modules import module_at

PARTS = st.sampled_from(["encoder", "decoder", "layer", "attn", "norm", "proj", "head", "mlp", "0", "1", "2", "10"])
LASTS = st.sampled_from(["weight", "bias", "scale"])
PATHS = st.builds(lambda parts, last: (*parts, last), st.lists(PARTS, min_size=1, max_size=4), LASTS)


def no_prefix_of_another(paths):
    """A module can't be a tensor too."""
    return all(not (len(a) < len(b) and b[: len(a)] == a) for a in paths for b in paths)


MODELS = st.lists(PATHS, min_size=1, max_size=12, unique=True).filter(no_prefix_of_another)


def model_of(shapes):
    """A model with a buffer of each shape at each path."""
    net = nn.Module()
    for path, shape in shapes.items():
        *above, last = path
        module_at(net, above).register_buffer(last, torch.zeros(shape))
    return net


def suggested(tmp_path, net, names):
    """By path in the model: the name in the file that is suggested."""
    state = {names(name): tensor.clone() for name, tensor in net.state_dict().items()}
    save_file(state, tmp_path / "x.safetensors")
    return {path: name for name, path in nnw.plan(net, tmp_path / "x.safetensors").renames.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("renaming")


@settings(max_examples=60)
@given(MODELS, st.randoms(use_true_random=False))
def test_a_shape_that_none_else_has_makes_a_candidate_and_no_rename(folder, paths, random):
    net = model_of({path: (index + 2, 3) for index, path in enumerate(paths)})
    names = [f"t{number}" for number in range(len(paths))]
    random.shuffle(names)
    wanted = dict(zip(net.state_dict(), names, strict=True))
    assert suggested(folder, net, wanted.__getitem__) == {}
    found = nnw.plan(net, folder / "x.safetensors").suggestions
    assert {path: those[0].source for path, those in found.items()} == wanted


@settings(max_examples=60)
@given(MODELS, st.sampled_from(["module.", "_orig_mod.", "module._orig_mod.", "model.", "net.inner."]))
def test_a_prefix_is_found_whatever_the_shapes(folder, paths, prefix):
    net = model_of(dict.fromkeys(paths, (2, 3)))
    wanted = {name: prefix + name for name in net.state_dict()}
    assert suggested(folder, net, wanted.__getitem__) == wanted


@settings(max_examples=60)
@given(MODELS, st.data())
def test_one_part_of_the_names_that_is_called_otherwise_is_found_whatever_the_shapes(folder, paths, data):
    net = model_of(dict.fromkeys(paths, (2, 3)))
    old = data.draw(st.sampled_from(sorted({part for path in paths for part in path[:-1]})))
    assume(all(path.count(old) <= 1 for path in paths))
    wanted = {name: ".".join("other" if part == old else part for part in name.split(".")) for name in net.state_dict()}
    found = suggested(folder, net, wanted.__getitem__)
    assert found == {name: new for name, new in wanted.items() if name != new}


@settings(max_examples=100)
@given(MODELS, st.data())
def test_two_names_are_never_led_to_one_nor_a_name_against_its_shape(folder, paths, data):
    shapes = {path: data.draw(st.sampled_from([(2, 3), (3,), (4, 4)])) for path in paths}
    net = model_of(shapes)
    new = data.draw(st.lists(PATHS, min_size=len(paths), max_size=len(paths), unique=True))
    names = dict(zip(net.state_dict(), map(".".join, new), strict=True))
    found = suggested(folder, net, names.__getitem__)
    assert len(set(found.values())) == len(found)
    truth = {new: name for name, new in names.items()}
    state = net.state_dict()
    assert all(state[path].shape == state[truth[name]].shape for path, name in found.items())


MUTATIONS = {
    "gamma and beta": lambda n: n.replace("norm.weight", "norm.gamma").replace("norm.bias", "norm.beta"),
    "another word": lambda n: n.replace("layer.", "blocks."),
    "run together": lambda n: n.replace("layer.", "blk"),
    "one more level": lambda n: n.replace("encoder.", "encoder.inner."),
    "one level less": lambda n: n.removeprefix("encoder."),
    "the usual names of attention": lambda n: (
        n.replace("query", "q_proj").replace("key", "k_proj").replace("value", "v_proj")
    ),
    "several at once": lambda n: "module." + n.replace("norm.weight", "LayerNorm.gamma").replace("layer.", "h."),
}


def transformer():
    return model_of({
        ("encoder", "layer", str(layer), *part, last): (8, 8) if last == "weight" else (8,)
        for layer in range(12)
        for part in (("attn", "query"), ("attn", "key"), ("attn", "value"), ("norm",))
        for last in ("weight", "bias")
    })  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_people_rename_in_transformers_is_found(tmp_path, mutation):
    net = transformer()
    names = MUTATIONS[mutation]
    wanted = {name: names(name) for name in net.state_dict() if names(name) != name}
    assert suggested(tmp_path, net, names) == wanted


def test_where_several_would_do_as_well_none_is_suggested(tmp_path):
    net = model_of({("a", "weight"): (3, 3), ("b", "weight"): (3, 3)})
    assert suggested(tmp_path, net, {"a.weight": "x.weight", "b.weight": "y.weight"}.__getitem__) == {}


def test_a_suggestion_says_why_and_how_sure(tmp_path):
    save_file({"module.weight": torch.zeros(3, 2), "module.bias": torch.zeros(3)}, tmp_path / "x.safetensors")
    first = nnw.plan(nn.Linear(2, 3), tmp_path / "x.safetensors").entries[0]
    assert first.suggestion.source == "module.weight"
    assert first.suggestion.reason == "the file's names begin with module."
    assert 0.9 <= first.suggestion.confidence <= 1


def plan_of(tmp_path, names, rename, net=None):
    save_file({name: torch.zeros(1) for name in names}, tmp_path / "x.safetensors")
    return nnw.plan(net or model_of({("output", "weight"): (1,)}), tmp_path / "x.safetensors", rename=rename)


@pytest.mark.parametrize(
    ("name", "rename"),
    [
        ("out.weight", {"out": "output"}),
        ("out.weight", {"out.weight": "output.weight"}),
        ("module.output.weight", {"module.": ""}),
        ("module.out.weight", {"module.": "", "out": "output"}),
        ("output.gamma", {"gamma": "weight"}),
        ("a.b.weight", {"a.b": "output"}),
        ("out7.weight", {re.compile(r"^out\d"): "output"}),
        ("weight.output", {re.compile(r"(\w+)\.(\w+)"): r"\2.\1"}),
    ],
)
def test_a_rename_is_applied(tmp_path, name, rename):
    plan = plan_of(tmp_path, [name], rename)
    assert [(entry.path, entry.source, entry.status) for entry in plan.entries] == [("output.weight", name, "renamed")]
    assert dict(plan.rename) == {name: "output.weight"}


def test_part_of_a_component_is_not_renamed(tmp_path):
    with pytest.raises(nnw.PathNotFoundError, match=r"No module or tensor at 'out' in the file"):
        plan_of(tmp_path, ["out_proj.weight"], {"out": "output"})


def test_a_rename_that_names_nothing_says_what_is_near(tmp_path):
    with pytest.raises(nnw.PathNotFoundError, match=r"Did you mean 'module'"):
        plan_of(tmp_path, ["module.output.weight"], {"modul.": ""})


def test_renames_that_make_two_names_one_are_refused(tmp_path):
    with pytest.raises(
        nnw.CheckpointMismatchError, match=r"make a\.weight and b\.weight of the file both output\.weight"
    ):
        plan_of(tmp_path, ["a.weight", "b.weight"], {"a": "output", "b": "output"})


@pytest.mark.parametrize("rename", [{1: "x"}, {"": "x"}, {"out": 3}, {re.compile("(out)"): r"\9"}])
def test_a_rename_that_is_none_is_said(tmp_path, rename):
    with pytest.raises(nnw.InvalidTargetError):
        plan_of(tmp_path, ["out.weight"], rename)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("save", [save_file, torch.save], ids=["safetensors", "torch"])
def test_numbers_that_are_all_off_by_one_suggest_no_layer_for_another(tmp_path, prefix, save):
    net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(4)])
    state = {f"{prefix}{int(name[0]) + 1}{name[1:]}": value.clone() for name, value in net.state_dict().items()}
    save(state, tmp_path / "shifted")
    renames = nnw.plan(net, tmp_path / "shifted").renames
    assert not {path[0] for path in renames.values()} & {"0"}


def test_a_number_that_is_another_is_found_where_the_shape_tells(tmp_path):
    net = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Dropout(), nn.Linear(256, 10))
    old = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
    save_file(old.state_dict(), tmp_path / "x.safetensors")
    assert nnw.plan(net, tmp_path / "x.safetensors").renames == {"2.weight": "3.weight", "2.bias": "3.bias"}


def test_renames_that_are_no_mapping_are_refused(tmp_path):
    save_file(nn.Linear(2, 3).state_dict(), tmp_path / "x.safetensors")
    with pytest.raises(nnw.InvalidTargetError, match="expected a mapping"):
        nnw.plan(nn.Linear(2, 3), tmp_path / "x.safetensors", rename="a=b")


def test_names_of_very_many_components_are_told_and_never_suggested(tmp_path):
    file = tmp_path / "deep.safetensors"
    save_file({"a." * 20_000 + "weight": torch.zeros(4, 4), "out.weight": torch.zeros(3, 4)}, file)
    net = nn.ModuleDict({"output": nn.Linear(4, 3, bias=False), "a": nn.Linear(4, 4, bias=False)})
    found = nnw.plan(net, file)
    assert dict(found.renames) == {"out.weight": "output.weight"}
    assert [each.status for each in found.entries if each.path == "a.weight"] == ["missing"]
    with pytest.raises(nnw.CheckpointMismatchError) as refused:
        nnw.load(net, file)
    assert len(str(refused.value)) < 1_000
