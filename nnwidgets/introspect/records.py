"""What reading a module gives: frozen records, no tensors in them, safe to keep and to send.

A record never holds the module or a tensor of it, so keeping a tree keeps no model alive (a raw key that is itself a
module, as a beginner's ``self._modules[block] = block`` makes, is the one exception).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from nnwidgets.formatting import counted, printed

Role = Literal["parameter", "buffer", "unregistered"]
TieKind = Literal["object", "storage", "view", "overlap"]
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The worst first."""


class Record:
    """A result: a frozen dataclass that says its fields as JSON has them."""

    __slots__ = ()

    def __str__(self) -> str:
        return printed(self)

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them; NaN, infinities and integers beyond 2^53 as text."""
        return {
            each.name: as_json(getattr(self, each.name))
            for each in fields(self)  # type: ignore[arg-type] # the classes below are dataclasses
            if not each.name.startswith("_")
        }


def as_json(value: Any) -> Any:
    """A value as JSON has it, records in it by their fields."""
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [as_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    is_large = isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT
    return str(value) if is_large else value


_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Held(Record):
    """What holds a tensor's elements where that isn't a storage of its own.

    Attributes:
        kind: ``"shard"`` this process has a part, ``"packed"`` several elements in one number, ``"codes"`` integers
            with scales beside, ``"wrapper"`` tensors within one of a wrapping class.
        shape: The shape that the elements have, as a whole and unpacked.
        local_shape: The shape of what this process holds.
        local_bytes: Its bytes; of a wrapper, those of all that it is made of.
        how: How, in a few words: ``"Shard(0) over dp 4"``, ``"packed: 4-bit nf4 of 64 × 64 in 2048 × 1 u8"``.
        placements: Of a DTensor: ``("Shard(0)", "Replicate()")``.
        mesh: Of a DTensor: name and size of each dimension of its mesh, ``(("dp", 2), ("tp", 2))``.
        n_replicas: How many processes have the same part.
        is_part: Whether other processes have elements that this one hasn't, or has only its share of a sum.
    """

    kind: Literal["shard", "packed", "codes", "wrapper"]
    shape: tuple[int, ...]
    local_shape: tuple[int, ...]
    local_bytes: int
    how: str
    placements: tuple[str, ...] = ()
    mesh: tuple[tuple[str, int], ...] = ()
    n_replicas: int = 1
    is_part: bool = False

    def __str__(self) -> str:
        return self.how

    @property
    def n_elements(self) -> int:
        """Number of elements as a whole."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class TensorEntry(Record):
    """One tensor of a module under one name.

    Attributes:
        path: Where it is, as ``named_parameters`` would say: ``"0.weight"``.
        role: ``"parameter"``, ``"buffer"``, or ``"unregistered"`` for a tensor that is a plain attribute.
        shape: Its sizes, the whole's where it is sharded; None where they can't be known yet (a lazy parameter) or
            can't be read.
        dtype: ``"float32"``.
        device: ``"cpu"``, ``"cuda:0"``, ``"meta"``.
        layout: ``"strided"``, ``"sparse_coo"``.
        requires_grad: Whether gradients are asked for.
        persistent: Whether ``state_dict`` saves it.
        n_elements: Number of elements, the whole's where it is sharded, unpacked where it is packed; 0 where the shape
            isn't known.
        size_bytes: Bytes of its elements as they are stored, the whole's where it is sharded (not of the storage it may
            share).
        has_grad: Whether ``.grad`` is set.
        class_name: ``"Parameter"``, ``"Tensor"``, ``"UninitializedParameter"``, a subclass's name.
        tie: Id of the tie group it is in, or None.
        problem: Why it can't be read, or None.
        n_counted: Elements of it that no earlier tensor of the model has: 0 for a second name of the same bytes.
        held: What holds its elements; None where it holds them itself.
    """

    path: str
    role: Role
    shape: tuple[int, ...] | None
    dtype: str
    device: str
    layout: str
    requires_grad: bool
    persistent: bool
    n_elements: int
    size_bytes: int
    has_grad: bool
    class_name: str
    tie: str | None = None
    problem: str | None = None
    n_counted: int = 0
    held: Held | None = None

    @property
    def placements(self) -> tuple[str, ...]:
        """How a DTensor is spread over each dimension of its mesh: ``("Shard(0)", "Replicate()")``."""
        return () if self.held is None else self.held.placements

    @property
    def mesh(self) -> tuple[tuple[str, int], ...]:
        """Name and size of each dimension of a DTensor's mesh: ``(("dp", 2), ("tp", 2))``."""
        return () if self.held is None else self.held.mesh

    @property
    def local_shape(self) -> tuple[int, ...] | None:
        """The shape of what this process holds."""
        return self.shape if self.held is None else self.held.local_shape

    @property
    def local_bytes(self) -> int:
        """The bytes of what this process holds."""
        return self.size_bytes if self.held is None else self.held.local_bytes

    @property
    def n_replicas(self) -> int:
        """How many processes hold the same part."""
        return 1 if self.held is None else self.held.n_replicas

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them; what a shard has beside them, too."""
        beside = {name: as_json(getattr(self, name)) for name in _BESIDE}
        return {**Record.to_dict(self), **beside}


_BESIDE = ("placements", "mesh", "local_shape", "local_bytes", "n_replicas")


@dataclass(frozen=True, slots=True)
class TieGroup(Record):
    """Names that reach the same bytes.

    Attributes:
        id: A letter: A, B, … Z, AA, in walk order.
        kind: ``"object"`` one Parameter under several names, ``"storage"`` two tensors with the same bytes, shape and
            strides, ``"view"`` the same bytes seen otherwise, ``"overlap"`` some bytes in common.
        members: Paths, in walk order.
        shared_bytes: Bytes that belong to an element of two or more members; of tensors without data, those that will.
    """

    id: str
    kind: TieKind
    members: tuple[str, ...]
    shared_bytes: int


@dataclass(frozen=True, slots=True)
class RankStats(Record):
    """What one rank holds of a tensor, in a few numbers.

    Attributes:
        rank: Which.
        part: Which part it has: its place along each dimension of the mesh that the tensor is cut over, ``(2,)``;
            ``()`` where it has all. Ranks with the same part are replicas.
        n: Its elements.
        min: Least finite one.
        max: Greatest finite one.
        mean: Of the finite ones.
        norm: L2 norm.
        n_nan: NaN elements.
        n_inf: Infinite elements.
    """

    rank: int
    part: tuple[int, ...]
    n: int
    min: float
    max: float
    mean: float
    norm: float
    n_nan: int
    n_inf: int


@dataclass(frozen=True, slots=True, repr=False)
class TensorStats(Record):
    """Statistics of one tensor; NaN and infinite elements are counted and left out of the rest.

    Attributes:
        n: Number of elements looked at, NaN and infinite ones included.
        mean: Arithmetic mean; NaN where no element is finite.
        std: Standard deviation with Bessel's correction, as ``Tensor.std``; NaN below two finite elements.
        min: Least finite element.
        max: Greatest finite element.
        norm: L2 norm.
        n_zero: Elements equal to zero.
        n_nan: NaN elements.
        n_inf: Infinite elements, of either sign.
        hist_counts: Elements per bin.
        hist_edges: Bin edges, one more than bins, covering [min, max].
        is_exact: False for a sampled answer, and for one that isn't of the tensor's own elements, all of them.
        of: Whose numbers these are: ``"all"``, a shard's ``"rank 2: 16 × 64 of 64 × 64"``, codes', or, of complex
            elements, ``"magnitudes"``.
        by_rank: Of a tensor over ranks, what each holds of it, in the order of ranks; else empty.
        missing: Ranks whose part of it is missing here, because they didn't answer.
    """

    n: int
    mean: float
    std: float
    min: float
    max: float
    norm: float
    n_zero: int
    n_nan: int
    n_inf: int
    hist_counts: tuple[int, ...]
    hist_edges: tuple[float, ...]
    is_exact: bool
    of: str = "all"
    by_rank: tuple[RankStats, ...] = ()
    missing: tuple[int, ...] = ()

    def __repr__(self) -> str:
        names = ("n", "mean", "std", "min", "max", "norm", "n_zero", "n_nan", "n_inf")
        told = ", ".join(f"{name}={getattr(self, name):.6g}" for name in names)
        of = "" if self.of == "all" else f", of={self.of!r}"
        return (
            f"TensorStats({told}, {counted(len(self.hist_counts), 'bin')}{'' if self.is_exact else ', not exact'}{of})"
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 - as IPython calls it
        printer.text(str(self))


@dataclass(frozen=True, slots=True)
class Finding(Record):
    """Something in a model that its author will want to know.

    Attributes:
        code: What it is, in kebab case: ``"unregistered-tensor"``.
        severity: ``"error"``, ``"warning"`` or ``"note"``.
        path: Where; ``""`` for the model itself.
        message: One or two plain sentences.
        fix: Python source that mends it, or None.
        ranks: Of a model over ranks, those that it was found on; else empty.
    """

    code: str
    severity: Severity
    path: str
    message: str
    fix: str | None = None
    ranks: tuple[int, ...] = ()


class Findings(tuple[Finding, ...]):
    """Findings, the worst first, that print as a page; a tuple in all else."""

    __slots__ = ()

    def __repr__(self) -> str:
        return printed(self)

    __str__ = __repr__


class TieGroups(tuple[TieGroup, ...]):
    """Tie groups that print as a table; a tuple in all else."""

    __slots__ = ()

    def __repr__(self) -> str:
        return printed(self)

    __str__ = __repr__


class Work(Record):
    """A record of floating-point operations, which tells them as multiplications with their additions too."""

    __slots__ = ()

    flops: int | None

    @property
    def mult_adds(self) -> int | None:
        """Multiplications with their additions, two floating-point operations each; None where unknown."""
        return None if self.flops is None else self.flops // 2

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them, and ``mult_adds``."""
        return {**Record.to_dict(self), "mult_adds": self.mult_adds}


@dataclass(frozen=True, slots=True)
class TraceCall(Work):
    """One call of one module in a traced forward pass.

    Attributes:
        path: The module called.
        call_index: 0 for its first call in this forward, 1 for its second.
        input_shapes: Shapes of the tensors that went in, in order, nested containers flattened.
        input_dtypes: Their dtypes.
        output_shapes: Shapes of the tensors that came out; empty where it raised.
        output_dtypes: Their dtypes.
        seconds: Wall time inside the call, its descendants included; None where it raised.
        flops: Floating-point operations of the call, its descendants included; None where unknown.
        depth: How deep in the call stack, 0 for the model itself.
        saved_bytes: Bytes that autograd keeps for the backward of the call, its descendants included, as in `Trace`;
            None where it raised, and where gradients are off.
        class_name: The module's class.
        settings: The module's plain attributes, as ``"kernel_size=(3, 3), stride=(1, 1)"``, cut where they are long;
            numbers and names by which it is known among its like, such as ``layer_idx``, aside.
    """

    path: str
    call_index: int
    input_shapes: tuple[tuple[int, ...], ...]
    input_dtypes: tuple[str, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    output_dtypes: tuple[str, ...]
    seconds: float | None
    flops: int | None
    depth: int
    saved_bytes: int | None = None
    class_name: str = ""
    settings: str = ""


@dataclass(frozen=True, slots=True)
class TraceOperator(Record):
    """What ran between the calls of a trace, or what the model was given or gave.

    Attributes:
        name: The operator's, as ``"add"``; of an input, the argument's name or position; of one output of several, its
            place.
        kind: ``"operator"``, ``"input"`` or ``"output"``.
        call: Place of the call in which it ran, in `Trace.calls`.
        n_calls_before: How many calls had begun before it.
    """

    name: str
    kind: str
    call: int
    n_calls_before: int


@dataclass(frozen=True, slots=True)
class TraceEdge(Record):
    """A tensor on its way in a traced forward: who gave it, and who took it.

    Attributes:
        source: Place of a call in `Trace.calls`; below zero, ``~source`` is that of an operator in `Trace.operators`.
        target: The same.
        shape: Of the tensor that was taken.
        dtype: Its dtype.
        through: Names of operators on the way that only moved or reshaped the values, in order.
    """

    source: int
    target: int
    shape: tuple[int, ...]
    dtype: str
    through: tuple[str, ...] = ()
