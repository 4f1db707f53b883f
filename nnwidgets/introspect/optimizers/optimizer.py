"""A model beside its optimizers: groups with their settings, and what is remembered of each parameter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from nnwidgets.formatting import inert
from nnwidgets.introspect.module_tree.tensor_metadata import Kinds, TensorSpec, facts
from nnwidgets.introspect.optimizers.group_fields import groups_of, states_by_id, tensors_of
from nnwidgets.introspect.optimizers.live_optimizers import optimizers_in
from nnwidgets.introspect.optimizers.table_records import OptimizerGroup, OptimizerTable, ParameterState, StateTensor
from nnwidgets.introspect.safe_access.holders import holder_of, whose
from nnwidgets.introspect.safe_access.objects import (
    ORDINARY,
    is_tensor,
    no_torch_function,
    plain_items,
    type_name,
)
from nnwidgets.introspect.safe_access.scan import gc_paused, read
from nnwidgets.introspect.safe_access.tensors import (
    as_plain_tensor,
    gradient_of,
    plain_runs,
    plain_torch,
    unreadable_reason,
)
from nnwidgets.introspect.statistics.training_norms import norms_of

_MOST_TEXT = 80
_MOST_TENSORS = 1_000
_PLAIN = (bool, int, float, str)


def optimizer(module: nn.Module, optimizer: Any) -> OptimizerTable:
    """Put a model beside what trains it: the groups with their settings, and what is remembered of each parameter.

    Norms are of what the optimizer keeps now (``exp_avg``, ``momentum_buffer``), read on the device where it is. Codes
    of 8-bit optimizers have none. All is read from the optimizer's fields: a wrapper's (accelerate's,
    ``ZeroRedundancyOptimizer``'s) lead to the one within, and nothing of their code runs.

    Args:
        module: The model.
        optimizer: Its optimizer, or a list of them.

    Returns:
        The groups, and every parameter of the model, whichever holds it: ``missing`` and ``repeated`` name those in
        none and in several. What is returned prints as ``%nn optimizer`` does.

    Raises:
        InvalidTargetError: If ``module`` is not a module, or ``optimizer`` no optimizer.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Linear(20, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
        >>> adam = torch.optim.Adam([{"params": [net[0].weight]}, {"params": net[2].parameters(), "lr": 0.1}])
        >>> found = optimizer(net, adam)
        >>> [(group.options["lr"], group.n_elements) for group in found.groups], found.missing
        ([(0.001, 5120), (0.1, 2570)], ('0.bias',))
    """
    optimizers = optimizers_in(optimizer)
    scan = read(module)
    return table_of([(scan.slot_path(slot), tensor) for slot, _, tensor in scan.parameters.values()], optimizers)


def table_of(parameters: Sequence[tuple[str, Any]], optimizers: Iterable[Any]) -> OptimizerTable:
    """Put parameters beside optimizers.

    Args:
        parameters: Paths and tensors.
        optimizers: What trains them, perhaps with others.
    """
    specs = Specs()
    own = {id(tensor): number for number, (_, tensor) in enumerate(parameters)}
    places: list[list[int]] = [[] for _ in parameters]
    states: list[list[dict[Any, Any]]] = [[] for _ in parameters]
    groups: list[OptimizerGroup] = []
    with no_torch_function(), gc_paused():
        known = [specs.of(tensor) for _, tensor in parameters]
        for number, each in enumerate(optimizers):
            remembered = states_by_id(each)
            for index, group in enumerate(groups_of(each)):
                held = tensors_of(group)
                mine = list(dict.fromkeys(own[id(tensor)] for tensor in held if id(tensor) in own))
                for at in mine:
                    places[at].append(len(groups))
                sizes = [known[at].n_elements for at in mine]
                groups.append(_group(each, (number, index), group, sizes, len(held)))
            for key, state in remembered.items():
                if key in own:
                    states[own[key]].append(state)
        kept = [[thing for state in each for thing in _remembered(state, specs)] for each in states]
        _measure([thing for things in kept for thing in things if len(thing.tensors) == 1])
        rows = tuple(
            ParameterState(
                path=path,
                shape=known[at].shape,
                requires_grad=bool(_requires_grad(tensor)),
                has_grad=gradient_of(tensor) is not None,
                groups=tuple(places[at]),
                step=_step(kept[at], [groups[place] for place in places[at]]),
                state=tuple(each.record() for each in kept[at] if each.name != "step" or each.value is None),
            )
            for at, (path, tensor) in enumerate(parameters)
        )
    return OptimizerTable(tuple(groups), rows)


def _group(
    optimizer: Any, place: tuple[int, int], group: dict[Any, Any], sizes: Sequence[int], n_held: int
) -> OptimizerGroup:
    options = {}
    for key, value in plain_items(group):
        if type(key) is str and key not in {"params", "param_names"}:
            said = _plain(value)
            if said is not None:
                options[inert(key, _MOST_TEXT)] = said
    return OptimizerGroup(
        optimizer=place[0],
        class_name=type_name(type(optimizer)),
        index=place[1],
        options=options,
        n_tensors=len(sizes),
        n_elements=sum(sizes),
        n_others=n_held - len(sizes),
    )


def _plain(value: Any) -> Any:
    """A setting as a number, text or tuple of these; None for what is none."""
    if type(value) in _PLAIN:
        return inert(value, _MOST_TEXT) if type(value) is str else value
    if type(value) in (list, tuple) and len(value) <= 8 and all(type(each) in _PLAIN for each in value):  # noqa: PLR2004 - betas
        return tuple(value)
    return _number(value)


def _number(value: Any) -> float | None:
    """What a tensor of one element holds, as a learning rate or a step may be kept."""
    if not is_tensor(value) or facts(value).kind.n_elements != 1 or unreadable_reason(value) is not None:
        return None
    with plain_torch():
        data = as_plain_tensor(value)
        return None if data.is_complex() else float(data.item())


def _step(kept: Sequence[_Remembered], groups: Sequence[OptimizerGroup]) -> float | None:
    """How many steps a parameter has made, as its state or, with some optimizers, its group counts."""
    steps = [each.value for each in kept if each.name == "step"]
    steps += [step for group in groups if type(step := group.options.get("step")) in {int, float}]
    return next((step for step in steps if step is not None), None)


_BASE: Any = torch._C.TensorBase  # noqa: SLF001 - its properties can't be overridden by a subclass
_requires_grad: Any = _BASE.requires_grad.__get__


class Specs:
    """What is known of tensors without their data; ordinary ones, nearly all, are looked at with few questions."""

    def __init__(self) -> None:
        self._kinds = Kinds()

    def of(self, tensor: Any) -> TensorSpec:
        """Shape, dtype, device and bytes of a tensor."""
        if id(type(tensor)) in ORDINARY:
            with suppress(RuntimeError):
                return self._kinds[tensor.shape, tensor.dtype, tensor.device, tensor.layout]
        return facts(tensor).kind

    def bytes_and_whose(self, tensor: Any, spec: TensorSpec) -> tuple[int, str]:
        """The bytes that this process holds of a tensor, and whose numbers its data are."""
        if id(type(tensor)) in ORDINARY and spec.n_elements and spec.layout == "strided":
            return spec.size_bytes, "all"
        held = holder_of(tensor)
        return spec.size_bytes if held is None else held.local_bytes, whose(tensor)


class _Remembered:
    """One thing that is remembered of a parameter: number and norm are filled in for all of them together."""

    __slots__ = ("name", "norm", "of", "size_bytes", "spec", "tensors", "value")

    def __init__(self, name: str, tensors: Sequence[Any], specs: Specs, value: float | None = None) -> None:
        self.name = name
        self.tensors = tensors
        self.value = value
        self.norm: float | None = None
        self.spec = specs.of(tensors[0]) if tensors else None
        self.size_bytes, self.of = specs.bytes_and_whose(tensors[0], self.spec) if self.spec else (0, "all")
        for each in tensors[1:]:
            self.size_bytes += specs.bytes_and_whose(each, specs.of(each))[0]

    def record(self) -> StateTensor:
        """It as it is told."""
        spec, n = self.spec, len(self.tensors)
        if spec is None:
            return StateTensor(self.name, self.value, None, "", "", 0)
        shape = spec.shape if n == 1 else None
        return StateTensor(
            self.name, self.value, shape, spec.dtype, spec.device, self.size_bytes, self.norm, n_tensors=n, of=self.of
        )


def _remembered(state: dict[Any, Any], specs: Specs) -> Iterator[_Remembered]:
    for key, value in plain_items(state):
        name = inert(key if type(key) is str else type_name(type(key)), _MOST_TEXT)
        if is_tensor(value):
            yield _Remembered(name, (value,), specs)
        elif type(value) in {int, float}:
            yield _Remembered(name, (), specs, float(value))
        elif type(value) in {list, tuple}:
            tensors = [each for each in value[:_MOST_TENSORS] if is_tensor(each)]
            if tensors:
                yield _Remembered(name, tensors, specs)


def _measure(wanted: Sequence[_Remembered]) -> None:
    """Fill in numbers and norms of single tensors, brought to the host in one go for each device."""
    data: dict[int, torch.Tensor] = {}
    numbers: dict[int, torch.Tensor] = {}
    whole = plain_runs([each.tensors[0] for each in wanted])
    with plain_torch():
        for at, each in enumerate(wanted):
            plain = _readable(each.tensors[0]) if whole is None else whole[at]
            if plain is None or each.size_bytes == 0:
                continue
            if plain.numel() == 1 and each.of == "all" and not plain.is_complex():
                numbers[at] = plain
            elif plain.dtype in _WITH_NORMS:
                data[at] = plain
        for at, norm in norms_of([data])[0].items():
            wanted[at].norm = norm
        for at, value in _values(numbers).items():
            wanted[at].value = value


def _readable(tensor: Any) -> torch.Tensor | None:
    if unreadable_reason(tensor) is not None:
        return None
    plain = as_plain_tensor(tensor)
    return None if plain.layout is not torch.strided or plain.is_quantized else plain


def _values(numbers: dict[int, torch.Tensor]) -> dict[int, float]:
    alike: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for at, number in numbers.items():
        alike.setdefault((number.device, number.dtype), []).append(at)
    made: dict[int, float] = {}
    for those in alike.values():
        values = torch.stack([numbers[at].reshape(()) for at in those]).tolist()
        made.update(zip(those, map(float, values), strict=True))
    return made


_WITH_NORMS = {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128}
