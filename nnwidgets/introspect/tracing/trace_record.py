"""A traced forward as a record."""

from __future__ import annotations

from dataclasses import dataclass

from nnwidgets.formatting import counted, inert
from nnwidgets.introspect.data_flow.flow_graph import FlowGraph
from nnwidgets.introspect.data_flow.flow_view import FlowView
from nnwidgets.introspect.records import TraceCall, TraceEdge, TraceOperator, Work


@dataclass(frozen=True, slots=True)
class RankTrace(Work):
    """What one rank did in a forward of a model over ranks.

    Attributes:
        rank: Which.
        seconds: Wall time of its forward.
        flops: Floating-point operations that it did; None where unknown.
        saved_bytes: Bytes that autograd keeps there for a backward, as in `Trace`.
        failed_at: Path of the innermost module whose forward raised there, or None.
        error: What it raised, or None.
    """

    rank: int
    seconds: float
    flops: int | None
    saved_bytes: int | None
    failed_at: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Trace(Work):
    """A forward pass, call by call, in the order the calls began.

    Attributes:
        calls: Every call.
        failed_at: Path of the innermost module whose forward raised, or None.
        error: What it raised, as ``"RuntimeError: …"``, or None.
        unused: Registered modules that were never called.
        seconds: Wall time of the whole forward.
        flops: Floating-point operations of the whole forward; None where unknown. Of layers that are cut over ranks,
            those of the whole layers.
        saved_bytes: Bytes of memory that autograd keeps for a backward from the result, parameters and buffers of the
            model aside; each piece of memory counts once and whole, for the call in which it was first kept. None
            where gradients are off, the forward raised, or its result holds no tensor.
        local_flops: Floating-point operations that this process did: fewer than ``flops`` where layers are cut over
            ranks. Of a model over ranks, those of all together, as often as they are done.
        by_rank: Of a model over ranks, what each did, in the order of ranks; else empty.
        operators: What ran outside of the modules that have no others in them, and what the model was given and gave,
            where it has to do with what it was given.
        edges: Which calls and operators took what others gave, as far as the forward came. Sparse tensors, what other
            threads run, and what leaves tensors for numbers aren't followed.
    """

    calls: tuple[TraceCall, ...]
    failed_at: str | None
    error: str | None
    unused: tuple[str, ...]
    seconds: float
    flops: int | None
    saved_bytes: int | None = None
    local_flops: int | None = None
    by_rank: tuple[RankTrace, ...] = ()
    operators: tuple[TraceOperator, ...] = ()
    edges: tuple[TraceEdge, ...] = ()

    def graph(self, depth: int | None = None, *, fold: bool = True) -> FlowGraph:
        """The forward as a graph: boxes within boxes, and what flows between them.

        Args:
            depth: How many boxes deep what is in them is shown; by itself as deep as some sixty nodes go, and of boxes
                that have more, or between whose nodes more than 400 edges go, ranges of these.
            fold: Whether nodes in a row of one class, set alike (`TraceCall.settings`), with outputs of the same shapes
                and as much arithmetic, wired alike, are shown once with their count.

        Example:
            >>> import torch
            >>> from nnwidgets.introspect import trace
            >>> block = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
            >>> found = trace(torch.nn.Sequential(block, block, block), torch.ones(2, 4)).graph()
            >>> [(node.name, node.n_repeats) for node in found.nodes]
            [('0', 1), ('0', 3), ('0.0', 1), ('0.1', 1), ('', 1)]
        """
        return FlowView(self.calls, self.operators, self.edges, self.failed_at, fold=fold).graph(depth)

    def __repr__(self) -> str:
        what = f"{counted(len(self.calls), 'call')}, {self.seconds:.3g} s"
        if self.flops is not None:
            what += f", {counted(self.flops, 'floating-point operation')}"
        if self.by_rank:
            what += f" on {counted(len(self.by_rank), 'rank')}"
        if self.unused:
            what += f", {len(self.unused):,} unused"
        if self.error is not None:
            what += f", failed at {inert(self.failed_at or '', 80)!r}: {inert(self.error, 200)}"
        return f"Trace({what})"
