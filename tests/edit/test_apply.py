"""A function of the user's, of a module or a tensor, let at a model from Python as one undoable change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nnwidgets as nnw
from tests.support.edited_models import bits, mlp, run, tied


def init_normal(m):
    if isinstance(m, nn.Linear):
        nn.init.normal_(m.weight, 5, 0.01)
        nn.init.zeros_(m.bias)


def spread(m, width=1.0):
    m.weight.uniform_(-width, width)


def gives_another(tensor):
    return torch.ones_like(tensor)


def fill(tensor):
    tensor.normal_()


def test_apply_runs_on_each_match_as_one_undoable_change_with_its_preview():
    net = mlp()
    before = bits(net)
    shown = nnw.apply(net, "Linear", init_normal, seed=7, preview=True)
    assert bits(net) == before
    change = nnw.apply(net, ["**", "!2"], init_normal, seed=7)
    assert change.label == "init_normal"
    assert change.paths == ("0.weight", "0.bias")
    assert change.after["0.weight"].mean == shown.after["0.weight"].mean
    assert nnw.undo(net).paths == change.paths
    assert bits(net) == before


def test_the_code_of_an_applied_function_gives_equal_bits():
    net, again = mlp(), mlp()
    change = nnw.init(net, "Linear", spread, width=2.0, seed=3)
    assert change.label == "spread(width=2.0)"
    run(change.to_code("again"), again=again)
    assert bits(net) == bits(again)


@pytest.mark.parametrize("target", ["Linear", "", ["0", "2"], "**"])
def test_init_takes_the_function_of_a_module_that_module_apply_takes(target):
    net = mlp()
    nnw.init(net, target, init_normal)
    assert [round(net[at].weight.mean().item()) for at in (0, 2)] == [5, 5]
    assert not net[2].bias.any()


def test_init_calls_a_function_of_one_argument_with_tensors_where_the_target_names_tensors():
    net, again = mlp(), mlp()
    change = nnw.init(net, "Linear.weight", fill, seed=3)
    assert change.paths == ("0.weight", "2.weight")
    run(change.to_code("again"), again=again)
    assert bits(net) == bits(again)
    assert nnw.init(net, "0.weight", lambda t: None).warnings == ("It changed nothing.",)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda net: nnw.apply(net, "Linear", lambda m: torch.ones_like(m.weight)), "returned a tensor for 0"),
        (lambda net: nnw.init(net, "0.weight", gives_another), "returned a Tensor for 0.weight"),
        (lambda net: nnw.init(net, "Linear", fill), "for a function of tensors name these, as in Linear.weight"),
        (lambda net: nnw.init(net, "2.weight", spread), "for a function of modules name the module, '2'"),
        (lambda net: nnw.apply(net, "0.weight", spread), "is a tensor, expected a module"),
        (lambda net: nnw.apply(net, "Linear", "normal_"), "can't be called"),
    ],
)
def test_what_such_a_function_may_not_do_is_refused_with_what_to_do_and_nothing_is_changed(act, said):
    net = mlp()
    before = bits(net)
    with pytest.raises(nnw.NNWidgetsError) as caught:
        act(net)
    assert said in str(caught.value)
    assert bits(net) == before


def test_what_a_call_in_place_gives_is_no_tensor_of_its_own():
    net = mlp()
    for inplace in (lambda m: m.bias.fill_(1.0), lambda m: m.bias.data.fill_(2.0), lambda m: m.bias[0].fill_(3.0)):
        assert nnw.apply(net, "0", inplace).paths == ("0.bias",)


def test_the_decorator_says_where_a_function_of_a_module_goes():
    with pytest.raises(nnw.InitializerError, match=r'apply\(net, "Linear", init_normal\)'):
        nnw.initializer(init_normal)


def test_what_changed_is_counted_each_element_once_however_many_names_it_has():
    net = tied()
    assert nnw.apply(net, "", lambda m: m.a.weight.add_(1)).n_elements == 16
    assert nnw.apply(net, "", lambda m: (m.low.add_(1), m.high.add_(1))).n_elements == 24
    assert nnw.apply(net, "", lambda m: m.a.bias.add_(1)).n_elements == 4
    assert nnw.apply(net, "", lambda m: None).n_elements == 0
