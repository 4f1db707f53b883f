"""The graph of a forward: boxes within boxes, and what flows between those that are shown."""

from __future__ import annotations

from dataclasses import dataclass

from nnwidgets.formatting import counted
from nnwidgets.introspect.data_flow.written import dot, mermaid
from nnwidgets.introspect.records import Record


@dataclass(frozen=True, slots=True)
class FlowNode(Record):
    """A box of the graph, or one of its ends.

    Attributes:
        id: Its place in `FlowGraph.nodes`.
        parent: Of the box that it is in; None where it is in none.
        kind: ``"module"`` (a call of one), ``"operator"``, ``"input"``, ``"output"``, ``"row"``, a box around
            several that repeat together, or ``"range"``, a box around many of a box.
        name: The module's path, or the operator's or the argument's name.
        call: Place of the call in `Trace.calls`; None where it isn't one.
        class_name: The module's class.
        is_open: Whether what is in it is shown.
        n_calls: How many calls of modules are in it.
        n_repeats: How many in a row it stands for, itself included.
        last: Path of the last of these.
        failed: Whether the forward ended here.
    """

    id: int
    parent: int | None
    kind: str
    name: str
    call: int | None = None
    class_name: str = ""
    is_open: bool = False
    n_calls: int = 0
    n_repeats: int = 1
    last: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class FlowEdge(Record):
    """What flows from one node to another.

    Attributes:
        source: Id of the node that gave it.
        target: Id of the node that took it.
        shape: Of the first tensor.
        dtype: Of the first tensor.
        through: Operators on its way that only moved or reshaped its values.
        n_tensors: How many tensors, those of one shape and dtype that came the same way as one.
        is_to_next: Whether it goes to the next of those that the target stands for.
    """

    source: int
    target: int
    shape: tuple[int, ...]
    dtype: str
    through: tuple[str, ...] = ()
    n_tensors: int = 1
    is_to_next: bool = False


@dataclass(frozen=True, slots=True)
class FlowGraph(Record):
    """What flows through a forward: `Trace.graph` makes it.

    Attributes:
        nodes: Every node that is shown, in the order they began, boxes before what is in them.
        edges: What flows between those that aren't open.
    """

    nodes: tuple[FlowNode, ...]
    edges: tuple[FlowEdge, ...]

    def __repr__(self) -> str:
        return f"FlowGraph({counted(len(self.nodes), 'node')}, {counted(len(self.edges), 'edge')})"

    def to_mermaid(self) -> str:
        """The graph as a Mermaid flowchart, which Markdown on many sites draws.

        Example:
            >>> import torch
            >>> from nnwidgets.introspect import trace
            >>> net = torch.nn.Sequential(torch.nn.Linear(4, 2))
            >>> print(trace(net, torch.ones(1, 4)).graph().to_mermaid())
            flowchart TB
              n0["input 0"]
              n1["0 Linear"]
              n2["output"]
              n0 -->|"1 × 4"| n1
              n1 -->|"1 × 2"| n2
        """
        return mermaid(self)

    def to_dot(self) -> str:
        """The graph in Graphviz' language, for its ``dot``."""
        return dot(self)
