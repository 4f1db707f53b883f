"""What only the data of a model's tensors tells: not-a-numbers here, units in `units`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch

from nnwidgets.formatting import counted
from nnwidgets.introspect.checks.findings import SingleFinding
from nnwidgets.introspect.checks.units import (
    EMBEDDINGS,
    ConstantWeight,
    Place,
    constant_weight,
    constant_weight_findings,
    dead_units,
    is_weight,
)
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter
from nnwidgets.introspect.safe_access import tensors
from nnwidgets.introspect.safe_access.holders import holder_of
from nnwidgets.introspect.safe_access.objects import ORDINARY, is_tensor, type_mro, type_name
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.statistics.exact_stats import CancelledError

EXACT_BYTES = 8 * 2**30
"""Bytes that a check reads in full; of what is beyond, 65,536 elements spread over each tensor are looked at."""

_CHUNK = 4 * 2**20
_SAMPLE = 65_536


@dataclass(slots=True)
class _Effort:
    """What is read, and what was left unread."""

    cancelled: Callable[[], bool]
    bytes_left: int
    n_sampled: int = 0
    n_elsewhere: int = 0
    devices: set[str] = field(default_factory=set)


def value_findings(
    scan: ModelScan, writer: ExpressionWriter, cancelled: Callable[[], bool], exact_bytes: int
) -> list[SingleFinding]:
    """Return what the data tells. Only data in the CPU's memory is read.

    Raises:
        CancelledError: As soon as ``cancelled()`` is true.
    """
    effort = _Effort(cancelled, exact_bytes)
    singles: list[SingleFinding] = []
    constant: list[ConstantWeight] = []
    weights: list[Place] = []
    with tensors.plain_torch():
        for place in _places(scan, effort):
            single = _not_finite(scan, place, writer, effort)
            if single is not None:
                singles.append(single)
            gradient = _gradient(place, scan)
            single_of_it = None if gradient is None else _not_finite(scan, gradient, writer, effort, is_gradient=True)
            if single_of_it is not None:
                singles.append(single_of_it)
            if single is not None:
                continue
            # Of units that are here in part nothing can be said.
            if place.is_part:
                continue
            if scan.role(place.slot, place.row) != "parameter":
                continue
            if is_weight(scan, place):
                weights.append(place)
                weight = constant_weight(scan, place)
                if weight is not None:
                    constant.append(weight)
                    continue
            singles.extend(dead_units(scan, place, writer))
    return [*singles, *constant_weight_findings(scan, writer, constant, weights), *_limits(effort, exact_bytes)]


def _places(scan: ModelScan, effort: _Effort) -> Iterator[Place]:
    """Yield each tensor of numbers that can be read, once."""
    seen: set[tuple[object, ...]] = set()
    embeddings = _embedding_addresses(scan)
    for row, begin in enumerate(scan.first_slot[:-1]):
        for slot in range(begin, scan.first_slot[row + 1]):
            tensor = scan.slots[slot][1]
            if tensor is None or not is_tensor(tensor) or tensor.is_meta:
                continue
            if tensor.device.type != "cpu":
                effort.n_elsewhere += 1
                effort.devices.add(str(tensor.device))
                continue
            if tensors.unreadable_reason(tensor) is not None:
                continue
            data = tensors.as_plain_tensor(tensor)
            is_number = data.is_floating_point() or data.is_complex()
            if data.layout is not torch.strided or data.is_quantized or not is_number or not data.numel():
                continue
            identity = (data.data_ptr(), data.dtype, data.shape, data.stride())
            if identity not in seen:
                seen.add(identity)
                held = None if id(type(tensor)) in ORDINARY else holder_of(tensor)
                is_part = held is not None and held.is_part
                yield Place(slot, row, data, data.data_ptr() in embeddings, is_part)


def _embedding_addresses(scan: ModelScan) -> set[int]:
    addresses: set[int] = set()
    for row in scan.rows_of(lambda kind: any(base in type_mro(kind) for base in EMBEDDINGS)):
        for slot in range(scan.first_slot[row], scan.first_slot[row + 1]):
            tensor = scan.slots[slot][1]
            if is_tensor(tensor) and tensors.unreadable_reason(tensor) is None:
                addresses.add(tensors.as_plain_tensor(tensor).data_ptr())
    return addresses


def _gradient(place: Place, scan: ModelScan) -> Place | None:
    """The gradient of a tensor, where that can be read."""
    found = tensors.gradient_of(scan.slots[place.slot][1])
    if found is None or not found.is_cpu or tensors.unreadable_reason(found) is not None:
        return None
    data = tensors.as_plain_tensor(found)
    is_read = data.layout is torch.strided and (data.is_floating_point() or data.is_complex())
    return replace(place, data=data) if is_read else None


def _not_finite(
    scan: ModelScan, place: Place, writer: ExpressionWriter, effort: _Effort, *, is_gradient: bool = False
) -> SingleFinding | None:
    """Tell of NaN and infinite elements; in buffers only of NaN, since masks are made of infinities."""
    data = torch.view_as_real(place.data.resolve_conj()) if place.data.is_complex() else place.data
    size = data.numel() * data.element_size()
    in_full = size <= effort.bytes_left
    if in_full:
        effort.bytes_left -= size
    else:
        effort.n_sampled += 1
    n_nan = n_inf = 0
    for chunk in _chunks(data, in_full=in_full):
        if effort.cancelled():
            raise CancelledError("The check was cancelled.")
        values = chunk if chunk.dtype in {torch.float32, torch.float64} else chunk.to(torch.float32)
        # A sum is the fastest look at every element: not-a-numbers and infinities come through it.
        if not bool(torch.isfinite(values.sum())):
            n_nan += int(values.isnan().sum())
            n_inf += int(values.isinf().sum())
    role = scan.role(place.slot, place.row)
    if not n_nan and (role == "buffer" or not n_inf):
        return None
    found = " and ".join(f"{count:,} {what}" for count, what in ((n_nan, "NaN"), (n_inf, "infinite")) if count)
    here = (" that this process has" if place.is_part else "") + ("" if in_full else " (seen in a sample)")
    expression = writer.code(scan.slot_path(place.slot))
    if is_gradient:
        return SingleFinding(
            "nan-or-inf",
            "warning",
            place.row,
            scan.slot_path(place.slot),
            f"Its gradient has {found} of {counted(place.data.numel(), 'element')}{here}: the next step takes "
            "them over into "
            "the values, unless a gradient scaler skips it. Look for what made them (a log or a division by zero, an "
            "overflow of half precision) before it.",
            f"{expression}.grad = None",
            type_name(type(scan.modules[place.row])),
        )
    return SingleFinding(
        "nan-or-inf",
        "error" if role == "parameter" else "warning",
        place.row,
        scan.slot_path(place.slot),
        f"{found} of its {counted(place.data.numel(), 'element')}{here}: whatever they "
        "touch becomes NaN too, the loss first. Look for what made them (a learning rate too high, a log or a division "
        "by zero) and go back to values from before.",
        f"with torch.no_grad():\n    {expression}.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)"
        if role != "unregistered"
        else None,
        type_name(type(scan.modules[place.row])),
    )


def _chunks(data: torch.Tensor, *, in_full: bool) -> Iterator[torch.Tensor]:
    """Yield views that together hold each element, or a sample spread over all."""
    if not in_full:
        steps = [slice(None)] * data.dim()
        axis = max(range(data.dim()), key=lambda d: data.shape[d], default=None)
        if axis is not None:
            steps[axis] = slice(None, None, max(data.numel() // _SAMPLE, 1))
        yield data[tuple(steps)]
    elif data.is_contiguous():
        flat = data.view(-1)
        yield from (flat[start : start + _CHUNK] for start in range(0, flat.numel(), _CHUNK))
    elif data.numel() <= _CHUNK:
        yield data
    else:
        for part in data.unbind(0):
            yield from _chunks(part, in_full=True)


def _limits(effort: _Effort, exact_bytes: int) -> Iterator[SingleFinding]:
    if effort.n_sampled:
        yield SingleFinding(
            "not-read",
            "note",
            0,
            "",
            f"Of {counted(effort.n_sampled, 'tensor')} only a sample of {_SAMPLE:,} elements was looked at: the "
            "model is "
            f"larger than the {exact_bytes / 2**30:.3g} GiB that a check reads in full.",
        )
    if effort.n_elsewhere:
        devices = ", ".join(sorted(effort.devices)[:4])
        yield SingleFinding(
            "not-read",
            "note",
            0,
            "",
            f"The data of {counted(effort.n_elsewhere, 'tensor')} on {devices} was not read: a check reads what "
            "is in the CPU's memory. Statistics of a single one read that.",
        )
