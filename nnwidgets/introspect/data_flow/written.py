"""A graph in the languages of others: Mermaid and Graphviz' DOT."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from nnwidgets.formatting import exact_count, inert, shape_text

if TYPE_CHECKING:
    from nnwidgets.introspect.data_flow.flow_graph import FlowEdge, FlowGraph, FlowNode

_PLAIN_TO_MERMAID = re.compile(r"[^\w .,×…→/()\[\]-]")
_LONGEST = 80


def node_label(node: FlowNode) -> str:
    """What to write into a node.

    Example:
        >>> from nnwidgets.introspect.data_flow.flow_graph import FlowNode
        >>> node_label(FlowNode(0, None, "module", "h.0", class_name="Block", n_repeats=3, last="h.2"))
        '3 × h.0 … h.2 Block'
    """
    times = f"{node.n_repeats:,} ×" if node.n_repeats > 1 else ""
    return inert(" ".join(filter(None, (times, node_name(node), node.class_name))), _LONGEST)


def node_name(node: FlowNode, within: str = "") -> str:
    """What a node is called, by the paths below that of the module it is in; "" of a row.

    Example:
        >>> from nnwidgets.introspect.data_flow.flow_graph import FlowNode
        >>> node_name(FlowNode(0, None, "module", "h.0", class_name="Block", n_repeats=3, last="h.2"), "h")
        '0 … 2'
    """
    start = f"{within}." if within else ""
    name, last = node.name.removeprefix(start), node.last.removeprefix(start)
    if node.kind in {"input", "output"}:
        name = f"{node.kind} {name}".strip()
    return f"{name} … {last}" if last and last != name else name


def node_title(node: FlowNode, graph: FlowGraph, of_row: str = "in a row") -> str:
    """What a node is called in its place, for how many it stands, and whether it raised."""
    parent = None if node.parent is None else graph.nodes[node.parent]
    times = f"{exact_count(node.n_repeats)} × " if node.n_repeats > 1 else ""
    name = node_name(node, parent.name if parent is not None and parent.kind == "module" else "")
    return f"{times}{name or (of_row if times else 'the model itself')}" + (" ✗ raised" if node.failed else "")


def edge_label(edge: FlowEdge) -> str:
    """What to write on an edge.

    Example:
        >>> from nnwidgets.introspect.data_flow.flow_graph import FlowEdge
        >>> edge_label(FlowEdge(0, 1, (2, 4), "float32", ("view",)))
        '2 × 4 view'
    """
    more = f"and {edge.n_tensors - 1:,} more" if edge.n_tensors > 1 else ""
    return inert(" ".join(filter(None, (shape_text(edge.shape), *edge.through, more))), _LONGEST)


def mermaid(graph: FlowGraph) -> str:
    """The graph as a Mermaid flowchart."""

    def quoted(text: str) -> str:
        return '"' + _PLAIN_TO_MERMAID.sub(lambda found: f"#{ord(found[0])};", text) + '"'

    def named(node: FlowNode) -> str:
        return f"n{node.id}[{quoted(node_label(node))}]"

    lines = ["flowchart TB", *_nested(graph, named, lambda node: (f"subgraph {named(node)}", "end"))]
    for edge in graph.edges:
        arrow = "-.->" if edge.is_to_next else "-->"
        lines.append(f"  n{edge.source} {arrow}|{quoted(edge_label(edge))}| n{edge.target}")
    return "\n".join(lines)


def dot(graph: FlowGraph) -> str:
    """The graph in Graphviz' language."""

    def labelled(text: str) -> str:
        return 'label="' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def of_node(node: FlowNode) -> str:
        return f"n{node.id} [{labelled(node_label(node))}]"

    def of_box(node: FlowNode) -> tuple[str, str]:
        return f"subgraph cluster_{node.id} {{ {labelled(node_label(node))}", "}"

    lines = ["digraph {", "  node [shape=box]", *_nested(graph, of_node, of_box)]
    for edge in graph.edges:
        style = ", style=dashed" if edge.is_to_next else ""
        lines.append(f"  n{edge.source} -> n{edge.target} [{labelled(edge_label(edge))}{style}]")
    return "\n".join([*lines, "}"])


def _nested(
    graph: FlowGraph, of_node: Callable[[FlowNode], str], of_box: Callable[[FlowNode], tuple[str, str]]
) -> Iterator[str]:
    """A line for each node, boxes around what is in them."""
    around: list[tuple[int, str]] = []
    for node in graph.nodes:
        while around and around[-1][0] != node.parent:
            yield "  " * len(around) + around.pop()[1]
        indent = "  " * (len(around) + 1)
        if node.is_open or node.kind == "row":
            begin, end = of_box(node)
            yield indent + begin
            around.append((node.id, end))
        else:
            yield indent + of_node(node)
    while around:
        yield "  " * len(around) + around.pop()[1]
