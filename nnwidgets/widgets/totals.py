"""The counts above the tree, and why torch's own may differ."""

from __future__ import annotations

from nnwidgets.introspect.labels import exact_count
from nnwidgets.widgets.index import Index
from nnwidgets.widgets.session import Session
from nnwidgets.wire.schema import Totals


def totals(_session: Session, index: Index) -> Totals:
    """Return the counts of the whole model."""
    tree = index.tree
    n_params_torch, n_lazy = _as_torch_counts(index)
    return {
        "n_params": tree.n_params,
        "n_params_trainable": tree.n_params_trainable,
        "n_params_torch": n_params_torch,
        "size_bytes": tree.size_bytes,
        "n_modules": sum(node.kind == "module" for node in tree.nodes),
        "n_tensors": len(tree.tensors),
        "why": _why(tree.n_params, n_params_torch, n_lazy),
    }


def _as_torch_counts(index: Index) -> tuple[int, int]:
    """Return what ``sum(p.numel() for p in net.parameters())`` says, and how many parameters are lazy.

    torch counts each Parameter object once, and each of two objects that share their bytes.
    """
    total, n_lazy, seen = 0, 0, set()
    for entry in index.tree.tensors:
        if entry.role != "parameter":
            continue
        group = index.groups.get(entry.tie) if entry.tie is not None else None
        if group is not None and group.kind == "object":
            if group.id in seen:
                continue
            seen.add(group.id)
        n_lazy += entry.shape is None
        total += entry.n_elements
    return total, n_lazy


def _why(n_params: int, n_params_torch: int, n_lazy: int) -> str | None:
    reasons = []
    if n_params != n_params_torch:
        reasons.append(
            f"parameters() sums to {exact_count(n_params_torch)}: it counts elements twice that two Parameter objects "
            "share; here each is counted once."
        )
    if n_lazy:
        reasons.append(f"parameters() can't be counted: {n_lazy} of them get their shape at the first forward.")
    return " ".join(reasons) or None
