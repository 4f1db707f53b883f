"""Tensors that ranks hold together: what of a file goes into the part that is here; nothing is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from nnwidgets.checkpoint.description import Described, Wrapped, storages_of
from nnwidgets.checkpoint.formats import CheckpointReader
from nnwidgets.checkpoint.stored_part import is_strided, located_within
from nnwidgets.edit.over_ranks.part import Part, part_of
from nnwidgets.introspect import TensorEntry
from nnwidgets.introspect.safe_access.holders import is_dtensor


def why_not(entry: TensorEntry) -> str:
    """Why a tensor that is spread over processes isn't loaded; empty of a DTensor, whose part here is known.

    Args:
        entry: What the tree says of it.
    """
    if entry.held is None or entry.held.kind != "shard" or entry.held.placements:
        return ""
    return f"it is {entry.held.how}, of which only what made it knows where each element is"


def is_cut(entry: TensorEntry) -> bool:
    """Whether a tensor of the model is a part, for which a file's is cut."""
    return entry.held is not None and entry.held.kind == "shard" and entry.held.is_part


def stored_here(
    held: CheckpointReader, described: Described | Wrapped, tensor: Any, path: str
) -> tuple[Any, Part | None]:
    """What a file has for what is here of a tensor, by where its elements lie.

    Args:
        held: The file.
        described: What it has for the whole.
        tensor: The live one.
        path: Its, for errors.

    Returns:
        That, and which part of it goes here where it can't be cut beforehand.

    Raises:
        InvalidTargetError: It isn't known which part is here.
        CorruptCheckpointError: The file has something else there.
    """
    if isinstance(described, Wrapped):
        return described, None
    part = part_of(tensor, path)
    if part is None or part.is_whole:
        return held.located(described), None
    if not is_strided(described) or tuple(described.shape) != part.shape:
        return held.located(described), part
    return located_within(held, described, part.box), None


def like(local: torch.Tensor, tensor: Any) -> Any:
    """A tensor spread as another is, of which ``local`` is the part here; itself where that one isn't spread."""
    if not is_dtensor(type(tensor)):
        return local
    spec, kind = tensor._spec, type(tensor)  # noqa: SLF001 - torch's own record
    meta = spec.tensor_meta
    return kind.from_local(
        local, spec.mesh, spec.placements, run_check=False, shape=meta.shape, stride=tuple(meta.stride)
    )


def digest_of(held: CheckpointReader, tensors: Mapping[str, Described | Wrapped]) -> bytes:
    """A digest of what a file says that it has, where, and of some of it: of one file it is the same on all ranks.

    What has no checksum is told apart by a few bytes from the middle of some tensors.
    """
    made = hashlib.blake2b(digest_size=8)
    files = [file.path.name for file in held.files]
    for name, each in tensors.items():
        places = [(files[at.file], at.offset, at.n_bytes, at.crc32) for at in storages_of(each)]
        made.update(f"{name} {each.dtype} {tuple(each.shape)} {places}\0".encode("utf-8", "backslashreplace"))
    bare = [at for each in tensors.values() for at in storages_of(each) if not at.crc32]
    for at in bare[:: -(-len(bare) // _MOST_SAMPLED) or 1]:
        n = min(_SAMPLED, at.n_bytes)
        first = (at.n_bytes - n) // 2
        made.update(held.files[at.file].read(at.offset + first, n) if at.held is None else at.held[first : first + n])
    return made.digest()


_MOST_SAMPLED = 512
_SAMPLED = 64
"""Bytes."""
