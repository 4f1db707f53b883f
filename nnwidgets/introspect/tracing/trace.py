"""A forward pass, call by call."""

from __future__ import annotations

import contextlib
import itertools
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import torch
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.parameter import UninitializedParameter

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.data_flow.recorder import FlowRecorder
from nnwidgets.introspect.handles import over_handles
from nnwidgets.introspect.last_inputs import remember_inputs
from nnwidgets.introspect.model_values import LAST_TRACES
from nnwidgets.introspect.safe_access.exclusion import alone_with
from nnwidgets.introspect.safe_access.objects import (
    class_attribute,
    instance_dict,
    is_a,
    is_module,
    is_tensor,
    no_torch_function,
    type_name,
)
from nnwidgets.introspect.safe_access.scan import ModelScan, gc_paused, read
from nnwidgets.introspect.safe_access.tensors_in import tensors_in
from nnwidgets.introspect.tracing.flops import OperatorCounter
from nnwidgets.introspect.tracing.hooks import CallRecorder, Observer, probing
from nnwidgets.introspect.tracing.inputs import InputSize, input_sizes, make_inputs
from nnwidgets.introspect.tracing.restore import ForwardState
from nnwidgets.introspect.tracing.saved_tensors import SavedBytes
from nnwidgets.introspect.tracing.together import come_together, ranks_of_forward
from nnwidgets.introspect.tracing.trace_record import Trace
from nnwidgets.introspect.tracing.unsharded import shard_again, unsharded_modules

_ERROR_LIMIT = 2_000
_LAZY = UninitializedParameter.__mro__[1]
"""What lazy parameters and lazy buffers have in common."""


InputSizes = str | Sequence[int | str | InputSize | Sequence[int]]
"""``(2, 20)``, ``"2,20:int64"``, or a list of these."""


@over_handles
def trace(module: nn.Module, /, *args: Any, input_size: InputSizes | None = None, **kwargs: Any) -> Trace:
    """Run one forward pass and tell it call by call, leaving the model as it was.

    The forward runs under the caller's grad mode, autocast and training flags. Buffers (BatchNorm's statistics),
    parameters, gradients, training flags and the state of the random generators are afterwards what they were before,
    and what FSDP had cut is cut again; the result of the forward is dropped, and no tensor is kept. A compiled module
    is run uncompiled.

    A forward that raises does not raise here: ``failed_at`` and ``error`` of the result tell where and what, and the
    calls up to there have the shapes they got. What is not an error, such as a keyboard interrupt, passes through,
    after everything was put back.

    ``seconds`` are wall time less the tracing's own. ``flops`` count what torch's counter counts: products, not
    element-wise operations; None where a call did work that there is no formula for. ``mult_adds`` are half as many.
    ``saved_bytes`` is the memory that autograd keeps for a backward from the result, where gradients are on: each
    storage once and whole, those of the model's own tensors aside, an input that a layer keeps included. What code
    keeps elsewhere isn't in it, nor what a forward needs only for a moment. Shapes are those the caller passed, before
    the module's own hooks. Inside a scripted module, and in the replicas that `nn.DataParallel` makes
    on several devices, calls can't be seen.

    Args:
        module: The model.
        *args: What its forward takes.
        input_size: Sizes of inputs to be made and passed before ``args``, batch included: ``(2, 20)``,
            ``"2,20:int64"``, or a list of these. They are random, integers zero, on the device and in the dtype of the
            first parameter. An argument of the forward that has this name can be passed by position.
        **kwargs: The same, by name.

    Returns:
        The calls, in the order they began.

    Raises:
        InvalidTargetError: If ``module`` is not a module, has lazy parameters, which a forward would create, or
            ``input_size`` is no size.
        RankMissingError: Other ranks, which the forward would wait for, didn't come; nothing was run.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(20, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
        >>> found = trace(net, torch.rand(2, 20))
        >>> [(call.path, call.input_shapes, call.output_shapes) for call in found.calls[:2]]
        [('', ((2, 20),), ((2, 10),)), ('0', ((2, 20),), ((2, 256),))]
        >>> trace(net, torch.rand(2, 21)).failed_at
        '0'
        >>> found = trace(net, input_size=(2, 20))
        >>> found.mult_adds, found.saved_bytes  # 2·20 values into the first layer and 2·256 into the last
        (15360, 2208)
    """
    with alone_with(module) as scan:
        ranks = ranks_of_forward(scan)
        found = run(scan, args, kwargs, input_size, begin=lambda: come_together(ranks))
    LAST_TRACES.put(module, found)
    return found


def run(
    scan: ModelScan,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    input_size: InputSizes | None = None,
    *,
    begin: Callable[[], None],
    observer: Observer | None = None,
) -> Trace:
    """As `trace` does.

    Args:
        scan: The model, read, which this thread has for itself.
        args: What its forward takes.
        kwargs: The same, by name.
        input_size: Sizes of inputs to be made.
        begin: Called when all is ready and nothing was run; what it raises is passed on.
        observer: Sees what the calls give, and goes on with the model's output; what it raises is passed on. What
            autograd keeps and the operations aren't told then.
    """
    module = scan.modules[0]
    refuse_lazy(scan)
    given = args
    if input_size is not None:
        args = (*make_inputs(input_sizes(input_size), scan), *args)
    begin()
    remember_inputs(module, given, kwargs, input_size)
    paths: dict[int, str] = {}
    _name_modules(paths, scan)
    state = ForwardState(
        found for row, found in enumerate(scan.modules) if row not in scan.first_met and is_module(found)
    )
    whole = unsharded_modules(scan)
    flow = FlowRecorder() if observer is None else None
    counter = OperatorCounter(state.before_write, flow, counts=observer is None)
    recorder = CallRecorder(counter, _synchronizers(scan), observer, flow)
    failure: Exception | None = None
    result = saved = None
    began = ended = recorder.now()
    try:
        with _without_compilation(scan), counter, probing():
            try:
                with recorder.hooks(tuple(args), kwargs):
                    began = recorder.now()
                    result = module(*args, **kwargs)
                    ended = recorder.now()
            except Exception as raised:  # noqa: BLE001 - whatever a user's forward raises is the answer
                ended = perf_counter() - counter.overhead_seconds
                failure = raised
            if observer is not None and failure is None:
                observer.finished(result)
    finally:
        try:
            if recorder.strangers(paths):
                _name_modules(paths, read(module))
        finally:
            state.restore()
            shard_again(scan, whole)
    if failure is None and observer is None and torch.is_grad_enabled() and any(True for _ in tensors_in(result)):
        with no_torch_function():
            saved = SavedBytes(result, filter(is_tensor, scan.slot_values))
    with gc_paused():
        operators, edges = recorder.flow(paths, result)
        calls = recorder.calls(paths, saved)
    result = None
    failed_at = None if failure is None else recorder.failed_at(failure, paths)
    error = None if failure is None else error_text(failure)
    # The failure's traceback holds this frame, and through it the inputs: neither may hold the other on.
    failure = None
    recorder.forget()
    return Trace(
        calls=calls,
        failed_at=failed_at,
        error=error,
        unused=_unused_paths(scan, {call.path for call in calls}),
        seconds=ended - began,
        flops=None if counter.n_unknown or error is not None else counter.flops,
        local_flops=None if counter.n_unknown_here or error is not None else counter.local_flops,
        saved_bytes=None if saved is None else saved.total,
        operators=operators,
        edges=edges,
    )


def _name_modules(paths: dict[int, str], scan: ModelScan) -> None:
    for row, found in enumerate(scan.modules):
        if row not in scan.first_met:
            paths.setdefault(id(found), scan.path(row))


def refuse_lazy(scan: ModelScan) -> None:
    """Refuse a model that its first forward would change for good.

    Raises:
        InvalidTargetError: A parameter is lazy.
    """
    for slot, (_, value) in enumerate(scan.slots):
        if value is not None and is_tensor(value) and is_a(value, _LAZY):
            path = scan.slot_path(slot)
            raise InvalidTargetError(
                f"{path} is lazy: a forward would create it, and here the model stays as it was.",
                path=path,
                hint="Call the model once on an input of the right shape first.",
            )


@contextlib.contextmanager
def _without_compilation(scan: ModelScan) -> Iterator[None]:
    """Run compiled modules as they were written, so that their calls can be seen."""
    eval_frame = sys.modules.get("torch._dynamo.eval_frame")
    set_stance = getattr(torch.compiler, "set_stance", None)
    if eval_frame is None or set_stance is None:
        yield
        return
    with set_stance("force_eager"), contextlib.ExitStack() as stack:
        if any(is_a(module, eval_frame.OptimizedModule) for module in scan.modules):
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", "Using `torch.compile.module.` when there are global hooks")
        yield


def _synchronizers(scan: ModelScan) -> list[Callable[[], None]]:
    """Return one function for each kind of device in use, that waits until it has done what it was given."""
    kinds = {value.device.type for _, value in scan.slots if value is not None and is_tensor(value)}
    backends = {"cuda": torch.cuda, "xpu": torch.xpu, "mps": torch.mps}
    if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
        return []
    return [backend.synchronize for kind, backend in backends.items() if kind in kinds]


def error_text(error: Exception) -> str:
    """What was raised, as ``"RuntimeError: …"``, cut where it is long.

    Example:
        >>> error_text(ValueError("no"))
        'ValueError: no'
    """
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an exception class's own __str__ can do anything
        message = "(its message can't be read)"
    told = f"{type_name(type(error))}: {message}"
    return told if len(told) <= _ERROR_LIMIT else f"{told[: _ERROR_LIMIT - 1]}…"


def _unused_paths(scan: ModelScan, called: set[str]) -> tuple[str, ...]:
    """Return modules that could have been called and weren't, nor anything below them."""
    ends = scan.ends()
    n_rows = len(scan.modules)
    was_called = [row not in scan.first_met and scan.path(row) in called for row in range(n_rows)]
    n_called = [0, *itertools.accumulate(was_called)]
    unused: list[str] = []
    row = 0
    while row < n_rows:
        module = scan.modules[row]
        n_inside = n_called[ends[row]] - n_called[row + 1]
        if _hides_calls(module) and not n_inside:
            row = ends[row]
            continue
        if not (n_inside or was_called[row] or row in scan.first_met) and _is_callable(module):
            unused.append(scan.path(row))
        row += 1
    return tuple(unused)


def _hides_calls(module: Any) -> bool:
    """Say whether this module may do the work of those below it without calling them."""
    return (
        is_a(module, torch.jit.ScriptModule)
        or is_a(module, nn.DataParallel)
        or is_a(module, nn.TransformerEncoderLayer)
    )


def _is_callable(module: Any) -> bool:
    """Say whether this module has a forward of its own that torch's hooks would show.

    `nn.MultiheadAttention` never calls its ``out_proj``, only reads its weight; the class of that is used for
    nothing else.
    """
    kind = type(module)
    if not is_module(module):
        return False
    has_forward = "forward" in instance_dict(module) or (
        class_attribute(kind, "forward") is not class_attribute(nn.Module, "forward")
    )
    own_call = class_attribute(kind, "__call__") is not class_attribute(nn.Module, "__call__")
    return has_forward and not own_call and not is_a(module, NonDynamicallyQuantizableLinear)
