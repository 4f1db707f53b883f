"""A table in torchinfo's columns, made from a tree and a trace."""

from __future__ import annotations

from collections import Counter

from nnwidgets.formatting import exact_count, inert
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree
from nnwidgets.introspect.tracing.trace_record import Trace

DEFAULT_DEPTH = 3
"""Levels of modules shown where none are asked for, as torchinfo's."""

_MOST_ROWS = 2_000
_MOST_NAME = 80
_FIRST_WIDTH = 40
_WIDTH = 25
_STEP = 5


def summary_table(tree: ModuleTree, trace: Trace | None = None, *, depth: int = DEFAULT_DEPTH) -> str:
    """Layers with output shapes, where there is a trace, and parameter counts.

    As in torchinfo's table, a container's number is what it holds beyond its children, ``(recursive)`` stands where a
    module was counted before, and numbers of frozen layers are in parentheses.

    Args:
        tree: The model.
        trace: A forward pass of it.
        depth: Levels of modules shown.

    Example:
        >>> from torch import nn
        >>> from nnwidgets import tree
        >>> print(summary_table(tree(nn.Sequential(nn.Linear(2, 3)))).split(chr(10))[4].rstrip())
        ├─Linear: 1-1                            9
    """
    shapes = _output_shapes(trace) if trace is not None else None
    rows = [("Layer (type:depth-idx)", "Output Shape" if shapes is not None else "", "Param #")]
    seen_at: Counter[int] = Counter()
    waiting: list[tuple[ModuleNode, int]] = [(tree.root, 0)]
    frozen = _frozen_paths(tree)
    n_more = 0
    while waiting:
        node, level = waiting.pop()
        if level > depth:
            continue
        waiting.extend((child, level + 1) for child in reversed(node.children))
        seen_at[level] += 1
        if len(rows) > _MOST_ROWS:
            n_more += 1
            continue
        shape = shapes.get(node.path, "--") if shapes is not None else ""
        rows.append((_layer(node, level, seen_at[level]), shape, _n_params(node, frozen, at_limit=level == depth)))
    return _lay_out(rows, n_more, tree, trace)


def _lay_out(rows: list[tuple[str, str, str]], n_more: int, tree: ModuleTree, trace: Trace | None) -> str:
    widest = max(len(name) for name, _, _ in rows)
    first = max(_FIRST_WIDTH, -(-(widest + 1) // _STEP) * _STEP)
    with_shapes = trace is not None
    rule = "=" * (first + _WIDTH * (2 if with_shapes else 1))
    lines = [f"{name:<{first}} " + (f"{shape:<{_WIDTH}} " if with_shapes else "") + n for name, shape, n in rows]
    if n_more:
        lines.append(f"… {exact_count(n_more)} more")
    totals = [
        f"Total params: {tree.n_params:,}",
        f"Trainable params: {tree.n_params_trainable:,}",
        f"Non-trainable params: {tree.n_params - tree.n_params_trainable:,}",
    ]
    if trace is not None and trace.flops is not None:
        totals.append(f"Total mult-adds: {trace.flops // 2:,}")
    if tree.why:
        totals.append(f"({tree.why})")
    return "\n".join([rule, lines[0], rule, *lines[1:], rule, *totals, rule])


def _layer(node: ModuleNode, level: int, index: int) -> str:
    name = inert(node.class_name, _MOST_NAME)
    if not level:
        return name
    start = "├─" if level == 1 else "│    " * min(level - 1, 20) + "└─"
    return f"{start}{name}: {level}-{index}"


def _n_params(node: ModuleNode, frozen: frozenset[str], *, at_limit: bool) -> str:
    if node.kind != "module":
        return "(recursive)" if node.n_params else "--"
    own = [entry for entry in node.tensors if entry.role == "parameter"]
    if any(entry.shape is None for entry in own):
        return "(not known yet)"
    if at_limit or not node.children:
        n, is_frozen = node.n_params, node.path in frozen
    else:
        n, is_frozen = sum(entry.n_elements for entry in own), not any(entry.requires_grad for entry in own)
    if not n:
        return "--"
    return f"({n:,})" if is_frozen else f"{n:,}"


def _frozen_paths(tree: ModuleTree) -> frozenset[str]:
    """Paths of the modules with no trainable parameter in them or below."""
    trainable: set[str] = set()
    for node in reversed(tree.nodes):
        if any(entry.role == "parameter" and entry.requires_grad for entry in node.tensors) or any(
            child.path in trainable for child in node.children
        ):
            trainable.add(node.path)
    return frozenset(node.path for node in tree.nodes if node.path not in trainable)


def _output_shapes(trace: Trace) -> dict[str, str]:
    shapes: dict[str, str] = {}
    for call in trace.calls:
        if call.output_shapes:
            shapes.setdefault(call.path, f"[{', '.join(map(str, call.output_shapes[0]))}]")
    return shapes
