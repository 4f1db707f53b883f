"""The scalar that a backward starts from: a function of the output, a target with one of torch's losses, or noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from nnwidgets.errors import InvalidTargetError, closest_names
from nnwidgets.formatting import shape_text, short_repr
from nnwidgets.introspect.safe_access.holders import is_dtensor
from nnwidgets.introspect.safe_access.objects import is_tensor
from nnwidgets.introspect.safe_access.tensors_in import tensors_in

Loss = Any
"""A callable, a target, ``("l1_loss", target)``, or ``"noise"``."""

NAMES = (
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss", "kl_div", "l1_loss",
    "mse_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss",
    "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss",
)  # fmt: skip
"""The losses of `torch.nn.functional` that take an output and a target."""

WHY_NO_GRAPH = "A parameter must ask for a gradient: requires_grad, and no torch.no_grad() or detach() on the way."
NOISE = "noise"
_SEED = 0x6E6E77


def loss_function(loss: Loss) -> Callable[[Any], torch.Tensor]:
    """What a loss computes of an output: a scalar to go back from.

    Args:
        loss: A function of the output. A target: of integers, `cross_entropy` of the output's first tensor of floating
            point is meant, else `mse_loss`. A pair of a name of `NAMES` and a target. Or ``"noise"``: a
            standard-normal gradient is sent back from each tensor of floating point, the same one each time.

    Raises:
        InvalidTargetError: It is none of these, or inference mode is on, in which there are no gradients.

    Example:
        >>> float(loss_function(("l1_loss", torch.zeros(2)))(torch.tensor([1.0, 3.0])))
        2.0
    """
    if torch.is_inference_mode_enabled():
        raise InvalidTargetError(
            "Inside torch.inference_mode there are no gradients, which a loss asks for.",
            hint="Leave inference mode, or leave the loss out for the forward alone.",
        )
    if is_tensor(loss):
        name = "mse_loss" if loss.is_floating_point() or loss.is_complex() else "cross_entropy"
        return _against(name, loss)
    if isinstance(loss, str):
        if loss == NOISE:
            return _noise
        raise InvalidTargetError(f"The loss is {short_repr(loss)}, expected {_EXPECTED}.")
    if type(loss) in (tuple, list) and list(map(is_tensor, loss)) == [False, True] and isinstance(loss[0], str):
        name, target = loss
        if name in NAMES:
            return _against(name, target)
        close = closest_names(name, NAMES)
        raise InvalidTargetError(
            f"torch has no loss named {short_repr(name)}.",
            hint=f"Did you mean {' or '.join(close)}?" if close else f"Known are {', '.join(NAMES)}.",
        )
    if callable(loss):
        called: Callable[[Any], torch.Tensor] = loss
        return called
    raise InvalidTargetError(f"The loss is {short_repr(loss)}, expected {_EXPECTED}.")


_EXPECTED = 'a function of the output, a target, a pair such as ("l1_loss", target), or "noise"'


def floats_in(output: Any) -> list[torch.Tensor]:
    """The tensors of floating point in an output, first to last."""
    return [tensor for tensor in tensors_in(output) if tensor.is_floating_point()]


def _needed_floats(output: Any) -> list[torch.Tensor]:
    floats = floats_in(output)
    if not floats:
        raise InvalidTargetError("The output has no tensor of floating point, which a loss could be computed of.")
    return floats


def _against(name: str, target: torch.Tensor) -> Callable[[Any], torch.Tensor]:
    compute = getattr(functional, name)

    def loss(output: Any) -> torch.Tensor:
        floats = _needed_floats(output)
        if name == "mse_loss" and floats[0].shape != target.shape:
            raise InvalidTargetError(
                f"The output is {shape_text(floats[0].shape)} and the target {shape_text(target.shape)}.",
                hint="mse_loss compares element by element: give the target the output's shape.",
            )
        made: torch.Tensor = compute(floats[0], target.detach())
        return made

    return loss


def _noise(output: Any) -> torch.Tensor:
    floats = [tensor for tensor in _needed_floats(output) if tensor.requires_grad]
    if not floats:
        raise InvalidTargetError(
            "No tensor of floating point in the output has a graph to go back through.",
            hint=WHY_NO_GRAPH,
        )
    generator = torch.Generator().manual_seed(_SEED)
    sums = []
    for tensor in floats:
        noise = torch.randn(tensor.shape, generator=generator).to(tensor.device, tensor.dtype)
        # What ranks hold together is gone back from as the whole that it is, the same on each of them.
        whole: Any = tensor.full_tensor() if is_dtensor(type(tensor)) else tensor  # type: ignore[attr-defined]
        sums.append((whole * noise).sum())
    return torch.stack([each.to(sums[0]) for each in sums]).sum()
