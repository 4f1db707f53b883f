"""The pulse of a model in training: sizes of parameters, gradients and steps, and where NaN and infinities come in.

Norms are of whole tensors, so that no NaN is missed. How far a step moved a tensor is told from a sample of it, taken
before the step and compared after: no second copy of the model is held.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.safe_access.scan import ModelScan, read
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, gradient_of, plain_torch, torch_attribute

_PARTS: tuple[Literal["gradient"], Literal["value"]] = ("gradient", "value")
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


class NotFinite(NamedTuple):
    """Where NaN and infinities were first met.

    Attributes:
        path: The first tensor in walk order that has some.
        of: Whether they are in its "gradient" or, where that is finite or there is none, in its "value".
        n_tensors: How many have some.
    """

    path: str
    of: Literal["gradient", "value"]
    n_tensors: int


class FiniteWatch:
    """Looks for NaN and infinities in what trains, again and again, reading each gradient once; holds no tensor.

    Values are read where there is no gradient: what an optimizer makes of a finite gradient is met in the next one.

    Example:
        >>> from torch import nn
        >>> net = nn.Linear(2, 1)
        >>> watch = FiniteWatch()
        >>> watch.look(net)
        >>> net(torch.full((1, 2), float("nan"))).sum().backward()
        >>> watch.look(net)
        NotFinite(path='weight', of='gradient', n_tensors=1)
    """

    def __init__(self) -> None:
        self._slots: list[tuple[str, weakref.ref[torch.Tensor]]] = []
        self._pending: _Stacks = []

    def forget(self) -> None:
        """Read anew at the next look what the model is made of; what a device was asked is dropped."""
        self._slots, self._pending = [], []

    def look(self, module: object, *, wait: bool = True) -> NotFinite | None:
        """Return what isn't finite now, or None where all is, or where a device has yet to be waited for.

        What the model is made of is that of the first look. Without ``wait`` a device other than the CPU goes on with
        its work meanwhile: `ready` then tells what it found, a step later say.

        Raises:
            InvalidTargetError: ``module`` is no module.
        """
        held = [(path, reference()) for path, reference in self._slots]
        if not held or any(tensor is None for _, tensor in held):
            found = read(module)
            slots = [(found.slot_path(slot), tensor) for slot, tensor in _trainable(found)]
            self._slots = [(path, weakref.ref(tensor)) for path, tensor in slots]
            held = list(slots)
        tensors = {place: tensor for place, (_, tensor) in enumerate(held) if tensor is not None}
        with plain_torch():
            gradients = {key: grad for key, each in tensors.items() if (grad := _gradient(each)) is not None}
            values = _readable({key: each for key, each in tensors.items() if key not in gradients})
            stacks = _stacked([gradients, values])
            if not wait and any(stack.device.type != "cpu" for _, stack in stacks):
                self._pending = stacks
                return None
            return self._of_norms(stacks, [gradients, values])

    @property
    def is_waiting(self) -> bool:
        """Whether a device has something to tell that it was asked without waiting."""
        return bool(self._pending)

    def ready(self) -> NotFinite | None:
        """Return what a device found that was not waited for, or None where all was finite."""
        stacks, self._pending = self._pending, []
        with plain_torch():
            return self._of_norms(stacks, None)

    def _of_norms(self, stacks: _Stacks, groups: Sequence[Mapping[int, torch.Tensor]] | None) -> NotFinite | None:
        met = [
            (key, number)
            for number, norms in enumerate(_read_norms(stacks, len(_PARTS)))
            for key, norm in norms.items()
            # A norm of finite numbers may be too large for its type.
            if math.isnan(norm)
            or (math.isinf(norm) and (groups is None or not bool(torch.isfinite(groups[number][key]).all())))
        ]
        if not met:
            return None
        first, number = min(met)
        return NotFinite(self._slots[first][0], _PARTS[number], len(met))


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
            self._samples = {key: spread_sample(data).clone() for key, data in _readable(trainable).items()}

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
            samples = {key: spread_sample(each) for key, each in data.items()}
            both = ((key, now, self._samples.get(key)) for key, now in samples.items())
            moved = {key: now - old for key, now, old in both if old is not None and _is_like(now, old)}
            norms, gradient_norms, moves = norms_of([data, gradients, moved])
            self._samples = {key: now.clone() for key, now in samples.items()}
        # Of all elements, from those of the sample.
        steps = {key: move * math.sqrt(data[key].numel() / moved[key].numel()) for key, move in moves.items()}
        return _by_path(found, slots, norms, gradient_norms, steps)


def together(beats: Iterable[Beat]) -> Beat:
    """One beat of several parts that hold no tensor together; NaN where one of them has some.

    Example:
        >>> together([Beat(3.0, None, 0.5), Beat(4.0, 2.0, None)])
        Beat(norm=5.0, gradient=2.0, update=0.3)
    """
    held: dict[int, list[float | None]] = {}
    for norm, gradient, update in beats:
        moved = None if update is None else update * norm
        _add(held, 0, [None if value is None else value * value for value in (norm, gradient, moved)])
    return _root(held[0])


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
    found = gradient_of(tensor) if torch_attribute(tensor, "is_leaf") else None
    if found is None:
        return None
    try:
        data = as_plain_tensor(found)
    except InvalidTargetError:
        return None
    return data.coalesce().values() if data.is_sparse else data


def spread_sample(data: torch.Tensor, most: int = SAMPLE) -> torch.Tensor:
    """Elements spread evenly over a plain tensor's memory, ``most`` or fewer; none where they don't lie densely.

    Example:
        >>> spread_sample(torch.arange(8.0), 3)
        tensor([0., 3., 6.])
    """
    n = data.numel()
    if data.layout is not torch.strided or not n or data.untyped_storage().nbytes() < n * data.element_size():
        return data.new_empty(0)
    if not data.is_contiguous():
        reach = 1 + sum((size - 1) * stride for size, stride in zip(data.shape, data.stride(), strict=True))
        if reach != n:
            return data.new_empty(0)
    # An odd step, so that a matrix is not sampled in one of its columns.
    return data.as_strided((n,), (1,), data.storage_offset())[:: n // most | 1][:most]


def _is_like(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and one.device == other.device and one.numel() > 0


def norms_of(groups: Iterable[Mapping[int, torch.Tensor]]) -> list[dict[int, float]]:
    """2-norms of many tensors, brought to the host in one go for each device."""
    groups = list(groups)
    return _read_norms(_stacked(groups), len(groups))


_Stacks = list[tuple[list[tuple[int, int]], torch.Tensor]]
"""Norms of a device and type, and for each the number of its group and its key there."""


def _stacked(groups: Sequence[Mapping[int, torch.Tensor]]) -> _Stacks:
    alike: dict[tuple[torch.device, torch.dtype], list[tuple[int, int, torch.Tensor]]] = {}
    for number, group in enumerate(groups):
        for key, data in group.items():
            norm = _norm(data)
            alike.setdefault((norm.device, norm.dtype), []).append((number, key, norm))
    return [
        ([(number, key) for number, key, _ in those], torch.stack([norm for _, _, norm in those]))
        for those in alike.values()
    ]


def _read_norms(stacks: _Stacks, n_groups: int) -> list[dict[int, float]]:
    made: list[dict[int, float]] = [{} for _ in range(n_groups)]
    for those, norms in stacks:
        for (number, key), value in zip(those, norms.tolist(), strict=True):
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
        made[found.path(row)] = _root(held)
    return made


def _add(sums: dict[int, list[float | None]], row: int, squares: list[float | None]) -> None:
    held = sums.setdefault(row, [None] * len(squares))
    for at, square in enumerate(squares):
        if square is not None:
            held[at] = (held[at] or 0.0) + square


def _root(squares: list[float | None]) -> Beat:
    norm, gradient, moved = (None if each is None else math.sqrt(each) for each in squares)
    return _beat(norm or 0.0, gradient, moved)


def _beat(norm: float, gradient: float | None, moved: float | None) -> Beat:
    return Beat(norm, gradient, None if moved is None or not norm else moved / norm)
