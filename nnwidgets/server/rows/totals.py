"""The counts above the tree, and why torch's own may differ."""

from __future__ import annotations

from nnwidgets.formatting import inert
from nnwidgets.server.rows.tree_index import Index
from nnwidgets.wire.schema.tree import Totals

_MAX_WHY = 2_000


def totals(index: Index) -> Totals:
    """Return the counts of the whole model."""
    tree = index.tree
    return {
        "n_params": tree.n_params,
        "n_params_trainable": tree.n_params_trainable,
        "n_params_torch": tree.root.n_params_torch,
        "size_bytes": tree.size_bytes,
        "n_modules": sum(node.kind == "module" for node in tree.nodes),
        "n_tensors": len(tree.tensors),
        "why": inert(tree.root.why, _MAX_WHY) if tree.root.why is not None else None,
    }
