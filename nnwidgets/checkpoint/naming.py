"""The names that a state dict of a module has."""

from __future__ import annotations

from nnwidgets.introspect import ModuleTree, TensorEntry


def is_saved(entry: TensorEntry) -> bool:
    """Whether a state dict has a tensor: parameters and persistent buffers."""
    return entry.role == "parameter" or (entry.role == "buffer" and entry.persistent)


def saved_entries(tree: ModuleTree) -> dict[str, TensorEntry]:
    """What a state dict has, under every name: those of the walk in order, then those through aliases.

    Example:
        >>> from torch import nn
        >>> from nnwidgets.introspect import tree
        >>> shared = nn.Linear(2, 2, bias=False)
        >>> list(saved_entries(tree(nn.Sequential(shared, shared))))
        ['0.weight', '1.weight']
    """
    made = {entry.path: entry for entry in tree.tensors if is_saved(entry)}
    listed = {entry.path for entry in tree.tensors}
    for group in tree.ties:
        owner = next((made[path] for path in group.members if path in made), None)
        if owner is not None:
            made.update({path: owner for path in group.members if path not in listed})
    return made
