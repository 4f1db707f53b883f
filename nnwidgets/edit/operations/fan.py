"""What spread the usual rules give a weight, and what follows it: so that a gain can be chosen by more than memory.

Xavier: std = gain · √(2 / (fan_in + fan_out)), Glorot & Bengio 2010. Kaiming: std = gain / √fan, He et al. 2015.
LeCun: std = √(1 / fan_in), LeCun et al. 1998. Gains are ``torch.nn.init.calculate_gain``'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from nnwidgets.edit.targets import ChangeScope
from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect import get, paths
from nnwidgets.introspect.records import Record
from nnwidgets.introspect.safe_access.objects import instance_dict, is_a, is_module, plain_items, type_mro, type_name

_MATRIX = 2


@dataclass(frozen=True, slots=True)
class FanHint(Record):
    """What the rules say of one weight.

    Attributes:
        path: The weight.
        fan_in: Inputs that each output sums; as torch's fillers take it, from the shape alone.
        fan_out: Outputs that each input reaches.
        activation: ``nonlinearity`` of what follows it (``"relu"``), where that can be told, else None.
        activation_path: Where that is, or None.
        gain: ``calculate_gain`` of the activation, 1 where none is known.
        stds: Standard deviation by rule: ``xavier``, ``kaiming_fan_in``, ``kaiming_fan_out``, ``lecun``.
        note: What to know besides, such as that a layer keeps its weight transposed; or ``""``.
    """

    path: str
    fan_in: int
    fan_out: int
    activation: str | None
    activation_path: str | None
    gain: float
    stds: Mapping[str, float]
    note: str = ""

    def __str__(self) -> str:
        follows = (
            f"then {self.activation} ({self.activation_path}), gain {self.gain:.4g}" if self.activation else "gain 1"
        )
        rules = ", ".join(f"{name} {std:.4g}" for name, std in self.stds.items())
        return (
            f"{self.path}: fan_in {self.fan_in}, fan_out {self.fan_out}, {follows}; std: {rules}. {self.note}".strip()
        )


def fan_hint(module: nn.Module, path: str) -> FanHint | None:
    """Say what spread the usual rules give the weight at ``path``; None for what has no fan (a bias).

    Example:
        >>> hint = fan_hint(nn.Sequential(nn.Linear(20, 256), nn.ReLU()), "0.weight")
        >>> hint.fan_in, hint.fan_out, hint.activation, round(hint.stds["kaiming_fan_in"], 4)
        (20, 256, 'relu', 0.3162)
    """
    entry = ChangeScope(module).tree.find(path)
    shape = getattr(entry, "shape", None)
    if not hasattr(entry, "role") or shape is None:
        raise InvalidTargetError(f"{path} is no tensor with a shape.", path=path, hint="Name a weight.")
    if len(shape) < _MATRIX or 0 in shape:
        return None
    receptive = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * receptive, shape[0] * receptive
    holder = get(module, paths.parent(path))
    note = ""
    if is_module(holder) and _has_base(holder, "Conv1D") and not is_a(holder, nn.Conv1d):
        note = (
            f"{type_name(type(holder))} keeps its weight as [in, out]: its inputs are {shape[0]}, its outputs "
            f"{shape[1]}, and torch's fillers take them the other way round."
        )
    elif is_module(holder) and any(_has_base(holder, f"ConvTranspose{n}d") for n in (1, 2, 3)):
        note = "A transposed convolution keeps its weight as [in, out, …]; torch's fillers take the fans swapped."
    activation, where, slope = _following(module, paths.parent(path))
    gain = nn.init.calculate_gain(activation, slope) if activation else 1.0  # type: ignore[arg-type] # one of torch's names
    stds = {
        "xavier": gain * math.sqrt(2.0 / (fan_in + fan_out)),
        "kaiming_fan_in": gain / math.sqrt(fan_in),
        "kaiming_fan_out": gain / math.sqrt(fan_out),
        "lecun": 1.0 / math.sqrt(fan_in),
    }
    return FanHint(path, fan_in, fan_out, activation, where, gain, stds, note)


_ACTIVATIONS: tuple[tuple[type, str], ...] = (
    (nn.LeakyReLU, "leaky_relu"),
    (nn.ReLU, "relu"),
    (nn.ReLU6, "relu"),
    (nn.Tanh, "tanh"),
    (nn.Sigmoid, "sigmoid"),
    (nn.SELU, "selu"),
)
_TRANSPARENT = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.Dropout, nn.Identity, nn.Flatten)  # noqa: SLF001 - the base of all batch norms


def _following(module: nn.Module, holder_path: str) -> tuple[str | None, str | None, float | None]:
    """The activation after a layer in the nn.Sequential that holds it, norms and dropout passed over."""
    if not holder_path:
        return None, None, None
    parent_path = paths.parent(holder_path)
    parent = get(module, parent_path)
    if not is_module(parent) or not is_a(parent, nn.Sequential):
        return None, None, None
    children = plain_items(instance_dict(parent)["_modules"])
    own = paths.last(holder_path)
    at = next((i for i, (key, _) in enumerate(children) if paths.component(str(key)) == own), len(children))
    for key, child in children[at + 1 :]:
        for kind, name in _ACTIVATIONS:
            if is_a(child, kind):
                slope = instance_dict(child).get("negative_slope") if name == "leaky_relu" else None
                return name, paths.join(parent_path, paths.component(str(key))), slope
        if not any(is_a(child, kind) for kind in _TRANSPARENT):
            break
    return None, None, None


def _has_base(module: Any, name: str) -> bool:
    return any(type_name(kind) == name for kind in type_mro(type(module)))
