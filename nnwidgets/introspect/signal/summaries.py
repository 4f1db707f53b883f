"""Each output of each call as statistics the moment it is there, and the gradient that arrives at it the same way.

No tensor is kept: what is known of one is found again by a weak reference, as where a container gives what its last
child gave.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.tensors import (
    as_plain_tensor,
    how_to_read,
    plain_torch,
    torch_attribute,
    unreadable_reason,
)
from nnwidgets.introspect.signal.losses import floats_in
from nnwidgets.introspect.signal.saturation import n_saturated
from nnwidgets.introspect.signal.signal_records import OutputSignal
from nnwidgets.introspect.signal.silent_units import has_channels_first, silent_units
from nnwidgets.introspect.statistics.exact_stats import exact_stats, version

_MOST_HISTOGRAMS = 4_000
_BINS = 40
_IMAGES = 4
"""Dimensions of what is taken to have its channels first, where no layer with weights came before."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Summary:
    """What is known of one output."""

    shape: tuple[int, ...]
    dtype: str
    values: TensorStats
    n_saturated: int | None
    n_units: int
    n_silent_units: int
    gradient: TensorStats | None = None
    is_hooked: bool = False

    def record(self) -> OutputSignal:
        """As it is told."""
        return OutputSignal(
            self.shape, self.dtype, self.values, self.gradient, self.n_saturated, self.n_units, self.n_silent_units
        )


class Summaries:
    """Outputs of calls and the gradients that arrive there.

    Args:
        with_gradients: Whether a backward will follow.
        watch: Called for each gradient that arrives.
        with_histograms: Whether the first ones have histograms.
    """

    def __init__(
        self, *, with_gradients: bool, watch: Callable[[], None] = lambda: None, with_histograms: bool = True
    ) -> None:
        self._with_gradients, self._watch = with_gradients, watch
        self._most_histograms = _MOST_HISTOGRAMS if with_histograms else 0
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], int | None, Summary]] = {}
        self._arrived: dict[int, tuple[weakref.ref[torch.Tensor], int | None, TensorStats]] = {}
        self._of_module: dict[int, list[Summary]] = {}
        self._handles: list[Any] = []
        self._graph: list[Any] = []
        self._n_made = self._n_read = 0
        self._unread: Any = None
        self._n_dims_of_images: int | None = None

    def of_call(self, module: Any, output: Any) -> tuple[Summary, ...]:
        """What a call gave, summed up."""
        found = []
        with plain_torch():
            tensors = floats_in(output)
            told = has_channels_first(module)
            if told is not None and tensors:
                self._n_dims_of_images = torch_attribute(tensors[0], "dim")() if told else 0
            for tensor in tensors:
                summary = self._of_tensor(module, tensor)
                if summary is not None:
                    found.append(summary)
        self._of_module.setdefault(id(module), []).extend(found)
        return tuple(found)

    def _of_tensor(self, module: Any, tensor: torch.Tensor) -> Summary | None:
        now = version(tensor)
        known = self._known.get(id(tensor))
        if known is not None and known[0]() is tensor and known[1] == now:
            return known[2]
        summary = self._made(module, tensor)
        if summary is not None:
            self._known[id(tensor)] = (weakref.ref(tensor), now, summary)
            self._hook(tensor, summary)
        return summary

    def _made(self, module: Any, tensor: torch.Tensor) -> Summary | None:
        self._n_made += 1
        try:
            values = exact_stats(tensor, bins=self._bins)
            data = as_plain_tensor(tensor)
            with plain_torch():
                n_dims = self._n_dims_of_images
                is_first = data.dim() >= _IMAGES if n_dims is None else data.dim() == n_dims
                units = silent_units(data, values.n_zero, channels_first=is_first)
                saturated = n_saturated(module, data)
        except (InvalidTargetError, RuntimeError, NotImplementedError):
            self._unread = tensor  # without data, as a fake one's, or in a layout that can't be read
            return None
        self._n_read += 1
        return Summary(tuple(data.shape), str(data.dtype).removeprefix("torch."), values, saturated, *units)

    @property
    def _bins(self) -> int:
        return _BINS if self._n_made <= self._most_histograms else 0

    def _hook(self, tensor: torch.Tensor, summary: Summary) -> None:
        if not self._with_gradients or not torch_attribute(tensor, "requires_grad"):
            return

        def arrived(gradient: torch.Tensor | None) -> None:
            self._watch()
            if gradient is None:
                return  # what has no backward of its own, as a quantized layer, hands nothing on
            # A sum hands the same one on to each of its terms.
            now = version(gradient)
            known = self._arrived.get(id(gradient))
            if known is not None and known[0]() is gradient and known[1] == now:
                summary.gradient = known[2]
                return
            try:
                with plain_torch():
                    summary.gradient = exact_stats(gradient, bins=self._bins)
            except (InvalidTargetError, RuntimeError, NotImplementedError):
                summary.gradient = None
            else:
                self._arrived[id(gradient)] = weakref.ref(gradient), now, summary.gradient

        try:
            self._handles.append(torch_attribute(tensor, "register_hook")(arrived))
        except RuntimeError:
            return  # inside a transform of torch.func, whose tensors take no hooks
        self._graph.append(torch_attribute(tensor, "grad_fn"))
        summary.is_hooked = True

    def refuse_unread(self) -> None:
        """Refuse a run that gave tensors of which none could be read.

        Raises:
            InvalidTargetError: It did; the message says why.
        """
        reason = None if self._n_read or self._unread is None else unreadable_reason(self._unread)
        if reason is not None:
            raise InvalidTargetError(
                f"What this forward gives can't be read: {reason}.", hint=how_to_read(self._unread)
            )

    @contextmanager
    def backward(self) -> Iterator[None]:
        """Notice what a checkpointed segment computes again, whose outputs had no graph the first time."""
        handle = register_module_forward_hook(self._again)
        try:
            yield
        finally:
            handle.remove()

    def _again(self, module: Any, args: tuple[Any, ...], output: Any) -> None:  # noqa: ARG002 - torch's signature
        first = self._of_module.get(id(module), [])
        with plain_torch():
            for tensor in floats_in(output):
                if not torch_attribute(tensor, "requires_grad"):
                    continue
                waiting = [each for each in first if not each.is_hooked and each.shape == tuple(tensor.shape)]
                if len(waiting) > 1:
                    values = exact_stats(tensor, bins=0)
                    waiting = [each for each in waiting if _is_same(each.values, values)] or waiting
                if waiting:
                    self._hook(tensor, waiting[-1])

    def forget(self) -> None:
        """Take every hook away, and let go of what was met."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        # From the end: a graph with hooks that is let go as a whole ends within itself, as deep as it is long.
        while self._graph:
            self._graph.pop()
        self._unread = None
        self._known.clear()
        self._arrived.clear()
        self._of_module.clear()


def _is_same(one: TensorStats, other: TensorStats) -> bool:
    return (one.mean, one.min, one.max, one.norm) == (other.mean, other.min, other.max, other.norm)
