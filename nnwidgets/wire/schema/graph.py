"""The part of the schema that is about what flows through a forward: `graph`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from nnwidgets.wire.schema.envelope import ModelBody, Number
from nnwidgets.wire.schema.inspect import Severity


class GraphBody(ModelBody):
    """Give the graph of the last trace shown, as much of it as is open.

    opened: keys of the boxes that are open, in the order they were opened; without it some sixty nodes are shown.
    show: a module's path; what it is in is opened too.
    find: words, each part of a name or a class, or of the shape of what a box gave, as "2x4". nth: which of the boxes
        found is to be shown; what it is in is opened too.
    widest: the most nodes directly in a box, as a reply has it: with its `opened`, the same graph is given again.
    mermaid: whether to give it as a Mermaid flowchart too.
    """

    opened: NotRequired[list[str]]
    show: NotRequired[str]
    find: NotRequired[str]
    nth: NotRequired[int]
    widest: NotRequired[int]
    mermaid: NotRequired[bool]


class GraphSignal(TypedDict):
    """What the last run of `activations` brought there: as on the row of the module; of several, that in the middle.

    std: of the values of the first tensor that it gave. level: where that lies, 0 to 1, on the logarithmic scale of the
        rows' bars. n_bad: NaN and infinite values, of several together.
    """

    std: Number
    level: float
    n_bad: Number


class GraphNode(TypedDict):
    """A box of the graph, or one of its ends. What isn't there is zero, false, or nothing.

    key: what it is known by, whatever else is shown, as long as the trace is the last.
    parent: place of the box that it is in.
    kind: `module` is a call of one; `row` a box around several that repeat together; `range` one around many of a box
        that has more than can be shown.
    name: what to write, by the paths below that of the box that it is in.
    path: of the module.
    is_open: what is in it is shown.
    can_open: something is in it.
    n_calls: calls of modules in it.
    n_repeats: how many in a row it stands for, where more than one.
    failed: the forward ended here.
    seconds, flops, n_params: of all that it stands for; seconds without what isn't known.
    tie: the first tie group with a member in it.
    findings: the worst severity of those on and in it.
    n_found: how many of the boxes found are it, or in it where it is closed.
    """

    key: str
    parent: NotRequired[int]
    kind: Literal["module", "operator", "input", "output", "row", "range"]
    name: str
    path: NotRequired[str]
    class_name: NotRequired[str]
    is_open: NotRequired[bool]
    can_open: NotRequired[bool]
    n_calls: NotRequired[int]
    n_repeats: NotRequired[int]
    failed: NotRequired[bool]
    seconds: NotRequired[float]
    flops: NotRequired[Number]
    n_params: NotRequired[Number]
    tie: NotRequired[str]
    findings: NotRequired[Severity]
    signal: NotRequired[GraphSignal]
    n_found: NotRequired[int]


class GraphEdge(TypedDict):
    """What flows from the node at one place to that at another.

    shape, dtype: of the first tensor.
    through: operators on its way that only moved or reshaped its values.
    n_tensors: how many, where more than one.
    is_to_next: it goes to the next of those that the target stands for.
    """

    source: int
    target: int
    shape: str
    dtype: str
    through: NotRequired[list[str]]
    n_tensors: NotRequired[int]
    is_to_next: NotRequired[bool]


class GraphFound(TypedDict):
    """What was found.

    n: how many boxes, those that repeat as one; n_all: each of these.
    nth: which of them is shown, where one was asked for.
    """

    n: int
    n_all: int
    nth: NotRequired[int]


class GraphReply(TypedDict):
    """At most 400 nodes and 64 kB, Mermaid aside: where more was asked for, boxes that were opened before are closed.

    nodes: in the order they began, boxes before what is in them.
    opened: keys of the boxes that are open.
    n_closed: how many of those asked for aren't.
    widest: the most nodes directly in a box: of more, ranges of them are boxes in it.
    shown: place of the node that stands for what was to be shown, None where it wasn't called.
    failed_at, error: as in a trace.
    found: where something was to be found.
    mermaid: the same graph as a Mermaid flowchart, which Markdown on many sites draws.
    """

    nodes: list[GraphNode]
    edges: list[GraphEdge]
    opened: list[str]
    n_closed: int
    widest: int
    shown: int | None
    failed_at: str | None
    error: str | None
    found: NotRequired[GraphFound]
    mermaid: NotRequired[str]
