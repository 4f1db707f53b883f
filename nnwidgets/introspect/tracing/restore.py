"""What a forward pass may change in a model, noted before it and put back after it.

Put back exactly: registered buffers (bytes, version counters, and which tensor is at which name), parameters written
in place, gradients, training flags, and every random generator the forward can draw from. A module whose buffers were
changed gets its plain attributes back with them, so that a cache and the length it was built for stay in step. What
else a forward does (attributes it sets, modules it adds) stays, as after any forward.

Small buffers are copied beforehand. All else is copied at the moment something is about to write to it, so that a
model of any size costs no memory when its forward writes nothing.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from nnwidgets.introspect.safe_access.exclusion import alone_with
from nnwidgets.introspect.safe_access.holders import local_shard
from nnwidgets.introspect.safe_access.objects import instance_dict, is_a, is_tensor, plain_items
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.tracing.flops import OperatorCounter

_EAGER_STORAGE_BYTES = 16 * 2**20
_EAGER_TOTAL_BYTES = 256 * 2**20

_keep_version: Any = torch.autograd._unsafe_preserve_version_counter  # type: ignore[attr-defined]  # noqa: SLF001 - torch offers no other way to take back a version
_Undo = Callable[[], None]


class ForwardState:
    """The state of a model before a forward.

    Args:
        modules: Every distinct module of the model.
    """

    def __init__(self, modules: Iterable[torch.nn.Module]) -> None:
        self._modules = [_ModuleState(module) for module in modules]
        self._saved: dict[int, _StorageState] = {}
        self._watched: dict[int, list[torch.Tensor]] = {}
        self._gradients: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        self._generators = _generator_undos(self._modules)
        self._mutable_arguments: dict[Any, tuple[tuple[int, str], ...]] = {}
        with torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001 - subclasses' code must not run
            self._note_tensors()

    def _note_tensors(self) -> None:
        budget = _EAGER_TOTAL_BYTES
        for state in self._modules:
            for buffer in state.buffers.values():
                self._watch(buffer)
            for parameter in state.parameters:
                self._watch(parameter)
                if parameter.is_leaf:
                    gradient = parameter.grad
                    self._gradients.append((parameter, gradient))
                    if gradient is not None:
                        self._watch(gradient)
        for state in self._modules:
            for buffer in state.buffers.values():
                key = _storage_key(buffer)
                if key in self._watched:
                    size = buffer.untyped_storage().nbytes()
                    if size <= min(_EAGER_STORAGE_BYTES, budget):
                        budget -= size
                        self._save(key)

    def _watch(self, tensor: torch.Tensor | None) -> None:
        tensor = local_shard(tensor)
        if tensor is not None and (key := _storage_key(tensor)) is not None:
            self._watched.setdefault(key, []).append(tensor)

    def _save(self, key: int) -> None:
        self._saved[key] = _StorageState(self._watched.pop(key))

    def before_write(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Copy what ``operator`` is about to write to, if it is the model's."""
        if not self._watched:
            return
        places = self._mutable_arguments.get(operator)
        if places is None:
            places = _mutable_arguments(operator)
            self._mutable_arguments[operator] = places
        for index, name in places:
            value = args[index] if index < len(args) else kwargs.get(name)
            for tensor in value if isinstance(value, (list, tuple)) else (value,):
                if is_tensor(tensor):
                    key = _storage_key(tensor)
                    if key in self._watched:
                        self._save(key)

    def restore(self) -> None:
        """Put everything back. Nothing is written that did not change."""
        for undo in self._generators:
            undo()
        with torch.no_grad(), torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001 - as above
            changed = {key for key, storage in self._saved.items() if storage.restore()}
            for state in self._modules:
                state.restore(changed)
            for parameter, gradient in self._gradients:
                if parameter.grad is not gradient:
                    parameter.grad = gradient


class _ModuleState:
    """A module's own attributes before the forward."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.attributes: dict[str, Any] = instance_dict(module)
        self._before = dict(self.attributes)
        self._registered = _mapping(self.attributes, "_buffers")
        self._registered_before = dict(self._registered)
        self.buffers = {name: tensor for name, tensor in self._registered_before.items() if is_tensor(tensor)}
        self._views = {name: _View(tensor) for name, tensor in self.buffers.items()}
        parameters = _mapping(self.attributes, "_parameters")
        self.parameters = [tensor for tensor in dict.values(parameters) if is_tensor(tensor)]

    def restore(self, changed_storages: set[int]) -> None:
        if self.attributes.get("training") is not self._before.get("training"):
            self.attributes["training"] = self._before["training"]
        before = self._registered_before
        replaced = len(self._registered) != len(before) or any(
            self._registered.get(name, self) is not tensor for name, tensor in before.items()
        )
        reshaped = [name for name, view in self._views.items() if view.restore()]
        written = any(view.key in changed_storages for view in self._views.values())
        if replaced:
            self._registered.clear()
            self._registered.update(before)
        if replaced or reshaped or written:
            self._restore_attributes()

    def _restore_attributes(self) -> None:
        for name in [name for name in self.attributes if name not in self._before]:
            del self.attributes[name]
        for name, value in self._before.items():
            if self.attributes.get(name, self) is not value:
                self.attributes[name] = value


class _View:
    """How a buffer lies over its storage."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor
        self.key = _storage_key(tensor)
        if self.key is not None:
            self._storage = tensor.untyped_storage()
            self._layout = (tensor.storage_offset(), tensor.size(), tensor.stride())
            self._dtype = tensor.dtype

    def restore(self) -> bool:
        """Put the layout back where it was changed, as ``resize_`` or ``.data =`` do; say whether it was."""
        tensor = self._tensor
        if self.key is None:
            return False
        layout = (tensor.storage_offset(), tensor.size(), tensor.stride())
        if _storage_key(tensor) == self.key and layout == self._layout and tensor.dtype == self._dtype:
            return False
        tensor.data = torch.empty(0, dtype=self._dtype, device=self._storage.device).set_(self._storage, *self._layout)
        return True


class _StorageState:
    """The bytes of one storage, with the version counters of the model's tensors over it."""

    def __init__(self, tensors: list[torch.Tensor]) -> None:
        self._storage = tensors[0].untyped_storage()
        self._bytes = _bytes_of(self._storage).clone()
        # Inference tensors have no version counter to keep.
        self._versions = [
            (tensor, tensor._version, _keep_version(tensor))  # noqa: SLF001 - torch offers no other way to take back a version
            for tensor in tensors
            if not tensor.is_inference()
        ]

    def restore(self) -> bool:
        """Write the bytes back where they changed; say whether they did."""
        size = self._bytes.numel()
        if self._storage.nbytes() != size:
            self._storage.resize_(size)
        now = _bytes_of(self._storage)
        changed = not torch.equal(now, self._bytes)
        if changed:
            now.copy_(self._bytes)
        for tensor, version, keeper in self._versions:
            if tensor._version != version:  # noqa: SLF001 - the same
                keeper.__exit__(None, None, None)
        return changed


def _bytes_of(storage: torch.UntypedStorage) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)


def _storage_key(tensor: torch.Tensor) -> int | None:
    """Return what tells this tensor's storage from others, or None where it has no bytes of its own."""
    if tensor.layout is not torch.strided or tensor.device.type == "meta":
        return None
    try:
        storage = tensor.untyped_storage()
        has_bytes = storage.nbytes() > 0 and storage.data_ptr() != 0
    except (RuntimeError, NotImplementedError):
        return None
    return storage._cdata if has_bytes else None  # noqa: SLF001 - a storage's identity


def _mapping(attributes: dict[str, Any], name: str) -> dict[str, Any]:
    value: Any = attributes.get(name)
    return value if is_a(value, dict) else {}


def _mutable_arguments(operator: Any) -> tuple[tuple[int, str], ...]:
    schema = getattr(operator, "_schema", None)
    if schema is None:
        return ()
    return tuple(
        (index, argument.name)
        for index, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )


def _generator_undos(modules: list[_ModuleState]) -> list[_Undo]:
    """Note every random generator a forward can draw from: torch's, Python's, numpy's, and those modules hold."""
    cpu = torch.get_rng_state()
    python = random.getstate()
    undos: list[_Undo] = [lambda: torch.set_rng_state(cpu), lambda: random.setstate(python)]
    undos.extend(_backend_undo(backend) for backend in (torch.cuda, torch.xpu) if backend.is_initialized())
    if torch.backends.mps.is_available():
        mps = torch.mps.get_rng_state()
        undos.append(lambda: torch.mps.set_rng_state(mps))
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_state = numpy_random.get_state()
        undos.append(lambda: numpy_random.set_state(numpy_state))
    undos.extend(
        _held_undo(value)
        for module in modules
        for value in list(module.attributes.values())
        if type(value) is torch.Generator
    )
    return undos


def _backend_undo(backend: Any) -> _Undo:
    states = backend.get_rng_state_all()
    return lambda: backend.set_rng_state_all(states)


def _held_undo(generator: torch.Generator) -> _Undo:
    state = generator.get_state()

    def undo() -> None:
        generator.set_state(state)

    return undo


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Put random generators back at the end: torch's, Python's and numpy's.

    Example:
        >>> before = torch.get_rng_state()
        >>> with generators_kept():
        ...     _ = torch.rand(2)
        >>> torch.equal(before, torch.get_rng_state())
        True
    """
    undos = _generator_undos([])
    try:
        yield
    finally:
        for undo in undos:
            undo()


@contextlib.contextmanager
def restore_on_exit(module: nn.Module) -> Iterator[None]:
    """Put everything back at the end that a forward, or a tool that runs one, may change.

    That is what `trace` puts back (bytes, versions, gradients, training flags, random generators), and the attributes
    and registries of every module besides: hooks left behind, caches begun.

    Example:
        >>> net = nn.BatchNorm1d(2)
        >>> with restore_on_exit(net):
        ...     net.eval().note = "seen"
        >>> net.training, hasattr(net, "note")
        (True, False)
    """
    with alone_with(module) as scan, attributes_kept(scan):
        state = ForwardState(_distinct(scan))
        try:
            with OperatorCounter(state.before_write, counts=False):
                yield
        finally:
            state.restore()


@contextlib.contextmanager
def attributes_kept(scan: ModelScan) -> Iterator[None]:
    """Put the attributes and registries of every module of a model back at the end."""
    attributes = [_Attributes(instance_dict(found)) for found in _distinct(scan)]
    try:
        yield
    finally:
        for held in attributes:
            held.restore()


def _distinct(scan: ModelScan) -> list[Any]:
    return [found for row, found in enumerate(scan.modules) if row not in scan.first_met]


class _Attributes:
    """A module's own attributes, and what its registries held."""

    def __init__(self, own: dict[str, Any]) -> None:
        self._own = own
        self._before = dict(own)
        self._registries = [(value, dict(plain_items(value))) for value in own.values() if is_a(value, dict)]

    def restore(self) -> None:
        _restore(self._own, self._before)
        for registry, before in self._registries:
            _restore(registry, before)


def _restore(held: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Write only where something changed, so that order stays what it was."""
    now = plain_items(held)
    if len(now) == len(before) and all(
        key is wanted and value is kept for (key, value), (wanted, kept) in zip(now, dict.items(before), strict=True)
    ):
        return
    base: Any = OrderedDict if is_a(held, OrderedDict) else dict
    base.clear(held)
    for key, value in before.items():
        base.__setitem__(held, key, value)
