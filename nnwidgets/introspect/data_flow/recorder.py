"""Calls and operators as they run, and the edges between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from nnwidgets.introspect.data_flow.sources import Source, Taken, TensorSources, Through, is_all_of_it, memory_of
from nnwidgets.introspect.records import TraceEdge, TraceOperator
from nnwidgets.introspect.safe_access.objects import instance_dict, is_a, is_module
from nnwidgets.introspect.safe_access.tensors_in import Dtypes, Shapes, describe_tensors, tensors_among, tensors_in

_NAMES = {
    "_scaled_dot_product_efficient_attention": "scaled_dot_product_attention",
    "_scaled_dot_product_flash_attention": "scaled_dot_product_attention",
    "_scaled_dot_product_flash_attention_for_cpu": "scaled_dot_product_attention",
    "_scaled_dot_product_cudnn_attention": "scaled_dot_product_attention",
    "_scaled_dot_product_fused_attention_overrideable": "scaled_dot_product_attention",
    "_to_copy": "to",
    "_unsafe_view": "view",
    "addmm": "linear",
    "baddbmm": "matmul",
    "bmm": "matmul",
    "convolution": "conv",
    "max_pool2d_with_indices": "max_pool2d",
    "mkldnn_rnn_layer": "lstm",
    "mm": "matmul",
    "native_batch_norm": "batch_norm",
    "native_dropout": "dropout",
    "native_group_norm": "group_norm",
    "native_layer_norm": "layer_norm",
    "t": "transpose",
}
"""Operators below what a forward calls, by the names that it calls them by; of others their own without underscores."""

_COPYING = frozenset({"_to_copy", "clone", "_unsafe_view", "_reshape_copy", "contiguous", "lift_fresh_copy"})
"""Operators that give the same values, in memory of their own."""

_BY_SHAPE_ALONE = ("empty", "zeros", "ones", "full", "rand", "new_")
"""How operators are called whose result has nothing of the values they are given."""

_UNTOLD = frozenset({"alias", "detach", "lift_fresh"})
_MOST_NAMES = 16

_OVERWRITING = frozenset({"copy_", "fill_", "zero_", "normal_", "uniform_", "bernoulli_", "random_", "exponential_"})


class _Node(NamedTuple):
    """An operator, the call of a module without modules in it, or a tensor that the model was given or gave."""

    kind: str
    name: str
    call: int
    n_begun: int


class _Closed(NamedTuple):
    """A call that is one node, while it runs: when it began, what is known of what it makes, and what reached it."""

    at: int
    own: Source
    met: set[int]
    memory_met: set[int]


class FlowRecorder:
    """Notes what reaches what, from a forward's arguments to its result.

    A call of a module that has no modules in it is one node, whatever runs inside; an operator that runs in any other
    call is one too, but for what only moves or reshapes values, which an edge tells.
    """

    def __init__(self) -> None:
        self._sources = TensorSources()
        self._nodes: list[_Node] = []
        self._edges: dict[tuple[int, int, Any, Any, Any], None] = {}
        self._open: list[int] = []
        self._closed: _Closed | None = None
        self._n_begun = 0

    def begin(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Know the tensors that the model is given."""
        named = [*((str(at), value) for at, value in enumerate(args)), *kwargs.items()]
        for name, value in named:
            tensors = list(tensors_in(value))
            for at, tensor in enumerate(tensors):
                whole = name if len(tensors) == 1 else f"{name}[{at}]"
                if self._sources.of(tensor) is None:
                    self._sources.set(tensor, memory_of(tensor), Source(self._node("input", whole), ()))

    def entered(self, module: Any, tensors: Sequence[Any], shapes: Shapes, dtypes: Dtypes) -> None:
        """A call of a module has begun, with these tensors, of these shapes and dtypes."""
        at, self._n_begun = self._n_begun, self._n_begun + 1
        self._open.append(at)
        if self._closed is None and at and _has_no_modules(module):
            node = self._node("call", "", at)
            memories = [memory_of(tensor) for tensor in tensors]
            met = set()
            for tensor, memory, shape, dtype in zip(tensors, memories, shapes, dtypes, strict=True):
                source = self._sources.of(tensor, memory)
                if source is not None:
                    met.add(source.node)
                    self._edges[source.node, node, shape, dtype, source.through] = None
            self._closed = _Closed(at, Source(node, ()), met, set(memories))

    def left(self, at: int, tensors: Iterable[Any]) -> None:
        """The call that began as the ``at``-th has ended, and gave these tensors."""
        while self._open and self._open[-1] >= at:
            self._open.pop()
        closed = self._closed
        if closed is None or closed.at < at:
            return
        self._closed = None
        for tensor in tensors if closed.at == at else ():
            self._sources.give(tensor, closed.own)

    def ran(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """An operator has run."""
        name, is_write = _named(func)
        outs = _outs(func, kwargs) if is_write else {}
        given = (args, *(kwargs[name] for name in kwargs if name not in outs)) if kwargs else args
        took = self._sources.among(given)
        if not (took or outs) or (name.startswith(_BY_SHAPE_ALONE) and not outs):
            return
        gave = list(tensors_among(result)) or (_written(func, args, kwargs) if is_write else [])
        if is_write:
            took = self._without_overwritten(name, took, gave)
        if self._closed is not None:
            self._ran_in(self._closed, took, gave, is_write=is_write)
        elif took:
            self._hand_on(name, took, gave, is_write=is_write)

    def _without_overwritten(self, name: str, took: list[Taken], gave: list[Any]) -> list[Taken]:
        """What of it an operator that writes has kept; where it kept nothing, what it wrote is known no longer."""
        if gave and name in _OVERWRITING and is_all_of_it(gave[0]):
            memory = memory_of(gave[0])
            took = [each for each in took if each.memory != memory]
        for tensor in () if took else gave:
            self._sources.forget(tensor)
        return took

    def _hand_on(self, name: str, took: list[Taken], gave: list[Any], *, is_write: bool) -> None:
        there = {} if is_write else {each.memory: each for each in reversed(took)}
        memories = [memory_of(tensor) for tensor in gave]
        made = [(tensor, memory) for tensor, memory in zip(gave, memories, strict=True) if memory not in there]
        if not made:
            for view, memory in zip(gave, memories, strict=True):
                base = there[memory]
                self._sources.see(view, base.tensor, base.source, _and(base.source.through, name))
        elif name in _COPYING and len(took) == 1:
            source = took[0].source
            self._sources.set(*made[0], Source(source.node, _and(source.through, name)))
        else:
            node = self._node("operator", _shown(name), self._open[-1] if self._open else 0)
            for each in took:
                self._reaches(each.tensor, each.source, node)
            self._sources.set_all(made, Source(node, ()))

    def finish(self, result: Any) -> None:
        """Know what the model gave."""
        tensors = list(tensors_in(result))
        for at, tensor in enumerate(tensors):
            source = self._sources.of(tensor)
            if source is not None:
                self._reaches(tensor, source, self._node("output", "" if len(tensors) == 1 else str(at)))

    def records(
        self, places: Sequence[int | None], around: Sequence[int], names: Sequence[str]
    ) -> tuple[tuple[TraceOperator, ...], tuple[TraceEdge, ...]]:
        """What was noted, by the places that calls have in a trace.

        Args:
            places: Of each call, in the order they began; None for one that a trace leaves out.
            around: The place of the call that each is in, or of itself.
            names: What to call each.
        """
        operators: list[TraceOperator] = []
        ids: list[int] = []
        n_before = [0]
        for place in places:
            n_before.append(n_before[-1] + (place is not None))
        for node in self._nodes:
            place = places[node.call] if node.kind == "call" else None
            if place is not None:
                ids.append(place)
                continue
            kind = "operator" if node.kind == "call" else node.kind
            name = names[node.call] if node.kind == "call" else node.name
            call = around[node.call] if node.call < len(around) else 0
            operators.append(TraceOperator(name, kind, call, n_before[node.n_begun]))
            ids.append(~(len(operators) - 1))
        edges = (
            TraceEdge(ids[source], ids[target], shape, dtype, through)
            for source, target, shape, dtype, through in self._edges
        )
        return tuple(operators), tuple(edges)

    def _ran_in(self, closed: _Closed, took: list[Taken], gave: list[Any], *, is_write: bool) -> None:
        """Within a call that is one node: what comes from elsewhere reaches it, what is made of that is its own."""
        for tensor, memory, source in took:
            if source.node != closed.own.node and source.node not in closed.met and memory not in closed.memory_met:
                closed.met.add(source.node)
                closed.memory_met.add(memory)
                self._reaches(tensor, source, closed.own.node)
        if took:
            there = () if is_write else [each.memory for each in took]
            memories = [(tensor, memory_of(tensor)) for tensor in gave]
            self._sources.set_all([each for each in memories if each[1] not in there], closed.own)

    def _reaches(self, tensor: Any, source: Source, node: int) -> None:
        shapes, dtypes = describe_tensors((tensor,))
        self._edges[source.node, node, shapes[0], dtypes[0], source.through] = None

    def _node(self, kind: str, name: str, call: int = 0) -> int:
        self._nodes.append(_Node(kind, name, call, self._n_begun))
        return len(self._nodes) - 1


def _named(func: Any) -> tuple[str, bool]:
    """What an operator is called, and whether it may write."""
    found = _NAMED.get(func)
    if found is None:
        packet = getattr(func, "_overloadpacket", func)
        schema = getattr(func, "_schema", None)
        name = str(getattr(packet, "__name__", packet)).rpartition(".")[2]
        found = _NAMED[func] = name, schema is not None and bool(schema.is_mutable)
    return found


_NAMED: dict[Any, tuple[str, bool]] = {}
"""One entry per operator, whatever the model."""


def _shown(name: str) -> str:
    return _NAMES.get(name) or name.strip("_")


def _and(through: Through, name: str) -> Through:
    """What values came through, and this; the same again, and what has no name for a user, aren't told."""
    shown = _shown(name)
    is_told = through[-1:] != (shown,) and shown not in _UNTOLD and len(through) < _MOST_NAMES
    return (*through, shown) if is_told else through


def _outs(func: Any, kwargs: Mapping[str, Any]) -> dict[str, None]:
    """Names of the arguments that an operator is given only to write all of."""
    names = (argument.name for argument in func._schema.arguments if argument.is_out)  # noqa: SLF001 - torch's type
    return {name: None for name in names if name in kwargs and all(map(is_all_of_it, tensors_among(kwargs[name])))}


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The tensors that an operator writes, which may give back nothing."""
    found: list[Any] = []
    for at, argument in enumerate(func._schema.arguments):  # noqa: SLF001 - torch's type
        if argument.alias_info is not None and argument.alias_info.is_write:
            found += tensors_among(args[at] if at < len(args) else kwargs.get(argument.name))
    return found


def _has_no_modules(module: Any) -> bool:
    """Whether a module has no others in it, but for what makes up its weights."""
    inside = instance_dict(module).get("_modules") if is_module(module) else None
    if not inside or is_a(module, torch.jit.ScriptModule):
        return True
    return all(name == "parametrizations" for name in dict.keys(inside))
