"""Names that differ in one component and are two tensors all the same: never a rename that is sure."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import nnwidgets as nnw
from tests.checkpoint.loading.test_renames import model_of

W, B = (8, 8), (8,)

CONTRARY = {
    "actor.fc.weight": "critic.fc.weight", "policy_net.0.weight": "value_net.0.weight",
    "fc_mu.weight": "fc_logvar.weight", "cls_head.weight": "reg_head.weight", "src_embed.weight": "tgt_embed.weight",
    "image_proj.weight": "text_proj.weight", "netG_A.0.weight": "netG_B.0.weight", "fc2.weight": "fc3.weight",
    "ffn.w1.weight": "ffn.w3.weight", "conv_pw.weight": "conv_dw.weight", "q_norm.weight": "k_norm.weight",
    "layers.0.pre_norm.weight": "layers.0.post_norm.weight", "row_embed.weight": "col_embed.weight",
    "layers.0.input_layernorm.weight": "layers.0.post_attention_layernorm.weight",
    "embeddings.position_embeddings.weight": "embeddings.token_type_embeddings.weight",
    "attn.rel_pos_h": "attn.rel_pos_w", "rnn.weight_hh_l0": "rnn.weight_ih_l0",
    "rnn.weight_hh_l0_reverse": "rnn.weight_hh_l0", "rnn.weight_ih_l0": "rnn.weight_ih_l1",
    "mlp.gate_proj.weight": "mlp.up_proj.weight", "bn.running_std": "bn.running_var", "bn.running_mean": "bn.bias",
    "snake.alpha": "snake.beta", "stages.0.0.gamma": "stages.0.0.norm.weight", "self_attn.weight": "cross_attn.weight",
    "encoder.layers.0.self_attn.k.weight": "decoder.layers.0.encoder_attn.k.weight",
    "self_attn.k.weight": "encoder_attn.k.weight", "lm_head.weight": "shared.weight",
    "cross_attn_token_to_image.q.weight": "cross_attn_image_to_token.q.weight", "dwconv.bias": "layernorm.bias",
    "layers.0.self_attn_layer_norm.weight": "layers.0.final_layer_norm.weight",
    "layers.0.pre_feedforward_layernorm.weight": "layers.0.input_layernorm.weight",
    # Of the weight of that name, and not it.
    "conv.weight_orig": "conv.weight", "fc.weight_mask": "fc.weight", "fc.weight_grad": "fc.weight",
    "fc.weight_ema": "fc.weight", "fc.weight.exp_avg": "fc.weight", "exp_avg.fc.weight": "fc.weight",
    "grads.fc.weight": "fc.weight", "quantize.embed_avg": "quantize.embed", "sac.log_alpha": "sac.alpha",
    # Flax's and TensorFlow's, which is turned.
    "fc.kernel": "fc.weight",
}  # fmt: skip


def plan_of(tmp_path, state, model):
    torch.save(state, tmp_path / "x.pt")
    return nnw.plan(model_of({tuple(path.split(".")): shape for path, shape in model.items()}), tmp_path / "x.pt")


@pytest.mark.parametrize(("name", "path"), CONTRARY.items())
def test_words_that_are_never_one_another_make_no_rename(name, path, tmp_path):
    both = {"other.part.weight": (3, 8)}
    for one, other in ((name, path), (path, name)):
        state = {each: torch.rand(shape) for each, shape in {one: W, **both}.items()}
        assert dict(plan_of(tmp_path, state, {other: W, **both}).renames) == {}


SAME = {
    "out.weight": "output.weight", "encoder.blk.weight": "encoder.inner.blk.weight", "n.weight": "first_norm.weight",
    "layers.2.weight": "layers.3.weight", "head.weight": "classifier.weight", "it.cls_token": "it.class_token",
    "class_embed.weight": "cls_head.weight", "module.fc.weight": "fc.weight", "ema_model.fc.weight": "fc.weight",
    "bn.gamma": "bn.weight", "norm.LayerNorm.beta": "norm.LayerNorm.bias", "src.weight": "source.weight",
}  # fmt: skip


@pytest.mark.parametrize(("name", "path"), SAME.items())
def test_words_that_are_nothing_to_each_other_make_one(name, path, tmp_path):
    both = {"other.part.weight": (3, 8)}
    state = {each: torch.rand(shape) for each, shape in {name: W, **both}.items()}
    assert dict(plan_of(tmp_path, state, {path: W, **both}).renames) == {name: path}


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.bool, torch.int32])
@pytest.mark.parametrize("name", ["module.fc.weight", "fc.weight._data", "fc._weight_qdata", "fc.int_weight"])
def test_whole_numbers_are_no_weights_whatever_they_are_called(name, dtype, tmp_path):
    state = {name: torch.ones(W).to(dtype), "fc.bias": torch.rand(B)}
    assert dict(plan_of(tmp_path, state, {"fc.weight": W, "fc.bias": B}).renames) == {}


@pytest.mark.parametrize(
    ("codes", "scale"), [("fc.weight._data", "fc.weight._scale"), ("fc._weight_qdata", "fc._weight_scale")]
)
def test_codes_of_quanto_and_torchao_are_called_codes(codes, scale, tmp_path):
    state = {codes: torch.ones(W, dtype=torch.int8), scale: torch.rand(8, 1), "fc.bias": torch.rand(B)}
    plan = plan_of(tmp_path, state, {"fc.weight": W, "fc.bias": B})
    assert any(f"{codes} in the file holds codes, with their scale beside them in {scale}" in each
               for each in plan.obstacles)  # fmt: skip


def test_two_parts_of_a_file_do_not_both_lose_their_beginning(tmp_path):
    state = {"encoder.conv.weight": torch.rand(8, 4, 3), "decoder.ln.weight": torch.rand(B)}
    plan = plan_of(tmp_path, state, {"conv.weight": (8, 4, 3), "layer_norm.weight": B})
    assert dict(plan.renames) == {"encoder.conv.weight": "conv.weight"}


def test_a_part_that_has_all_of_the_model_is_not_doubted_for_what_another_has_by_chance(tmp_path):
    model = {"0.weight": W, "0.bias": B, "1.weight": (1, 8), "1.bias": (1,)}
    both = {f"encoder.{path}": shape for path, shape in model.items()} | {"decoder.1.bias": (1,), "decoder.0.bias": B}
    state = {name: torch.rand(shape) for name, shape in both.items()}
    assert dict(plan_of(tmp_path, state, model).renames) == {f"encoder.{path}": path for path in model}


def test_tensors_whose_names_meet_by_mistake_are_rivals_too(tmp_path):
    # features.14 is a convolution of the file's and another of the model's: which of them became which is open.
    state = {"features.12.weight": (4, 4, 3, 3), "features.14.weight": (4, 4, 3, 3), "features.17.weight": (8, 4, 3, 3)}
    model = {"features.14.weight": (4, 2, 3, 3), "features.17.weight": (4, 4, 3, 3),
             "features.20.weight": (4, 4, 3, 3)}  # fmt: skip
    assert dict(plan_of(tmp_path, {name: torch.rand(shape) for name, shape in state.items()}, model).renames) == {}


def test_parts_of_a_pruning_are_called_that(tmp_path):
    net = nn.Sequential(nn.Linear(4, 4))
    prune.l1_unstructured(net[0], "weight", 2)
    prune.l1_unstructured(net[0], "bias", 1)
    torch.save(net.state_dict(), tmp_path / "x.pt")
    plain = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(nnw.CheckpointMismatchError, match=r"0\.weight_mask in the file are parts of a pruning") as told:
        nnw.load(plain, tmp_path / "x.pt")
    assert "neither is 0.weight" in str(told.value)
    assert not nnw.plan(plain, tmp_path / "x.pt").suggestions


def test_narrow_whole_numbers_in_the_place_of_weights_are_told(tmp_path):
    state = {"fc.weight": torch.ones(W, dtype=torch.int8), "fc.bias": torch.rand(B)}
    told = plan_of(tmp_path, state, {"fc.weight": W, "fc.bias": B}).warnings
    assert any("fc.weight: whole numbers (int8) in the file become float32" in text for text in told)
    state = {"fc.weight": torch.rand(W), "fc.bias": torch.ones(B, dtype=torch.uint8)}
    assert not plan_of(tmp_path, state, {"fc.weight": W, "fc.bias": B}).warnings


def test_a_beginning_that_is_another_is_found_where_all_have_it(tmp_path):
    ends = {"0.weight": W, "0.bias": B, "1.weight": W, "1.bias": B}
    state = {f"old.net.{end}": torch.rand(shape) for end, shape in ends.items()} | {"old.head": torch.rand(2)}
    plan = plan_of(tmp_path, state, {f"a.new.{end}": shape for end, shape in ends.items()})
    assert dict(plan.renames) == {f"old.net.{end}": f"a.new.{end}" for end in ends}
    # One that the file lacks, and it is some of them only.
    plan = plan_of(tmp_path, state, {f"a.new.{end}": shape for end, shape in ends.items()} | {"a.new.2.bias": B})
    assert not plan.renames
    # Two that it may be.
    two = {f"{one}.net.{end}": torch.rand(shape) for one in ("old.e", "old.f") for end, shape in ends.items()}
    assert not plan_of(tmp_path, two, {f"a.b.new.{end}": shape for end, shape in ends.items()}).renames
