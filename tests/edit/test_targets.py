"""A target means what people mean by it, and what it doesn't reach is said."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, weight_norm
from torch.nn.utils import spectral_norm as old_spectral_norm

import nnwidgets as nnw
from nnwidgets.edit.history import undo


def encoder():
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)


class Twice(nn.Linear):
    """A class of the user's."""


class Other(nn.Module):
    """Of the same kind by name only; no Linear."""


def test_a_class_stands_for_those_derived_from_it_as_isinstance_goes():
    net = encoder()
    idiom = [f"{name}.weight" for name, each in net.named_modules() if isinstance(each, nn.Linear)]
    assert sorted(nnw.init(net, "Linear.weight", "xavier_uniform_", preview=True).paths) == sorted(idiom)
    assert any("out_proj" in path for path in idiom)


@pytest.mark.parametrize(
    "target", ["Linear.weight", "nn.Linear.weight", "torch.nn.modules.linear.Linear.weight", "Linear"]
)
def test_a_class_may_be_written_in_full(target):
    net = nn.Sequential(nn.Linear(2, 3, bias=False), Twice(3, 3, bias=False), Other())
    assert nnw.freeze(net, target).paths == ("0.weight", "1.weight")


def test_the_base_of_several_layers_means_all_of_them():
    net = nn.Sequential(nn.Conv1d(1, 2, 1), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    assert nnw.init(net, "_ConvNd.bias", "zeros_", preview=True).paths == ("0.bias", "1.bias")
    assert nnw.freeze(net, "_BatchNorm.weight").paths == ("2.weight",)


def test_a_module_that_is_named_like_the_library_keeps_its_name():
    net = nn.Module()
    net.nn = nn.Module()
    net.nn.Linear = nn.Linear(2, 2)
    net.other = nn.Linear(2, 2)
    assert nnw.freeze(net, "nn.Linear.weight").paths == ("nn.Linear.weight",)


def test_a_miss_in_case_leads_to_the_class():
    with pytest.raises(nnw.PathNotFoundError) as caught:
        nnw.init(nn.Sequential(nn.Linear(2, 3)), "linear.weight", "normal_")
    assert caught.value.closest[0] == "Linear.weight"


def computed(kind):
    layer = nn.Linear(4, 4)
    if kind == "parametrization":
        return parametrizations.weight_norm(layer)
    if kind == "orthogonal":
        return parametrizations.orthogonal(layer)
    if kind == "old weight norm":
        return weight_norm(layer)
    if kind == "old spectral norm":
        return old_spectral_norm(layer)
    return prune.l1_unstructured(layer, "weight", 0.5)


ORIGINALS = {
    "parametrization": ["parametrizations.weight.original0", "parametrizations.weight.original1"],
    "orthogonal": ["parametrizations.weight.original"],
    "old weight norm": ["weight_g", "weight_v"],
    "old spectral norm": ["weight_orig"],
    "pruning": ["weight_orig"],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", list(ORIGINALS))
def test_a_computed_weight_is_named_with_what_it_is_computed_from(kind):
    net = nn.Sequential(computed(kind), nn.Linear(4, 4))
    before = {name: each.clone() for name, each in net.state_dict().items()}
    for write in (
        lambda: nnw.init(net, "0.weight", "normal_"),
        lambda: nnw.assign(net, "0.weight[0]", 1.0),
        lambda: nnw.freeze(net, "0.weight"),
    ):
        with pytest.raises(nnw.InvalidTargetError) as caught:
            write()
        for original in ORIGINALS[kind]:
            assert f"0.{original}" in str(caught.value)
    change = nnw.init(net, "Linear.weight", "normal_", preview=True)
    assert change.paths == ("1.weight",)
    assert any("passes over 0.weight" in each and ORIGINALS[kind][0] in each for each in change.warnings)
    assert all(torch.equal(each, before[name]) for name, each in net.state_dict().items())
    with pytest.raises(nnw.InvalidTargetError, match="is computed from"):
        nnw.init(nn.Sequential(computed(kind)), "Linear.weight", "normal_")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("he_normal", "kaiming_normal_"),
        ("he_uniform_", "kaiming_uniform_"),
        ("glorot_uniform", "xavier_uniform_"),
        ("Glorot-Normal", "xavier_normal_"),
        ("torch.nn.init.Xavier_Normal", "xavier_normal_"),
        ("truncated_normal", "trunc_normal_"),
        ("identity", "eye_"),
        ("zeros", "zeros_"),
    ],
)
def test_names_that_people_type_are_understood(said, meant):
    assert nnw.init(nn.Sequential(nn.Linear(3, 3)), "0.weight", said, preview=True).label == meant


@pytest.mark.parametrize(
    ("said", "leads_to"),
    [
        ("he", "kaiming_normal_ or kaiming_uniform_"),
        ("glorot", "xavier_normal_ or xavier_uniform_"),
        ("lecun_normal", "nonlinearity='linear'"),
        ("glorot_unifrom", "xavier_uniform_"),
    ],
)
def test_names_that_leave_it_open_lead_to_those_that_do_not(said, leads_to):
    with pytest.raises(nnw.InitializerError) as caught:
        nnw.init(nn.Linear(3, 3), "weight", said)
    assert leads_to in caught.value.hint


def test_a_users_own_initializer_goes_before_another_name_of_torchs():
    @nnw.initializer
    def he_normal(tensor, generator):
        tensor.fill_(3.0)

    try:
        assert nnw.init(nn.Linear(2, 2), "weight", "he_normal").after["weight"].min == 3.0
    finally:
        from nnwidgets.edit.operations import initializers

        del initializers._USERS["he_normal"]


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_a_padding_row_that_gets_numbers_is_warned_of_in_the_preview_too(make):
    net = nn.Sequential(make(5, 3, padding_idx=1))
    for preview in (True, False):
        change = nnw.init(net, "0.weight", "normal_", seed=1, preview=preview)
        assert [each for each in change.warnings if "padding_idx" in each and "Row 1 of 0.weight" in each]
    assert not nnw.assign(net, "0.weight[1]", 0.0).warnings
    assert not nnw.assign(net, "0.weight[2]", 1.0).warnings
    assert "padding_idx" in nnw.assign(net, "0.weight", 1.0).warnings[-1]
    assert not nnw.init(net, "0.weight", "zeros_").warnings[1:]


def test_a_padding_row_reached_by_a_tie_is_warned_of():
    net = nn.Module()
    net.head = nn.Linear(3, 5, bias=False)
    net.embed = nn.Embedding(5, 3, padding_idx=-1)
    net.head.weight = net.embed.weight
    for preview in (True, False):
        change = nnw.init(net, "head.weight", "normal_", preview=preview)
        assert any("Row 4 of embed.weight" in each for each in change.warnings)


def test_a_reset_keeps_padding_rows_zero_without_a_word():
    net = nn.Sequential(nn.Embedding(5, 3, padding_idx=0))
    for preview in (True, False):
        assert nnw.init(net, "0", "reset", preview=preview).warnings == ()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.full((2,), 7.0))


class Half(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
        self.gate = nn.Parameter(torch.ones(2))


class Through(nn.Linear):
    def reset_parameters(self):
        self.weight.data.normal_()
        self.bias.data = self.bias.data
        nn.init.zeros_(self.bias)


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(
    ("make", "left"),
    [
        (Block, ["0.scale"]),
        (Half, ["0.gate"]),
        (lambda: nn.MultiheadAttention(2, 1), []),
        (lambda: nn.LayerNorm(2), []),
        (lambda: Through(2, 2), []),
    ],
)
def test_a_reset_names_each_parameter_that_it_leaves(make, left, preview):
    net = nn.Sequential(make())
    warnings = nnw.init(net, "0", "reset", seed=1, preview=preview).warnings
    assert [each for each in warnings if "as it was" in each] == [
        f"{path} is as it was: no reset_parameters writes there. Name an initializer for it." for path in left
    ]


def test_a_preview_has_the_numbers_of_all_that_changes_overlapping_ones_too():
    flat = torch.zeros(12)
    net = nn.Module()
    net.a, net.b = nn.Parameter(flat[:8]), nn.Parameter(flat[4:])
    shown = nnw.init(net, "a", "ones_", preview=True)
    assert set(shown.after) == set(shown.paths) == {"a", "b"}
    assert (shown.before["b"].n_zero, shown.after["b"].n_zero) == (8, 4)
    done = nnw.init(net, "a", "ones_")
    assert {path: each.n_zero for path, each in done.after.items()} == {"a": 0, "b": 4}
    undo(net)
    net.layer, net.twin = nn.Linear(2, 2), nn.Linear(2, 2)
    net.twin.weight = net.layer.weight
    shown = nnw.init(net, "layer", "reset", preview=True)
    assert set(shown.after) == set(shown.paths)


def moving(*layers):
    return nn.Sequential(*layers).train()


@pytest.mark.parametrize(
    ("net", "target", "named"),
    [
        (lambda: moving(nn.Linear(4, 4), nn.BatchNorm1d(4)), "1", "1"),
        (lambda: moving(nn.Linear(4, 4), nn.BatchNorm1d(4)), "BatchNorm1d.*", "1"),
        (lambda: moving(nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False)), "**", "1"),
        (lambda: moving(nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False)), "", "1"),
        (lambda: moving(nn.Conv1d(4, 4, 1), nn.InstanceNorm1d(4, affine=True, track_running_stats=True)), "", "1"),
        (lambda: moving(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), nn.Linear(4, 4)), "0", "0.1"),
        (lambda: moving(nn.Linear(4, 4), nn.BatchNorm1d(4)), "0", None),
        (lambda: moving(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)), "", None),
        (lambda: moving(nn.Linear(4, 4), nn.LayerNorm(4)), "", None),
        (lambda: moving(nn.Linear(4, 4), nn.BatchNorm1d(4, momentum=0.0)), "", None),
        (lambda: moving(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval(), "", None),
    ],
)
def test_a_frozen_norm_that_goes_on_changing_is_told_by_freeze_and_by_check(net, target, named):
    net = net()
    change = nnw.freeze(net, target)
    told = [each for each in change.warnings if "running statistics" in each]
    found = [each for each in nnw.check(net) if "running statistics" in each.message]
    assert [bool(told), bool(found)] == [named is not None] * 2
    assert all(each.startswith(f"{named} is in train mode") for each in told)
    assert not [each for each in nnw.check(net) if "as it is" in each.message]
    assert all(each.fix.endswith(".eval()") for each in found)
    for each in told:
        exec(re.search(r"until (net\S*\.eval\(\))\.$", each).group(1), {"net": net})  # noqa: S102 - what is advised
    assert not any("running statistics" in each for each in nnw.freeze(net, target).warnings)


def test_several_norms_that_go_on_changing_are_told_together():
    (told,) = nnw.freeze(moving(nn.BatchNorm1d(4), nn.BatchNorm1d(4)), "").warnings
    assert told.startswith("0, 1 are in train mode")
    assert told.endswith("until each is in eval mode, the first by net[0].eval().")


def test_a_part_in_another_mode_is_told_by_what_it_holds():
    class Own(nn.Module):
        """May look at its own flag."""

    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout()), nn.Sequential(nn.BatchNorm1d(2)), Own())
    for part in net:
        part.eval()
    said = {each.path: each.message for each in nnw.check(net) if each.code == "mixed-training"}
    assert "0" not in said  # a Linear computes the same in either mode
    assert "no Dropout and no BatchNorm" in said["3"]
    assert "Dropout does nothing." in said["1"]
    assert "Dropout" not in said["2"]


def test_a_glob_says_which_deeper_parameters_it_leaves():
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    change = nnw.init(net, "*.bias", "ones")
    assert change.paths == ("0.bias",)
    assert change.warnings == (
        "*.bias leaves 1.0.bias, deeper down: '*' stands for one component. **.bias names those too.",
    )
    every = nnw.init(net, "**.bias", "ones")
    assert (every.paths, every.warnings) == (("0.bias", "1.0.bias"), ())
    with pytest.raises(nnw.PathNotFoundError, match=r"'\*\*\.bias'"):
        nnw.init(net[1:], "*.bias", "ones")


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, weight_norm, old_spectral_norm])
@pytest.mark.filterwarnings("ignore")
def test_a_glob_says_which_computed_tensors_it_passes_over(wrap):
    net = nn.Sequential(wrap(nn.Linear(3, 2)), nn.Linear(2, 2))
    (told,) = nnw.init(net, "*.weight", "normal_", seed=1).warnings
    assert told.startswith("*.weight passes over 0.weight, computed from others: 0.weight from 0.")
    assert not any("passes over" in each for each in nnw.init(net, "**", "normal_", seed=1).warnings)


@pytest.mark.parametrize(
    ("target", "paths"),
    [
        ("Conv*", ("1.weight", "1.bias", "2.weight", "2.bias")),
        ("Conv*.weight", ("1.weight", "2.weight")),
        ("LSTM.weight_*", ("3.weight_ih_l0", "3.weight_hh_l0")),
        ("nn.Linear.*", ("0.weight", "0.bias")),
        ("Batch*.*", ("4.weight", "4.bias")),
    ],
)
def test_a_glob_may_be_over_classes(target, paths):
    net = nn.Sequential(nn.Linear(2, 2), nn.Conv1d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.LSTM(2, 2), nn.BatchNorm1d(2))
    assert nnw.init(net, target, "ones").paths == paths


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("net.0.weight", "0.weight"),
        ("encoder.1.0.weight", "1.0.weight"),
        ("LINEAR", "Linear"),
        ("weight", "0.weight"),
        ("linear.bias", "Linear.bias"),
    ],
)
def test_the_first_name_that_is_suggested_is_the_one_that_is_meant(asked, meant):
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(nnw.PathNotFoundError) as raised:
        nnw.init(net, asked, "ones")
    assert raised.value.closest[0] == meant
    assert nnw.init(net, raised.value.closest[0], "ones").paths


def freed():
    net = nn.Linear(2, 2)
    net.weight.untyped_storage().resize_(0)
    return net


def holding(weight):
    net = nn.Module()
    net.weight = weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight)
    return net


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: nn.LazyLinear(2), r"Run one forward first\."),
        (lambda: nn.Linear(2, 2, device="meta"), r"model\.to_empty\(device=\"cpu\"\), and then values\."),
        (freed, "Gather its parts first"),
        (lambda: holding(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])), r"unbind\(\)"),
        (lambda: holding(torch.eye(3).to_sparse()), r"to_dense\(\)"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_can_not_be_written_is_told_with_what_helps_in_its_case(make, hint):
    with pytest.raises(nnw.InvalidTargetError, match=hint):
        nnw.init(make(), "weight", "normal_")


def test_what_is_advised_for_tensors_without_data_makes_them_writable():
    lazy, meta = nn.Sequential(nn.LazyLinear(2)), nn.Linear(2, 2, device="meta")
    lazy(torch.ones(1, 3))
    meta.to_empty(device="cpu")
    assert nnw.init(lazy, "0.weight", "ones").paths == ("0.weight",)
    assert nnw.init(meta, "weight", "ones").paths == ("weight",)


@pytest.mark.filterwarnings("ignore")
def test_a_reset_of_a_computed_weight_names_what_it_is_computed_from():
    net = nn.Sequential(weight_norm(nn.Linear(3, 2)))
    with pytest.raises(nnw.InvalidTargetError, match=r"0\.weight is computed from 0\.weight_g, 0\.weight_v: what is"):
        nnw.init(net, "0", "reset")


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(3, 3)
        self.h = nn.ModuleList(nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)) for _ in range(12))
        self.wte = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.wte.weight


def frozen(net):
    return [name for name, each in net.named_parameters() if not each.requires_grad]


def test_a_live_module_a_tensor_a_class_and_a_generator_are_targets():
    net = Model()
    assert nnw.init(net, net.hidden, "normal_", preview=True).paths == ("hidden.weight", "hidden.bias")
    assert nnw.init(net, [net.hidden.bias, "h.0.0.bias"], "normal_").paths == ("hidden.bias", "h.0.0.bias")
    assert nnw.assign(net, net.hidden.weight, 3.0).paths == ("hidden.weight",)
    assert bool((net.hidden.weight == 3).all())
    nnw.freeze(net, net.h[:-1].parameters())
    assert frozen(net) == [name for name, _ in net.named_parameters() if name.startswith("h.") and "h.11" not in name]
    nnw.undo(net)
    nnw.freeze(net, nn.LayerNorm)
    assert frozen(net) == [name for name, _ in net.named_parameters() if name.startswith("h.") and ".1." in name[3:]]
    nnw.undo(net)
    nnw.freeze(net, net)
    assert len(frozen(net)) == len(list(net.parameters()))


def test_a_generator_is_gone_through_once_and_an_empty_one_means_nothing():
    net = Model()
    assert nnw.init(net, net.hidden.parameters(), lambda t: t.fill_(3)).paths == ("hidden.weight", "hidden.bias")
    assert nnw.init(net, (each for each in net.h[:1]), "normal_").paths == tuple(
        f"h.0.{name}" for name, _ in net.h[0].named_parameters()
    )
    with pytest.raises(nnw.InvalidTargetError, match="The target is empty"):
        nnw.freeze(net, nn.ReLU().parameters())
    assert not frozen(net)


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (lambda net: net.hidden.weight[0], "in the memory of hidden.weight"),
        (lambda net: net.hidden.weight.data, "Name 'hidden.weight'"),
        (lambda net: net.hidden.weight.grad, "the gradient of hidden.weight"),
        (lambda _: torch.ones(3), "none of the model's"),
        (lambda _: nn.Linear(2, 2), "The Linear that was passed is no part of the model"),
        (lambda _: {"hidden": 1}, "of type dict, expected text, a module or tensor"),
        (lambda _: [], "The target is empty"),
    ],
)
def test_a_live_target_that_is_none_of_the_models_is_told_with_what_it_comes_from(passed, said):
    net = Model()
    net.hidden.weight.grad = torch.ones(3, 3)
    with pytest.raises(nnw.InvalidTargetError, match=re.escape(said)):
        nnw.init(net, passed(net), "normal_")


def test_what_is_left_out_stays_as_it_was_with_all_that_shares_its_bytes():
    net = Model()
    nnw.freeze(net, ["**", "!h.{10,11}", "!hidden.bias"])
    assert {name.rpartition(".")[0] for name, each in net.named_parameters() if each.requires_grad} == {
        "h.10.0", "h.10.1", "h.11.0", "h.11.1", "hidden",
    }  # fmt: skip
    nnw.undo(net)
    change = nnw.init(net, "!wte", "ones_")
    assert not bool((net.wte.weight == 1).all())
    assert not {"wte.weight", "head.weight"} & set(change.paths)
    nnw.init(net, ["h", "!h.[1-11]"], "reset")
    assert bool((net.h[1][0].weight == 1).all())
    assert not bool((net.h[0][0].weight == 1).all())


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (["h", "!k"], "No module or tensor at 'k'"),
        (["wte", "!head"], "leaves out all that is named"),
        ("h.{0,12}.1", "No module or tensor at 'h.12.1'"),
    ],
)
def test_a_part_of_a_target_that_names_nothing_is_refused_before_anything_is_done(target, said):
    net = Model()
    with pytest.raises(nnw.NNWidgetsError, match=re.escape(said)):
        nnw.freeze(net, target)
    assert not frozen(net)


def test_a_reset_can_leave_out_modules_and_no_tensor_of_one():
    with pytest.raises(nnw.InvalidTargetError, match="leaves out a tensor, and this is done to whole modules"):
        nnw.init(Model(), ["h", "!h.0.0.bias"], "reset")


def test_a_name_that_is_written_like_a_pattern_is_that_name():
    net = nn.Module()
    for name in ("!a", "{b,c}", "0-2", "b"):
        net.add_module(name, nn.Linear(2, 2))
    assert [nnw.freeze(net, name).paths[0] for name in ("!a", "{b,c}", "0-2")] == [
        "!a.weight", "{b,c}.weight", "0-2.weight",
    ]  # fmt: skip
