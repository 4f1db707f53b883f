"""The pulse of a model in training: how large its parameters and gradients are, and how far a step moves them.

Norms are of whole tensors, so that no NaN is missed. How far a step moved a tensor is told from a sample of it, taken
before the step and compared after: no second copy of the model is held.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.safe_access.scan import ModelScan, read
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch, torch_attribute

_MOST_NARROW = 2**24

SAMPLE = 1_024
"""Most elements of a tensor that are kept to tell how far a step moved it."""


class Beat(NamedTuple):
    """What one moment of training says of a parameter, or of all that are within a module.

    Attributes:
        norm: The parameter's 2-norm; of a module, that of all its trainable parameters together.
        gradient: The 2-norm of the gradient; None where there is none.
        update: The 2-norm of the last step's change over `norm`; None where it isn't known, or `norm` is 0.
    """

    norm: float
    gradient: float | None
    update: float | None


class Pulse:
    """Feels the pulse of one model; holds no tensor of it.

    Example:
        >>> from torch import nn
        >>> net = nn.Linear(2, 1, bias=False)
        >>> _ = nn.init.ones_(net.weight)
        >>> pulse = Pulse()
        >>> pulse.before_step(net)
        >>> _ = net.weight.data.mul_(2)
        >>> beat = pulse.beats(net)["weight"]
        >>> round(beat.norm, 3), beat.gradient, beat.update
        (2.828, None, 0.5)
    """

    def __init__(self) -> None:
        self._samples: dict[int, torch.Tensor] = {}

    def before_step(self, module: object) -> None:
        """Keep a sample of each trainable parameter, to compare with at the next beat; a beat does so itself."""
        trainable = {id(tensor): tensor for _, tensor in _trainable(read(module))}
        with plain_torch():
            self._samples = {key: _sample(data).clone() for key, data in _readable(trainable).items()}

    def forget(self) -> None:
        """Let go of the samples."""
        self._samples = {}

    def beats(self, module: object) -> dict[str, Beat]:
        """What this moment says of each trainable parameter and each module that holds some, by path.

        A parameter has its beat under its first name; what a module holds under several names counts once.

        Raises:
            InvalidTargetError: ``module`` is no module.
        """
        found = read(module)
        slots = _trainable(found)
        trainable = {id(tensor): tensor for _, tensor in slots}
        with plain_torch():
            data = _readable(trainable)
            gradients = {key: grad for key in data if (grad := _gradient(trainable[key])) is not None}
            samples = {key: _sample(each) for key, each in data.items()}
            both = ((key, now, self._samples.get(key)) for key, now in samples.items())
            moved = {key: now - old for key, now, old in both if old is not None and _is_like(now, old)}
            norms, gradient_norms, moves = norms_of([data, gradients, moved])
            self._samples = {key: now.clone() for key, now in samples.items()}
        # Of all elements, from those of the sample.
        steps = {key: move * math.sqrt(data[key].numel() / moved[key].numel()) for key, move in moves.items()}
        return _by_path(found, slots, norms, gradient_norms, steps)


def _trainable(found: ModelScan) -> list[tuple[int, torch.Tensor]]:
    """Slots of parameters of real or complex numbers that need a gradient, each tensor at its first."""
    made: dict[int, tuple[int, torch.Tensor]] = {}
    row = 0
    for slot, tensor in enumerate(found.slot_values):
        while slot >= found.first_slot[row + 1]:
            row += 1
        if found.role(slot, row) == "parameter" and torch_attribute(tensor, "requires_grad"):
            made.setdefault(id(tensor), (slot, tensor))
    return list(made.values())


def _readable(tensors: Mapping[int, torch.Tensor]) -> dict[int, torch.Tensor]:
    made = {}
    for key, tensor in tensors.items():
        try:
            made[key] = as_plain_tensor(tensor)
        except InvalidTargetError:
            continue
    return made


def _gradient(tensor: torch.Tensor) -> torch.Tensor | None:
    found = torch_attribute(tensor, "grad") if torch_attribute(tensor, "is_leaf") else None
    if found is None:
        return None
    try:
        data = as_plain_tensor(found)
    except InvalidTargetError:
        return None
    return data.coalesce().values() if data.is_sparse else data


def _sample(data: torch.Tensor) -> torch.Tensor:
    """Elements spread evenly over the tensor's memory; none where they don't lie densely."""
    n = data.numel()
    if data.layout is not torch.strided or not n or data.untyped_storage().nbytes() < n * data.element_size():
        return data.new_empty(0)
    if not data.is_contiguous():
        reach = 1 + sum((size - 1) * stride for size, stride in zip(data.shape, data.stride(), strict=True))
        if reach != n:
            return data.new_empty(0)
    # An odd step, so that a matrix is not sampled in one of its columns.
    return data.as_strided((n,), (1,), data.storage_offset())[:: n // SAMPLE | 1][:SAMPLE]


def _is_like(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and one.device == other.device and one.numel() > 0


def norms_of(groups: Iterable[Mapping[int, torch.Tensor]]) -> list[dict[int, float]]:
    """2-norms of many tensors, brought to the host in one go for each device."""
    groups = list(groups)
    alike: dict[tuple[torch.device, torch.dtype], list[tuple[int, int, torch.Tensor]]] = {}
    for number, group in enumerate(groups):
        for key, data in group.items():
            norm = _norm(data)
            alike.setdefault((norm.device, norm.dtype), []).append((number, key, norm))
    made: list[dict[int, float]] = [{} for _ in groups]
    for those in alike.values():
        values = torch.stack([norm for _, _, norm in those]).tolist()
        for (number, key, _), value in zip(those, values, strict=True):
            made[number][key] = value
    return made


def _norm(data: torch.Tensor) -> torch.Tensor:
    if data.is_complex():
        data = torch.view_as_real(data)
    # Sums of float32 lose half a percent of 67 million elements.
    is_wide = data.dtype is torch.float64 or (data.numel() > _MOST_NARROW and data.device.type != "mps")
    kind = torch.float64 if is_wide else torch.float32
    made: torch.Tensor = torch.linalg.vector_norm(data, dtype=kind)
    return made


def _by_path(
    found: ModelScan,
    slots: list[tuple[int, torch.Tensor]],
    norms: Mapping[int, float],
    gradients: Mapping[int, float],
    steps: Mapping[int, float],
) -> dict[str, Beat]:
    made: dict[str, Beat] = {}
    sums: dict[int, list[float | None]] = {}
    for slot, tensor in slots:
        key = id(tensor)
        if key not in norms:
            continue
        measured = norms[key], gradients.get(key), steps.get(key)
        made[found.slot_path(slot)] = _beat(*measured)
        _add(sums, found.owner(slot), [None if value is None else value * value for value in measured])
    # What is below a row comes after it.
    for row in range(len(found.parents) - 1, 0, -1):
        if row in sums:
            _add(sums, found.parents[row], sums[row])
    for row, held in sums.items():
        norm, gradient, moved = (None if each is None else math.sqrt(each) for each in held)
        made[found.path(row)] = _beat(norm or 0.0, gradient, moved)
    return made


def _add(sums: dict[int, list[float | None]], row: int, squares: list[float | None]) -> None:
    held = sums.setdefault(row, [None] * len(squares))
    for at, square in enumerate(squares):
        if square is not None:
            held[at] = (held[at] or 0.0) + square


def _beat(norm: float, gradient: float | None, moved: float | None) -> Beat:
    return Beat(norm, gradient, None if moved is None or not norm else moved / norm)
