"""The plain text of a tree: ``str(tree)``."""

from __future__ import annotations

from nnwidgets.introspect.layout import laid_out
from nnwidgets.introspect.module_tree.text import lines
from nnwidgets.introspect.records import ModuleTree
from nnwidgets.introspect.totals import totals_text

MOST_LINES = 500


def outline(tree: ModuleTree, *, most_lines: int = MOST_LINES) -> str:
    """Write a tree as text: name, class, shape, parameters, dtype and marks, aligned, repeated blocks as one.

    Args:
        tree: What to write.
        most_lines: Rows beyond are left out, and counted.

    Example:
        >>> from torch import nn
        >>> from nnwidgets import tree
        >>> print(outline(tree(nn.Sequential(nn.ReLU()))))
        Sequential
          0         ReLU
        0 parameters · 0 B · 2 modules
    """
    shown, n_more = lines(tree, most=most_lines)
    return "\n".join([*laid_out(shown, n_more=n_more), totals_text(tree)])
