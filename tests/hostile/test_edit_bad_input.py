"""What can't be done is refused with a message that says where, what was found and what to do; nothing changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from nnwidgets import edit
from nnwidgets.errors import InitializerError, InvalidTargetError, PathNotFoundError
from tests.support.edited_models import bits, run


def net():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.BatchNorm1d(4))
    made.register_buffer("ints", torch.arange(6).view(2, 3))
    made.register_buffer("flags", torch.tensor([True, False]))
    made.register_buffer("spread", torch.randn(1, 3).expand(4, 3))
    made.register_buffer("sliding", torch.randn(6).as_strided((4, 3), (1, 1)))
    made.register_buffer("none", torch.empty(0, 3))
    return made


REFUSED = [
    ("0.bias", "xavier_uniform_", {}, InitializerError, "0.bias", "fewer than 2 dimensions"),
    ("0.bias", "kaiming_normal", {}, InitializerError, "0.bias", "Name weights only"),
    ("0", "xavier_uniform_", {}, InitializerError, "0.bias", "of shape 8"),
    ("0.weight", "dirac_", {}, InitializerError, "0.weight", "3, 4, or 5 dimensions"),
    ("2.weight", "dirac_", {"groups": 2}, InitializerError, "2.weight", "divisible by groups"),
    ("2.weight", "eye_", {}, InitializerError, "2.weight", "2 dimensions"),
    ("2.weight", "sparse_", {"sparsity": 0.5}, InitializerError, "2.weight", "2 dimensions"),
    ("0.bias", "orthogonal_", {}, InitializerError, "0.bias", "2 or more dimensions"),
    ("ints", "orthogonal_", {}, InitializerError, "ints", "is int64"),
    ("ints", "normal_", {}, InitializerError, "ints", "assign"),
    ("flags", "uniform_", {}, InitializerError, "flags", "is bool"),
    ("0.weight", "xavier_unifrom_", {}, InitializerError, "0.weight", "xavier_uniform_"),
    ("0.weight", "no such thing", {}, InitializerError, "0.weight", "There are"),
    ("0.weight", "normal_", {"sdt": 1}, InitializerError, "0.weight", r"closest: 'std'.*normal_\(mean=0.0, std=1.0\)"),
    ("0.weight", "constant_", {}, InitializerError, "0.weight", r"needs 'val'.*constant_\(val\)"),
    ("0.weight", "normal_", {"std": "wide"}, InitializerError, "0.weight", "takes a number for 'std'"),
    ("0.weight", "normal_", {"std": -1.0}, InitializerError, "0.weight", "std"),
    ("0.weight", "kaiming_normal_", {"mode": "fan"}, InitializerError, "0.weight", "fan_in, fan_out"),
    ("0.weight", "normal_", {"seed": "7"}, InvalidTargetError, None, "expected an integer"),
    ("spread", "normal_", {}, InvalidTargetError, "spread", "same memory"),
    ("sliding", "normal_", {}, InvalidTargetError, "sliding", "same memory"),
    ("0.wieght", "normal_", {}, PathNotFoundError, "0.wieght", "0.weight"),
    ("Linaer.weight", "normal_", {}, PathNotFoundError, "Linaer.weight", "No module or tensor"),
    ("1", "normal_", {}, InvalidTargetError, "1", "has no parameters"),
    ("1", "reset", {}, InitializerError, "1", "reset_parameters"),
    ("0.weight", "reset", {}, InvalidTargetError, "0.weight", "expected a module"),
    (7, "normal_", {}, InvalidTargetError, None, "expected text"),
    ([], "normal_", {}, InvalidTargetError, None, "expected text"),
]


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("refused", REFUSED)
def test_an_initialization_that_cannot_be_is_refused(refused, preview):
    target, how, kwargs, error, path, says = refused
    model = net()
    before, rng = bits(model), torch.get_rng_state()
    with pytest.raises(error, match=f"(?s){says}") as raised:
        nnw.init(model, target, how, preview=preview, **kwargs)
    assert raised.value.path == path
    assert bits(model) == before
    assert torch.equal(torch.get_rng_state(), rng)
    assert nnw.history(model).changes == ()


def freed():
    made = torch.randn(4, 4)
    made.untyped_storage().resize_(0)
    return made


def inference():
    with torch.inference_mode():
        return torch.randn(4, 4)


class Wrapper(torch.Tensor):
    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    @classmethod
    def __torch_dispatch__(cls, *args, **kwargs):
        raise AssertionError("user code ran")


class Loud(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *args, **kwargs):
        raise AssertionError("user code ran")


UNWRITABLE = {
    "meta": (lambda: torch.empty(4, 4, device="meta"), "meta device"),
    "freed": (freed, "storage was freed"),
    "sparse": (lambda: torch.eye(4).to_sparse(), "layout is torch.sparse_coo"),
    "csr": (lambda: torch.eye(4).to_sparse_csr(), "layout is torch.sparse_csr"),
    "quantized": (lambda: torch.quantize_per_tensor(torch.ones(4, 4), 0.1, 0, torch.qint8), "quantized"),
    "inference": (inference, "inference mode"),
    "wrapper": (lambda: Wrapper(torch.ones(4, 4)), "kept by its own class|behind its own code"),
    "subclass": (lambda: torch.randn(4, 4).as_subclass(Loud), "kept by its own class"),
    "computed": (lambda: nn.Parameter(torch.ones(4, 4)) * 2, "computed from other tensors"),
}


@pytest.mark.filterwarnings("ignore:.*beta state", "ignore:.*deprecated")
@pytest.mark.parametrize("kind", UNWRITABLE)
@pytest.mark.parametrize("act", ["init", "assign"])
def test_a_tensor_that_cannot_be_written_in_place_is_refused_with_why(kind, act):
    make, says = UNWRITABLE[kind]
    model = nn.Module()
    model.ok = nn.Parameter(torch.ones(4, 4))
    model.odd = make()
    with pytest.raises(InvalidTargetError, match=f"odd can't be written: .*({says})") as raised:
        if act == "init":
            nnw.init(model, ["ok", "odd"], "normal_")
        else:
            nnw.assign(model, "odd", 1.0)
    assert raised.value.path == "odd"
    assert raised.value.hint
    assert (model.ok == 1).all()


def test_a_lazy_parameter_is_refused_until_it_has_a_shape():
    model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(InvalidTargetError, match="first forward"):
        nnw.init(model, "0.weight", "normal_")
    model(torch.ones(1, 2))
    nnw.init(model, "0.weight", "normal_")


ASSIGNED = [
    ("0.weight[8, 0]", 1, InvalidTargetError, "out of (bounds|range)"),
    ("0.weight[0, 0, 0]", 1, InvalidTargetError, "too many indices"),
    ("0.weight[0:0]", 1, InvalidTargetError, "selects no element"),
    ("0.weight[::-1]", 1, InvalidTargetError, "step must be"),
    ("0.weight[x]", 1, InvalidTargetError, "can't be read"),
    ("0.weight[__import__('os')]", 1, PathNotFoundError, "No module or tensor"),
    ("0.weight[1.5]", 1, InvalidTargetError, "can't be read"),
    ("0.weight[True]", 1, InvalidTargetError, "can't be read"),
    ("0.weight", [1.0, 2.0], InvalidTargetError, "shape 2, expected 8 × 6"),
    ("0.weight[0]", torch.ones(6, 1), InvalidTargetError, "shape 6 × 1, expected 6"),
    ("0.weight", "much", InvalidTargetError, "no number"),
    ("0.weight", None, InvalidTargetError, "no number"),
    ("0.weight", [[1.0], [2.0, 3.0]], InvalidTargetError, "no number"),
    ("0.weight", 1j, InvalidTargetError, "complex"),
    ("ints", 0.5, InvalidTargetError, "whole numbers"),
    ("ints[0, 0]", float("nan"), InvalidTargetError, "whole numbers"),
    ("flags", 2, InvalidTargetError, "bool can hold"),
    ("none", 1, InvalidTargetError, "selects no element"),
    ("0.wieght[0]", 1, PathNotFoundError, "0.weight"),
    ("", 1, InvalidTargetError, "names no tensor"),
    (None, 1, InvalidTargetError, "expected text"),
]


@pytest.mark.parametrize(("target", "value", "error", "says"), ASSIGNED)
def test_an_assignment_that_does_not_fit_is_refused(target, value, error, says):
    model = net()
    before = bits(model)
    with pytest.raises(error, match=says):
        nnw.assign(model, target, value)
    assert bits(model) == before
    assert nnw.history(model).changes == ()


def test_nan_and_what_overflows_are_written_and_warned_of():
    model = net().half()
    assert "NaN" in nnw.assign(model, "0.weight[0, 0]", float("nan")).warnings[0]
    assert "infinite" in nnw.assign(model, "0.weight[0, 1]", 1e9).warnings[0]
    assert model[0].weight[0, 0].isnan()
    assert "NaN" in nnw.init(model, "0.weight", "constant_", val=float("nan")).warnings[-1]


def test_integers_and_flags_are_assigned_what_they_can_hold():
    model = net()
    nnw.assign(model, "ints[1]", [7, 8, 9])
    nnw.assign(model, "flags[0]", False)
    assert model.ints[1].tolist() == [7, 8, 9]
    assert model.flags.tolist() == [False, False]


@pytest.mark.parametrize("call", [nnw.freeze, nnw.unfreeze])
def test_what_is_no_parameter_has_nothing_to_freeze(call):
    with pytest.raises(InvalidTargetError, match="is no parameter"):
        call(net(), "ints")
    with pytest.raises(PathNotFoundError):
        call(net(), "9.weight")


def test_integers_have_no_gradient_to_ask_for():
    model = nn.Module()
    model.w = nn.Parameter(torch.arange(3), requires_grad=False)
    with pytest.raises(InvalidTargetError, match="int64"):
        nnw.unfreeze(model, "w")
    nnw.freeze(model, "w")


@pytest.mark.parametrize("call", [nnw.undo, nnw.redo, nnw.history])
def test_what_is_no_module_is_said_to_be_none(call):
    with pytest.raises(InvalidTargetError, match=r"not a torch\.nn\.Module"):
        call({"w": torch.ones(2)})


def test_nothing_to_undo_is_said():
    with pytest.raises(InvalidTargetError, match="nothing to undo"):
        nnw.undo(net())
    with pytest.raises(InvalidTargetError, match="nothing to redo"):
        nnw.redo(net())


def test_what_is_no_optimizer_is_refused_before_anything_is_written():
    model = net()
    before = bits(model)
    with pytest.raises(InvalidTargetError, match=r"expected a torch\.optim\.Optimizer"):
        nnw.init(model, "0.weight", "zeros", optimizer="adam")
    assert bits(model) == before


def test_a_compiled_model_and_a_parametrized_layer_are_changed_at_their_originals():
    model = torch.compile(nn.Sequential(nn.Linear(2, 3)))
    change = nnw.init(model, "_orig_mod.0.weight", "zeros")
    assert (model._orig_mod[0].weight == 0).all()
    run(change.to_code(), net=model)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
    nnw.init(layer, "parametrizations.weight.original1", "ones")
    assert (layer.parametrizations.weight.original1 == 1).all()
    with pytest.raises(InvalidTargetError, match="computed from parametrizations"):
        nnw.init(layer, "weight", "ones")


def test_an_initializer_needs_a_tensor_and_a_generator():
    with pytest.raises(InitializerError, match="a tensor and a generator first"):
        nnw.initializer(lambda tensor: tensor)
    with pytest.raises(InitializerError, match="no function"):
        nnw.init(net(), "0.weight", 7)
    with pytest.raises(InitializerError, match="can't be called"):
        edit.apply(net(), "Linear", "double")


def test_no_code_of_a_tensor_in_the_model_runs():
    model = net()
    model.loud = torch.randn(3).as_subclass(Loud)
    nnw.init(model, "0.weight", "normal_")
    nnw.assign(model, "0.bias", 0)
    nnw.undo(model)
