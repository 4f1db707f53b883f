"""Units of a layer that are all alike, or dead: what the data of its weight tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from nnwidgets.formatting import counted
from nnwidgets.introspect.checks.findings import SingleFinding
from nnwidgets.introspect.checks.forward_source import names_in_forward
from nnwidgets.introspect.checks.training import ADAPTERS
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter
from nnwidgets.introspect.records import Severity
from nnwidgets.introspect.safe_access.modules import own_attribute
from nnwidgets.introspect.safe_access.objects import class_attribute, is_a, is_tensor, type_mro, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, unreadable_reason

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_CONVOLUTION = nn.modules.conv._ConvNd  # noqa: SLF001 - the base that all convolutions have
_TRANSPOSED = nn.modules.conv._ConvTransposeNd  # noqa: SLF001 - the same
_RELUS = (nn.ReLU, nn.ReLU6, nn.Threshold)
_MATRIX = 2
_MOST_LISTED = 6
_MOST_IN_FIX = 100


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor of the model whose data can be read.

    Attributes:
        slot: Which slot of the scan.
        row: Its module's row.
        data: A plain tensor over the same memory.
        is_embedding: Whether an embedding of the model has the same memory.
        is_part: Whether other processes have the rest of it.
    """

    slot: int
    row: int
    data: torch.Tensor
    is_embedding: bool
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class ConstantWeight:
    """A weight all of whose units are equal.

    Attributes:
        place: Where it is.
        what: What was seen of it, as the beginning of a sentence.
        is_zero: Whether all is 0.
    """

    place: Place
    what: str
    is_zero: bool


def has_units(module: Any) -> bool:
    """Whether a layer's weight is one of units that see the same input: no embedding's, no norm's, of no groups."""
    kind = type(module)
    is_embedding = any(is_a(module, each) for each in EMBEDDINGS)
    return not is_embedding and "norm" not in type_name(kind).lower() and _groups(module) == 1


def is_weight(scan: ModelScan, place: Place) -> bool:
    """Say whether this is the trained weight of a layer of units: a matrix or more, no embedding, no norm."""
    module = scan.modules[place.row]
    name = scan.slots[place.slot][0]
    is_trained_matrix = place.data.dim() >= _MATRIX and scan.slots[place.slot][1].requires_grad
    if not is_trained_matrix or place.data.is_complex() or type(name) is not str or "weight" not in name:
        return False
    if place.is_embedding or "norm" in type_name(type(module)).lower():
        return False
    return _groups(module) == 1 and _n_units(module, place.data) > 1


def _groups(module: Any) -> int:
    """Return how many groups a convolution has: units of different groups see different inputs."""
    groups = own_attribute(module, "groups") if is_a(module, _CONVOLUTION) else 1
    return groups if type(groups) is int else 1


def _unit_axis(module: Any) -> int | None:
    """Return which dimension of a weight runs over units; None where the class doesn't say."""
    if is_a(module, _TRANSPOSED):
        return 1
    if is_a(module, nn.Linear) or is_a(module, _CONVOLUTION):
        return 0
    is_conv1d = any(
        type_name(kind) == "Conv1D" and class_attribute(kind, "__module__") == "transformers.pytorch_utils"
        for kind in type_mro(type(module))
    )
    return 1 if is_conv1d else None


def _n_units(module: Any, data: torch.Tensor) -> int:
    axis = _unit_axis(module)
    return min(data.shape[0], data.shape[1]) if axis is None else data.shape[axis]


def constant_weight(scan: ModelScan, place: Place) -> ConstantWeight | None:
    """Return what there is to see of a weight whose units are all equal; None where they aren't."""
    axis = _unit_axis(scan.modules[place.row])
    units = _comparable(place.data).movedim(axis or 0, 0)
    first = units[0].flatten()[0]
    if not bool((units[0] == units[-1]).all()):
        return None
    if all(bool((unit == first).all()) for unit in units):
        return ConstantWeight(place, f"All its elements are {float(first):g}", not bool(first))
    is_alike = axis is not None and all(bool((unit == units[0]).all()) for unit in units)
    is_alike = is_alike and _same_bias(scan, place)
    return ConstantWeight(place, "All its units have the same weights", is_zero=False) if is_alike else None


def _comparable(data: torch.Tensor) -> torch.Tensor:
    return data.float() if data.dtype.itemsize == 1 else data


def _same_bias(scan: ModelScan, place: Place) -> bool:
    bias = _bias(scan, place.row)
    return bias is None or bool((bias == bias.reshape(-1)[0]).all())


def _bias(scan: ModelScan, row: int) -> torch.Tensor | None:
    for slot in range(scan.first_slot[row], scan.first_slot[row + 1]):
        key, tensor = scan.slots[slot]
        if type(key) is str and key == "bias" and is_tensor(tensor) and unreadable_reason(tensor) is None:
            return as_plain_tensor(tensor) if tensor.numel() else None
    return None


def constant_weight_findings(
    scan: ModelScan, writer: ExpressionWriter, constant: Sequence[ConstantWeight], weights: Sequence[Place]
) -> Iterator[SingleFinding]:
    """Say of weights of equal units what comes of it, by what follows them: that is the next weight in walk order.

    A layer of zeros is taken for the start of a branch, as adapters and residual blocks have, unless all are so.

    Args:
        scan: The model.
        writer: Of fixes.
        constant: The weights of equal units.
        weights: All weights of units, in walk order.
    """
    after = {place.slot: following for place, following in pairwise(weights)}
    all_of_them = len(constant) == len(weights) > 1
    for weight in constant:
        place = weight.place
        path = scan.slot_path(place.slot)
        like = type_name(type(scan.modules[place.row]))
        if weight.is_zero and not all_of_them:
            if any(part.startswith(ADAPTERS) for part in path.split(".")):
                # So is an adapter's last factor made.
                continue
            said = (
                "All its elements are 0. That is how adapters, gates and the last layers of residual branches are "
                "often started, and there it is right; anywhere else the layer passes nothing of its input on, and no "
                "gradient back to it."
            )
            yield SingleFinding("constant-weight", "note", place.row, path, said, None, like)
            continue
        fix = f"torch.nn.init.xavier_uniform_({writer.code(path)})"
        severity, what_follows = _by_what_follows(scan, weight, after.get(place.slot))
        said = f"{weight.what}, so its {counted(_n_units(scan.modules[place.row], place.data), 'unit')} {what_follows}"
        yield SingleFinding("constant-weight", severity, place.row, path, said, fix, f"{like} {severity}")


def _by_what_follows(scan: ModelScan, weight: ConstantWeight, following: Place | None) -> tuple[Severity, str]:
    """How bad it is that units have equal weights, and what they have in common."""
    has_alike_biases = _same_bias(scan, weight.place)
    now = f"{'compute the same' if has_alike_biases else 'differ by their biases alone'} now"
    if following is None:
        return "note", (
            f"{now}. No other weight of units follows: where it is the last layer of the model, their targets tell "
            "them apart as soon as these differ."
        )
    is_alike = _treats_alike(scan, weight.place, following)
    name = scan.slot_path(following.slot)
    if is_alike is False:
        return "note", (
            f"{now}. {name}, the next in order, has other weights for each of them: where it is what follows, their "
            "gradients differ, and the first step tells them apart."
        )
    if not has_alike_biases:
        return "warning", (
            "differ by their biases alone: each gives the same function of its input, shifted. Random values break "
            "the tie."
        )
    also = f"{name}, the next in order, treats them alike too. " if is_alike else ""
    return "warning", (
        f"compute the same. {also}Unless what follows treats each otherwise, as random weights or dropout do, they get "
        "the same gradient too and stay the same: the layer then learns no more than one unit would. Random values "
        "break the tie."
    )


def _treats_alike(scan: ModelScan, place: Place, following: Place) -> bool | None:
    """Whether a weight reads all units of one before it alike; None where it doesn't read them one by one."""
    axis = _unit_axis(scan.modules[following.row])
    if axis is None or following.data.dim() < _MATRIX:
        return None
    read = _comparable(following.data).movedim(1 - axis, 0)
    if read.shape[0] != _n_units(scan.modules[place.row], place.data):
        return None
    return all(bool((each == read[0]).all()) for each in read)


def dead_units(scan: ModelScan, place: Place, writer: ExpressionWriter) -> Iterator[SingleFinding]:
    """Yield, for the weight of a layer, that some of its units are only zeros."""
    module, axis = scan.modules[place.row], _unit_axis(scan.modules[place.row])
    is_layer_weight = place.data.dim() >= _MATRIX and scan.slots[place.slot][0] == "weight"
    # The row of a padding token is zero on purpose, in an embedding and in the head that is tied to it.
    if axis is None or not is_layer_weight or place.is_embedding or (axis == 1 and _groups(module) != 1):
        return
    units = _comparable(place.data).movedim(axis, 0)
    bias = _bias(scan, place.row)
    # Nearly all units drop out by their first weight alone.
    first_of_each = _first_elements(units)
    dead = [
        unit
        for unit in (first_of_each == 0).nonzero().flatten().tolist()
        if not bool(units[unit].any()) and (bias is None or float(bias.flatten()[unit]) <= 0)
    ]
    if not dead or len(dead) == units.shape[0]:
        return
    listed = ", ".join(str(unit) for unit in dead[:_MOST_LISTED]) + (" …" if len(dead) > _MOST_LISTED else "")
    expression = writer.code(scan.slot_path(place.slot))
    meets_relu = _meets_relu(scan, place.row)
    what = (
        f"{len(dead):,} of its {counted(units.shape[0], 'unit')} ({listed}) have only zero weights and no positive bias"
    )
    yield SingleFinding(
        "dead-units",
        "warning" if meets_relu else "note",
        place.row,
        scan.slot_path(place.slot),
        f"{what}: behind a ReLU they give 0 for every input and get no gradient, so they never wake up."
        if meets_relu
        else f"{what}, so they give the same for every input. Behind a ReLU they would never wake up.",
        _revive(expression, axis, dead),
        f"{type_name(type(module))} {len(dead)}",
    )


def _meets_relu(scan: ModelScan, row: int) -> bool:
    """Say whether what this layer gives meets a ReLU: the next child is one, or its parent's forward names it."""
    parent = scan.parents[row]
    after = scan.ends()[row]
    if after < len(scan.modules) and scan.parents[after] == parent:
        following = scan.modules[scan.first_met.get(after, after)]
        if any(is_a(following, relu) for relu in _RELUS):
            return True
    return any("relu" in name.lower() for name in names_in_forward(type(scan.modules[max(parent, 0)])))


def _first_elements(units: torch.Tensor) -> torch.Tensor:
    while units.dim() > 1:
        units = units[:, 0]
    return units


def _revive(expression: str, axis: int, dead: list[int]) -> str:
    if len(dead) > _MOST_IN_FIX:
        return f"torch.nn.init.xavier_uniform_({expression})"
    return (
        f"weight, dead = {expression}, torch.tensor({dead})\n"
        "fresh = torch.nn.init.xavier_uniform_(torch.empty_like(weight))\n"
        "with torch.no_grad():\n"
        f"    weight.index_copy_({axis}, dead, fresh.index_select({axis}, dead))"
    )
