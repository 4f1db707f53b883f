"""Edges of real architectures, against autograd's graph."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

import nnwidgets as nnw
from tests.support.architectures import MODELS, OTHER_INPUTS, build, inputs
from tests.support.flow_by_autograd import edges_by_autograd, edges_by_trace

pytest.importorskip("transformers", minversion="5")

ALL = sorted(set(MODELS) - OTHER_INPUTS)
COMPARED = {*ALL[::2], *ALL[1::8]}
SAME_TENSOR = "modernbert"
"""Its first norm gives back the tensor that it is given, which is then added: who gave it can't be told apart."""

DETACHED = {
    "vits": lambda edge: any(end[0].startswith("duration_predictor.") for end in edge),
    "xlnet": lambda edge: edge[1] == "output",
}
"""Where a model cuts gradients off: where durations are predicted, and in what is kept for the next call."""


@pytest.fixture
def seen():
    """The edges of a model by our trace and by autograd's graph, without dropout."""
    made = []

    def both(model_type):
        torch.manual_seed(0)
        net, given = build(model_type).eval(), inputs(model_type)
        made.append(net)
        return net, edges_by_trace(nnw.trace(net, **given)), edges_by_autograd(net, given)

    yield both
    for net in made:
        net.train()  # activations are one module in all models of transformers


@pytest.mark.parametrize("model_type", sorted(COMPARED - {SAME_TENSOR}))
def test_module_to_module_edges_are_those_of_autograd(model_type, seen):
    _, found, expected = seen(model_type)
    assert expected - found.keys() == set()
    more = {edge for edge, is_hidden in found.items() if not is_hidden} - expected
    assert [edge for edge in more if not DETACHED.get(model_type, lambda _: False)(edge)] == []


def test_a_module_that_gives_back_the_very_tensor_stands_before_all_that_takes_it_later(seen):
    net, found, expected = seen(SAME_TENSOR)
    passing = "model.layers.0.attn_norm"
    assert net.get_submodule(passing)(x := torch.ones(1)) is x
    assert {source[0] for source, _ in found.keys() - expected} == {passing}
