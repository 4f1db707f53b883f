"""Checkpoints: looked into without reading them, planned before they are loaded, never half-loaded, never half-written.

Example:
    >>> import tempfile, torch
    >>> from safetensors.torch import save_file
    >>> file = tempfile.mkdtemp() + "/mlp.safetensors"
    >>> save_file({"0.weight": torch.zeros(3, 2)}, file)
    >>> peek(file).names
    ('0.weight',)
"""

from __future__ import annotations

from nnwidgets.checkpoint.diffing.diff import diff
from nnwidgets.checkpoint.folder import Listed, Listing, folder
from nnwidgets.checkpoint.loading.load import load
from nnwidgets.checkpoint.loading.plan import plan
from nnwidgets.checkpoint.peek import peek
from nnwidgets.checkpoint.read import read
from nnwidgets.checkpoint.records import (
    Changed,
    CheckpointIndex,
    LoadPlan,
    LoadReport,
    PlanEntry,
    SaveReport,
    StateDiff,
    StoredTensor,
    Suggestion,
)
from nnwidgets.checkpoint.saving.save import save

__all__ = [
    "Changed",
    "CheckpointIndex",
    "Listed",
    "Listing",
    "LoadPlan",
    "LoadReport",
    "PlanEntry",
    "SaveReport",
    "StateDiff",
    "StoredTensor",
    "Suggestion",
    "diff",
    "folder",
    "load",
    "peek",
    "plan",
    "read",
    "save",
]
