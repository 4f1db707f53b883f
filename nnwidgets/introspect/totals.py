"""A model's counts in one line, and why torch's own sum may differ."""

from __future__ import annotations

from nnwidgets.formatting import exact_count, short_bytes, short_count
from nnwidgets.introspect.records import ModuleTree


def totals_text(tree: ModuleTree) -> str:
    """Parameters, bytes and modules of the whole model; what torch would count, where that differs.

    Example:
        >>> from torch import nn
        >>> from nnwidgets import tree
        >>> totals_text(tree(nn.Linear(2, 3)))
        '9 parameters · 36 B · 1 module'
    """
    n_modules = sum(node.kind == "module" for node in tree.nodes)
    frozen = tree.n_params - tree.n_params_trainable
    said = [
        f"{count_text(tree.n_params)} parameters" + (f", {count_text(frozen)} of them frozen" if frozen else ""),
        short_bytes(tree.size_bytes),
        f"{exact_count(n_modules)} module{'s' if n_modules != 1 else ''}",
    ]
    if tree.why:
        said.append(tree.why)
    return " · ".join(said)


def count_text(n: int) -> str:
    r"""A count, short and exact.

    Example:
        >>> count_text(38_597_376) == "38.60 M (38\u202f597\u202f376)"
        True
    """
    short, exact = short_count(n), exact_count(n)
    return short if short == exact else f"{short} ({exact})"
