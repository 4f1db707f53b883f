"""Known layouts: real pairs of them, their renames, and values that lie otherwise in the file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nnwidgets as nnw
from tests.checkpoint.loading.test_renames import model_of

PAIRS = tomllib.loads(Path(__file__).with_name("layout_pairs.toml").read_text(encoding="utf-8"))["pair"]


def size(text):
    return () if text == "scalar" else tuple(map(int, text.split(",")))


def rows_of(pair):
    """Name in the file, path in the model, shapes on both sides, and whether a rename leads from one to the other."""
    for line in pair["rows"].strip().splitlines():
        has_rename = not line.startswith("!")
        name, path, shape = line.removeprefix("!").split()
        path, _, ours = (name if path == "=" else path).partition("@")
        for number in "01" if "#" in line else "0":
            yield name.replace("#", number), path.replace("#", number), size(shape), size(ours or shape), has_rename


def sides_of(pair):
    """A file's state, a model, and the right renames."""
    rows = list(rows_of(pair))
    state = {name: torch.full(shape, float(index)) for index, (name, _, shape, _, _) in enumerate(rows) if name != "-"}
    model = model_of({tuple(path.split(".")): ours for _, path, _, ours, _ in rows if path != "-"})
    right = {
        name: path for name, path, _, _, has_rename in rows if has_rename and "-" not in {name, path} and name != path
    }
    return state, model, right


def found_in(pair, folder):
    state, model, right = sides_of(pair)
    torch.save(state, folder / "x.pt")
    return dict(nnw.plan(model, folder / "x.pt").renames), right


def test_there_are_forty_pairs_each_with_its_source():
    assert len({pair["title"] for pair in PAIRS}) == len(PAIRS) >= 40
    assert all(pair["source"].startswith("https://") for pair in PAIRS)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["title"])
def test_no_rename_of_a_real_pair_is_wrong(pair, tmp_path):
    found, right = found_in(pair, tmp_path)
    assert {name: path for name, path in found.items() if right.get(name) != path} == {}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["title"])
def test_nothing_of_a_real_pair_is_taken_for_another_of_its_name(pair, tmp_path):
    state, model, right = sides_of(pair)
    torch.save(state, tmp_path / "x.pt")
    taken = {entry.path: entry.source for entry in nnw.plan(model, tmp_path / "x.pt").entries if entry.source in state}
    assert {path: name for path, name in taken.items() if path and right.get(name, path) != path} == {}


def test_nine_of_ten_renames_of_real_pairs_are_found(tmp_path):
    n_found, n_right, lacking = 0, 0, {}
    for pair in PAIRS:
        found, right = found_in(pair, tmp_path)
        n_right += len(right)
        n_found += len(found.items() & right.items())
        lacking[pair["title"]] = sorted(right.items() - found.items())
    assert n_found >= 0.9 * n_right, (n_found, n_right, {title: those for title, those in lacking.items() if those})


# ---- values that lie otherwise in the file ----


def to_pairs(weight, head_dim):
    """Rows of a query or key as Meta keeps them, of those that transformers keeps."""
    return weight.view(-1, 2, head_dim // 2, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)


META = {
    "self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
    "model.embed_tokens": "tok_embeddings", "model.norm": "norm", "lm_head": "output",
}  # fmt: skip


def as_meta(name):
    for theirs, ours in META.items():
        name = name.replace(theirs, ours)
    return name.removeprefix("model.")


@pytest.fixture
def llama():
    """Makes small Llamas of transformers, with fewer heads for keys than for queries."""
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=64, tie_word_embeddings=False,
    )  # fmt: skip
    return lambda: transformers.LlamaForCausalLM(config).eval()


def meta_file(net, path):
    state = {}
    for name, tensor in net.state_dict().items():
        if "norm" in name:
            tensor.uniform_(0.5, 1.5)
        is_turned = "q_proj" in name or "k_proj" in name
        state[as_meta(name)] = (to_pairs(tensor, 8) if is_turned else tensor).clone()
    torch.save(state, path)
    return path


def bits(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def is_same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def replayed(report, net, before):
    """The state that the report's code gives, run on what was there before the load."""
    net.load_state_dict(before)
    exec(report.to_code(), {"net": net})  # noqa: S102 - that it loads the same is the claim
    return bits(net)


def test_metas_llama_loads_into_transformers_bit_for_bit(llama, tmp_path):
    trained, net = llama(), llama()
    file, before = meta_file(trained, tmp_path / "consolidated.00.pth"), bits(net)
    plan = nnw.plan(net, file)
    report = nnw.load(net, file, rename=plan.renames)
    assert is_same(bits(net), bits(trained))
    assert report.plan.counts == {"renamed": 17, "converted": 4}
    assert any("rotary" in text for text in report.warnings)
    assert nnw.diff(net, file).is_equal
    assert is_same(replayed(report, llama(), before), bits(trained))
    nnw.undo(net)
    assert is_same(bits(net), before)


def test_rows_of_an_attention_that_nothing_is_known_of_are_loaded_with_a_warning(tmp_path):
    net = model_of({("layers", "0", "self_attn", f"{part}_proj", "weight"): (8, 8) for part in "qk"})
    torch.save({f"layers.0.attention.w{part}.weight": torch.rand(8, 8) for part in "qk"}, tmp_path / "x.pt")
    plan = nnw.plan(net, tmp_path / "x.pt", rename=nnw.plan(net, tmp_path / "x.pt").renames)
    assert plan.counts == {"renamed": 2}
    assert any("rotary" in text and "order" in text for text in plan.warnings)


@pytest.fixture
def gpt2():
    """The three weights of a block of GPT-2 as transformers makes them, and as others do."""
    conv1d = pytest.importorskip("transformers.pytorch_utils").Conv1D
    sizes = {"c_attn": (8, 24), "c_proj": (8, 8), "c_fc": (8, 32)}
    theirs = nn.ModuleDict({name: conv1d(n_out, n_in) for name, (n_in, n_out) in sizes.items()})
    ours = nn.ModuleDict({name: nn.Linear(n_in, n_out) for name, (n_in, n_out) in sizes.items()})
    return theirs, ours


@pytest.mark.parametrize("way", [0, 1], ids=["into linear layers", "out of them"])
def test_conv1d_is_turned_and_the_square_one_too(gpt2, way, tmp_path):
    theirs, ours = gpt2[way], gpt2[1 - way]
    with torch.no_grad():
        for each in theirs.values():
            each.bias.normal_()
    torch.save(theirs.state_dict(), tmp_path / "gpt.pt")
    before, x = bits(ours), torch.rand(3, 8)
    report = nnw.load(ours, tmp_path / "gpt.pt")
    assert report.plan.counts == {"converted": 3, "match": 3}
    assert any("transposed" in text for text in report.warnings)
    assert all(torch.allclose(theirs[name](x), ours[name](x), atol=1e-6) for name in ours)
    assert nnw.diff(tmp_path / "gpt.pt", ours).is_equal
    assert is_same(
        replayed(report, ours, before), {n: t.T if t.dim() == 2 else t for n, t in theirs.state_dict().items()}
    )


def test_a_model_without_data_gets_what_is_turned_in_its_own_shape(gpt2, tmp_path):
    theirs, ours = gpt2
    torch.save(theirs.state_dict(), tmp_path / "gpt.pt")
    empty = ours.to("meta")
    nnw.load(empty, tmp_path / "gpt.pt")
    assert torch.equal(empty["c_attn"].weight, theirs["c_attn"].weight.T)


def test_a_square_matrix_among_turned_ones_is_doubted_and_stays(tmp_path):
    net = nn.ModuleDict({"up": nn.Linear(4, 8), "mid": nn.Linear(4, 4), "norm": nn.LayerNorm(4)})
    before = bits(net)
    state = {name: torch.rand(tensor.T.shape) if tensor.dim() == 2 else tensor + 1 for name, tensor in before.items()}
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(nnw.CheckpointMismatchError, match=r"up\.weight is \(4, 8\) .* transposed, and so may be mid"):
        nnw.load(net, tmp_path / "x.pt")
    assert is_same(bits(net), before)
    report = nnw.load(net, tmp_path / "x.pt", strict=False)
    assert report.left == ("up.weight", "mid.weight")
    assert torch.equal(net["mid"].weight, before["mid.weight"])
    assert any("transposed" in text for text in report.warnings)


def test_square_matrices_alone_are_not_doubted(tmp_path):
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    torch.save(net.state_dict(), tmp_path / "x.pt")
    assert nnw.plan(net, tmp_path / "x.pt").is_exact


def test_projections_of_clip_are_turned_and_one_pixel_convolutions_are_linear(tmp_path):
    pairs = [pair for pair in PAIRS if "OpenAI's CLIP" in pair["title"] or "autoencoder" in pair["title"]]
    for pair, (source, path, turn) in zip(
        pairs,
        [
            ("visual.proj", "visual_projection.weight", lambda each: each.T),
            ("first_stage_model.encoder.mid.attn_1.q.weight", "encoder.mid_block.attentions.0.to_q.weight",
             lambda each: each[:, :, 0, 0]),
        ],
        strict=True,
    ):  # fmt: skip
        state, model, _ = sides_of(pair)
        state[source] = torch.rand(state[source].shape)
        torch.save(state, tmp_path / "x.pt")
        report = nnw.load(model, tmp_path / "x.pt", rename=nnw.plan(model, tmp_path / "x.pt").renames, strict=False)
        assert torch.equal(model.state_dict()[path], turn(state[source]))
        entry = next(each for each in report.entries if each.path == path)
        assert (entry.status, entry.source) == ("converted", source)


def test_a_name_that_both_sides_have_for_two_tensors_is_no_match(tmp_path):
    pair = next(pair for pair in PAIRS if pair["title"].startswith("Segment"))
    state, model, _ = sides_of(pair)
    torch.save(state, tmp_path / "x.pt")
    name, before = "mask_decoder.iou_prediction_head.layers.0.weight", bits(model)
    plan = nnw.plan(model, tmp_path / "x.pt")
    assert any(f"{name} is a name of both sides for two tensors" in text for text in plan.obstacles)
    for strict in (True, False):
        with pytest.raises(nnw.CheckpointMismatchError, match="It would fit with"):
            nnw.load(model, tmp_path / "x.pt", strict=strict)
    assert is_same(bits(model), before)
    report = nnw.load(model, tmp_path / "x.pt", rename=plan.renames)
    assert torch.equal(model.state_dict()[name], state[name.replace("layers.0", "layers.1")])
    assert nnw.diff(tmp_path / "x.pt", model).is_equal
    loaded = bits(model)
    assert is_same(replayed(report, model, before), loaded)


# ---- what no rename can load ----


@pytest.mark.parametrize("way", [{"format": "mlx"}, {"format": "pt"}, None])
def test_a_convolution_of_mlx_whose_shape_does_not_show_its_order_is_refused(way, tmp_path):
    source, net = (
        nn.ModuleDict({"a": nn.Conv2d(3, 4, 3), "b": nn.Conv2d(4, 2, 1), "c": nn.Linear(3, 3)}) for _ in "12"
    )
    save_file(source.state_dict(), tmp_path / "x.safetensors", metadata=way)
    if way != {"format": "mlx"}:
        assert nnw.load(net, tmp_path / "x.safetensors").verified
        return
    before = bits(net)
    with pytest.raises(nnw.CheckpointMismatchError, match=r"a\.weight: the file is laid out for MLX"):
        nnw.load(net, tmp_path / "x.safetensors")
    assert is_same(bits(net), before)
    assert nnw.load(net, tmp_path / "x.safetensors", strict=False).left == ("a.weight",)


@pytest.mark.parametrize("title", ["Flux", "SD3"])
def test_a_modulation_whose_halves_are_the_other_way_round_is_refused_and_stays(title, tmp_path):
    state, model, _ = sides_of(next(pair for pair in PAIRS if title in pair["title"]))
    torch.save(state, tmp_path / "x.pt")
    before, renames = bits(model), nnw.plan(model, tmp_path / "x.pt").renames
    for rename in (None, renames):
        with pytest.raises(nnw.CheckpointMismatchError, match="rows of the shift before those of the scale"):
            nnw.load(model, tmp_path / "x.pt", rename=rename)
    assert is_same(bits(model), before)
    nnw.load(model, tmp_path / "x.pt", rename=renames, strict=False)
    assert torch.equal(model.state_dict()["norm_out.linear.weight"], before["norm_out.linear.weight"])


def old_norm(norm):
    made = nn.Sequential(norm(nn.Conv1d(3, 4, 3)))
    made(torch.rand(1, 3, 8))
    return made


@pytest.mark.parametrize(
    ("norm", "told"),
    [
        (nn.utils.weight_norm, "weight norm"),
        (nn.utils.parametrizations.weight_norm, "weight norm"),
        (nn.utils.spectral_norm, "spectral norm"),
        (nn.utils.parametrizations.spectral_norm, "spectral norm"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_part_of_a_norm_is_no_weight(norm, told, tmp_path):
    torch.save(old_norm(norm).state_dict(), tmp_path / "x.pt")
    net = nn.Sequential(nn.Conv1d(3, 4, 3))
    plan = nnw.plan(net, tmp_path / "x.pt")
    assert not plan.renames
    assert not plan.suggestions
    assert any(told in text for text in plan.obstacles)
    with pytest.raises(nnw.CheckpointMismatchError, match=told):
        nnw.load(net, tmp_path / "x.pt")


@pytest.mark.parametrize("old", [nn.utils.weight_norm, nn.utils.spectral_norm])
@pytest.mark.filterwarnings("ignore")
def test_a_norm_of_old_loads_into_that_of_today(old, tmp_path):
    new = {
        "weight_norm": nn.utils.parametrizations.weight_norm,
        "spectral_norm": nn.utils.parametrizations.spectral_norm,
    }
    theirs, ours = old_norm(old).eval(), old_norm(new[old.__name__]).eval()
    torch.save(theirs.state_dict(), tmp_path / "x.pt")
    nnw.load(ours, tmp_path / "x.pt", rename=nnw.plan(ours, tmp_path / "x.pt").renames)
    x = torch.rand(1, 3, 8)
    assert torch.allclose(theirs(x), ours(x), atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        (torch.float8_e4m3fn, "weight_scale"), (torch.float8_e4m3fn, "weight_scale_inv"),
        (torch.float8_e5m2, "scale_weight"), (torch.int8, "SCB"), (torch.int8, "weight_scale"),
    ],
)  # fmt: skip
def test_codes_with_a_scale_beside_them_are_no_weights(dtype, scale, tmp_path):
    state = {"weight": torch.ones(2, 2).to(dtype), scale: torch.tensor(0.01), "bias": torch.zeros(2)}
    torch.save(state, tmp_path / "x.pt")
    net = nn.Linear(2, 2)
    before = net.weight.clone()
    with pytest.raises(nnw.CheckpointMismatchError, match=rf"scale beside them in {scale}"):
        nnw.load(net, tmp_path / "x.pt")
    assert nnw.load(net, tmp_path / "x.pt", strict=False).left == ("weight",)
    assert torch.equal(net.weight, before)


@pytest.mark.parametrize(
    ("theirs", "ours", "loses"),
    [
        (torch.float8_e4m3fn, torch.float32, False), (torch.float8_e5m2, torch.bfloat16, False),
        (torch.float8_e5m2, torch.float16, False), (torch.float8_e4m3fn, torch.float8_e5m2, True),
        (torch.int8, torch.float32, False), (torch.int16, torch.float16, True), (torch.int64, torch.float32, True),
        (torch.uint8, torch.int8, True), (torch.bfloat16, torch.float16, True), (torch.float16, torch.float32, False),
    ],
)  # fmt: skip
def test_whether_a_dtype_holds_every_value_is_told_rightly(theirs, ours, loses, tmp_path):
    torch.save({"x": torch.ones(2).to(theirs)}, tmp_path / "x.pt")
    net = nn.Module()
    net.register_buffer("x", torch.zeros(2).to(ours))
    assert any("can't hold" in text for text in nnw.plan(net, tmp_path / "x.pt").warnings) is loses


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("base_model.model.q.lora_A.weight", "base_model.model.q.lora_B.weight"), "LoRA adapter"),
        (("lora_unet_q.lora_down.weight", "lora_unet_q.lora_up.weight", "lora_unet_q.alpha"), "LoRA adapter"),
        (("base_model.model.q.ia3_l",), "IA3 adapter"),
        (("lycoris_q.hada_w1_a", "lycoris_q.hada_w1_b"), "LoHa adapter"),
    ],
)
def test_an_adapter_is_called_one(names, told, tmp_path):
    torch.save({name: torch.rand(4, 4) for name in names}, tmp_path / "x.pt")
    net = nn.ModuleDict({"q": nn.Linear(4, 4)})
    plan = nnw.plan(net, tmp_path / "x.pt")
    assert not plan.renames
    with pytest.raises(nnw.CheckpointMismatchError, match=told) as caught:
        nnw.load(net, tmp_path / "x.pt")
    assert "strict=False" not in str(caught.value)


def test_a_layout_known_by_name_whose_shapes_disagree_is_refused(tmp_path):
    rows = dict(zip("qkvo", ("wq", "wk", "wv", "wo"), strict=True))
    net = model_of({("layers", "0", "self_attn", f"{part}_proj", "weight"): (8, 8) for part in rows})
    before = bits(net)
    torch.save({f"layers.0.attention.{name}.weight": torch.rand(4, 8) for name in rows.values()}, tmp_path / "x.pt")
    plan = nnw.plan(net, tmp_path / "x.pt")
    assert not plan.renames
    told = r"layers\.0\.attention\.wq\.weight is layers\.0\.self_attn\.q_proj\.weight, but it is \(4, 8\)"
    with pytest.raises(nnw.CheckpointMismatchError, match=told):
        nnw.load(net, tmp_path / "x.pt")
    assert is_same(bits(net), before)


# ---- never sure ----

UNSURE = {
    "weights and their average in one dict": ({"model.0.weight": (4, 4), "ema.0.weight": (4, 4)}, {"0.weight": (4, 4)}),
    "two encoders": (
        {"encoder_q.conv.weight": (4, 4), "encoder_k.conv.weight": (4, 4)}, {"conv.weight": (4, 4)},
    ),
    "two norms of one shape": (
        {"a.first_norm.weight": (4,), "a.other_norm.weight": (4,)}, {"a.pre.weight": (4,), "a.post.weight": (4,)},
    ),
    "a bias for a weight": ({"norm.bias": (4,)}, {"norm.weight": (4,)}),
    "an encoder for a decoder": ({"encoder.0.weight": (4, 4)}, {"decoder.0.weight": (4, 4)}),
    "up for down": ({"up_proj.weight": (4, 4)}, {"down_proj.weight": (4, 4)}),
    "a layer for another": (
        {"0.weight": (4, 4), "1.weight": (4, 4), "3.weight": (4, 4)},
        {"0.weight": (4, 4), "1.weight": (4, 4), "2.weight": (4, 4)},
    ),
    "the same order alone": ({"a.weight": (4, 4), "b.weight": (4, 4)}, {"x.weight": (4, 4), "y.weight": (4, 4)}),
    "a shape alone": ({"some.thing.weight": (4, 7)}, {"other.part.here.weight": (4, 7)}),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSURE)
def test_what_leaves_more_than_one_answer_is_never_a_rename(case, tmp_path):
    file, model = UNSURE[case]
    torch.save({name: torch.rand(shape) for name, shape in file.items()}, tmp_path / "x.pt")
    net = model_of({tuple(path.split(".")): shape for path, shape in model.items()})
    plan = nnw.plan(net, tmp_path / "x.pt")
    assert dict(plan.renames) == {}
    assert all(each.reason and each.source in file for those in plan.suggestions.values() for each in those)
