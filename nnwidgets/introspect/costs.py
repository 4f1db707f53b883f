"""What a model costs: memory of parameters, gradients, optimizers and activations, and arithmetic, module by module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import sub
from typing import Any

import torch
from torch import nn

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.cost_records import Costs, ModuleCosts
from nnwidgets.introspect.module_tree.counts import Common, counts
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.module_tree.tensor_metadata import facts
from nnwidgets.introspect.module_tree.tree import counted_tree
from nnwidgets.introspect.optimizers import optimizers_in, states_by_id
from nnwidgets.introspect.safe_access.holders import holder_of
from nnwidgets.introspect.safe_access.objects import ORDINARY, no_torch_function
from nnwidgets.introspect.safe_access.scan import ModelScan, gc_paused, read
from nnwidgets.introspect.safe_access.tensors import gradient_of
from nnwidgets.introspect.safe_access.tensors_in import tensors_in
from nnwidgets.introspect.tracing.trace import InputSizes, trace
from nnwidgets.introspect.tracing.trace_record import Trace

_BASE: Any = torch._C.TensorBase  # noqa: SLF001 - its methods can't be overridden by a subclass or an instance


def costs(
    module: nn.Module, /, *args: Any, optimizer: Any = None, input_size: InputSizes | None = None, **kwargs: Any
) -> Costs:
    """Tell what a model costs, module by module: memory, and with an input also activations and arithmetic.

    Memory is that of this process, in bytes, each byte once: tied tensors count where they are met first in a sum, and
    in full for each module that holds one of them. Gradients and the states of optimizers are those that are there
    now. With an input, or a size of one, a forward is traced as `trace` does it, which leaves the model as it was:
    activations are what autograd keeps of it for a backward (``saved_bytes`` of a trace), arithmetic is counted by
    torch's formulas; both stand at the module whose forward did it, and above it in the tree.

    What a backward, a step and the allocator need for a moment isn't in it.

    Args:
        module: The model.
        *args: What its forward takes; without any, and without ``input_size``, none is run.
        optimizer: The optimizer that trains it, or a list of them.
        input_size: Sizes of inputs to be made, as in `trace`: ``(2, 20)``, ``"2,20:int64"``, or a list of these.
        **kwargs: What its forward takes by name.

    Returns:
        A record a module, in walk order; what is returned prints as ``%nn costs`` does.

    Raises:
        InvalidTargetError: If ``module`` is not a module, ``optimizer`` no optimizer, ``input_size`` no size, or the
            forward raises.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(20, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
        >>> found = costs(net, input_size=(2, 20))
        >>> found.total.parameter_bytes, found.total.activation_bytes, found.total.mult_adds
        (31784, 2208, 15360)
        >>> [(each.path, each.parameter_bytes) for each in found.modules[1:]]
        [('0', 21504), ('1', 0), ('2', 10280)]
    """
    optimizers = optimizers_in(optimizer)
    # Before the forward, which may leave other tensors in a model, as FSDP2's does.
    scan = read(module)
    held = _Memory(scan, optimizers)
    found = None
    if args or kwargs or input_size is not None:
        found = trace(module, *args, input_size=input_size, **kwargs)
        if found.error is not None:
            where = f" at {found.failed_at}" if found.failed_at else ""
            raise InvalidTargetError(
                f"The forward raised{where}: {found.error}",
                path=found.failed_at,
                hint="Pass what the model's forward takes; trace(net, …) tells which shapes each module got.",
            )
    activations, flops, n_calls = _traced(scan, found)
    modules = tuple(
        ModuleCosts(
            path=node.path,
            class_name=node.class_name,
            parameter_bytes=held.of_parameters[row],
            buffer_bytes=held.of_all[row] - held.of_parameters[row],
            gradient_bytes=held.of_gradients[row],
            optimizer_bytes=held.of_states[row],
            activation_bytes=activations[row],
            flops=flops[row],
            n_calls=n_calls[row],
        )
        for row, node in enumerate(held.tree.nodes)
    )
    return Costs(modules, held.missing_gradients, found is not None, len(optimizers), _tree=held.tree)


class _Memory:
    """Bytes at and below each row of a scan, as they are when it is made."""

    def __init__(self, scan: ModelScan, optimizers: Sequence[Any]) -> None:
        self.tree, param_counts = counted_tree(scan)
        self.of_all = [node.local_bytes for node in self.tree.nodes]
        with no_torch_function(), gc_paused():
            self.of_parameters = param_counts.bytes_by_row(parameters=True)
            gradients = {
                slot: [gradient]
                for slot, tensor in enumerate(scan.slot_values)
                if self.tree.tensors[slot].has_grad and (gradient := gradient_of(tensor)) is not None
            }
            self.of_gradients = _by_row(scan, gradients)
            self.of_states = _by_row(scan, _states(scan, optimizers))
        self.missing_gradients = _trainable_without_gradient(scan, self.tree)


def _states(scan: ModelScan, optimizers: Iterable[Any]) -> dict[int, list[Any]]:
    """By slot, the tensors that optimizers remember of its parameter."""
    states = list(map(states_by_id, optimizers))
    return {
        slot: tensors
        for slot, tensor in enumerate(scan.slot_values if states else ())
        if (tensors := [each for state in states for each in tensors_in(state.get(id(tensor)))])
    }


def _trainable_without_gradient(scan: ModelScan, tree: ModuleTree) -> int:
    """Bytes that the gradients will take that aren't there yet, of one each for each parameter that asks for one."""
    waiting = {
        id(value): entry.local_bytes
        for value, entry in zip(scan.slot_values, tree.tensors, strict=True)
        if entry.role == "parameter" and entry.requires_grad and not entry.has_grad
    }
    return sum(waiting.values())


def _by_row(scan: ModelScan, tensors: dict[int, list[Any]]) -> list[int]:
    """Bytes at and below each row of tensors that belong to slots, the same memory once."""
    own = [0] * len(scan.slot_values)
    holders: dict[tuple[int, int], list[int]] = {}
    for slot, held in tensors.items():
        for key, n_bytes in dict(map(local_memory, held)).items():
            own[slot] += n_bytes
            if n_bytes:
                holders.setdefault((key, n_bytes), []).append(slot)
    shared: list[Common] = [
        (tuple(slots), (n_bytes,) * len(slots)) for (_, n_bytes), slots in holders.items() if len(slots) > 1
    ]
    return counts(scan, _sums(own, scan.first_slot), shared)


def _sums(of_slots: Sequence[int], first_slot: Sequence[int]) -> list[int]:
    up_to = [0, *accumulate(of_slots)]
    at = [up_to[slot] for slot in first_slot]
    return list(map(sub, at[1:], at))


def local_memory(tensor: Any) -> tuple[int, int]:
    """What tells the memory of a tensor from that of others, and the bytes that this process holds of it.

    To be called inside `no_torch_function`.

    Example:
        >>> ones = torch.ones(3)
        >>> local_memory(ones) == local_memory(ones.view(1, 3)), local_memory(ones)[1]
        (True, 12)
    """
    if id(type(tensor)) in ORDINARY and _BASE.layout.__get__(tensor) is torch.strided:
        try:
            return _BASE.data_ptr(tensor) or id(tensor), _BASE.nbytes.__get__(tensor)
        except RuntimeError:
            pass
    held = holder_of(tensor)
    return id(tensor), facts(tensor).kind.size_bytes if held is None else held.local_bytes


def _traced(scan: ModelScan, found: Trace | None) -> tuple[list[int | None], list[int | None], list[int]]:
    """By row: bytes kept for a backward, floating-point operations, and how often it was called."""
    n_rows = len(scan.modules)
    n_calls = [0] * n_rows
    if found is None:
        return [None] * n_rows, [None] * n_rows, n_calls
    row_of: dict[str, int] = {}
    for row, path in enumerate(scan.row_paths):
        row_of.setdefault(path, row)
    saved, flops = [0] * n_rows, [0] * n_rows
    saved[0] = found.saved_bytes or 0
    flops[0] = found.flops or 0
    unknown = {0} if found.flops is None else set()
    rows: list[int] = []
    for call in found.calls:
        del rows[call.depth :]
        above = rows[-1] if rows else 0
        row = row_of.get(call.path, above)
        rows.append(row)
        n_calls[row] += 1
        _move(saved, call.saved_bytes or 0, above, row)
        if call.flops is None:
            unknown.add(row)
        else:
            _move(flops, call.flops, above, row)
    known = None if found.saved_bytes is None else counts(scan, saved, ())
    work: list[int | None] = list(counts(scan, flops, ()))
    for row in _rows_above(scan, unknown):
        work[row] = None
    return [None] * n_rows if known is None else list(known), work, n_calls


def _move(of_rows: list[int], n: int, above: int, row: int) -> None:
    """What a call did is in what the call around it did."""
    of_rows[above] -= n
    of_rows[row] += n


def _rows_above(scan: ModelScan, rows: set[int]) -> Iterator[int]:
    seen: set[int] = set()
    for begin in rows:
        row = begin
        while row >= 0 and row not in seen:
            seen.add(row)
            yield row
            row = scan.parents[row]
