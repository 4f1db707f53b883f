"""What of a layer's output differs from sample to sample; the rest is the same for all of them, as biases are."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.safe_access.objects import no_torch_function
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch
from nnwidgets.introspect.signal.losses import floats_in
from nnwidgets.introspect.signal.silent_units import has_channels_first

_MOST_ELEMENTS = 2**20
_PAIR = 2


class SampleSpread:
    """Looks at the outputs of some modules while a forward runs.

    Args:
        paths: Of the modules, by their ids.

    Attributes:
        found: By path and number of the call, the standard deviation that a unit has over the samples, the root of the
            mean square of all units.
    """

    def __init__(self, paths: Mapping[int, str]) -> None:
        self._paths, self._thread = paths, threading.get_ident()
        self._n_calls: dict[str, int] = {}
        self.found: dict[tuple[str, int], float] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, each call is looked at."""
        handle = register_module_forward_hook(self._after)
        try:
            yield
        finally:
            handle.remove()

    def _after(self, module: Any, args: tuple[Any, ...], output: Any) -> None:  # noqa: ARG002 - torch's signature
        path = self._paths.get(id(module))
        if path is None or threading.get_ident() != self._thread:
            return
        at = self._n_calls.get(path, 0)
        self._n_calls[path] = at + 1
        with no_torch_function():
            found = next(iter(floats_in(output)), None)
            spread = None if found is None else spread_of(found, channels_first=bool(has_channels_first(module)))
        if spread is not None:
            self.found[path, at] = spread


def spread_of(output: torch.Tensor, *, channels_first: bool) -> float | None:
    """The standard deviation of units over samples and places; None where there are no two values of a unit.

    Of an output of more than a million elements the first are looked at.

    Args:
        output: Of a layer, batch first.
        channels_first: Whether dimension 1 holds the units, and not the last.

    Example:
        >>> spread_of(torch.tensor([[1.0, 50.0], [3.0, 50.0]]), channels_first=False)
        1.0
    """
    try:
        data = as_plain_tensor(output)
        with plain_torch():
            if data.dim() < _PAIR or not data.numel():
                return None
            rows = data if channels_first else data.reshape(-1, data.shape[-1])
            rows = rows[: max(_PAIR, _MOST_ELEMENTS // (rows.numel() // len(rows)))].float()
            dims = [each for each in range(rows.dim()) if each != 1]
            if rows.numel() <= rows.shape[1]:
                return None
            return float(rows.var(dims, correction=0).mean().sqrt())
    except (InvalidTargetError, RuntimeError, NotImplementedError):
        return None  # without data, as a fake one's, or in a layout that can't be read
