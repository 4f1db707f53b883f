"""Noting the calls of modules while a forward runs.

The hooks are torch's global ones, registered once around the forward and kept to this thread: nothing is attached to
the modules, a user's own hooks run in their order, and there is one place to take ours away, whatever happens.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from types import MappingProxyType
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from nnwidgets.introspect.data_flow.recorder import FlowRecorder
from nnwidgets.introspect.data_flow.settings import ModuleSettings
from nnwidgets.introspect.records import TraceCall, TraceEdge, TraceOperator
from nnwidgets.introspect.safe_access.objects import no_torch_function, type_name
from nnwidgets.introspect.safe_access.tensors_in import Dtypes, Shapes, describe_tensors, first_tensors
from nnwidgets.introspect.tracing.flops import OperatorCounter
from nnwidgets.introspect.tracing.saved_tensors import SavedBytes, graph_position


@dataclass(slots=True, eq=False)
class _Call:
    """A call that began."""

    at: int
    module: Any
    depth: int
    input_shapes: Shapes
    input_dtypes: Dtypes
    outer_error: BaseException | None
    error: BaseException | None = None
    began: float = 0.0
    flops_before: int = 0
    n_unknown_before: int = 0
    graph_begin: int = 0
    graph_end: int = 0
    output_shapes: Shapes = ()
    output_dtypes: Dtypes = ()
    seconds: float | None = None
    flops: int | None = None
    noted: Any = None


class _Probes(threading.local):
    depth = 0


_PROBES = _Probes()


@contextlib.contextmanager
def probing() -> Iterator[None]:
    """What this thread runs inside is a look at the model, and no step of a training.

    Example:
        >>> with probing():
        ...     is_probing()
        True
        >>> is_probing()
        False
    """
    _PROBES.depth += 1
    try:
        yield
    finally:
        _PROBES.depth -= 1


def is_probing() -> bool:
    """Return whether this thread runs a model only to look at it."""
    return _PROBES.depth > 0


class _WatchEndedError(BaseException):
    def __init__(self, raised: BaseException) -> None:
        super().__init__()
        self.raised = raised


@contextlib.contextmanager
def passing_on(watch: Callable[..., None]) -> Iterator[Callable[..., None]]:
    """Give a function that does as another; what that raises ends all inside, past what catches a model's errors.

    Example:
        >>> def stop():
        ...     raise ValueError("enough")
        >>> with passing_on(stop) as watch:
        ...     try:
        ...         watch()
        ...     except Exception:
        ...         print("an error of the model's")
        Traceback (most recent call last):
            ...
        ValueError: enough
    """

    def watched(*args: Any) -> None:
        try:
            watch(*args)
        except BaseException as raised:  # noqa: BLE001 - raised as it was below
            raise _WatchEndedError(raised) from None

    try:
        yield watched
    except _WatchEndedError as ended:
        raise ended.raised from None


class Observer:
    """Sees what the calls of a forward give while they run.

    Attributes:
        noted: Afterwards, what was noted of each call of a trace, in its order; None where it raised.
    """

    noted: tuple[Any, ...] = ()

    def returned(self, module: Any, args: tuple[Any, ...], output: Any) -> Any:
        """What to note of a call that was given ``args``, those by name after the others, and gave ``output``."""

    def finished(self, result: Any) -> None:
        """Go on with what the model gave, before its state is put back; called only where nothing raised."""


class CallRecorder:
    """Notes each call of a module in this thread, from when its hooks are set to when they are removed.

    Args:
        counter: What counts the operations below the calls.
        synchronizers: What to wait for before looking at the clock, one function per device in use.
        observer: What sees the calls' outputs.
        flow: What is told of each call as it begins and ends.
    """

    def __init__(
        self,
        counter: OperatorCounter,
        synchronizers: list[Callable[[], None]],
        observer: Observer | None = None,
        flow: FlowRecorder | None = None,
    ) -> None:
        self._flow = flow
        self._observer = observer
        self._counter = counter
        self._synchronizers = synchronizers
        self._thread = threading.get_ident()
        self._calls: list[_Call] = []
        self._open: list[_Call] = []

    @contextlib.contextmanager
    def hooks(self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] = MappingProxyType({})) -> Iterator[None]:
        """Have torch tell of every call inside, which begin with what the model is given."""
        if self._flow is not None:
            with no_torch_function():
                self._flow.begin(args, kwargs)
        handles = []
        try:
            handles.append(register_module_forward_pre_hook(self._before))
            handles.append(register_module_forward_hook(self._after, always_call=True))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def now(self) -> float:
        """Return the time that the devices have caught up with, less what tracing itself took so far."""
        for synchronize in self._synchronizers:
            synchronize()
        return perf_counter() - self._counter.overhead_seconds

    def _before(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if threading.get_ident() != self._thread:
            return
        began = perf_counter()
        given = first_tensors((args, _keywords_of_caller()))
        shapes, dtypes = describe_tensors(given)
        if self._flow is not None:
            with no_torch_function():
                self._flow.entered(module, given, shapes, dtypes)
        call = _Call(len(self._calls), module, len(self._open), shapes, dtypes, sys.exc_info()[1])
        self._calls.append(call)
        self._open.append(call)
        call.flops_before = self._counter.flops
        call.n_unknown_before = self._counter.n_unknown
        call.graph_begin = graph_position()
        self._counter.overhead_seconds += perf_counter() - began
        call.began = self.now()

    def _after(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if threading.get_ident() != self._thread or not any(call.module is module for call in reversed(self._open)):
            return
        # torch calls this hook both ways; an error being handled that wasn't before is what tells them apart.
        error = sys.exc_info()[1]
        call = self._open.pop()
        while call.module is not module:  # left without this hook, as by what is not an Exception
            call.error = error
            call = self._open.pop()
        if error is not call.outer_error:
            call.error = error
            call.outer_error = None
            if self._flow is not None:
                self._flow.left(call.at, ())
            return
        ended = self.now()
        began = perf_counter()
        call.outer_error = None
        gave = first_tensors(output)
        call.output_shapes, call.output_dtypes = describe_tensors(gave)
        call.seconds = ended - call.began
        call.graph_end = graph_position()
        if call.n_unknown_before == self._counter.n_unknown:
            call.flops = self._counter.flops - call.flops_before
        if self._flow is not None:
            with no_torch_function():
                self._flow.left(call.at, gave)
        if self._observer is not None:
            call.noted = self._observer.returned(module, (*args, *_keywords_of_caller().values()), output)
        self._counter.overhead_seconds += perf_counter() - began

    def calls(self, paths: dict[int, str], saved: SavedBytes | None = None) -> tuple[TraceCall, ...]:
        """Return the calls of the model's own modules; those of passing ones, made in a forward, are left out.

        An observer has what it noted of each.

        Args:
            paths: Of the modules, by their ids.
            saved: What autograd keeps of the forward, where it keeps anything and that is known.
        """
        made: list[TraceCall] = []
        settings = ModuleSettings()
        counts: dict[str, int] = {}
        named: list[int] = []
        for call in self._calls:
            while named and named[-1] >= call.depth:
                named.pop()
            path = paths.get(id(call.module))
            if path is None:
                continue
            index = counts.get(path, 0)
            counts[path] = index + 1
            made.append(
                TraceCall(
                    path=path,
                    call_index=index,
                    input_shapes=call.input_shapes,
                    input_dtypes=call.input_dtypes,
                    output_shapes=call.output_shapes,
                    output_dtypes=call.output_dtypes,
                    seconds=call.seconds,
                    flops=call.flops,
                    depth=len(named),
                    saved_bytes=None
                    if saved is None or call.seconds is None
                    else saved.between(call.graph_begin, call.graph_end),
                    class_name=type_name(type(call.module)),
                    settings="" if self._flow is None else settings.of(call.module),
                )
            )
            named.append(call.depth)
        if self._observer is not None:
            self._observer.noted = tuple(call.noted for call in self._calls if id(call.module) in paths)
        return tuple(made)

    def flow(self, paths: dict[int, str], result: Any) -> tuple[tuple[TraceOperator, ...], tuple[TraceEdge, ...]]:
        """Return what reached what, of the `calls` and at last the model's result."""
        if self._flow is None:
            return (), ()
        with no_torch_function():
            self._flow.finish(result)
        places: list[int | None] = []
        around: list[int] = []
        open_calls: list[tuple[int, int]] = []
        n_named = 0
        for call in self._calls:
            while open_calls and open_calls[-1][0] >= call.depth:
                open_calls.pop()
            is_named = id(call.module) in paths
            places.append(n_named if is_named else None)
            if is_named:
                open_calls.append((call.depth, n_named))
                n_named += 1
            around.append(open_calls[-1][1] if open_calls else 0)
        return self._flow.records(places, around, [type_name(type(call.module)) for call in self._calls])

    def strangers(self, paths: dict[int, str]) -> bool:
        """Return whether a module was called that has no path."""
        return any(id(call.module) not in paths for call in self._calls)

    def failed_at(self, failure: BaseException, paths: dict[int, str]) -> str | None:
        """Return the path of the innermost module out of which ``failure``, or what caused it, came."""
        innermost: str | None = None
        began, depth = -1, -1
        seen: set[int] = set()
        error: BaseException | None = failure
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            for index, call in enumerate(self._calls):
                path = paths.get(id(call.module))
                came = call.error is error or (error is failure and call in self._open)
                if came and path is not None and index > began and call.depth > depth:
                    innermost, began, depth = path, index, call.depth
            error = error.__cause__ or error.__context__
        return innermost

    def forget(self) -> None:
        """Let go of the modules and errors met."""
        self._calls.clear()
        self._open.clear()


def _keywords_of_caller() -> dict[str, Any]:
    """Return the keyword arguments of the call being made: torch hands global hooks the positional ones only."""
    found = sys._getframe(2).f_locals.get("kwargs")  # noqa: SLF001 - the frame of torch's Module.__call__
    return found if type(found) is dict else {}
