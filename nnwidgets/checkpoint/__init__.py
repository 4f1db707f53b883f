"""Checkpoints: looked into without reading them, planned before they are loaded, never half-loaded, never half-written.

Start at `formats.open_checkpoint`: everything that reads goes through the `CheckpointReader` that it gives, whose
content is made of `description`. `state_dict.find` says which state dict in it is meant, `entries` which there are.

    peek.py         what is in a file, from its headers
    read.py         the object in a file
    folder.py       the checkpoints of a folder
    loading/        what a load would do; the load
    saving/         a save, from the object to the file's name
    diffing/        two state dicts, compared
    without_model/  a file by itself: as a module of its names, and what looks wrong in it
    own_code/       modules that take part in saving and loading with code of their own
    formats/        torch's files, safetensors, shards, distributed ones: opened by content, checked, nothing run
    writing/        bytes on the disk: files whole or not at all, torch zip and safetensors
    state_dict.py   which state dict of a file is meant; what of a module is saved
    entries.py      the state dicts of a file, and how well each fits a model
    objects/        objects that a file holds whole: a pickled module's state dict, what else holds one
    description.py  what a file holds, each tensor by where its bytes lie
    stored_part.py  a box of a tensor in a file, by where its bytes lie
    bytes_equal.py  whether two tensors have the same bytes
    progress.py     how far a load, save or comparison is
    records.py      what these functions give

Example:
    >>> import tempfile, torch
    >>> from safetensors.torch import save_file
    >>> file = tempfile.mkdtemp() + "/mlp.safetensors"
    >>> save_file({"0.weight": torch.zeros(3, 2)}, file)
    >>> peek(file).names
    ('0.weight',)
"""

from __future__ import annotations

from nnwidgets.checkpoint.diffing.assert_equal import assert_equal
from nnwidgets.checkpoint.diffing.diff import diff
from nnwidgets.checkpoint.diffing.snapshot import Snapshot, snapshot
from nnwidgets.checkpoint.diffing.state_diff import Changed, StateDiff
from nnwidgets.checkpoint.folder import Listed, Listing, folder
from nnwidgets.checkpoint.loading.load import load
from nnwidgets.checkpoint.loading.plan import plan
from nnwidgets.checkpoint.peek import peek
from nnwidgets.checkpoint.read import read
from nnwidgets.checkpoint.records import (
    CheckpointIndex,
    Described,
    LoadPlan,
    LoadReport,
    PlanEntry,
    SaveReport,
    StoredTensor,
)
from nnwidgets.checkpoint.saving.save import save

__all__ = [
    "Changed",
    "CheckpointIndex",
    "Described",
    "Listed",
    "Listing",
    "LoadPlan",
    "LoadReport",
    "PlanEntry",
    "SaveReport",
    "Snapshot",
    "StateDiff",
    "StoredTensor",
    "assert_equal",
    "diff",
    "folder",
    "load",
    "peek",
    "plan",
    "read",
    "save",
    "snapshot",
]
