"""The signal through a training's own step: a sample of each output in its forward, and of what arrives there.

No forward is run for it, and nothing is kept of a tensor but two numbers. What watches is one global hook of torch's,
set for one step, and hooks on the tensors of that step; both go with it.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Collection, Mapping
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch.nn.modules.module import register_module_forward_hook

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.safe_access.objects import instance_dict, is_a, no_torch_function
from nnwidgets.introspect.safe_access.scan import ModelScan, read
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch, torch_attribute
from nnwidgets.introspect.signal.losses import floats_in
from nnwidgets.introspect.statistics.training_norms import spread_sample
from nnwidgets.introspect.tracing.hooks import is_probing

SAMPLE = 4_096
"""Most elements that are read of a tensor: enough for a standard deviation to one in a hundred."""


class StepSignal(NamedTuple):
    """What went through a module in one step, of its last call there.

    Attributes:
        mean: The mean of the first tensor of floating point that it gave.
        std: Its standard deviation.
        gradient: The standard deviation of the gradient that arrived there; None where none did.
    """

    mean: float
    std: float
    gradient: float | None


class _Moments:
    """Of one output, on the device it is on."""

    def __init__(self) -> None:
        self.values: tuple[torch.Tensor, torch.Tensor] | None = None
        self.gradient: tuple[torch.Tensor, torch.Tensor] | None = None


class StepWatch:
    """Watches modules for one step of a training, from when it is made until `take`.

    Only what runs with gradients in the same thread counts, until the model's forward has returned once. What `trace`,
    `activations` and `compare_inits` run is no step. Compiled modules are left alone: a hook would have them compiled
    anew. The model isn't kept alive; when it goes, so does the hook.

    Args:
        model: The model.
        paths: Those of the modules to watch.

    Attributes:
        seconds: How long its work took so far.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> watch = StepWatch(net, {"1"})
        >>> net(torch.ones(3, 2)).sum().backward()
        >>> watch.take()["1"].gradient
        0.0
    """

    def __init__(self, model: object, paths: Collection[str]) -> None:
        began = perf_counter()
        found = read(model)
        wanted = set(paths)
        self._model = weakref.ref(model, lambda _: self._end_of_forward())
        self._thread = threading.get_ident()
        self._paths = {
            id(module): path for row, module in enumerate(found.modules) if (path := found.path(row)) in wanted
        }
        self._met: dict[str, _Moments] = {}
        self._handles: list[Any] = []
        self._is_taken = False
        self._hook = None if _is_compiled(found) else register_module_forward_hook(self._returned)
        self.seconds = perf_counter() - began

    def take(self) -> dict[str, StepSignal]:
        """Take the hooks away, and return what was seen, by path."""
        began = perf_counter()
        self._end_of_forward()
        self._is_taken = True
        for handle in self._handles:
            handle.remove()
        met, self._met, self._handles = self._met, {}, []
        numbers = _read({(path, of): pair for path, each in met.items() for of, pair in _pairs(each)})
        taken = {}
        for path, each in met.items():
            if each.values is not None:
                arrived = numbers.get((path, "gradient"))
                mean, std = numbers[path, "values"]
                taken[path] = StepSignal(mean, std, None if arrived is None else arrived[1])
        self.seconds += perf_counter() - began
        return taken

    def _end_of_forward(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _returned(self, module: Any, args: Any, output: Any) -> None:  # noqa: ARG002 - torch's signature
        if threading.get_ident() != self._thread or is_probing():
            return
        path = self._paths.get(id(module))
        if path is not None and torch.is_grad_enabled():
            began = perf_counter()
            self._look(path, output)
            self.seconds += perf_counter() - began
        if module is self._model():
            self._end_of_forward()

    def _look(self, path: str, output: Any) -> None:
        with no_torch_function():
            tensor = next(iter(floats_in(output)), None)
            if tensor is None:
                return
            moments = self._met[path] = _Moments()
            moments.values = _moments(tensor)

            def arrived(gradient: torch.Tensor | None) -> None:
                if not self._is_taken and gradient is not None:
                    began = perf_counter()
                    moments.gradient = _moments(gradient)
                    self.seconds += perf_counter() - began

            if torch_attribute(tensor, "requires_grad"):
                try:
                    self._handles.append(torch_attribute(tensor, "register_hook")(arrived))
                except RuntimeError:
                    return  # inside a transform of torch.func, whose tensors take no hooks


def _is_compiled(found: ModelScan) -> bool:
    eval_frame = sys.modules.get("torch._dynamo.eval_frame")
    return any(
        (eval_frame is not None and is_a(module, eval_frame.OptimizedModule))
        or instance_dict(module).get("_compiled_call_impl") is not None
        for module in found.modules
    )


def _moments(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Mean and standard deviation of a sample, where the tensor is; what can't be read has none."""
    try:
        data = as_plain_tensor(tensor)
        with plain_torch():
            sample = _sample(data)
            if not sample.numel():
                return None
            std, mean = torch.std_mean(sample.float(), correction=0)
            return mean, std
    except (InvalidTargetError, RuntimeError, NotImplementedError):
        return None


def _sample(data: torch.Tensor) -> torch.Tensor:
    # A gradient of a sum is one number, expanded.
    data = data[tuple(slice(1 if stride == 0 else None) for stride in data.stride())]
    sample = spread_sample(data, SAMPLE)
    if sample.numel() or not data.numel():
        return sample
    while data.numel() > SAMPLE:  # not dense, as part of a wider tensor: every other of the longest dimension, again
        longest = data.shape.index(max(data.shape))
        data = data[(slice(None),) * longest + (slice(None, None, 2),)]
    return data


def _pairs(moments: _Moments) -> list[tuple[str, tuple[torch.Tensor, torch.Tensor]]]:
    both = (("values", moments.values), ("gradient", moments.gradient))
    return [(of, pair) for of, pair in both if pair is not None]


def _read(pairs: Mapping[tuple[str, str], tuple[torch.Tensor, torch.Tensor]]) -> dict[tuple[str, str], list[float]]:
    """Bring numbers to the host, in one go for each device."""
    made: dict[tuple[str, str], list[float]] = {}
    of_device: dict[torch.device, list[tuple[str, str]]] = {}
    for key, (mean, _) in pairs.items():
        of_device.setdefault(mean.device, []).append(key)
    with plain_torch():
        for keys in of_device.values():
            numbers = torch.stack([each for key in keys for each in pairs[key]]).view(-1, 2).tolist()
            made.update(zip(keys, numbers, strict=True))
    return made
