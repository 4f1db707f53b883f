"""The signal through real architectures: each number as hooks and torch tell it, and no finding but what is true."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import dataclasses
import itertools

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

import nnwidgets as nnw
from tests.support.architectures import MODELS, OTHER_INPUTS, build, inputs
from tests.support.model_state import digest

pytest.importorskip("transformers", minversion="5")

RUN = sorted(set(MODELS) - OTHER_INPUTS)
COMPARED = [
    "albert", "bart", "bert", "bloom", "clip", "convnext", "ctrl", "deberta-v2", "electra", "falcon", "fnet", "gemma2",
    "gpt2", "gpt_neox", "gpt_oss", "llama", "mamba", "mixtral", "mobilebert", "mobilenet_v2", "mpt", "opt", "resnet",
    "roberta", "rwkv", "squeezebert", "t5", "vilt", "vit", "xlnet",
]  # fmt: skip
TRUE = {
    # One of two channels of a tiny backbone without batches before.
    "detr": {("dead-units", "note")},
}
FLAT = {nn.Tanh: lambda y: y.abs() > 0.97, nn.Sigmoid: lambda y: (y - 0.5).abs() > 0.485}


def floats_of(output):
    if isinstance(output, torch.Tensor):
        return [output] if output.is_floating_point() else []
    if dataclasses.is_dataclass(output) and not isinstance(output, dict):
        output = [getattr(output, field.name) for field in dataclasses.fields(output)]
    elif isinstance(output, dict):
        output = output.values()
    if not isinstance(output, list | tuple | type({}.values())):
        return []
    return [tensor for each in output for tensor in floats_of(each)]


def loss_of(output):
    return sum(tensor.float().square().mean() for tensor in floats_of(output) if tensor.requires_grad)


def by_hooks(net, given):
    """Every call's outputs with what torch says of them, and the gradients of the parameters."""
    calls, channels_first = {}, [None]
    names = {module: name for name, module in net.named_modules()}

    def seen(module, _args, _kwargs, output):
        floats = floats_of(output)
        if floats and isinstance(module, _ConvNd | _NormBase | nn.GroupNorm):
            channels_first[0] = floats[0].dim()
        elif floats and module._parameters:
            channels_first[0] = 0
        for index in itertools.count():
            if (names[module], index) not in calls:
                break
        outputs = calls[names[module], index] = []
        for tensor in floats:
            is_first = tensor.dim() >= 4 if channels_first[0] is None else tensor.dim() == channels_first[0]
            arrived = []
            outputs.append((tensor.detach().clone(), is_first, FLAT.get(type(module)), arrived))
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient, arrived=arrived: arrived.append(gradient.clone()))

    handles = [module.register_forward_hook(seen, with_kwargs=True) for module in net.modules()]
    loss = loss_of(net(**given))
    loss.backward()
    for handle in handles:
        handle.remove()
    gradients = {name: value.grad for name, value in net.named_parameters() if value.requires_grad}
    net.zero_grad(set_to_none=True)
    return calls, gradients, loss.item()


def agree(found, value, where, rounding=1e-9):
    """With a rounding of what a backward sums in another order where hooks are elsewhere."""
    value = value.double()
    finite = value[value.isfinite()]
    assert found.n == value.numel(), where
    assert (found.n_nan, found.n_inf) == (int(value.isnan().sum()), int(value.isinf().sum())), where
    assert rounding > 1e-6 or found.n_zero == int((value == 0).sum()), where
    if finite.numel() > 1:
        near = {"rel": rounding, "abs": rounding * 1e-3 * finite.abs().max().item()}
        assert found.mean == pytest.approx(finite.mean().item(), **near), where
        assert found.std == pytest.approx(finite.std().item(), **near), where
        assert (found.min, found.max) == pytest.approx((finite.min().item(), finite.max().item()), **near), where
        assert found.norm == pytest.approx(finite.norm().item(), **near), where


def compare(found, net, expected):
    calls, gradients, loss = expected
    assert found.loss == pytest.approx(loss, rel=1e-6)
    assert {(call.path, call.call_index) for call in found.calls} == set(calls)
    for call in found.calls:
        outputs = calls[call.path, call.call_index]
        assert len(call.outputs) == len(outputs), call.path
        for signal, (value, is_first, flat, arrived) in zip(call.outputs, outputs, strict=True):
            where = call.path, call.call_index
            assert (signal.shape, f"torch.{signal.dtype}") == (tuple(value.shape), str(value.dtype)), where
            agree(signal.values, value, where)
            assert (signal.gradient is None) == (not arrived), where
            if arrived:
                agree(signal.gradient, arrived[0], where, 1e-4)
            if flat is not None:
                assert signal.n_saturated == int(flat(value).sum()), where
            if value.dim() > 1:
                dim = 1 if is_first else value.dim() - 1
                units = value.movedim(dim, 0).reshape(value.shape[dim], -1)
                assert (signal.n_units, signal.n_silent_units) == (
                    len(units), sum(bool((unit == 0).all()) for unit in units)
                ), where  # fmt: skip
    assert {each.path for each in found.parameters} == set(gradients)
    for each in found.parameters:
        weight = net.get_parameter(each.path).detach()
        agree(each.weight, weight, each.path)
        assert (each.gradient is None) == (gradients[each.path] is None), each.path
        if each.gradient is not None:
            gradient = gradients[each.path]
            agree(each.gradient, gradient, each.path, 1e-4)
            if weight.numel() > 1 and weight.std() > 0:
                assert each.ratio == pytest.approx((gradient.double().std() / weight.double().std()).item(), rel=1e-4)


@pytest.mark.parametrize("name", RUN)
def test_no_finding_but_what_is_true_and_each_number_is_that_of_hooks(name):
    net, given = build(name), inputs(name)
    torch.manual_seed(1)
    found = nnw.activations(net, **given, loss="noise")
    assert found.error is None
    assert {(each.code, each.severity) for each in found.findings} == TRUE.get(name, set())
    if name not in COMPARED:
        return
    torch.manual_seed(0)
    before = digest(net)
    found = nnw.activations(net, **given, loss=loss_of)
    assert digest(net) == before
    compare(found, net, by_hooks(net, given))


def test_a_hundred_architectures_and_more_are_run():
    assert len(RUN) >= 100
    assert set(TRUE) | set(COMPARED) <= set(RUN)
    assert len(COMPARED) >= 30
