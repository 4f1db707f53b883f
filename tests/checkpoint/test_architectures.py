"""Real architectures go through a file and back: through torch, safetensors and transformers' own loading."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")


import pytest
import torch

import nnwidgets as nnw
from tests.support.architectures import MODELS, build
from tests.support.saved_files import loaded, same

pytest.importorskip("transformers", minversion="5")

IN_SHARDS = ["bart", "bert", "clip", "gpt2", "llama", "t5", "vit", "whisper"]


def pretrained(model, folder):
    """The model as transformers loads it, and what it found missing or too much."""
    model.config.save_pretrained(folder)
    found, told = type(model).from_pretrained(folder, output_loading_info=True)
    return found.state_dict(), (*told["missing_keys"], *told["unexpected_keys"], *told["mismatched_keys"])


@pytest.mark.parametrize("name", sorted(MODELS))
def test_an_architecture_comes_back_through_torch_safetensors_and_transformers(name, tmp_path):
    model = build(name)
    state = dict(model.state_dict())
    for file in ("net.pt", "model.safetensors"):
        report = nnw.save(model, tmp_path / file)
        assert (report.warnings, report.n_tensors) == ((), len(state))
        for found in (loaded(tmp_path / file), nnw.read(tmp_path / file)):
            assert set(found) == set(state)
            assert same(state, {key: found[key] for key in state})
        assert nnw.diff(model, tmp_path / file).is_equal
        plan = nnw.plan(model, tmp_path / file)
        assert plan.is_exact
        assert all(each.startswith("Has code of its own for state dicts: ") for each in plan.warnings)
    torch.manual_seed(1)
    found, problems = pretrained(model, tmp_path)
    assert problems == ()
    assert same(state, {key: found[key] for key in state})


@pytest.mark.parametrize("name", IN_SHARDS)
def test_an_architecture_in_shards_is_loaded_by_transformers(name, tmp_path):
    model = build(name)
    state = dict(model.state_dict())
    report = nnw.save(model, tmp_path, shard_size="20kB")
    assert len(report.paths) > 3
    found, problems = pretrained(model, tmp_path)
    assert problems == ()
    assert same(state, {key: found[key] for key in state})
