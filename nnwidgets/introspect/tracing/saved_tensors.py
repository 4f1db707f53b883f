"""What autograd keeps of a traced forward for its backward: read off the graph that the result hangs on.

No hook is set while the forward runs, since `torch.func` refuses to work under hooks of saved tensors.
"""

from __future__ import annotations

import sys
import types
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any

import torch

from nnwidgets.introspect.safe_access.holders import wrapped_tensors
from nnwidgets.introspect.safe_access.objects import descends, is_tensor, object_dict
from nnwidgets.introspect.safe_access.tensors import torch_attribute
from nnwidgets.introspect.safe_access.tensors_in import tensors_in
from nnwidgets.introspect.sharing.addresses import sparse_components

_FUNCTION: Any = torch._C._FunctionBase  # noqa: SLF001 - the base of what a user's autograd.Function leaves in a graph
_number_now: Callable[[], int] = torch._C._autograd._get_sequence_nr  # noqa: SLF001 - nothing public tells it
_MOST_NESTING = 4


def graph_position() -> int:
    """The number that the next node of this thread's graph will have; calls are told apart by it."""
    return int(_number_now())


class SavedBytes:
    """Bytes that autograd keeps, by when they were first saved.

    Args:
        result: What the forward gave.
        own: Tensors of the model: their memory isn't counted.
    """

    def __init__(self, result: Any, own: Iterable[Any]) -> None:
        counted = {key for tensor in own for key, _ in _memory(tensor)}
        first: dict[int, int] = {}
        sizes: dict[int, int] = {}
        nodes = _graph(result)
        nodes.sort(key=_number)
        for node in nodes:
            for tensor in _saved(node):
                for key, n_bytes in _memory(tensor):
                    if key not in counted and key not in first:
                        first[key], sizes[key] = _number(node), n_bytes
        self._numbers = list(first.values())
        self._up_to = [0, *accumulate(sizes.values())]

    @property
    def total(self) -> int:
        """All of them."""
        return self._up_to[-1]

    def between(self, begin: int, end: int) -> int:
        """Those first saved by nodes from one position of the graph to before another."""
        numbers = self._numbers
        return self._up_to[bisect_left(numbers, end)] - self._up_to[bisect_left(numbers, begin)]


def _graph(result: Any) -> list[Any]:
    """Every node that a backward from the tensors of a result would reach."""
    waiting = [node for tensor in tensors_in(result) if (node := _made_by(tensor)) is not None]
    seen: dict[int, Any] = {}
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen[id(node)] = node
        is_function = descends(_FUNCTION, type(node))
        following = _FUNCTION.next_functions.__get__(node) if is_function else node.next_functions
        waiting.extend(below for below, _ in following if below is not None)
        savers = (object_dict(frame).get("input_saver") for frame in _checkpoints(node))
        waiting.extend(saver for saver in savers if saver is not None)
    return list(seen.values())


def _made_by(tensor: Any) -> Any:
    try:
        return torch_attribute(tensor, "grad_fn")
    except RuntimeError:  # of a view whose base was changed in place, as FSDP leaves them
        return None


def _number(node: Any) -> int:
    return int(_FUNCTION._sequence_nr(node) if descends(_FUNCTION, type(node)) else node._sequence_nr())  # noqa: SLF001 - the same


def _saved(node: Any) -> Iterator[Any]:
    for held in _held(node):
        yield from tensors_in(_content(held))
    for frame in _checkpoints(node):
        inputs = object_dict(frame).get("saved_args")
        for held in inputs if type(inputs) is list else ():
            yield from tensors_in(_content(held) if type(held) is _SAVED else held)


def _held(node: Any) -> Iterator[Any]:
    """What a node saves, packed; reading it unpacked would run hooks, and refuse what was changed in place since."""
    if descends(_FUNCTION, type(node)):
        held = [_FUNCTION._raw_saved_tensors.__get__(node)]  # noqa: SLF001 - the same
    else:
        held = [getattr(node, name) for name in _names(type(node))]
    for each in held:
        yield from each if type(each) is tuple else (each,)


_names_known: dict[type, tuple[str, ...]] = {}


def _names(kind: type) -> tuple[str, ...]:
    """Under which names nodes of one of torch's classes have what they save."""
    known = _names_known.get(kind)
    if known is None:
        known = _names_known[kind] = tuple(name for name in dir(kind) if name.startswith("_raw_saved_"))
    return known


def _content(held: Any) -> Any:
    """The tensor, or what a hook made of it."""
    found: list[Any] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        found.append(tensor)
        return tensor.detach()

    try:
        if _HAS_DATA:
            return held.data
        held.register_hooks(pack, lambda tensor: tensor)
    except RuntimeError:  # empty, or under hooks already, on a torch that doesn't tell of what
        return None
    return found


_SAVED: Any = torch._C._autograd.SavedTensor  # noqa: SLF001 - the same
_HAS_DATA = hasattr(_SAVED, "data")


def _checkpoints(node: Any) -> Iterator[Any]:
    """The checkpointed parts that a node belongs to: their inputs hang on the hooks of what they don't save.

    None with a torch that doesn't tell of hooks, as 2.4.
    """
    kind = getattr(sys.modules.get("torch.utils.checkpoint"), "_CheckpointFrame", None)
    for held in _held(node) if kind is not None and _HAS_DATA else ():
        hook = getattr(held, "unpack_hook", None)
        for cell in (hook.__closure__ or ()) if type(hook) is types.FunctionType else ():
            if type(cell.cell_contents) is kind:
                yield cell.cell_contents


def _memory(tensor: Any, nesting: int = _MOST_NESTING) -> Iterator[tuple[int, int]]:
    """The storages that a tensor keeps alive: what tells each from others, and its bytes."""
    if not is_tensor(tensor):
        return
    try:
        inner = sparse_components(tensor)
        if inner is None:
            storage = torch_attribute(tensor, "untyped_storage")()
            if storage.device.type == "meta" or storage.data_ptr() or not storage.nbytes():
                yield storage._cdata, storage.nbytes()  # noqa: SLF001 - a storage's identity
                return
            inner = []
    except (RuntimeError, NotImplementedError):
        inner = []
    for part in [*inner, *(each for _, each in wrapped_tensors(tensor))] if nesting else ():
        yield from _memory(part, nesting - 1)
